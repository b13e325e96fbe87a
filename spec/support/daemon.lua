-- SPDX-License-Identifier: MIT
-- An onced under test: the real binary with pipeline files of its own folder, its log in a file, and every wait with a deadline.
--
--   local d = daemon.start { bootstrap = c.bootstrap, pipelines = { orders = { yaml = [[...]], lua = [[...]] } } }
--   d:wait_log("committed", 10); d:signal_worker(1, "KILL"); d:stop()
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local daemon = {}
local Daemon = {}
Daemon.__index = Daemon

local number = 0

local function write(path, text)
   local file = assert(io.open(path, "w"))
   file:write(text)
   file:close()
end

-- options:
--   bootstrap   ONCED_BROKERS of the daemon (a proxy's, if one stands between)
--   pipelines   {name = {yaml = text, lua = text, files = {["data.json"] = text}}}; or `files`: paths of pipelines that are there
--   instance    ONCED_INSTANCE
--   failpoints  true: build/failpoints/onced; or its ONCED_FAILPOINT text;  guard_off: ONCED_GUARD_OFF text (implies failpoints)
--   config      text of onced.yaml;  args: more arguments;  env: more environment (false unsets);  binary;  dir;  wrap: {"prlimit", ...}
function daemon.new(options)
   number = number + 1
   local dir = options.dir or ("build/spec/daemon-%d-%d"):format(process.self(), number)
   assert(os.execute("mkdir -p " .. dir .. "/run " .. dir .. "/state"))
   local self = setmetatable({ dir = dir, log_path = dir .. "/log", options = options, at = 0, files = {} }, Daemon)
   write(self.log_path, "")
   for name, p in pairs(options.pipelines or {}) do
      write(dir .. "/" .. name .. ".yaml", p.yaml)
      if p.lua then write(dir .. "/" .. name .. ".lua", p.lua) end
      for file, text in pairs(p.files or {}) do write(dir .. "/" .. file, text) end
      self.files[#self.files + 1] = dir .. "/" .. name .. ".yaml"
   end
   for _, path in ipairs(options.files or {}) do self.files[#self.files + 1] = path end
   if options.config then write(dir .. "/onced.yaml", options.config) end
   return self
end

function daemon.start(options) return daemon.new(options):start() end

-- Starts it (again, after stop or kill; `change` replaces options for good).
function Daemon:start(change)
   for k, v in pairs(change or {}) do self.options[k] = v end
   local o = self.options
   local testing = o.failpoints or o.guard_off
   local args = {}
   for _, a in ipairs(o.wrap or {}) do args[#args + 1] = a end
   args[#args + 1] = o.binary or (testing and "build/failpoints/onced" or "build/onced")
   args[#args + 1] = "run"
   if o.config then
      args[#args + 1] = "-c"
      args[#args + 1] = self.dir .. "/onced.yaml"
   end
   for _, a in ipairs(o.args or {}) do args[#args + 1] = a end
   for _, f in ipairs(self.files) do args[#args + 1] = f end
   local env = { ONCED_BROKERS = o.bootstrap, ONCED_INSTANCE = o.instance or false, ONCED_GUARD_OFF = o.guard_off or false,
      ONCED_FAILPOINT = type(o.failpoints) == "string" and o.failpoints or false,
      RUNTIME_DIRECTORY = self.dir .. "/run", STATE_DIRECTORY = self.dir .. "/state", NOTIFY_SOCKET = false }
   for k, v in pairs(o.env or {}) do env[k] = v end
   self:mark()
   self.child = process.spawn(args, { env = env, stdout = self.log_path, stderr = self.log_path })
   return self
end

-- --- log --------------------------------------------------------------------------------------------------------------------------
function Daemon:log()
   local file = assert(io.open(self.log_path, "rb"))
   local text = file:read("*a")
   file:close()
   return text
end

-- wait_log and count look at what was written after the last mark (start sets one).
function Daemon:mark() self.at = #self:log() end

function Daemon:tail() return self:log():sub(self.at + 1) end

-- The capture (or the match) of a Lua pattern in the log since the last mark; an error with the log's end after `seconds`.
function Daemon:wait_log(pattern, seconds)
   local ok, found = pcall(wait.till, pattern, seconds or 30, function()
      local m = self:tail():match(pattern)
      if not m and not self.child:running() and not self:tail():match(pattern) then error("onced has ended", 0) end
      return m
   end)
   if not ok then error(("no %q in the log: %s\n--- %s\n%s"):format(pattern, found, self.log_path, self:log():sub(-3000)), 2) end
   return found
end

function Daemon:count(pattern)
   local _, n = self:tail():gsub(pattern, "")
   return n
end

-- --- processes --------------------------------------------------------------------------------------------------------------------
function Daemon:workers() return process.children(self.child.pid) end
function Daemon:signal(name) self.child:signal(name) end

-- The n-th worker (from 1); waits until it is there, and after KILL until it is gone. Returns its pid.
function Daemon:signal_worker(n, name)
   local pid = wait.till("worker " .. n, 20, function() return self:workers()[n] end)
   process.signal(pid, name)
   if name == "KILL" then wait.till("worker's end", 10, function() return not process.alive(pid) end, 2) end
   return pid
end

function Daemon:running() return self.child:running() end
function Daemon:wait(seconds) return self.child:wait(seconds) end -- exit code, or nil and the signal

-- SIGTERM, and the exit code. A daemon that doesn't leave within `seconds` is killed, and that is an error.
function Daemon:stop(seconds)
   if not self.child:running() then return self.child:wait(0) end
   self.child:signal "TERM"
   local ok, code, signal = pcall(self.child.wait, self.child, seconds or 40)
   if not ok then
      self:kill()
      error(("onced didn't stop within %g s\n--- %s\n%s"):format(seconds or 40, self.log_path, self:log():sub(-3000)), 2)
   end
   return code, signal
end

-- SIGKILL for the master; workers die with it (PR_SET_PDEATHSIG). For teardown too: harmless when it has ended.
function Daemon:kill()
   local workers = self:workers()
   self.child:kill()
   local function gone()
      for _, pid in ipairs(workers) do if process.alive(pid) then return false end end
      return true
   end
   local ok, why = pcall(wait.till, "workers' end", 5, gone, 2)
   if not ok then -- a finding, but nothing is left behind
      for _, pid in ipairs(workers) do process.signal(pid, "KILL") end
      error(why, 2)
   end
end

return daemon
