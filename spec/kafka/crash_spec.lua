-- Crashes on a real broker (F01, F02): a worker that dies at each step of its turn, random deaths of workers and masters under load, and
-- how soon work goes on. What a dead worker had begun is aborted by its successor's init; the witness judges, and counts the aborted
-- copies as proof that the fault bit.
local proxy = require "spec.support.proxy"
local scene = require "spec.kafka.scene"
local wait = require "spec.support.wait"

describe("crash", function()
   local s
   setup(function() s = scene.start { proxied = true } end)
   teardown(function() if s then s:stop() end end)
   after_each(function() s:clear() end)

   local KILLED = "killed by signal 9"

   -- leaves: do the first deaths leave copies in the output's log that nobody may see? nil: librdkafka may or may not have sent them.
   local steps = {
      { "after-poll", leaves = false },
      { "after-lua", leaves = false },
      { "after-begin", leaves = false },
      { "after-produce" },
      { "before-offsets", leaves = true },
      { "after-offsets", leaves = true },
      { "before-endtxn", leaves = true },
      { "after-endtxn", leaves = false, ended = true },
   }

   for _, step in ipairs(steps) do
      local name = step[1]
      it("loses and repeats nothing when a worker dies " .. name, function()
         local case = s:case(name)
         case:produce(20000) -- enough for a batch that is sent while it is filled
         -- Dies in its first transaction, again and again.
         local d = case:daemon { failpoints = name .. "=kill" }
         wait.till("two deaths", 30, function() return d:count(KILLED) >= 2 end)
         d:kill()
         local hidden = case:visible "read_uncommitted" - case:visible()
         if step.leaves ~= nil then assert.are.equal(step.leaves, hidden > 0) end
         if step.ended then
            wait.till("its markers", 30, function() return case:visible() > 0 end)
            assert.are.equal(case:committed(), case:visible())
         else
            assert.are.equal(0, case:visible())
            assert.are.equal(0, case:committed())
         end

         -- Dies in its third one, again and again, under load.
         case:load(2000)
         d:start { failpoints = name .. "=kill:3" }
         wait.till("four deaths", 30, function() return d:count(KILLED) >= 4 end)
         d:kill()
         d:start { failpoints = true }
         d:wait_log("assigned", 20)
         case:finish()
         case:through()
         assert.are.equal(0, d:stop())
         assert.is_true(case:clean().inputs > 20000)
      end)
   end

   it("loses and repeats nothing when a worker dies in init, with a transaction of its predecessor open", function()
      local case = s:case "in-init"
      case:produce(2000)
      local d = case:daemon { failpoints = "before-endtxn=kill:2" }
      wait.till("a death", 20, function() return d:count(KILLED) >= 1 end)
      d:kill()
      local before = case:visible()
      d:start { failpoints = "in-init=kill" }
      wait.till("three deaths", 30, function() return d:count(KILLED) >= 3 end)
      d:kill()
      assert.are.equal(before, case:visible())
      d:start { failpoints = true }
      case:through()
      assert.are.equal(0, d:stop())
      local _, aborted = case:clean()
      assert.is_true(aborted > 0)
   end)

   it("loses and repeats nothing when a worker dies while it gives its partitions back", function()
      local case = s:case "in-revoke"
      case:load(2000)
      local d = case:daemon { failpoints = "in-revoke=kill" }
      for _ = 1, 3 do
         d:wait_log("assigned partitions=4", 20)
         d:mark()
         local pid = d:signal_worker(1, "TERM") -- it leaves the group: revoke
         wait.till("its death", 20, function() return d:workers()[1] and d:workers()[1] ~= pid end)
         assert.are.equal(1, d:count(KILLED))
      end
      d:wait_log("assigned partitions=4", 20)
      d:signal "TERM"
      assert.are.equal(75, (d:wait(20))) -- not all that was begun was finished
      d:start { failpoints = true }
      case:finish()
      case:through()
      assert.are.equal(0, d:stop())
      case:clean()
   end)

   -- The two sides of EndTxn seen by the broker: the worker dies while the request is on its way, or while its answer is.
   for how, committed in pairs { stall = false, resp = true } do
      it("settles what the broker knows when a worker dies with EndTxn " .. (committed and "answered" or "unsent"), function()
         local p = proxy.start(s.kafka)
         finally(function() p:stop() end)
         local case = s:case("endtxn-" .. how)
         case:produce(1000)
         p:hold(proxy.END_TXN, how)
         local d = case:daemon { bootstrap = p.bootstrap, failpoints = false }
         wait.till("EndTxn held", 20, function() return p:held() > 0 end)
         d:kill()
         p:drop()
         d:start()
         case:through()
         assert.are.equal(0, d:stop())
         local v, aborted = case:clean()
         assert.are.equal(1000, v.outputs[case.output].visible)
         assert.are.equal(not committed, aborted > 0)
      end)
   end

   it("loses and repeats nothing when workers and masters are killed at random", function()
      local case = s:case("random", { lines = "workers: 2" })
      case:produce(50000)
      case:load(4000)
      local d = case:daemon { failpoints = false }
      local rounds = 24
      math.randomseed(os.time())
      for _ = 1, rounds do
         wait.sleep(math.random(50, 900))
         if math.random() < 0.3 then
            d:kill()
            d:start()
         else
            d:signal_worker(math.random(2), "KILL")
         end
      end
      local sent = 50000 + case:finish().acked
      case:through()
      assert.are.equal(0, d:stop())
      local v, aborted = case:clean()
      assert.are.equal(sent, v.inputs)
      assert.is_true(aborted > 0)
      print(("\n   %d records, %d kills, %d aborted copies"):format(v.inputs, rounds, aborted))
   end)

   -- The bound only keeps the figure from being forgotten: a loaded machine must not fail it.
   it("commits again soon after a worker's or the master's death", function()
      local case = s:case("again")
      case:load(1000)
      local d = case:daemon { failpoints = false }
      wait.till("commits", 20, function() return case:committed() > 500 end)
      local function took(what, fault)
         local worst = 0
         for _ = 1, 3 do
            wait.sleep(300)
            fault(false)
            local at, before = wait.now(), case:committed()
            fault(true)
            wait.till("the next commit", 30, function() return case:committed() > before end, 5)
            worst = math.max(worst, wait.now() - at)
         end
         print(("\n   %s: next commit after %d ms at most"):format(what, worst))
      end
      took("worker killed", function(after) if not after then d:signal_worker(1, "KILL") end end)
      took("master killed and started", function(after) if after then d:start() else d:kill() end end)
      case:finish()
      case:through()
      assert.are.equal(0, d:stop())
      case:clean()
   end)
end)
