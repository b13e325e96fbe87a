-- SPDX-License-Identifier: MIT
-- Errors are verdicts: one spec for each row of the table of error classes (init, begin, produce, send_offsets, commit, abort; retriable,
-- abortable, fatal), on the real sink against librdkafka's mock cluster; then what the back thread does about each verdict.
local ffi = require "ffi"
local mock = require "spec.unit.mock"
local C = mock.C

-- Broker codes
local UNKNOWN_MEMBER, ILLEGAL_GENERATION, COORDINATOR_LOADING, COORDINATOR_AWAY, NOT_COORDINATOR = 25, 22, 14, 15, 16
local TOPIC_REFUSED, GROUP_REFUSED, CLUSTER_REFUSED, ID_REFUSED = 29, 30, 31, 53
local OLD_FORMAT, INVALID_EPOCH, INVALID_STATE, INVALID_MAPPING, INVALID_TIMEOUT, CONCURRENT = 43, 47, 48, 49, 50, 51
local FENCED_INSTANCE, PRODUCER_FENCED, ABORTABLE_V2, TOO_LARGE = 82, 90, 120, 10
local NEVER_HEARD_OF = 999 -- of later brokers

describe("verdict", function()
   local c, s

   setup(function()
      c = mock.cluster()
      c:topic "in"
      c:topic "out"
   end)
   teardown(function() c:free() end)
   before_each(function() s = c:sink { timeout = 2000 } end)
   after_each(function()
      for key = 0, 30 do c:clear(key) end
      c:slow(0)
      s:free()
   end)

   local function opened()
      assert.equal("OK", s:open(), s:text())
      return s:batch { "a", "b" }
   end
   local function begun()
      local batch = opened()
      assert.equal("OK", s:begin())
      return batch
   end
   local function sent()
      local batch = begun()
      assert.equal("OK", s:send(batch))
      assert.equal("OK", s:flush())
      return batch
   end
   local function offered()
      local batch = sent()
      assert.equal("OK", s:offsets(batch))
      return batch
   end
   local function cause() return (select(2, s:stale())) end

   describe("of a clean transaction", function()
      it("is OK at each step, and the handle stays", function()
         offered()
         assert.equal("OK", s:commit())
         assert.is_nil(s:stale())
      end)
   end)

   describe("of init", function()
      for name, code in pairs { loading = COORDINATOR_LOADING, away = COORDINATOR_AWAY, moved = NOT_COORDINATOR, ["a predecessor ends"] = CONCURRENT } do
         it("retriable (" .. name .. "): goes on by itself", function()
            c:push(mock.INIT, code, code)
            assert.equal("OK", s:open(), s:text())
         end)
      end

      it("retriable for longer than a call: RETRY, and the next call gets there", function()
         c:push_many(mock.INIT, COORDINATOR_AWAY, 100000)
         assert.equal("RETRY", s:open())
         assert.matches("^init_transactions: ", s:text())
         assert.equal("not open", (s:stale()))
         c:clear(mock.INIT)
         assert.equal("OK", s:open(), s:text())
      end)

      it("above the broker's longest transaction: HALT, and says which setting", function()
         c:push(mock.INIT, INVALID_TIMEOUT)
         assert.equal("HALT", s:open())
         assert.equal("transaction.timeout 2000 ms is above the broker's transaction.max.timeout.ms", s:text())
      end)

      it("without transactions at the broker: HALT", function()
         local old = mock.cluster()
         old:topic "out"
         C.rd_kafka_mock_set_apiversion(old.handle, mock.INIT, -1, -1)
         local other = old:sink { timeout = 2000 }
         assert.equal("HALT", other:open(), other:text())
         assert.matches("transaction", other:text())
         other:free()
         old:free()
      end)

      for name, code in pairs { ["not authorised"] = ID_REFUSED, ["cluster not authorised"] = CLUSTER_REFUSED, fenced = PRODUCER_FENCED } do
         it("fatal (" .. name .. "): RETRY with a new handle, since an operator can mend it meanwhile", function()
            c:push(mock.INIT, code)
            assert.equal("RETRY", s:open())
            assert.matches("^init_transactions: ", s:text())
            assert.equal("OK", s:open(), s:text())
         end)
      end

      it("again after a success: another handle, never a second init", function()
         opened()
         opened()
         local handles = 0
         for _, n in pairs(s:recreated()) do handles = handles + n end
         assert.equal(2, handles)
         assert.equal("OK", s:begin())
      end)
   end)

   describe("of begin", function()
      it("twice is our own bug: RESTART, not a retry", function()
         begun()
         assert.equal("RESTART", s:begin())
         assert.equal("spent", (s:stale()))
      end)

      it("after a fatal error: RESTART", function()
         offered()
         c:push(mock.END_TXN, INVALID_STATE)
         assert.equal("RESTART", s:commit())
         assert.equal("RESTART", s:begin())
      end)
   end)

   describe("of produce", function()
      it("queue full: RETRY, which serves reports until the rest fits", function()
         local tight = c:sink { kafka = { ["queue.buffering.max.messages"] = "5" } }
         assert.equal("OK", tight:open())
         local values, handed = {}, ffi.new "int32_t[1]"
         for i = 1, 100 do values[i] = "full" .. i end
         local batch = tight:batch(values)
         assert.equal("OK", tight:begin())
         local answer = tight:send(batch, handed)
         assert.same({ "RETRY", 5 }, { answer, handed[0] })
         while answer == "RETRY" do answer = tight:send(batch, handed) end
         assert.same({ "OK", "OK", 100 }, { answer, tight:flush(), handed[0] })
         assert.equal("OK", tight:commit())
         local found = {}
         for _, value in ipairs(c:values "out") do if value:match "^full" then found[#found + 1] = value end end
         assert.same(values, found)
         tight:free()
      end)

      it("queue full for the transaction's time: back gives the attempt up", function()
         local tight = c:sink { timeout = 1000, kafka = { ["queue.buffering.max.messages"] = "2" } }
         assert.equal("OK", tight:open())
         tight:back()
         c:down()
         tight:put(tight:batch { "1", "2", "3" })
         assert.equal("UNDERWAY", (tight:collect(2)))
         c:up()
         assert.equal("COMMITTED", (tight:collect()))
         assert.is_true(tonumber(tight.stats.aborts) + tonumber(tight.stats.recreated[C.CAUSE_ABORTED or 2]) > 0)
         tight:free()
      end)

      it("the transaction has failed: RESEND, with the delivery's error", function()
         local batch = begun()
         c:push(mock.PRODUCE, TOPIC_REFUSED)
         assert.equal("OK", s:send(batch))
         assert.equal("RESEND", s:flush())
         assert.equal(TOPIC_REFUSED, s:code())
         assert.equal("RESEND", s:send(batch))
         assert.equal(TOPIC_REFUSED, s:code())
         assert.equal("OK", s:abort())
         assert.equal("aborted", cause())
      end)

      it("partition that isn't there: RESEND from us, since librdkafka doesn't count it", function()
         begun()
         assert.equal("RESEND", s:send(s:batch { "fine", { "lost", partition = 7 } }))
         assert.equal(-190, s:code())
         assert.equal("OK", s:abort())
      end)

      it("a fatal error: RESTART", function()
         local batch = sent()
         c:push(mock.END_TXN, INVALID_STATE)
         assert.equal("RESTART", s:commit())
         assert.equal("RESTART", s:send(batch))
         assert.matches("^produce to out: ", s:text())
      end)

      it("fenced: the transaction can't be gone on with", function()
         local batch = begun()
         c:push(mock.PRODUCE, INVALID_EPOCH)
         local verdict = s:send(batch)
         if verdict == "OK" then verdict = s:flush() end
         assert.is_true(verdict == "RESEND" or verdict == "RESTART", verdict .. s:text())
         assert.is_not_nil(s:abort())
         assert.is_string(s:stale())
      end)
   end)

   describe("of send_offsets", function()
      for name, code in pairs { loading = COORDINATOR_LOADING, away = COORDINATOR_AWAY, ["last markers are being written"] = CONCURRENT } do
         it("retriable (" .. name .. "): goes on by itself", function()
            local batch = sent()
            c:push(mock.ADD_OFFSETS, code, code)
            assert.equal("OK", s:offsets(batch), s:text())
            assert.equal("OK", s:commit())
         end)
      end

      it("not answered in time: RETRY; the same offsets again, and they are in", function()
         s:free()
         s = c:sink { timeout = 9000 }
         local batch = sent()
         c:push_many(mock.ADD_OFFSETS, COORDINATOR_LOADING, 2000)
         assert.equal("RETRY", s:offsets(batch))
         c:clear(mock.ADD_OFFSETS)
         assert.equal("OK", s:offsets(batch), s:text())
         assert.equal("OK", s:commit())
      end)

      for name, case in pairs {
         ["illegal generation"] = { mock.TXN_OFFSET_COMMIT, ILLEGAL_GENERATION, group = true },
         ["unknown member"] = { mock.TXN_OFFSET_COMMIT, UNKNOWN_MEMBER, group = true },
         ["fenced instance"] = { mock.TXN_OFFSET_COMMIT, FENCED_INSTANCE },
         ["group refused"] = { mock.TXN_OFFSET_COMMIT, GROUP_REFUSED },
         ["group refused at the transaction's coordinator"] = { mock.ADD_OFFSETS, GROUP_REFUSED },
         ["topic refused"] = { mock.TXN_OFFSET_COMMIT, TOPIC_REFUSED },
         ["a code nobody knows"] = { mock.TXN_OFFSET_COMMIT, NEVER_HEARD_OF },
         -- Brokers say INVALID_PRODUCER_EPOCH to requests as old as librdkafka's; should one say this, the abort tells.
         ["fenced, in the new way"] = { mock.ADD_OFFSETS, PRODUCER_FENCED },
         ["unknown producer id at the transaction's coordinator"] = { mock.ADD_OFFSETS, INVALID_MAPPING },
         ["TRANSACTION_ABORTABLE"] = { mock.TXN_OFFSET_COMMIT, ABORTABLE_V2 },
      } do
         it("abortable (" .. name .. "): RESEND, and the abort makes it certain", function()
            local batch = sent()
            c:push(case[1], case[2])
            assert.equal("RESEND", s:offsets(batch))
            assert.equal(case.group and 1 or 0, C.sink_error_is_group(s.e))
            assert.equal("OK", s:abort(), s:text())
            assert.equal("aborted", cause())
         end)
      end

      for name, case in pairs {
         fenced = { mock.ADD_OFFSETS, INVALID_EPOCH, fenced = true },
         ["fenced at the group's coordinator"] = { mock.TXN_OFFSET_COMMIT, INVALID_EPOCH, fenced = true },
         ["fenced when partitions were added"] = { mock.ADD_PARTITIONS, INVALID_EPOCH, fenced = true, before = true },
         ["id refused"] = { mock.ADD_OFFSETS, ID_REFUSED },
         ["invalid state"] = { mock.ADD_OFFSETS, INVALID_STATE },
         ["invalid state when partitions were added"] = { mock.ADD_PARTITIONS, INVALID_STATE, before = true },
         ["unknown producer id"] = { mock.TXN_OFFSET_COMMIT, INVALID_MAPPING },
         ["old message format"] = { mock.TXN_OFFSET_COMMIT, OLD_FORMAT },
      } do
         it("fatal (" .. name .. "): RESTART", function()
            local batch, verdict
            if case.before then
               batch = begun()
               c:push(case[1], case[2])
               assert.equal("OK", s:send(batch))
               verdict = s:flush() -- may know already
            else
               batch, verdict = sent(), "OK"
               c:push(case[1], case[2])
            end
            if verdict == "OK" then verdict = s:offsets(batch) end
            assert.equal("RESTART", verdict, s:text())
            assert.equal(case.fenced and 1 or 0, C.sink_error_is_fenced(s.e))
            assert.equal(case.fenced and "fenced" or "unknown", cause())
         end)
      end
   end)

   describe("of commit", function()
      it("not answered in time: RETRY, and the same call gets the answer", function()
         offered()
         c:slow(400)
         assert.equal("RETRY", s:commit(100))
         assert.equal("OK", s:commit(3000), s:text())
         assert.is_nil(s:stale())
      end)

      it("not answered, then abort: that is refused, so RESTART: outcome unknown", function()
         offered()
         c:slow(400)
         assert.equal("RETRY", s:commit(100))
         assert.equal("RESTART", s:abort())
         assert.equal(-173, s:code()) -- _CONFLICT
      end)

      for name, code in pairs { loading = COORDINATOR_LOADING, away = COORDINATOR_AWAY, ["still ending"] = CONCURRENT } do
         it("retriable (" .. name .. "): goes on by itself", function()
            offered()
            c:push(mock.END_TXN, code)
            assert.equal("OK", s:commit(), s:text())
         end)
      end

      it("a failed delivery: RESEND, no EndTxn was sent", function()
         local batch = begun()
         c:push(mock.PRODUCE, TOPIC_REFUSED)
         assert.equal("OK", s:send(batch))
         assert.equal("RESEND", s:commit())
         assert.equal("OK", s:abort(), s:text())
      end)

      for _, code in ipairs { -1, 7, TOO_LARGE, 13, 19, INVALID_MAPPING, 59, ABORTABLE_V2, NEVER_HEARD_OF } do
         it("unlisted EndTxn code " .. code .. ": in doubt, so RESTART and never RESEND", function()
            offered()
            c:push(mock.END_TXN, code)
            local verdict = s:commit()
            if verdict == "OK" then -- the library took it for a passing trouble and asked again, as it may
               assert.is_true(code == 7 or code == 13 or code == 19)
            else
               assert.equal("RESTART", verdict)
               assert.is_string(s:stale())
            end
         end)
      end

      for name, case in pairs { fenced = { PRODUCER_FENCED, true }, ["an old epoch"] = { INVALID_EPOCH, true }, ["invalid state"] = { INVALID_STATE },
         ["id refused"] = { ID_REFUSED } } do
         it("fatal (" .. name .. "): RESTART", function()
            offered()
            c:push(mock.END_TXN, case[1])
            assert.equal("RESTART", s:commit())
            assert.equal(case[2] and "fenced" or "unknown", cause())
         end)
      end
   end)

   describe("of abort", function()
      it("known: OK, and the handle has to go all the same", function()
         sent()
         assert.equal("OK", s:abort())
         assert.equal("aborted", cause())
      end)

      it("retriable: goes on by itself", function()
         sent()
         c:push(mock.END_TXN, COORDINATOR_LOADING)
         assert.equal("OK", s:abort(), s:text())
      end)

      it("not answered within the transaction's time: one call, then RESTART", function()
         sent()
         c:push_many(mock.END_TXN, COORDINATOR_LOADING, 2000)
         assert.equal("RESTART", s:abort())
         assert.is_string(s:stale())
      end)

      for name, code in pairs { fenced = PRODUCER_FENCED, ["nothing was registered"] = INVALID_STATE, ["id refused"] = ID_REFUSED } do
         it("fatal (" .. name .. "): RESTART", function()
            sent()
            c:push(mock.END_TXN, code)
            assert.equal("RESTART", s:abort())
         end)
      end
   end)
end)

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
         C.batch_count(batch, 0, C.stats_series(s.stats, C.SERIES_COUNTER, "a_total", 7), amount)
         C.batch_count(batch, 0, C.stats_series(s.stats, C.SERIES_DROPPED, "no", 2), 1)
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

      it("RESTART (" .. name .. "), the group says not committed: recreated, asked, sent again", function()
         s:back { found = C.FOUND_BEFORE }
         c:push(case[1], case[2])
         assert.equal("COMMITTED", (s:bring(s:batch { "a" })))
         assert.equal("a a", values())
         assert.same({ start = 1, unknown = 1 }, s:recreated())
         assert.same({ 1, 1 }, { count "transactions", mock.group.compares })
      end)
   end

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
