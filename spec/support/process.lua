-- SPDX-License-Identifier: MIT
-- A child process of a spec (child.c by FFI): pipes or log files, deadlines on every wait, dead when the spec is.
local ffi = require "ffi"

ffi.cdef [[
   int64_t child_clock_ms(void);
   void child_sleep_ms(int ms);
   int child_log(const char *path);
   int child_spawn(char *const argv[], char *const env[], const char *cwd, int stdio[3]);
   int child_read(int fd, char *to, int size, int timeout_ms);
   int child_write(int fd, const char *from, int size);
   int child_wait(int pid, int timeout_ms);
   int child_kill(int pid, int signal);
   void child_close(int fd);
   int getpid(void);
   int system(const char *command);
]]

local process = {}
local Process = {}
Process.__index = Process

local ETIMEDOUT = -110
local STDIO = { null = -1, pipe = -2, inherit = -3 }
local SIGNALS = { HUP = 1, INT = 2, QUIT = 3, ABRT = 6, KILL = 9, USR1 = 10, SEGV = 11, USR2 = 12, TERM = 15, CONT = 18, STOP = 19 }

-- The exit code of a shell's command, 128 and the signal where one ended it. (What os.execute returns depends on how LuaJIT was built.)
function process.shell(command)
   local status = ffi.C.system(command)
   return status % 256 == 0 and status / 256 or 128 + status % 128
end

-- What is needed is built when a spec first needs it, so that busted alone is enough.
local built = {}
function process.build(target)
   if built[target] then return end
   if process.shell("make -s -f spec/support/support.mk " .. target .. " >&2") ~= 0 then error(target .. " can't be built; see above", 0) end
   built[target] = true
end

local lib
local function library()
   if not lib then
      process.build "build/libsupport.so"
      lib = ffi.load("./build/libsupport.so")
   end
   return lib
end

function process.now() return tonumber(library().child_clock_ms()) end
function process.sleep(ms) library().child_sleep_ms(ms) end
function process.self() return ffi.C.getpid() end

local function strings(list)
   local keep = {}
   local array = ffi.new("char *[?]", #list + 1)
   for i, s in ipairs(list) do
      keep[i] = ffi.new("char[?]", #tostring(s) + 1, tostring(s))
      array[i - 1] = keep[i]
   end
   return array, keep
end

-- args: list; options: env = {NAME = value or false}, cwd, stdin = "pipe", stdout = "pipe" | "inherit" | file name, stderr the same
-- (default inherit). What isn't given is /dev/null.
function process.spawn(args, options)
   options = options or {}
   local stdio, logs = ffi.new("int[3]"), {}
   for i, name in ipairs { "stdin", "stdout", "stderr" } do
      local how = options[name] or (name == "stderr" and "inherit" or "null")
      stdio[i - 1] = STDIO[how] or library().child_log(how)
      if not STDIO[how] then
         if stdio[i - 1] < 0 then error("can't write " .. how, 2) end
         logs[#logs + 1] = stdio[i - 1]
      end
   end
   local env = {}
   for name, value in pairs(options.env or {}) do
      env[#env + 1] = name
      env[#env + 1] = value and tostring(value) or "\1"
   end
   local argv, keep_args = strings(args)
   local envp, keep_env = strings(env)
   local pid = library().child_spawn(argv, envp, options.cwd, stdio)
   for _, fd in ipairs(logs) do lib.child_close(fd) end
   if pid < 0 then error(("can't start %s: errno %d"):format(args[1], -pid), 2) end
   local self = setmetatable({ pid = pid, name = args[1], rest = "", keep = { keep_args, keep_env } }, Process)
   for i, name in ipairs { "stdin", "stdout", "stderr" } do
      if options[name] == "pipe" then self[name] = stdio[i - 1] end
   end
   return self
end

-- Runs to the end; returns exit code and what it wrote to stdout.
function process.run(args, options)
   options = options or {}
   options.stdout = "pipe"
   local child = process.spawn(args, options)
   local out = {}
   while true do
      local line = child:line(options.timeout or 120)
      if not line then break end
      out[#out + 1] = line
   end
   return child:wait(options.timeout or 120), table.concat(out, "\n")
end

-- The whole path of what is there; nil when it isn't.
function process.absolute(path)
   local code, text = process.run({ "realpath", "-e", path }, { stderr = "null" })
   return code == 0 and text or nil
end

local buffer = ffi.new("char[65536]")

-- The next line of its stdout; nil at the end; an error when there is none within `seconds`.
function Process:line(seconds)
   local deadline, parts = process.now() + seconds * 1000, { self.rest }
   local at = self.rest:find("\n", 1, true)
   while not at do -- parts, not one growing string: an answer may have megabytes
      local n = lib.child_read(self.stdout, buffer, 65536, math.max(0, deadline - process.now()))
      if n == ETIMEDOUT then
         self.rest = table.concat(parts)
         error(("%s said nothing for %g s"):format(self.name, seconds), 2)
      end
      if n <= 0 then
         self.rest = ""
         local last = table.concat(parts)
         return last ~= "" and last or nil
      end
      local chunk = ffi.string(buffer, n)
      parts[#parts + 1] = chunk
      at = chunk:find("\n", 1, true)
   end
   local all = table.concat(parts)
   at = all:find("\n", 1, true)
   self.rest = all:sub(at + 1)
   return all:sub(1, at - 1)
end

function Process:write(text)
   local e = lib.child_write(self.stdin, text, #text)
   if e ~= 0 then error(("can't write to %s: errno %d; it has probably ended"):format(self.name, -e), 2) end
end

function Process:close_stdin()
   if self.stdin then lib.child_close(self.stdin) end
   self.stdin = nil
end

function Process:signal(name)
   if not self.status then lib.child_kill(self.pid, SIGNALS[name] or name) end
end

-- Exit code, or nil and the signal's number, of a child that has ended; an error when it hasn't within `seconds`.
function Process:wait(seconds)
   if not self.status then
      local status = lib.child_wait(self.pid, (seconds or 30) * 1000)
      if status == ETIMEDOUT then error(("%s (pid %d) is still there after %g s"):format(self.name, self.pid, seconds or 30), 2) end
      self.status = status
      for _, name in ipairs { "stdin", "stdout", "stderr" } do
         if self[name] then lib.child_close(self[name]) end
         self[name] = nil
      end
   end
   if self.status >= 256 then return nil, self.status - 256 end
   return self.status
end

function Process:running()
   if self.status then return false end
   local status = lib.child_wait(self.pid, 0)
   if status == ETIMEDOUT then return true end
   self.status = status
   return false
end

function Process:kill()
   self:signal("KILL")
   self:wait(10)
end

-- Signals a process that isn't our child (a worker, a broker); false if there is none.
function process.signal(pid, name) return library().child_kill(pid, SIGNALS[name] or name) == 0 end

-- Pids of a process's children, ascending.
function process.children(pid)
   local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
   local out = {}
   if file then
      for child in file:read("*a"):gmatch("%d+") do out[#out + 1] = tonumber(child) end
      file:close()
   end
   table.sort(out)
   return out
end

-- Running: there, and not a zombie.
function process.alive(pid)
   local file = io.open(("/proc/%d/stat"):format(pid))
   if not file then return false end
   local state = (file:read("*a") or ""):match("%) (%a)")
   file:close()
   return state ~= nil and state ~= "Z" and state ~= "X"
end

return process
