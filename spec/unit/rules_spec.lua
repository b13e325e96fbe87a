-- SPDX-License-Identifier: MIT
-- Rules R1 to R15 of exactly-once, as far as librdkafka's mock cluster can show them: it keeps no transaction state, hides nothing that
-- was aborted, and knows no generations. What needs a broker is shown on Apache Kafka itself:
--   R1 two hosts of one name       kafka/membership    R2 logs that end in markers, idle ones     kafka/start
--   R3 cooperative revoke, lost    kafka/rules         R4, R5 what late requests would do         fault/late_requests
--      and given back                                  R7 start, gaps                             kafka/start
--   R8 successors of a dropped     kafka/rules         R9 replicas, min ISR, verification         kafka (start-up audit)
--      batch, offset guard                             R13 a member that comes back, one that     kafka/start, kafka/stop
--   R14 offsets beside produces    kafka/rules             leaves
--   R15 limits as brokers tell     kafka/policies
local ffi = require "ffi"
local mock = require "spec.unit.mock"
local daemon = require "spec.support.daemon"
local wait = require "spec.support.wait"
local config = require "spec.unit.config_driver"
local C = mock.C
require("spec.unit.onced_lib").declare { "sink_topics" }

local PRODUCER, CONSUMER = 0, 1
local TOO_LARGE, GROUP_REFUSED, INVALID_STATE = 10, 30, 48

