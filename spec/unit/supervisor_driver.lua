-- Starts the master of supervisor_driver.c, tells its workers what to do, and sees to it that none is left.
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local driver = {}
local Master = {}
Master.__index = Master

local PARTS = { "log", "stats", "err", "lock", "notify", "backoff", "failpoint", "suspects", "control", "json", "recipe", "child",
   "crew", "crew_report", "reload", "roster", "status", "supervisor" }
-- Limits that no spec can wait for are shorter here.
local FLAGS = "-std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -pthread -Idaemon -DFAILPOINTS -DSTALL_LEAST_MS=1500 -DREPORT_MS=300"
   .. [[ -DCHECK_MS=1500 -DWORKER_LOAD_MS=1000 -DVMSTAT='getenv("VMSTAT")' -DCGROUP='getenv("CGROUP")' -DCGROUPS='getenv("PLAN")']]

local binary
function driver.binary()
   if not binary then
      local sanitize = os.getenv "SANITIZE"
      local out = "build/supervisor_driver" .. (sanitize and "-" .. sanitize:gsub(",.*", "") or "")
      local sources = "spec/unit/supervisor_driver.c"
      for _, part in ipairs(PARTS) do sources = sources .. " daemon/" .. part .. ".c" end
      local command = ("mkdir -p build && %s %s %s -o %s %s"):format(os.getenv "CC" or "cc", FLAGS,
         sanitize and "-fsanitize=" .. sanitize or "", out, sources)
      if process.shell(command) ~= 0 then error("can't build " .. out, 0) end
      binary = "./" .. out
   end
   return binary
end

local function read(path)
   local file = io.open(path)
   local text = file and file:read "*a" or ""
   if file then file:close() end
   return text
end

function driver.folder()
   local name = os.tmpname()
   os.remove(name)
   os.execute("mkdir -m 700 " .. name)
   return name
end

-- plan: {["orders.0"] = {"life 1", "life 2"}}; a worker without one is ready and works. options.env, options.folder (of another
-- master: the same lock files).
local masters = {}
function driver.start(pipelines, plan, options)
   options = options or {}
   local folder = options.folder or driver.folder()
   for worker, lives in pairs(plan or {}) do
      local file = assert(io.open(folder .. "/" .. worker, "w"))
      file:write(table.concat(lives, "\n"), "\n")
      file:close()
   end
   local log = os.tmpname()
   local env = { PLAN = folder, VMSTAT = folder .. "/vmstat", CGROUP = folder .. "/cgroup",
      RUNTIME_DIRECTORY = folder, NOTIFY_SOCKET = false, WATCHDOG_USEC = false }
   for name, value in pairs(options.env or {}) do env[name] = value end
   local args = { driver.binary(), "run" }
   for _, pipeline in ipairs(pipelines) do args[#args + 1] = pipeline end
   local child = process.spawn(args, { env = env, stderr = log })
   local self = setmetatable({ child = child, folder = folder, log_file = log, pid = child.pid }, Master)
   masters[#masters + 1] = self
   return self
end

function Master:log() return read(self.log_file) end

-- What was logged, once it holds `pattern` (a Lua pattern) `times` times.
function Master:logged(pattern, times)
   return wait.till("log line " .. pattern, 20, function()
      local text = self:log()
      local _, count = text:gsub(pattern, "")
      return count >= (times or 1) and text, text
   end)
end

-- Lives of a worker so far: {{pid=, found=}, ...}; waits until there are `count`.
function Master:lives(worker, count)
   return wait.till(("life %d of %s"):format(count or 1, worker), 20, function()
      local lives = {}
      for pid, found in read(self.folder .. "/" .. worker .. ".lives"):gmatch "(%d+) (%d+)\n" do
         lives[#lives + 1] = { pid = tonumber(pid), found = tonumber(found) }
      end
      return #lives >= (count or 1) and lives, self:log()
   end)
end

-- Lets workers go on that await it.
function Master:go() assert(io.open(self.folder .. "/go", "w")):close() end

-- What a reload would read: {"orders:2", "bills:1:GROUP:SCRIPT"}.
function Master:pipelines(list)
   local file = assert(io.open(self.folder .. "/pipelines.new", "w"))
   file:write(table.concat(list, " "), "\n")
   file:close()
   os.rename(self.folder .. "/pipelines.new", self.folder .. "/pipelines")
end

-- Over the control socket: exit code and answer.
function Master:call(line)
   return process.run({ driver.binary(), "call", line }, { env = { RUNTIME_DIRECTORY = self.folder } })
end

-- Waits until a worker runs with this script.
function Master:runs(worker, script)
   return wait.till(worker .. " runs with " .. script, 20, function()
      local found = read(self.folder .. "/" .. worker .. ".script")
      return found == script, found
   end)
end

function Master:signal(name) self.child:signal(name) end
function Master:wait(seconds) return self.child:wait(seconds or 20) end

-- Pids of workers that are left of those that ever lived.
local function left(folder)
   local list = io.popen("cat " .. folder .. "/*.lives 2>/dev/null")
   local pids = {}
   for pid in list:read("*a"):gmatch "(%d+) %d+\n" do
      if process.alive(tonumber(pid)) then pids[#pids + 1] = tonumber(pid) end
   end
   list:close()
   return pids
end

-- Ends what a spec has left running, and fails when a worker outlives its master (which is then ended, too).
function driver.finish()
   local ended, orphans = masters, {}
   masters = {}
   for _, master in ipairs(ended) do
      if master.child:running() then master.child:kill() end
   end
   for _, master in ipairs(ended) do
      if not pcall(wait.till, "workers are gone", 10, function() return #left(master.folder) == 0 end) then
         for _, pid in ipairs(left(master.folder)) do
            process.signal(pid, "KILL")
            orphans[#orphans + 1] = pid
         end
      end
      os.execute("rm -rf " .. master.folder .. " " .. master.log_file)
   end
   if #orphans > 0 then error("workers outlived their master: " .. table.concat(orphans, ", "), 0) end
end

return driver
