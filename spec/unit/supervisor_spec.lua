-- The master with real processes: every way in which a worker can end, and every signal that the master answers.
local driver = require "spec.unit.supervisor_driver"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

describe("supervisor", function()
   after_each(driver.finish)

   it("starts every worker, stops them at SIGTERM and ends with 0", function()
      local master = driver.start({ "orders:2", "bills:1" })
      local pids = { master:lives("orders.0")[1].pid, master:lives("orders.1")[1].pid, master:lives("bills.0")[1].pid }
      master:logged("ready: every worker")
      for _, pid in ipairs(pids) do assert.is_true(process.alive(pid)) end
      master:signal "TERM"
      assert.equal(0, master:wait())
      for _, pid in ipairs(pids) do assert.is_false(process.alive(pid)) end
      assert.matches("orders#1: started, pid " .. pids[2], master:log(), 1, true)
      assert.matches("bills#0: stopped", master:log(), 1, true)
   end)

   it("stops at SIGINT of the terminal, which its workers don't hear", function()
      local master = driver.start({ "orders:1" })
      master:logged("ready: every worker")
      local pid = master:lives("orders.0")[1].pid
      process.signal(pid, "INT")
      process.signal(pid, "HUP")
      master:signal "INT"
      assert.equal(0, master:wait())
      assert.equal(1, #master:lives("orders.0"))
      assert.matches("orders#0: stopped", master:log(), 1, true)
   end)

   it("restarts a killed worker at once and keeps its page", function()
      local master = driver.start({ "orders:1" }, { ["orders.0"] = { "ready count:7 work" } })
      local first = master:lives("orders.0")[1]
      master:logged("ready: every worker")
      process.signal(first.pid, "KILL")
      local second = master:lives("orders.0", 2)[2]
      assert.is_not.equal(first.pid, second.pid)
      assert.same({ 0, 7 }, { first.found, second.found })
      assert.matches("orders#0: killed by signal 9 %(Killed%) after %d+ ms; restart at once", master:log())
      master:signal "TERM"
      assert.equal(0, master:wait())
   end)

   it("restarts a spent worker with growing pauses", function()
      local master = driver.start({ "orders:1" }, { ["orders.0"] = { "exit:75", "raise:11", "exit:75", "exit:9", "ready work" } })
      master:lives("orders.0", 5)
      local log = master:logged("ready: every worker")
      assert.matches("ended to be started afresh after %d+ ms; restart at once", log)
      assert.matches("killed by signal 11 %(Segmentation fault%) after %d+ ms; restart in 100 ms", log)
      assert.matches("ended to be started afresh after %d+ ms; restart in 200 ms", log)
      assert.matches("ended with exit code 9 after %d+ ms; restart in 400 ms", log)
   end)

   it("finds its children although SIGCHLD was ignored by whoever started it", function()
      local master = driver.start({ "orders:1" }, { ["orders.0"] = { "exit:75", "ready work" } }, { env = { IGNORE_CHLD = "1" } })
      master:lives("orders.0", 2)
      master:signal "TERM"
      assert.equal(0, master:wait())
   end)

   it("lets one fencing pass", function()
      local master = driver.start({ "orders:1" }, { ["orders.0"] = { "fenced exit:76", "ready work" } })
      master:logged("ready: every worker")
      assert.matches("orders#0: fenced: another process took over its name", master:log(), 1, true)
      assert.not_matches("halted", master:log())
   end)

   it("halts a pipeline that is fenced twice within a minute, and lets the others go on", function()
      local master = driver.start({ "orders:2", "bills:1" }, { ["orders.0"] = { "starting await fenced exit:76", "exit:76" } })
      local sibling = master:lives("orders.1")[1].pid
      master:go()
      local log = master:logged("orders: pipeline halted")
      assert.matches('another instance uses the name "here"; give one of them another `instance`', log, 1, true)
      wait.till("the sibling is stopped", 10, function() return not process.alive(sibling) end)
      assert.is_true(process.alive(master:lives("bills.0")[1].pid))
      assert.equal(1, #master:lives("bills.0"))
      assert.is_true(master.child:running())
   end)

   it("counts fencings that a worker survives", function()
      local master = driver.start({ "orders:1" }, { ["orders.0"] = { "ready fenced rest:1500 fenced work" } })
      assert.equal(78, (master:wait()))
      assert.equal(1, #master:lives("orders.0"))
      assert.matches("orders: pipeline halted: orders#0 was fenced twice", master:log(), 1, true)
   end)

   it("halts a pipeline that needs a human, with the reason of the page, and ends when all have halted", function()
      local master = driver.start({ "orders:2", "bills:1" },
         { ["orders.1"] = { "ready await reason:the-topic-is-gone exit:65" }, ["bills.0"] = { "ready await rest:800 reason:poison exit:65" } })
      local sibling = master:lives("orders.0")[1].pid
      master:go()
      assert.equal(65, (master:wait()))
      local log = master:log()
      assert.matches("orders: pipeline halted: orders#1: the-topic-is-gone", log, 1, true)
      assert.matches("orders#0: stopped", log, 1, true)
      assert.matches("bills: pipeline halted: bills#0: poison", log, 1, true)
      assert.matches("all pipelines have halted", log, 1, true)
      assert.is_false(process.alive(sibling))
      assert.same({ 1, 1 }, { #master:lives("orders.1"), #master:lives("bills.0") })
   end)

   it("starts a worker again that somebody else has stopped", function()
      local master = driver.start({ "orders:1" }, { ["orders.0"] = { "ready exit:0", "ready work" } })
      master:lives("orders.0", 2)
      assert.matches("orders#0: ended after %d+ ms; restart at once", master:log())
      master:signal "TERM"
      assert.equal(0, (master:wait()))
   end)

   it("kills a worker whose heart stands still, says what it was doing, and starts it again", function()
      local master = driver.start({ "orders:2" }, { ["orders.0"] = { "ready note:42 hang", "ready work" } })
      local first = master:lives("orders.0", 2)[1].pid
      local log = master:logged("orders#0: killed by signal 9")
      assert.matches("orders#0: no sign of life from its front thread for %d+ ms while transforming orders/3 offset 42; killing pid " .. first, log)
      assert.equal(1, #master:lives("orders.1"))
      assert.not_matches("orders#1: no sign", log)
   end)

   it("watches both threads, the time before the first beat, and a stopped process", function()
      local master = driver.start({ "orders:2", "bills:1" },
         { ["orders.0"] = { "ready hang-back", "ready work" }, ["orders.1"] = { "starting hang", "ready work" } })
      process.signal(master:lives("bills.0")[1].pid, "STOP")
      master:logged("orders#0: no sign of life from its back thread")
      master:logged("orders#1: no sign of life")
      master:logged("bills#0: no sign of life")
      for _, worker in ipairs { "orders.0", "orders.1", "bills.0" } do master:lives(worker, 2) end -- an end while stopping would be told
      master:signal "TERM"
      assert.equal(0, master:wait())
   end)

   it("kills what isn't stopped after drain_timeout, and says by its code that work is done again", function()
      local master = driver.start({ "orders:2" }, { ["orders.0"] = { "ready deaf" } }, { env = { DRAIN_MS = "300" } })
      master:logged("ready: every worker")
      master:signal "TERM"
      assert.equal(75, (master:wait()))
      assert.matches("orders#0: not stopped after drain_timeout %(300 ms%); killing pid", master:log())
      assert.matches("orders#1: stopped", master:log(), 1, true)
   end)

   it("starts nothing again while stopping, and tells a crash there", function()
      local master = driver.start({ "orders:1" }, { ["orders.0"] = { "ready work:75" } })
      master:logged("ready: every worker")
      master:signal "TERM"
      assert.equal(75, (master:wait()))
      assert.matches("orders#0: ended to be started afresh while stopping", master:log(), 1, true)
      assert.equal(1, #master:lives("orders.0"))
   end)

   it("stops while a worker waits to be restarted", function()
      local master = driver.start({ "orders:1" }, { ["orders.0"] = { "exit:75" } })
      master:logged("restart in 400 ms")
      master:signal "TERM"
      assert.equal(0, master:wait())
   end)

   it("ends at once at the second SIGTERM", function()
      local master = driver.start({ "orders:2" }, { ["orders.0"] = { "ready deaf" } })
      master:logged("ready: every worker")
      master:signal "TERM"
      master:logged("SIGTERM: finishing open batches")
      master:signal "TERM"
      assert.equal(1, (master:wait()))
      for _, worker in ipairs { "orders.0", "orders.1" } do
         assert.is_false(process.alive(master:lives(worker)[1].pid))
      end
   end)

   it("takes its workers with it when it is killed; the next master then starts them", function()
      local first = driver.start({ "orders:2" }, { ["orders.0"] = { "ready deaf" } })
      first:logged("ready: every worker")
      local pid = first:lives("orders.0")[1].pid
      local second = driver.start({ "orders:2" }, nil, { folder = first.folder })
      second:logged("orders#0: waiting: another onced on this host %(pid " .. first.pid .. "%) holds onced.orders.here.0")
      assert.equal(1, #first:lives("orders.0"))
      first.child:kill()
      second:logged("the lock is free now", 2)
      assert.is_false(process.alive(pid))
      assert.equal(2, #second:lives("orders.0", 2))
      second:logged("ready: every worker")
   end)

   it("waits for a worker that outlived its master", function()
      local first = driver.start({ "orders:2" }, { ["orders.0"] = { "outlive ready deaf", "ready work" } })
      first:logged("ready: every worker")
      local orphan = first:lives("orders.0")[1].pid
      first.child:kill()
      assert.is_true(process.alive(orphan))
      local second = driver.start({ "orders:2" }, nil, { folder = first.folder })
      second:logged("orders#0: waiting: another onced")
      second:lives("orders.1", 2) -- whose lock the orphan didn't inherit
      assert.equal(1, #second:lives("orders.0"))
      process.signal(orphan, "KILL")
      second:lives("orders.0", 2)
      second:logged("ready: every worker")
   end)

   it("stops while it waits for a lock", function()
      local first = driver.start({ "orders:1" })
      first:logged("ready: every worker")
      local second = driver.start({ "orders:1" }, nil, { folder = first.folder })
      second:logged("waiting: another onced")
      second:signal "TERM"
      assert.equal(0, second:wait())
      assert.is_true(first.child:running())
   end)

   it("lets go of a halted pipeline's locks", function()
      local first = driver.start({ "orders:1", "bills:1" }, { ["orders.0"] = { "ready rest:500 exit:65", "ready work" } })
      first:logged("ready: every worker")
      local second = driver.start({ "orders:1" }, nil, { folder = first.folder })
      first:logged("orders: pipeline halted")
      second:logged("ready: every worker")
   end)

   describe("a script that ends its worker", function()
      it("is killed when one record takes longer than record_time; the record is known to the next lives", function()
         local master = driver.start({ "orders:2", "bills:1" }, {
            ["orders.0"] = { "ready note:42 deaf", "suspects ready note:42 deaf", "suspects ready work" },
            ["orders.1"] = { "ready note:1 step" }, -- always in the script, never for long in one record
         }, { env = { RECORD_MS = "300" } })
         local log = master:logged("suspect 3/42%-42 deaths=2 cause=0")
         local first = master:lives("orders.0")[1].pid
         assert.matches("orders#0: transform.limits.record_time (300 ms) is over while transforming orders/3 offset 42; killing pid "
            .. first, log, 1, true)
         assert.matches("orders#0: died while transforming orders/3 offset 42: once more, and errors.on_error decides", log, 1, true)
         assert.matches("suspects: 1[^\n]*\n[^\n]*suspect 3/42%-42 deaths=1 cause=0", log)
         assert.matches("offset 42: errors.on_error decides about that record", log, 1, true)
         assert.same({ 1, 1 }, { #master:lives("orders.1"), #master:lives("bills.0") })
      end)

      it("is held to account for a crash, and for memory that the kernel hadn't, but not for what others do", function()
         local master = driver.start({ "orders:1" }, { ["orders.0"] = {
            "note:1 raise:9", "raise:11", "note:3 exit:75", "suspects note:4 raise:11", "note:5 to:8 raise:6", "note:6 oom", "note:6 raise:9",
            "suspects ready work" } })
         local log = master:logged("ready: every worker")
         assert.matches("suspects: 0", log, 1, true)
         assert.matches("died while transforming orders/3 offset 4: once more", log, 1, true)
         assert.matches("died while transforming orders/3 offset 5 to 8: these records are run one by one now", log, 1, true)
         assert.matches("suspects: 2[^\n]*\n[^\n]*suspect 3/5%-8 deaths=0 cause=2[^\n]*\n[^\n]*suspect 3/6%-6 deaths=1 cause=1\n", log)
      end)

      it("is held to account for memory that its cgroup hadn't, whatever happens on the machine", function()
         local folder = driver.folder()
         os.execute("mkdir " .. folder .. "/own")
         for name, text in pairs { cgroup = "12:memory:/other\n0::/own\n", ["own/memory.events"] = "oom 1\noom_kill 1\n" } do
            local file = assert(io.open(folder .. "/" .. name, "w"))
            file:write(text)
            file:close()
         end
         local master = driver.start({ "orders:1" }, { ["orders.0"] = { "note:5 oom", "note:6 oom-inside", "suspects ready work" } },
            { folder = folder })
         local log = master:logged("ready: every worker")
         assert.matches("suspects: 1[^\n]*\n[^\n]*suspect 3/6%-6 deaths=1 cause=1\n", log)
         assert.not_matches("offset 5", log, 1, true)
      end)

      it("isn't blamed while its process is stopped", function()
         local master = driver.start({ "orders:1" }, { ["orders.0"] = { "ready note:5 raise:19", "suspects ready work" } },
            { env = { RECORD_MS = "300" } })
         local log = master:logged("suspects: 0")
         assert.matches("no sign of life from its front thread", log, 1, true)
         assert.not_matches("record_time", log)
      end)

      it("halts its pipeline when it crashes three times in a row while it is loaded, not when it got further in between", function()
         local master = driver.start({ "orders:1", "bills:1" }, {
            ["orders.0"] = { "raise:11", "raise:11", "starting raise:11", "raise:6", "exit:75", "raise:9", "raise:6", "raise:11", "ready work" } })
         local log = master:logged("orders: pipeline halted")
         assert.matches("orders#0: killed by signal 11 (Segmentation fault) while loading here.lua or in its init; "
            .. "2 of 3 times that halt the pipeline", log, 1, true)
         assert.matches("orders: pipeline halted: orders#0: killed by signal 11 (Segmentation fault) while loading here.lua or in its init, "
            .. "3 times in a row", log, 1, true)
         assert.same({ 8, 1 }, { #master:lives("orders.0", 8), #master:lives("bills.0") })
         master:signal "TERM"
         assert.equal(65, (master:wait()))
      end)

      it("halts its pipeline when it can't be loaded in time", function()
         local master = driver.start({ "orders:2", "bills:1" }, { ["orders.1"] = { "hang" } })
         local log = master:logged("orders: pipeline halted")
         assert.matches("orders: pipeline halted: orders#1: loading here.lua and its init took longer than 1 s", log, 1, true)
         wait.till("its workers are gone", 20, function()
            return not process.alive(master:lives("orders.0")[1].pid) and not process.alive(master:lives("orders.1")[1].pid)
         end)
         assert.same({ 1, 1 }, { #master:lives("orders.1"), #master:lives("bills.0") })
         master:signal "TERM"
         assert.equal(65, (master:wait()))
      end)
   end)

   it("reports what was committed, only when something was", function()
      local master = driver.start({ "orders:2" }, { ["orders.1"] = { "ready count:7 work" } })
      master:logged "orders: committed records=7 transactions=1 aborts=0 dropped=3"
      master:logged 'orders: dropped "empty order"=3'
      master:logged 'orders: counted euros_total{region="eu"}=7.5'
      wait.sleep(1500) -- further reports would be due
      for _, word in ipairs { "committed", "dropped", "counted" } do
         local _, lines = master:log():gsub("orders: " .. word, "")
         assert.equal(1, lines)
      end
   end)
end)