describe("rule", function()
   local c, s

   before_each(function()
      c = mock.cluster()
      c:topic "in"
      c:topic "out"
      mock.trace()
   end)
   after_each(function()
      mock.calls.version, mock.calls.assign_ms = 0, 0
      if s then s:free() end
      s = nil
      c:free()
   end)

   local function open(options)
      s = c:sink(options)
      assert.equal("OK", s:open(), s:text())
      return s
   end
   local function count(counter) return tonumber(s.stats[counter]) end

   -- A consumer under this pipeline, which has joined nothing yet, for `use`.
   local function source(options, use)
      local e, stats = ffi.new "struct err", C.stats_new()
      local pipeline, keep = c:pipeline(options)
      local made = C.source_new(pipeline, nil, "onced.orders.spec.0", stats, mock.hooks, e)
      assert.is_true(made ~= nil, ffi.string(e.text))
      local ok, failure = pcall(use, made, pipeline, keep)
      C.rd_kafka_consumer_close(mock.calls.newest[CONSUMER]) -- source_free's own would call back into what is gone
      C.source_free(ffi.new("struct source *[1]", made))
      C.stats_free(stats)
      if not ok then error(failure, 0) end
   end

   -- The real binary, with the question off that the mock can't answer (librdkafka 2.0.2 dies of it: DescribeGroups isn't served).
   local function run(lua, lines, failpoints)
   return daemon.start { bootstrap = c.bootstrap, instance = "spec", guard_off = "static-check", failpoints = failpoints,
      config = "version: 1\nlog: {level: debug}\n", pipelines = { orders = { lua = lua, yaml = [[
version: 1
input: {topics: [in], start: earliest}
transform: {script: orders.lua}
outputs: {default: {topic: out}}
transaction: {commit_every: 0}
]] .. (lines or "") } } }
   end

   it("R1: the transactional.id is onced.NAME.INSTANCE.N, the same at each start", function()
      local d = run("return function(rec) return rec end", "kafka: {producer: {debug: conf}}\nworkers: 2\n")
      finally(function() d:kill() end)
      local seen = {}
      for start = 1, 2 do
         d:wait_log("onced%.orders%.spec%.1", 20)
         d:wait_log("onced%.orders%.spec%.0", 20)
         for id in d:tail():gmatch "onced%.[%w.]*%d" do seen[id] = true end
         d:kill()
         if start == 1 then d:start() end
      end
      assert.same({ ["onced.orders.spec.0"] = true, ["onced.orders.spec.1"] = true }, seen)
   end)

   it("R2: exactly the batch's own next offsets are sent, partitions without one are left out", function()
      open()
      mock.trace()
      local batch = s:batch { "a" }
      C.batch_offset(batch, 0, 1).next = -1
      assert.same({ "OK", "OK", "OK" }, { s:begin(), s:send(batch), s:flush() })
      assert.equal("OK", s:offsets(batch)) -- librdkafka refuses an offset of -1
      C.batch_offset(batch, 0, 0).next = -1
      assert.equal("OK", s:offsets(batch))
      assert.equal("OK", s:commit(), s:text())
      assert.equal("begin flush offsets commit", mock.trace()) -- none to send: not called
   end)

   it("R3: without a generation and a member id nothing is sent, and metadata of a member that isn't one isn't lent", function()
      source(nil, function(made)
         local serial = ffi.new "uint64_t[1]"
         assert.is_true(C.source_group(made, serial) == nil)
      end)
      open()
      s:back { member = 0 }
      mock.trace()
      s:put(s:batch { "a" })
      wait.till("it was aborted twice", 10, function() return count "aborts" >= 2 end)
      mock.group.member = 1
      assert.equal("COMMITTED", (s:collect()))
      assert.matches("^begin flush abort .*begin flush abort .*begin flush offsets commit", mock.trace())
   end)

   it("R4: after an abort a new handle, and the same batch is sent, not computed again", function()
      c:write("in", { "x" })
      c:push(mock.TXN_OFFSET_COMMIT, GROUP_REFUSED)
      local d = run [[
local n = 0
return function(rec)
  n = n + 1
  return { value = rec.value .. n .. ":" .. math.random(1e9) .. ":" .. os.time() }
end]]
      finally(function() d:kill() end)
      d:wait_log("aborted, will send the batch again: send_offsets: GROUP_AUTHORIZATION_FAILED", 30)
      d:wait_log("producer replaced: aborted a transaction", 10)
      local values
      wait.till("it is there twice", 10, function()
         values = c:values "out"
         return #values >= 2
      end)
      assert.equal(2, #values)
      assert.equal(values[1], values[2])
      assert.matches("^x1:", values[1])
      assert.equal(0, d:stop())
   end)

   it("R4: after an unknown outcome the group is asked before anything else is sent", function()
      open()
      s:back { found = C.FOUND_BEFORE }
      mock.trace()
      c:push(mock.END_TXN, INVALID_STATE)
      assert.equal("COMMITTED", (s:bring(s:batch { "a" })))
      assert.equal("begin flush offsets commit destroy new init begin flush offsets commit", mock.trace())
      assert.equal(1, mock.group.compares)
   end)

   for name, key in pairs { Produce = mock.PRODUCE, AddPartitionsToTxn = mock.ADD_PARTITIONS, AddOffsetsToTxn = mock.ADD_OFFSETS,
      EndTxn = mock.END_TXN, TxnOffsetCommit = mock.TXN_OFFSET_COMMIT } do
      it("R5: a " .. name .. " without an answer taints the handle though the commit succeeds", function()
         open()
         s:back()
         assert.equal("COMMITTED", (s:bring(s:batch { "before" })))
         assert.same({ start = 1 }, s:recreated()) -- all answered: it stays
         c:push(key, mock.TRANSPORT)
         assert.equal("COMMITTED", (s:bring(s:batch { "a" })))
         assert.equal("COMMITTED", (s:bring(s:batch { "b" })))
         assert.same({ start = 1, tainted = 1 }, s:recreated())
         assert.same({ 0, 3 }, { count "aborts", count "transactions" })
      end)
   end

   it("R6: a produce call that fails isn't counted by librdkafka - its commit says success - but by onced", function()
      open()
      local batch = s:batch { "fine", { "lost", partition = 7 } }
      assert.same({ "OK", "RESEND" }, { s:begin(), s:send(batch) })
      assert.equal("OK", s:commit()) -- what it would come to
      assert.same({ "fine" }, c:values "out")
      s:back()
      local result, text = s:bring(batch)
      assert.equal("HALTED", result)
      assert.matches("partition 0, offset 11", text)
      assert.equal(0, count "transactions")
      assert.is_true(count "aborts" > 0)
   end)

   it("R7: librdkafka never resets an offset by itself, stores or commits none", function()
      source(nil, function()
         assert.equal("error", mock.property(CONSUMER, "auto.offset.reset"))
         assert.equal("false", mock.property(CONSUMER, "enable.auto.commit"))
         assert.equal("false", mock.property(CONSUMER, "enable.auto.offset.store"))
         assert.equal("true", mock.property(CONSUMER, "enable.partition.eof"))
      end)
   end)

   it("R8: a batch is dropped whole: no output and no offset of it is committed", function()
      open()
      s:back { owns = 0 }
      mock.trace()
      assert.equal("DROPPED", (s:bring(s:batch { "a", "b" })))
      assert.is_nil(mock.trace():find("offsets", 1, true))
      assert.same({ 0, 1, 0 }, { count "transactions", count "batches_dropped", count "produced" })
   end)

   it("R10: what carries the promise is set last, whatever came before", function()
      for name, case in pairs { acks = { "1", "-1" }, ["transactional.id"] = { "mine", "onced.orders.spec.0" },
         ["allow.auto.create.topics"] = { "true", "false" }, ["socket.timeout.ms"] = { "60000", "1000" } } do
         open { kafka = { [name] = case[1] } }
         assert.equal(case[2], mock.property(PRODUCER, name), name)
         s:free()
      end
      s = nil
      source({ kafka = { ["isolation.level"] = "read_uncommitted", ["enable.auto.commit"] = "true", ["auto.offset.reset"] = "latest",
         ["group.id"] = "other", ["group.instance.id"] = "other", ["allow.auto.create.topics"] = "true" } }, function()
         for name, value in pairs { ["isolation.level"] = "read_committed", ["enable.auto.commit"] = "false", ["auto.offset.reset"] = "error",
            ["group.id"] = "orders", ["group.instance.id"] = "onced.orders.spec.0", ["allow.auto.create.topics"] = "false" } do
            assert.equal(value, mock.property(CONSUMER, name), name)
         end
      end)
   end)

   it("R10: and a file that tries is refused, by name", function()
      finally(config.clean)
      for _, name in ipairs { "acks", "enable.idempotence", "transactional.id", "transaction.timeout.ms", "message.timeout.ms", "isolation.level",
         "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset", "group.id", "group.instance.id", "delivery.report.only.error" } do
         for _, line in ipairs { "kafka: {%s: '1'}\n", "kafka: {producer: {%s: '1'}}\n", "kafka: {consumer: {%s: '1'}}\n" } do
            local report, errors = config.try(line:format(name))
            assert.is_true(errors >= 1)
            assert.truthy(report:find(name, 1, true), report)
         end
      end
      assert.matches("between 1 and 5", (config.try "kafka: {producer: {max.in.flight: 6}}\n"))
   end)

   it("R11: where an outage could leave send_offsets waiting for ever (issue 5511, from 2.10.0), brokers are kept", function()
      local known = C.rd_kafka_version() >= 0x020a0000
      open()
      assert.equal(known and "none" or nil, (mock.property(PRODUCER, "metadata.recovery.strategy")))
      source(nil, function() assert.equal(known and "none" or nil, (mock.property(CONSUMER, "metadata.recovery.strategy"))) end)
   end)

   it("R11: one lost answer doesn't eat the transaction, and polls may wait for back", function()
      for _, timeout in ipairs { 1000, 3000, 10000, 60000 } do
         if s then s:free() end
         open { timeout = timeout }
         assert.equal(tostring(timeout), mock.property(PRODUCER, "transaction.timeout.ms"))
         assert.equal(math.min(4000, math.floor(timeout / 3)), tonumber(mock.property(PRODUCER, "socket.timeout.ms")))
         source({ timeout = timeout }, function() -- a revoke waits for the transaction underway
            assert.is_true(tonumber(mock.property(CONSUMER, "max.poll.interval.ms")) >= 4 * timeout)
         end)
      end
      source(nil, function(_, pipeline)
         local poll, session = tonumber(mock.property(CONSUMER, "max.poll.interval.ms")), tonumber(mock.property(CONSUMER, "session.timeout.ms"))
         assert.equal(tonumber(pipeline.input.session_timeout_ms), session)
         assert.is_true(poll >= 60000 and poll >= 2 * session)
         assert.is_true(tonumber(mock.property(CONSUMER, "heartbeat.interval.ms")) * 3 < session)
      end)
   end)

   it("R11: a script that takes its time doesn't hold up commits: no more is polled than it can transform", function()
      local values = {}
      for i = 1, 100 do values[i] = tostring(i) end
      c:write("in", values)
      local d = run "return function(rec) local till = os.clock() + 0.6 while os.clock() < till do end return rec end"
      finally(function() d:kill() end)
      for _ = 1, 3 do
         d:wait_log("committed records=%d", 120)
         assert.is_true(tonumber(d:tail():match "committed records=(%d+)") <= 10) -- of 100; how many depends on how busy the machine is
         d:mark()
      end
   end)

   describe("R12:", function()
      -- rd_kafka_consume_batch_queue of 2.0.2 throws a message away when a callback has asked it to yield.
      it("a rebalance inside a call that polls a batch loses nothing of what comes behind it", function()
         c:write("in", { "a", "b", "c" })
         mock.calls.assign_ms = 10000 -- the first messages are there when the callback returns
         source({ inputs = { "in" } }, function(made)
            local e, filling = ffi.new "struct err", ffi.new("struct batch *[1]", C.batch_new())
            local queue = C.rd_kafka_queue_get_consumer(mock.calls.newest[CONSUMER])
            assert.equal(C.OK, C.source_subscribe(made, e), ffi.string(e.text))
            wait.till("the assignment", 30, function() return C.rd_kafka_queue_length(queue) > 0 end, 5)
            C.rd_kafka_queue_destroy(queue)
            local offsets = {}
            wait.till("all three", 30, function()
               assert.equal(C.OK, C.source_fill(made, filling, 100, 1000000, 0, e), ffi.string(e.text))
               return filling[0].lent.record_count >= 3, filling[0].lent.record_count .. " are there"
            end, 5)
            for i = 0, filling[0].lent.record_count - 1 do offsets[i + 1] = tonumber(filling[0].lent.records[i].at) end
            assert.same({ 0, 1, 2 }, offsets)
            C.batch_free(filling)
         end)
      end)

      local function check(version, kafka)
         local e = ffi.new "struct err"
         local pipeline, keep = c:pipeline { kafka = kafka }
         mock.calls.version = version * 256 + 255
         C.log_init(C.LOG_LEVEL_WARNING)
         local logged = mock.driver.stderr(function() C.kafka_version_check(pipeline, e) end)
         C.log_init(C.LOG_LEVEL_ERROR)
         assert(keep)
         return e.verdict == C.HALT and "HALT" or "OK", ffi.string(e.text), logged
      end

      it("releases that lose or repeat records by themselves are refused", function()
         for _, version in ipairs { 0x010900, 0x020100, 0x020a00 } do
            local verdict, text = check(version)
            assert.equal("HALT", verdict)
            assert.matches("^librdkafka ", text)
         end
         for _, version in ipairs { 0x020000, 0x020002, 0x020101, 0x020601, 0x020a01, 0x020f00 } do
            local verdict, _, logged = check(version)
            assert.same({ "OK", "" }, { verdict, logged })
         end
      end)

      it("releases that may fail are warned of", function()
         for _, version in ipairs { 0x020200, 0x020300, 0x020400 } do assert.matches("rebuild a large batch", (select(3, check(version)))) end
         local cooperative = { ["partition.assignment.strategy"] = "cooperative-sticky" }
         assert.matches("cooperative%-sticky", (select(3, check(0x020600, cooperative))))
         assert.equal("", (select(3, check(0x020601, cooperative))))
      end)

      it("client.rack is refused where it crashes", function()
         local rack = { ["client.rack"] = "a" }
         assert.equal("HALT", (check(0x020002, rack)))
         assert.equal("OK", (check(0x020101, rack)))
      end)
   end)

   it("what halts stays halted, also when the library hangs in its close", function()
      c:write("in", { "poison" })
      local d = run("return function() error 'poison' end", nil, "in-close=sleep:60000")
      finally(function() d:kill() end)
      assert.equal(65, (d:wait(60)), d:log())
      assert.equal(1, d:count "started, pid")
   end)

   it("R13: the member's name is the transactional.id, for the whole session timeout", function()
      source(nil, function()
         assert.equal("onced.orders.spec.0", mock.property(CONSUMER, "group.instance.id"))
         assert.equal("15000", mock.property(CONSUMER, "session.timeout.ms"))
      end)
   end)

   it("R14: begin, send, flush, offsets, commit", function()
      open()
      s:back()
      mock.trace()
      assert.equal("COMMITTED", (s:bring(s:batch { "a" })))
      assert.equal("COMMITTED", (s:bring(s:batch { "b" })))
      assert.equal("begin flush offsets commit begin flush offsets commit", mock.trace())
   end)

   it("R15: requests stay below the least limit of the outputs", function()
      s = c:sink { topics = { "out", "in" } }
      local topics = ffi.cast("struct onced_topic *", C.sink_topics(s.handle, ffi.new "int[1]"))
      topics[1].max_message_bytes = 50000 -- as the broker would have told
      assert.equal("OK", s:open(), s:text())
      local batch, most = tonumber(mock.property(PRODUCER, "batch.size")), tonumber(mock.property(PRODUCER, "message.max.bytes"))
      assert.is_true(batch < 50000 and batch > 40000, batch)
      assert.is_true(most >= 1048588) -- the other topic takes large records
   end)

   it("R15: a record that the broker refuses for good is found, answered by policy, and the rest goes in", function()
      open { on_error = "skip" }
      s:back()
      c:push(mock.PRODUCE, TOO_LARGE, 0, TOO_LARGE) -- all in one request; then "a" alone; then "b" alone
      assert.equal("COMMITTED", (s:bring(s:batch { "a", "b", "c" })))
      local values = c:values "out"
      assert.same({ "a", "c" }, { values[#values - 1], values[#values] })
      for _, value in ipairs(values) do assert.is_true(value ~= "b") end
      assert.same({ 1, 1, 2 }, { count "transactions", count "skipped", count "produced" })
   end)

   it("R15: with the policy stop the pipeline halts and names the record", function()
      open()
      s:back()
      c:push(mock.PRODUCE, TOO_LARGE, 0, TOO_LARGE)
      local result, text = s:bring(s:batch { "a", "b", "c" })
      assert.equal("HALTED", result)
      assert.matches("topic in, partition 0, offset 11", text)
      assert.equal(0, count "transactions")
   end)
end)
