-- What a configuration's secrets are safe from while they are in memory. (That no printout has them: config_print_spec.)
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PIPELINE = [[
version: 1
input: {topics: [a]}
transform: {script: a.lua, params: {token: "${file:%s/secret}"}}
outputs: {default: {topic: b}}
]]

local ENV = { LD_PRELOAD = false } -- of the sanitizers, which answer SIGSEGV themselves

-- Root may look into everything: both sides go without what makes it root.
local function wrapped(args)
   local _, user = process.run { "id", "-u" }
   if user ~= "0" then return args end
   return { "setpriv", "--bounding-set=-all", "--inh-caps=-all", unpack(args) }
end

describe("secrets in memory", function()
   local folder, onced, worker
   before_each(function()
      folder = os.tmpname()
      os.remove(folder)
      os.execute("mkdir -m 700 " .. folder)
      for name, text in pairs { secret = "hush", ["a.lua"] = "return print", ["a.yaml"] = PIPELINE:format(folder) } do
         local file = assert(io.open(folder .. "/" .. name, "w"))
         file:write(text)
         file:close()
      end
   end)
   after_each(function()
      if onced and onced:running() then onced:kill() end
      os.execute("rm -rf " .. folder)
   end)

   local function log()
      local file = assert(io.open(folder .. "/log"))
      local text = file:read "*a"
      file:close()
      return text
   end

   local function start(args)
      local _, here = process.run { "pwd" }
      for _, word in ipairs { here .. "/build/onced", "run", "--brokers", "127.0.0.1:1", "a.yaml" } do args[#args + 1] = word end
      onced = process.spawn(args, { cwd = folder, stderr = folder .. "/log",
         env = { LD_PRELOAD = false, RUNTIME_DIRECTORY = folder, NOTIFY_SOCKET = false } })
      worker = wait.till("a worker", 30, function() return tonumber(log():match "a#0: started, pid (%d+)"), log() end)
   end

   it("can't be read by other processes of the same user", function()
      local function readable(pid)
         return process.run(wrapped { "head", "-c", "1", ("/proc/%d/environ"):format(pid) }, { env = ENV, stderr = folder .. "/head" }) == 0
      end
      local other = process.spawn(wrapped { "sleep", "60" }, { env = ENV })
      finally(function() other:kill() end)
      wait.till("the other process", 30, function() return readable(other.pid) end)
      start(wrapped {})
      assert.same({ false, false }, { readable(onced.pid), readable(worker) })
   end)

   it("are in no core dump, since there is none", function()
      local function unlimited(...) return { "sh", "-c", 'ulimit -c unlimited && exec "$@"', "sh", ... } end
      local function cores() return select(2, process.run { "find", folder, "-name", "core*" }) end
      local other = process.spawn(unlimited("sleep", "60"), { cwd = folder, env = ENV })
      wait.till("it sleeps", 30, function() return select(2, process.run { "cat", ("/proc/%d/comm"):format(other.pid) }) == "sleep" end)
      other:signal "SEGV"
      other:wait()
      if cores() == "" then pending "other processes leave no core dump either on this machine" end
      os.execute("rm " .. folder .. "/core*")
      start(unlimited())
      process.signal(worker, "SEGV")
      wait.till("the worker's end", 30, function() return log():find("a#0: killed by signal 11", 1, true), log() end)
      onced:signal "SEGV"
      assert.same({ nil, 11 }, { onced:wait() })
      assert.equal("", cores())
   end)
end)
