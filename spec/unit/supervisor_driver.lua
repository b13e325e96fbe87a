-- Starts the master of supervisor_driver.c, tells its workers what to do, and sees to it that none is left.
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local driver = {}
local Master = {}
Master.__index = Master

local PARTS = { "log", "stats", "err", "lock", "notify", "backoff", "failpoint", "child", "crew", "supervisor" }
-- Limits that no spec can wait for are shorter here.
local FLAGS = "-std=gnu11 -O1 -g -Wall -Wextra -Werror -pthread -Idaemon -DFAILPOINTS -DSTALL_LEAST_MS=1500 -DREPORT_MS=300"

local binary
function driver.binary()
   if not binary then
      local sanitize = os.getenv "SANITIZE"
      local out = "build/supervisor_driver" .. (sanitize and "-" .. sanitize:gsub(",.*", "") or "")
      local sources = "spec/unit/supervisor_driver.c"
      for _, part in ipairs(PARTS) do sources = sources .. " daemon/" .. part .. ".c" end
      local command = ("mkdir -p build && %s %s %s -o %s %s"):format(os.getenv "CC" or "cc", FLAGS,
         sanitize and "-fsanitize=" .. sanitize or "", out, sources)
      local status = os.execute(command)
      if status ~= 0 and status ~= true then error("can't build " .. out, 0) end
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
   local env = { PLAN = folder, RUNTIME_DIRECTORY = folder, NOTIFY_SOCKET = false, WATCHDOG_USEC = false }
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

function Master:signal(name) self.child:signal(name) end
function Master:wait(seconds) return self.child:wait(seconds or 20) end

-- True when none of the workers that ever lived is left.
local function all_gone(folder)
   local list = io.popen("cat " .. folder .. "/*.lives 2>/dev/null")
   local text = list:read "*a"
   list:close()
   for pid in text:gmatch "(%d+) %d+\n" do
      if process.alive(tonumber(pid)) then return false, "pid " .. pid end
   end
   return true
end

-- Ends what a spec has left running, and fails when a worker outlives its master.
function driver.finish()
   local ended = masters
   masters = {}
   for _, master in ipairs(ended) do
      if master.child:running() then master.child:kill() end
   end
   for _, master in ipairs(ended) do
      wait.till("workers are gone", 10, function() return all_gone(master.folder) end)
      os.execute("rm -rf " .. master.folder .. " " .. master.log_file)
   end
end

return driver
