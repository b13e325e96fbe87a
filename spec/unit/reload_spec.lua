-- Reloads, good and bad, and the control socket, with real processes: the master is the real one, files and workers are made up.
local driver = require "spec.unit.supervisor_driver"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

describe("reload", function()
   after_each(driver.finish)

   local function started(pipelines, plan, options)
      local master = driver.start(pipelines, plan, options)
      master:logged "ready: every worker"
      return master
   end

   local function pid(master, worker, life) return master:lives(worker, life)[life or 1].pid end

   -- The master's end, with everything of it gone.
   local function stopped(master)
      master:signal "TERM"
      assert.equal(0, master:wait())
   end

   it("hands a changed script to running workers, at SIGHUP", function()
      local master = started { "orders:2", "bills:1" }
      local before = { pid(master, "orders.0"), pid(master, "orders.1"), pid(master, "bills.0") }
      master:pipelines { "orders:2:orders:b.lua", "bills:1" }
      master:signal "HUP"
      master:runs("orders.0", "b.lua")
      master:runs("orders.1", "b.lua")
      master:logged "reload: orders: taken over in place"
      master:logged "reload: taken over"
      assert.not_matches("bills: ", master:log():match "reload: .*", 1, true)
      assert.same(before, { pid(master, "orders.0"), pid(master, "orders.1"), pid(master, "bills.0") })
      master:runs("bills.0", "here.lua")
      stopped(master)
      for _, worker in ipairs { "orders.0", "orders.1", "bills.0" } do assert.equal(1, #master:lives(worker)) end
   end)

   it("gives it to a worker that starts later, too", function()
      local master = started { "orders:1" }
      master:pipelines { "orders:1:orders:b.lua" }
      assert.same({ 0, "orders: taken over in place" }, { master:call "reload --wait" })
      master:pipelines { "bad" } -- what lies there now isn't what it runs with
      assert.equal(78, (master:call "reload --wait"))
      os.remove(master.folder .. "/orders.0.script")
      process.signal(pid(master, "orders.0"), "KILL")
      pid(master, "orders.0", 2)
      master:runs("orders.0", "b.lua")
      stopped(master)
   end)

   it("starts anew the workers whose seat changed, each behind its predecessor", function()
      local master = started({ "orders:2", "bills:1" })
      local before = pid(master, "bills.0")
      local olds = { pid(master, "orders.0"), pid(master, "orders.1") }
      master:pipelines { "orders:2:others", "bills:1" }
      local code, text = master:call "reload --wait"
      assert.same({ 0, "orders: input, outputs or Kafka settings changed, its workers start anew" }, { code, text })
      assert.is_not.equal(olds[1], pid(master, "orders.0", 2))
      assert.is_not.equal(olds[2], pid(master, "orders.1", 2))
      for _, old in ipairs(olds) do assert.is_false(process.alive(old)) end
      assert.equal(before, pid(master, "bills.0"))
      assert.matches("orders#0: stopped.*orders#0: started", master:log())
      stopped(master)
   end)

   it("adds and removes pipelines", function()
      local master = started { "orders:1", "bills:1" }
      local kept, gone = pid(master, "bills.0"), pid(master, "orders.0")
      master:pipelines { "bills:1", "mails:1" }
      local code, text = master:call "reload --wait"
      assert.equal(0, code)
      assert.same("mails: added\norders: removed", text)
      assert.is_false(process.alive(gone))
      assert.equal(kept, pid(master, "bills.0"))
      pid(master, "mails.0")
      master:pipelines { "bills:1", "mails:1", "orders:1" } -- and back again
      assert.same({ 0, "orders: added" }, { master:call "reload --wait" })
      pid(master, "orders.0", 2)
      stopped(master)
   end)

   it("starts or stops the difference in workers", function()
      local master = started { "orders:2" }
      local first, second = pid(master, "orders.0"), pid(master, "orders.1")
      master:pipelines { "orders:3" }
      assert.same({ 0, "orders: 3 workers instead of 2" }, { master:call "reload --wait" })
      local third = pid(master, "orders.2")
      assert.same({ first, second }, { pid(master, "orders.0"), pid(master, "orders.1") })
      master:pipelines { "orders:1" }
      assert.same({ 0, "orders: 1 worker instead of 3" }, { master:call "reload --wait" })
      assert.same({ true, false, false }, { process.alive(first), process.alive(second), process.alive(third) })
      assert.equal(1, #master:lives "orders.0")
      stopped(master)
   end)

   it("holds nothing against a record that the script before has died over", function()
      local master = driver.start({ "orders:1" }, { ["orders.0"] = {
         "ready note:42 raise:11", "suspects ready note:42 await raise:11", "suspects ready work" } })
      master:logged "suspect 3/42%-42 deaths=1"
      master:pipelines { "orders:1:orders:b.lua" } -- while the old one has the record in hand for the second time
      master:signal "HUP"
      master:logged "reload: orders: taken over in place"
      master:go()
      master:runs("orders.0", "b.lua")
      local log = master:log()
      assert.matches("offset 42: the next script begins there.*suspects: 0", log)
      assert.not_matches("deaths=2", log, 1, true)
      stopped(master)
   end)

   it("begins anew with what has crashed, and with the waits between its starts", function()
      local lives = { "exit:75", "exit:75", "exit:75", "exit:75", "exit:75", "exit:75", "raise:11" } -- the last one for all that follow
      local master = driver.start({ "orders:1" }, { ["orders.0"] = lives })
      master:logged "2 of 3 times that halt the pipeline[^\n]*\n[^\n]*restart in 6400 ms"
      master:pipelines { "orders:1:orders:b.lua" }
      master:signal "HUP"
      master:logged("while loading b.lua or in its init; 1 of 3 times that halt the pipeline[^\n]*\n[^\n]*restart at once")
   end)

   it("holds a record to the limits of the script that has it in hand", function()
      local master = started({ "orders:1:orders:here.lua:60000" }, { ["orders.0"] = { "ready note:42 await work", "ready work" } })
      local first = pid(master, "orders.0")
      master:pipelines { "orders:1:orders:here.lua:300" }
      master:signal "HUP"
      master:logged "reload: orders: taken over in place"
      wait.sleep(1000) -- for a master that is wrong
      assert.not_matches("record_time", master:log(), 1, true)
      assert.equal(first, pid(master, "orders.0"))
      master:go()
      master:logged "record_time %(300 ms%) is over while transforming orders/3 offset 42"
      pid(master, "orders.0", 2)
      stopped(master)
   end)

   it("takes back the series that a script has left, and tells what they had counted", function()
      local master = started({ "orders:1" }, { ["orders.0"] = { "ready count:7 leave await left raise:9", "left ready work" } })
      master:logged 'counted euros_total{region="eu"}=7.5'
      master:logged 'dropped "empty order"=3'
      master:go()
      master:logged "series left: 0"
      pid(master, "orders.0", 2)
      stopped(master)
      local _, told = master:log():gsub("counted euros_total", "")
      assert.equal(1, told)
   end)

   it("tells once what a worker has committed that isn't needed any more", function()
      local master = started({ "orders:2" }, { ["orders.0"] = { "count:5 ready work" }, ["orders.1"] = { "count:7 ready work" } })
      master:logged "orders: counted"
      master:pipelines { "orders:1" }
      assert.same({ 0, "orders: 1 worker instead of 2" }, { master:call "reload --wait" })
      stopped(master)
      local records, euros = 0, 0
      for n in master:log():gmatch "committed records=(%d+)" do records = records + n end
      for n in master:log():gmatch 'euros_total{region="eu"}=([%d.]+)' do euros = euros + n end
      assert.same({ 12, 13 }, { records, euros })
   end)

   it("starts again what had halted, changed or not", function()
      local master = started({ "orders:1", "bills:1" }, { ["orders.0"] = { "ready rest:100 reason:poison exit:65", "ready work" } })
      master:logged "orders: pipeline halted: orders#0: poison"
      assert.same({ 0, "orders: had halted, starts again" }, { master:call "reload --wait" })
      pid(master, "orders.0", 2)
      assert.equal(1, #master:lives "bills.0")
      stopped(master)
   end)

   it("keeps what there is when the new configuration is bad, and says why", function()
      local master = started { "orders:1" }
      master:pipelines { "bad", "bills:1" }
      assert.same({ 78, "orders.yaml:1:1: error: it is bad" }, { master:call "reload --wait" })
      master:logged "reload: orders.yaml:1:1: error: it is bad"
      assert.matches("The configuration in force isn't that of the files: orders.yaml", select(2, master:call "status"), 1, true)
      master:pipelines { "orders:1" }
      assert.same({ 0, "" }, { master:call "reload --wait" })
      assert.not_matches("isn't that of the files", select(2, master:call "status"), 1, true)
      assert.equal(1, #master:lives "orders.0")
      stopped(master)
   end)

   it("survives what reading the files may do", function()
      local master = started { "orders:1" }
      master:pipelines { "endless" }
      local code, text = master:call "reload --wait"
      assert.same({ 78, "the process that checked the configuration killed by signal 9 (Killed)" }, { code, text })
      master:pipelines { "crash" }
      code, text = master:call "reload --wait"
      assert.equal(78, code)
      assert.matches("the process that checked the configuration", text, 1, true)
      master:pipelines { "hasty:1" }
      assert.same({ 78, "the files changed while they were checked; reload again" }, { master:call "reload --wait" })
      assert.equal(1, #master:lives "orders.0")
      stopped(master)
   end)

   it("takes what can't be done for each pipeline for none", function()
      local master = started { "orders:2" }
      local before = pid(master, "orders.0")
      master:pipelines { "orders:3:orders:b.lua", ("x"):rep(300) .. ":1" } -- no lock file can have that name
      local code, text = master:call "reload --wait"
      assert.equal(78, code)
      assert.matches("too long", text, 1, true)
      master:runs("orders.0", "here.lua")
      assert.equal(before, pid(master, "orders.0"))
      assert.is_nil(io.open(master.folder .. "/orders.2.lives"))
      master:pipelines { ("x"):rep(300) .. ":1", "bills:1" } -- nor is anything let go of that wasn't there yet
      assert.equal(78, (master:call "reload --wait"))
      assert.equal(0, process.run { "test", "-e", ("/proc/%d/fd/0"):format(master.pid) })
      master:pipelines { "orders:3:orders:b.lua" }
      assert.equal(0, (master:call "reload --wait"))
      pid(master, "orders.2")
      stopped(master)
   end)

   it("answers a storm with the newest files", function()
      local master = started { "orders:1" }
      for i = 1, 40 do
         master:pipelines { "orders:1:orders:" .. i .. ".lua" }
         master:signal "HUP"
      end
      master:runs("orders.0", "40.lua")
      assert.equal(1, #master:lives "orders.0")
      stopped(master)
   end)

   it("that is asked for during another waits for the files as they are then", function()
      local master = started { "orders:1" }
      master:pipelines { "endless" } -- until its limit
      master:signal "HUP"
      master:logged "endless: its files are read"
      master:pipelines { "orders:1:orders:b.lua" }
      assert.same({ 0, "orders: taken over in place" }, { master:call "reload --wait" })
      master:runs("orders.0", "b.lua")
      stopped(master)
   end)

   it("ends with a stop", function()
      local master = started { "orders:1" }
      master:pipelines { "endless" }
      master:signal "HUP"
      master:logged "reload: checking"
      stopped(master)
      master:logged "reload: onced was told to stop"
   end)

   it("is told to systemd", function()
      local listener = driver.folder() .. "/notify"
      local ear = process.spawn({ driver.binary(), "listen", listener }, { stdout = "pipe" })
      finally(function() ear:kill() end)
      assert.equal("listening", ear:line(20))
      local master = started({ "orders:1" }, nil, { env = { NOTIFY_SOCKET = listener } })
      local function heard(pattern)
         while true do
            local line = ear:line(20)
            assert(line, pattern)
            if line:match(pattern) then return end
         end
      end
      heard "^READY=1"
      master:pipelines { "orders:1:orders:b.lua" }
      master:signal "HUP"
      heard "^RELOADING=1|MONOTONIC_USEC=%d+$"
      heard "^READY=1"
      master:pipelines { "bad" }
      master:signal "HUP"
      heard "^RELOADING=1"
      heard "^READY=1"
      stopped(master)
   end)
end)

describe("control socket", function()
   after_each(driver.finish)

   it("tells what each worker does", function()
      local master = driver.start({ "orders:2", "bills:1" }, { ["orders.1"] = { "count:7 ready work" } })
      master:logged "ready: every worker"
      local code, text = master:call "status"
      assert.equal(0, code)
      assert.matches("^orders: running\n  orders#0: running  pid=%d+ restarts=0 committed=0", text)
      assert.matches("orders#1: running  pid=%d+ restarts=0 committed=7", text)
      assert.matches("\nbills: running\n", text)
      code, text = master:call "status bills"
      assert.equal(0, code)
      assert.not_matches("orders", text)
      assert.same({ 64, 'there is no pipeline "mails"' }, { master:call "status mails" })
      code, text = master:call "status --json orders"
      assert.equal(0, code)
      assert.matches('^{"reload_problem":"","pipelines":%[{"name":"orders","state":"running","reason":"","workers":%[{"name":"orders#0","pid":%d+,' ..
         '"state":"running"', text)
      assert.same({ 69, 'this onced doesn\'t know "nonsense"' }, { master:call "nonsense" })
   end)

   it("is for its owner, replaces one that was left behind, and is gone with the master", function()
      local master = driver.start { "orders:1" }
      master:logged "ready: every worker"
      local socket = master.folder .. "/control"
      assert.equal("srw-------", select(2, process.run { "stat", "-c", "%A", socket }))
      master.child:kill()
      wait.till("its worker is gone", 20, function() return not process.alive(master:lives("orders.0")[1].pid) end)
      local second = driver.start({ "orders:1" }, nil, { folder = master.folder })
      second:logged "ready: every worker"
      assert.equal(0, (second:call "status"))
      second:signal "TERM"
      assert.equal(0, second:wait())
      assert.equal(69, (second:call "status"))
   end)

   it("isn't taken from another onced", function()
      local master = driver.start { "orders:1" }
      master:logged "ready: every worker"
      local second = driver.start({ "bills:1" }, nil, { folder = master.folder })
      second:logged "no control socket: .*another onced listens there"
      second:logged "ready: every worker"
      assert.matches("orders", select(2, master:call "status"), 1, true)
   end)
end)
