-- SPDX-License-Identifier: MIT
-- What the back thread does about each verdict (verdicts_spec: which there are), and what it counts, on the real sink against librdkafka's
-- mock cluster.
local mock = require "spec.unit.mock"
local C = mock.C

-- Broker codes
local UNKNOWN_MEMBER, ILLEGAL_GENERATION, COORDINATOR_LOADING, TOPIC_REFUSED, GROUP_REFUSED = 25, 22, 14, 29, 30
local ID_REFUSED, INVALID_EPOCH, INVALID_STATE, INVALID_TIMEOUT = 53, 47, 48, 50
local NEVER_HEARD_OF = 999 -- of later brokers

describe("back's answer to", function()
   local c, s
   local topic = 0

   before_each(function()
      topic = topic + 1
      c = mock.cluster()
      c:topic "in"
      c:topic("out" .. topic)
      s = c:sink { topics = { "out" .. topic }, timeout = 2000 }
      assert.equal("OK", s:open(), s:text())
   end)
   after_each(function()
      mock.calls.unseen = 0
      s:free()
      c:free()
   end)

   local function values() return table.concat(c:values("out" .. topic), " ") end
   local function count(counter) return tonumber(s.stats[counter]) end

   -- First: a process counts one fencing only, since one takeover fences producer and consumer alike.
   it("a second fencing within a minute: HALT, with the name that is used twice (R1)", function()
      s.stats.fenced_at = require("spec.support.process").now() - 5000
      s:back()
      c:push(mock.END_TXN, INVALID_EPOCH)
      local result, text = s:bring(s:batch { "a" })
      assert.same({ "HALTED", 1 }, { result, count "fenced" })
      assert.equal("fenced twice within a minute: another instance runs under the name onced.orders.spec; give each host its own `instance`", text)
      assert.same({ start = 1 }, s:recreated())
   end)

   it("a fencing: the process goes, no new handle fences the other one back (R1)", function()
      s:back()
      c:push(mock.END_TXN, INVALID_EPOCH)
      assert.equal("SPENT", (s:bring(s:batch { "a" })))
      s:stop()
      assert.same({ start = 1 }, s:recreated())
   end)

   it("OK: committed, counted, and the handle stays", function()
      s:back()
      assert.equal("COMMITTED", (s:bring(s:batch { "a", "b" })))
      assert.equal("COMMITTED", (s:bring(s:batch { "c" })))
      assert.equal("a b c", values())
      assert.same({ 2, 3, 3, 0, 0 }, { count "transactions", count "committed_records", count "produced", count "aborts", mock.group.compares })
      assert.same({ start = 1 }, s:recreated())
      assert.is_true(mock.group.owned > 0) -- the stub was asked, not a source
   end)

   it("what a batch has to count is counted when it is committed, once, and not when it is dropped", function()
      local function counting(value, amount)
         local batch = s:batch { value }
         C.batch_count(batch, 0, C.stats_series(s.stats, 1, C.SERIES_COUNTER, "a_total", 7), amount)
         C.batch_count(batch, 0, C.stats_series(s.stats, 1, C.SERIES_DROPPED, "no", 2), 1)
         return batch
      end
      s:back { found = C.FOUND_OTHER }
      c:push(mock.PRODUCE, TOPIC_REFUSED) -- aborted, and sent again
      assert.equal("COMMITTED", (s:bring(counting("a", 2.5))))
      assert.equal(1, count "aborts")
      assert.equal("COMMITTED", (s:bring(counting("b", 1))))
      c:push(mock.END_TXN, INVALID_STATE)
      assert.equal("DROPPED", (s:bring(counting("c", 10))))
      assert.same({ 3.5, 2, 2 }, { s.stats.series[0].value, s.stats.series[1].value, s.stats.series_count })
   end)

   for name, case in pairs {
      produce = { mock.PRODUCE, TOPIC_REFUSED },
      ["send_offsets"] = { mock.TXN_OFFSET_COMMIT, GROUP_REFUSED },
      ["adding partitions"] = { mock.ADD_PARTITIONS, TOPIC_REFUSED },
   } do
      it("RESEND at " .. name .. ": aborted, then the same batch on a new handle (R4)", function()
         s:back()
         c:push(case[1], case[2])
         assert.equal("COMMITTED", (s:bring(s:batch { "a", "b" })))
         assert.equal(case[1] == mock.TXN_OFFSET_COMMIT and "a b a b" or "a b", values()) -- the mock keeps what was aborted
         assert.same({ start = 1, aborted = 1 }, s:recreated())
         assert.same({ 1, 1, 1 }, { count "transactions", count "aborts", mock.group.compares }) -- what was committed before still is
      end)
   end

   it("RESEND for the group's sake: waits for newer metadata, and front is told that back is stuck (R3, R4)", function()
      s:back()
      c:push(mock.TXN_OFFSET_COMMIT, ILLEGAL_GENERATION)
      s:put(s:batch { "a" })
      require("spec.support.wait").till("back is stuck", 10, function() return C.mailbox_is_stuck(s.mailbox, 1) ~= 0 end)
      assert.equal(0, count "transactions")
      mock.group.serial = 2
      C.mailbox_wake(s.mailbox)
      assert.equal("COMMITTED", (s:collect()))
      assert.same({ start = 1, aborted = 1 }, s:recreated())
   end)

   it("RESEND for the group's sake, then a drop: nothing is committed (R8)", function()
      s:back()
      c:push(mock.TXN_OFFSET_COMMIT, UNKNOWN_MEMBER)
      s:put(s:batch { "a" })
      require("spec.support.wait").till("back is stuck", 10, function() return C.mailbox_is_stuck(s.mailbox, 1) ~= 0 end)
      C.mailbox_drop(s.mailbox)
      assert.equal("DROPPED", (s:collect()))
      assert.same({ 0, 1 }, { count "transactions", count "batches_dropped" })
   end)

   for name, case in pairs {
      ["fatal at send_offsets"] = { mock.ADD_OFFSETS, ID_REFUSED },
      ["fatal at commit"] = { mock.END_TXN, INVALID_STATE },
      ["an unlisted answer to commit"] = { mock.END_TXN, NEVER_HEARD_OF },
   } do
      it("RESTART (" .. name .. "), the group says committed: done, nothing is sent again", function()
         s:back { found = C.FOUND_NEXT }
         c:push(case[1], case[2])
         assert.equal("COMMITTED", (s:bring(s:batch { "a" })))
         assert.equal("a", values())
         assert.same({ start = 1, unknown = 1 }, s:recreated())
         assert.same({ 1, 1 }, { count "transactions", mock.group.compares })
      end)

      it("RESTART (" .. name .. "), not committed say group and readers: recreated, asked, sent again", function()
         s:back { found = C.FOUND_BEFORE }
         mock.calls.unseen = -1
         c:push(case[1], case[2])
         assert.equal("COMMITTED", (s:bring(s:batch { "a" })))
         assert.equal("a a", values())
         assert.same({ start = 1, unknown = 1 }, s:recreated())
         assert.same({ 1, 1 }, { count "transactions", mock.group.compares })
      end)
   end

   it("RESTART, the group says not committed, but readers see it: only the offsets are sent again (R4)", function()
      s:back { found = C.FOUND_BEFORE }
      c:push(mock.END_TXN, INVALID_STATE)
      mock.trace()
      assert.equal("COMMITTED", (s:bring(s:batch { "a", "b" })))
      assert.equal("begin flush offsets commit destroy new init begin flush offsets commit", mock.trace())
      assert.equal("a b", values())
      assert.same({ 1, 2, 1 }, { count "transactions", count "committed_records", mock.group.compares })
   end)

   it("RESTART, the group says not committed, and a leader that is behind gives an end: its bounds tell, it is read again (R4)", function()
      s:back { found = C.FOUND_BEFORE }
      mock.calls.unseen = 2 -- whoever looks for markers asks once, and the look once
      c:push(mock.END_TXN, INVALID_STATE)
      assert.equal("COMMITTED", (s:bring(s:batch { "a", "b" })))
      assert.equal(0, mock.calls.unseen)
      assert.equal("a b", values())
   end)

   it("RESTART, the group says anything else: dropped (R8)", function()
      s:back { found = C.FOUND_OTHER }
      c:push(mock.END_TXN, INVALID_STATE)
      assert.equal("DROPPED", (s:bring(s:batch { "a" })))
      assert.same({ 0, 1, "a" }, { count "transactions", count "batches_dropped", values() })
   end)

   it("RESTART, the group doesn't answer at once: asked again, not guessed", function()
      s:back { found = C.FOUND_NEXT, unanswered = 2 }
      c:push(mock.END_TXN, INVALID_STATE)
      assert.equal("COMMITTED", (s:bring(s:batch { "a" })))
      assert.equal(3, mock.group.compares)
   end)

   it("RETRY of commit: the same call again, then the answer counts", function()
      s:back()
      c:push_many(mock.END_TXN, COORDINATOR_LOADING, 100000)
      mock.trace()
      s:put(s:batch { "a" })
      local calls = ""
      require("spec.support.wait").till("commit is called again", 10, function()
         calls = calls .. " " .. mock.trace()
         return calls:find "commit.*commit"
      end)
      c:clear(mock.END_TXN)
      assert.equal("COMMITTED", (s:collect()))
      assert.is_nil(calls:find("abort", 1, true))
      assert.same({ 1, 0 }, { count "transactions", count "aborts" })
   end)

   it("RETRY of init: blocked with a reason, then goes on by itself", function()
      s:back { found = C.FOUND_BEFORE }
      c:push(mock.END_TXN, INVALID_STATE)
      c:push_many(mock.INIT, ID_REFUSED, 2)
      s:put(s:batch { "a" })
      require("spec.support.wait").till("blocked", 10, function()
         return s.stats.state == C.WORKER_BLOCKED and require("ffi").string(s.stats.reason):match "^init_transactions: "
      end)
      assert.equal("COMMITTED", (s:collect()))
      assert.equal(C.WORKER_RUNNING, s.stats.state)
   end)

   it("HALT of init: the pipeline halts and says why", function()
      s:back()
      c:push(mock.END_TXN, INVALID_STATE)
      c:push(mock.INIT, INVALID_TIMEOUT)
      local result, text = s:bring(s:batch { "a" })
      assert.equal("HALTED", result)
      assert.matches("transaction.max.timeout.ms$", text)
      assert.equal(0, count "transactions")
   end)

   it("partitions that aren't held any more: aborted and dropped, never committed (R3)", function()
      s:back { owns = 0 }
      assert.equal("DROPPED", (s:bring(s:batch { "a" })))
      assert.same({ 0, 1 }, { count "transactions", count "aborts" })
   end)

   it("a drop while it works: DROPPED, whatever was found (R8)", function()
      s:back { found = C.FOUND_NEXT }
      c:slow(300)
      s:put(s:batch { "a" })
      C.mailbox_drop(s.mailbox)
      assert.equal("DROPPED", (s:collect()))
      assert.equal(0, count "transactions")
   end)
end)
