-- Lock files: where they are, whom they keep out, and that fork inherits them. Who waits for whom is in supervisor_spec.
local ffi = require "ffi"

ffi.cdef [[
   enum lock_spec_verdict { LOCK_SPEC_OK, LOCK_SPEC_HALT = 4 };
   struct lock_spec_err { int verdict, code; char text[256]; };
   int lock_directory(char *path, size_t size, struct lock_spec_err *e);
   int lock_open(const char *directory, const char *name, struct lock_spec_err *e);
   int lock_try(int fd);
   int lock_holder(int fd);
   int setenv(const char *name, const char *value, int overwrite);
   int unsetenv(const char *name);
   int close(int fd);
   int fork(void);
   int pause(void);
   int kill(int pid, int signal);
   int waitpid(int pid, int *status, int options);
   int getpid(void);
   unsigned geteuid(void);
]]
local C = ffi.C
local lib = require("spec.unit.onced_lib").load()
local e = ffi.new "struct lock_spec_err"

local function directory(runtime, session)
   for name, value in pairs { RUNTIME_DIRECTORY = runtime or false, XDG_RUNTIME_DIR = session or false } do
      if value then C.setenv(name, value, 1) else C.unsetenv(name) end
   end
   local path = ffi.new "char[256]"
   local verdict = lib.lock_directory(path, 256, e)
   return verdict == C.LOCK_SPEC_OK and ffi.string(path) or nil, ffi.string(e.text)
end

describe("lock", function()
   local folder
   local saved = { RUNTIME_DIRECTORY = os.getenv "RUNTIME_DIRECTORY" or false, XDG_RUNTIME_DIR = os.getenv "XDG_RUNTIME_DIR" or false }
   before_each(function()
      folder = os.tmpname()
      os.remove(folder)
      os.execute("mkdir -m 700 " .. folder)
   end)
   after_each(function()
      os.execute("rm -rf " .. folder)
      directory(saved.RUNTIME_DIRECTORY, saved.XDG_RUNTIME_DIR)
   end)

   it("takes the service's directory, the session's, or one of its own", function()
      assert.equal("/run/onced", directory("/run/onced", "/run/user/1"))
      assert.equal("/run/onced", directory("/run/onced:/run/other"))
      assert.equal("/run/user/1", directory(nil, "/run/user/1"))
      local own = directory()
      assert.equal("/tmp/onced-" .. C.geteuid(), own)
      local list = io.popen("stat -c '%a %u' " .. own)
      assert.equal("700 " .. C.geteuid(), list:read "*l")
      list:close()
   end)

   it("refuses a directory in /tmp that others can write to", function()
      local own = assert(directory())
      os.execute("chmod 0777 " .. own)
      local path, text = directory()
      os.execute("chmod 0700 " .. own)
      assert.is_nil(path)
      assert.matches(own .. " must be a directory of user " .. C.geteuid() .. " with mode 0700", text, 1, true)
   end)

   it("keeps a second one out, says who is in, and is free when the descriptor is closed", function()
      local first, second = lib.lock_open(folder, "onced.a.b.0", e), lib.lock_open(folder, "onced.a.b.0", e)
      assert.equal(1, lib.lock_try(first))
      assert.equal(0, lib.lock_try(second))
      assert.equal(C.getpid(), lib.lock_holder(second))
      C.close(first)
      assert.equal(1, lib.lock_try(second))
      C.close(second)
   end)

   it("is held by a forked process that inherited it until that one dies", function()
      local first, second = lib.lock_open(folder, "onced.a.b.0", e), lib.lock_open(folder, "onced.a.b.0", e)
      assert.equal(1, lib.lock_try(first))
      local pid = C.fork()
      if pid == 0 then
         C.close(second)
         while true do C.pause() end
      end
      C.close(first)
      assert.equal(0, lib.lock_try(second))
      C.kill(pid, 9)
      C.waitpid(pid, nil, 0)
      assert.equal(1, lib.lock_try(second))
      C.close(second)
   end)

   it("refuses names that leave the directory, links, and a directory that isn't there", function()
      assert.equal(-1, lib.lock_open(folder, "../x", e))
      assert.matches("no lock file can be named", ffi.string(e.text), 1, true)
      os.execute(("ln -s /dev/null %s/link"):format(folder))
      assert.equal(-1, lib.lock_open(folder, "link", e))
      assert.equal(-1, lib.lock_open(folder .. "/none", "x", e))
      assert.matches("can't open the lock file " .. folder .. "/none/x: No such file", ffi.string(e.text), 1, true)
   end)
end)
