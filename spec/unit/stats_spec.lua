-- The page: shared with a forked process, zeroed, and still there when that one has died. The master's specs prove the rest.
local ffi = require "ffi"

ffi.cdef [[
   struct stats;
   struct stats *stats_new(void);
   void stats_free(struct stats *stats);
   const char *worker_state_name(int state);
   int fork(void);
   int waitpid(int pid, int *status, int options);
   void _exit(int status);
   int raise(int signal);
]]
local lib = require("spec.unit.onced_lib").load()

describe("stats", function()
   it("makes a zeroed page that survives its writer", function()
      local page = lib.stats_new()
      local words = ffi.cast("volatile int64_t *", page)
      assert.equal(0, tonumber(words[0]))
      local pid = ffi.C.fork()
      if pid == 0 then
         words[0] = 42
         ffi.C.raise(9)
      end
      local status = ffi.new "int[1]"
      assert.equal(pid, ffi.C.waitpid(pid, status, 0))
      assert.equal(9, status[0] % 128)
      assert.equal(42, tonumber(words[0]))
      lib.stats_free(page)
   end)

   it("names every state", function()
      local names = {}
      for state = -1, 8 do names[#names + 1] = ffi.string(lib.worker_state_name(state)) end
      assert.same({ "?", "new", "starting", "joining", "standby", "running", "blocked", "draining", "halted", "?" }, names)
   end)
end)
