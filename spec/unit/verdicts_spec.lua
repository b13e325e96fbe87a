-- SPDX-License-Identifier: MIT
-- Errors are verdicts: one spec for each row of the table of error classes (init, begin, produce, send_offsets, commit, abort; retriable,
-- abortable, fatal), on the real sink against librdkafka's mock cluster. What the back thread does about them: transaction_spec.
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
      mock.calls.unseen = 0
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
         assert.equal("begin_transaction: the handle is spent", s:text()) -- not librdkafka's answer, which can be a stale success
      end)
   end)

   describe("of produce", function()
      it("queue full: RETRY, which serves reports until the rest fits", function()
         local tight = c:sink { kafka = { ["queue.buffering.max.messages"] = "5" } }
         finally(function() tight:free() end)
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
      end)

      it("queue full for the transaction's time: back gives the attempt up", function()
         local tight = c:sink { timeout = 1000, kafka = { ["queue.buffering.max.messages"] = "2" } }
         finally(function() tight:free() end)
         assert.equal("OK", tight:open())
         -- Busy machines answer a commit too late for so short a transaction: in doubt, then, and sent again.
         mock.calls.unseen = -1
         tight:back { found = C.FOUND_BEFORE }
         c:down()
         tight:put(tight:batch { "1", "2", "3" })
         assert.equal("UNDERWAY", (tight:collect(2)))
         c:up()
         assert.equal("COMMITTED", (tight:collect()))
         assert.is_true(tonumber(tight.stats.aborts) + tonumber(tight.stats.recreated[C.CAUSE_ABORTED or 2]) > 0)
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
