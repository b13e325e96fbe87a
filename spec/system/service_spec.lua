-- onced as a service: installed into a Debian of its own, run by the systemd in there with the unit as it ships, against a real broker.
local cluster = require "spec.support.cluster"
local machine = require "spec.system.machine"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local witness = require "spec.support.witness"

local CONFIG = [[
version: 1
instance: system
clusters: {main: {brokers: "%s"}}
]]

local PIPELINE = [[
version: 1
workers: 2
input: {topics: [service-in]}
transform: {script: service.lua, params: {greeting: "${cred:greeting}"}}
outputs: {default: {topic: service-out}}
transaction: {commit_every: 50ms, timeout: 5s}
]]

local SCRIPT = [[
local onced = require "onced"
local M = { params = { greeting = { type = "string", required = true } } }
function M.process(rec, _, ctx)
   return { key = rec.key, value = ctx.params.greeting .. rec.value }
end
return M
]]

local CREDENTIAL = "[Service]\nLoadCredential=greeting:/etc/onced/greeting\n"

describe("the service", function()
   local missing = machine.missing() or machine.refusal()
   if missing then
      it("runs under systemd", function() pending(missing) end)
      return
   end

   local kafka, w, m
   setup(function()
      kafka = cluster.start()
      w = witness.start(kafka.bootstrap)
      w:make("service-in", 4)
      w:make("service-out", 4)
      m = machine.start {
         ["/etc/onced/onced.yaml"] = CONFIG:format(kafka.bootstrap),
         ["/etc/onced/pipelines.d/service.yaml"] = PIPELINE,
         ["/etc/onced/pipelines.d/service.lua"] = SCRIPT,
         ["/etc/onced/greeting"] = "from a credential ",
         ["/etc/systemd/system/onced.service.d/credential.conf"] = CREDENTIAL,
      }
   end)
   teardown(function()
      if m then m:stop() end
      if w then w:stop() end
      kafka:stop()
   end)

   before_each(function() m:mark() end)

   -- Records flow while `act` does its worst; then the witness judges that each of them is there once.
   local function through(act)
      local job = w:produce({ topic = "service-in", count = 3000, rate = 1000, size = 100, background = true }).job
      act()
      w:finish(job)
      wait.till("all is through", 90, function() return w:pending("service", { "service-in" }) == 0 end, 100)
      local v = w:verify { group = "service", inputs = { "service-in" }, outputs = { { topic = "service-out" } }, transactions = "onced." }
      assert.is_true(v.ok, table.concat(v.examples, "\n"))
   end

   local function restarts() return tonumber(m:show "NRestarts") end

   -- A worker that isn't `pid`.
   local function successor(pid)
      return wait.till("another worker", 60, function()
         local now = m:workers()
         for _, one in ipairs(now) do if one == pid then return false end end
         return #now == 2
      end)
   end

   -- Another master than `pid`, and ready.
   local function reborn(pid)
      wait.till("another master", 60, function()
         local now = m:master()
         return now and now ~= pid and m:show "ActiveState" == "active"
      end, 100)
   end

   it("is ready when every worker is in its group, and not before", function()
      assert.equal("", m:systemctl "start onced")
      assert.equal("active", m:show "ActiveState")
      assert.equal(2, #w:group({ group = "service" }).members)
      assert.equal("service: 2/2 ready", m:show "StatusText")
   end)

   it("sends records through, with a secret from LoadCredential, compiled by LuaJIT", function()
      through(function() end)
      assert.matches("^from a credential @", w:read("service-out")[1].value)
      for _, pid in ipairs(m:workers()) do
         -- Machine code of LuaJIT: executable memory that belongs to no file and isn't the kernel's.
         local maps = assert(io.open(("/proc/%d/maps"):format(pid)))
         local compiled = maps:read("*a"):find "r%-xp 00000000 00:00 0 *\n"
         maps:close()
         assert.is_truthy(compiled, "worker " .. pid .. " has no machine code")
      end
   end)

   it("can't be dumped, and nobody of its user looks into it: its files in /proc are root's", function()
      local user = m:run "id -u onced"
      for _, pid in ipairs { m:master(), unpack(m:workers()) } do
         local status = assert(io.open(("/proc/%d/status"):format(pid)))
         assert.equal(user, status:read "*a":match "\nUid:%s+(%d+)")
         status:close()
         assert.same({ 0, "0" }, { process.run { "stat", "-c", "%u", ("/proc/%d/status"):format(pid) } })
      end
   end)

   it("sees whether the kernel has killed for want of memory", function()
      local vmstat = assert(io.open(("/proc/%d/root/proc/vmstat"):format(m:master())))
      assert.matches("\noom_kill %d", vmstat:read "*a")
      vmstat:close()
   end)

   it("takes a changed script over at systemctl reload, and goes on with it when the next one is bad", function()
      local path, workers = "/etc/onced/pipelines.d/service.lua", m:workers()
      local function latest() -- of records that come now
         through(function() end)
         local records = w:read "service-out"
         return records[#records].value
      end
      through(function()
         m:write(path, (SCRIPT:gsub("value = ", "value = 'second ' .. ")))
         assert.equal("", m:systemctl "reload onced")
      end)
      assert.same({ "success", "active" }, { m:show "ReloadResult", m:show "ActiveState" })
      assert.matches("^second from a credential @", latest())
      through(function()
         m:write(path, "return (")
         assert.matches("onced.service failed", m:systemctl "reload onced", 1, true)
      end)
      assert.same({ "exit-code", "active" }, { m:show "ReloadResult", m:show "ActiveState" })
      m:wait_journal "^/etc/onced/pipelines.d/service.lua:1: error: " -- the command's
      m:wait_journal "^onced: reload: /etc/onced/pipelines.d/service.lua:1: error: "
      assert.matches("^second from a credential @", latest())
      m:write(path, SCRIPT)
      assert.equal("", m:systemctl "reload onced")
      assert.same(workers, m:workers())
   end)

   it("survives the death of a worker without a restart of the service", function()
      local before, killed = restarts(), m:workers()[1]
      through(function()
         process.signal(killed, "KILL")
         successor(killed)
      end)
      m:wait_journal "^onced: service#%d: killed by signal 9"
      assert.equal(before, restarts())
   end)

   it("is brought back by systemd when the master is killed", function()
      local before, killed = restarts(), m:master()
      through(function()
         process.signal(killed, "KILL")
         reborn(killed)
      end)
      m:wait_journal "status=9/KILL"
      assert.equal(before + 1, restarts())
   end)

   it("kills a frozen worker", function()
      local before, frozen = restarts(), m:workers()[2]
      through(function()
         process.signal(frozen, "STOP")
         successor(frozen)
      end)
      m:wait_journal "^onced: service#%d: no sign of life from its %a+ thread for %d+ ms"
      assert.equal(before, restarts())
   end)

   it("is restarted by the watchdog when the master is frozen", function()
      m:drop_in "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n"
      m:systemctl "restart onced"
      local before, frozen = restarts(), m:master()
      through(function()
         process.signal(frozen, "STOP")
         reborn(frozen)
      end)
      m:wait_journal "Watchdog timeout"
      assert.equal(before + 1, restarts())
      m:drop_in()
   end)

   it("stops in the middle of its work with exit code 0 and leaves the group", function()
      m:systemctl "restart onced"
      through(function()
         local done = #w:values "service-out"
         wait.till("it is at it", 60, function() return #w:values "service-out" > done end)
         assert.equal("", m:systemctl "stop onced")
         assert.same({ "success", "0", "inactive" }, { m:show "Result", m:show "ExecMainStatus", m:show "ActiveState" })
         local group = w:group { group = "service" }
         assert.same({ "Empty", {} }, { group.state, group.members })
         assert.equal("", m:systemctl "start onced")
      end)
   end)

   it("writes a journal with priorities", function()
      local expected = {
         ["no sign of life"] = "3", ["killed by signal 9.*; restart"] = "4", ["ready: every worker is in its group"] = "5",
         ["assigned partitions=2"] = "6",
      }
      local found = {}
      for _, entry in ipairs(m:journal()) do
         if entry._COMM == "onced" then
            assert.equal("onced.service", entry._SYSTEMD_UNIT)
            assert.equal("onced", entry.SYSLOG_IDENTIFIER)
            assert.not_matches("^<%d>", entry.MESSAGE)
            for pattern in pairs(expected) do
               if entry.MESSAGE:find(pattern) then found[pattern] = entry.PRIORITY end
            end
         end
      end
      assert.same(expected, found)
   end)

   it("isn't restarted with a configuration that can't be run, and says what is wrong", function()
      m:systemctl "stop onced"
      m:write("/etc/onced/pipelines.d/service.yaml", (PIPELINE:gsub("input:", "inputs:")))
      assert.matches("failed", m:systemctl "start onced")
      assert.same({ "exit-code", "78", "failed" }, { m:show "Result", m:show "ExecMainStatus", m:show "ActiveState" })
      local status = m:systemctl "status onced"
      assert.matches('unknown key "inputs"', status, 1, true)
      assert.matches("status=78/CONFIG", status, 1, true)
      m:wait_journal "service.yaml:3:1: error: unknown key"
   end)
end)
