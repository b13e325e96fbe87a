-- Outages of the network on a real broker, made by the proxy in the middle of the load (F36, F38, F43): all connections refused, replies
-- lost one way, every answer to EndTxn lost. onced waits, settles what is in doubt by the group's committed offsets, and goes on: the
-- witness finds every record once, and the worker is still the one that was started.
local proxy = require "spec.support.proxy"
local scene = require "spec.kafka.scene"
local wait = require "spec.support.wait"

describe("outage", function()
   local s, px
   setup(function()
      s = scene.start { proxied = true }
      px = proxy.start(s.kafka)
   end)
   teardown(function()
      if px then px:stop() end
      if s then s:stop() end
   end)
   after_each(function()
      px:refuse(false)
      px:stall "none"
      s:clear()
      px:drop()
   end)

   local function start(name, transaction)
      local case = s:case(name, { transaction = transaction })
      local d = case:daemon { bootstrap = px.bootstrap }
      d:wait_log("assigned", 20)
      return case, d, d:workers()[1]
   end

   -- Everything is through exactly once, by the same process all along.
   local function survived(case, d, pid)
      case:through(90)
      assert.are.equal(pid, d:workers()[1])
      assert.are.equal(0, d:stop())
      assert.are.equal(1, d:count ": started, pid")
      return case:clean()
   end

   -- Offsets up to which readers see: unlike committed offsets these are told while a transaction is open.
   local function readable(case)
      local sum = 0
      for _, p in ipairs(s.witness:ends({ topic = case.output }).partitions) do sum = sum + p.stable end
      return sum
   end

   local function moving(case)
      local at = readable(case)
      wait.till("500 more records", 60, function() return readable(case) > at + 500 end)
   end

   local function through_outage(name, seconds, begin, finish)
      local case, d, pid = start(name, "commit_every: 20ms, timeout: 4s")
      case:load(1000)
      moving(case)
      begin()
      wait.sleep(700) -- what was on its way has arrived
      local at = case:visible()
      wait.sleep(seconds * 1000 - 700)
      assert.are.equal(at, case:visible(), "the outage is none")
      finish()
      moving(case)
      case:finish()
      survived(case, d, pid)
   end

   -- The short one ends within a transaction's time, which then goes on; in the long one it is given up, and its outcome is in doubt.
   for _, seconds in ipairs { 1.5, 12 } do
      it(("of %g s: every connection refused"):format(seconds), function()
         through_outage("refused-" .. seconds * 10, seconds, function() px:refuse(true) end, function() px:refuse(false) end)
      end)

      -- Requests arrive and are obeyed, among them the EndTxn that was on its way; nobody hears of it.
      it(("of %g s: replies are lost"):format(seconds), function()
         through_outage("one-way-" .. seconds * 10, seconds, function() px:stall "down" end, function() px:stall "none" end)
      end)
   end

   -- Every EndTxn of the next transaction, the library's retries too, for longer than commit is waited for.
   local function endtxn_all(case, how)
      case:produce(50)
      case:through(20)
      px:log()
      for _ = 1, 8 do px:hold(proxy.END_TXN, how) end
      case:produce(50)
   end

   it("of EndTxn's answers: committed, and found to be", function()
      local case, d, pid = start("answers", "commit_every: 500ms, timeout: 3s")
      endtxn_all(case, "resp")
      d:wait_log("outcome was in doubt.*: committed", 40)
      px:drop()
      local _, aborted = survived(case, d, pid)
      assert.are.equal(0, aborted)
   end)

   it("of EndTxn itself: not committed, found to be, and sent again; the kept ones are refused", function()
      local case, d, pid = start("requests", "commit_every: 500ms, timeout: 3s")
      endtxn_all(case, "stall")
      d:wait_log("outcome was in doubt.*: not committed, sent again", 40)
      local kept = {}
      for _, e in ipairs(px:log()) do
         if e.ev == "HELD" then kept[#kept + 1] = e end
      end
      assert.is_true(#kept > 1)
      for i, e in ipairs(kept) do -- the last may be the new producer's
         if e.epoch == kept[1].epoch then assert.are.equal(47, px:release(i - 1)[1].answer) end
      end
      px:drop()
      local _, aborted = survived(case, d, pid)
      assert.is_true(aborted > 0)
   end)
end)
