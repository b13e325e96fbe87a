-- SPDX-License-Identifier: MIT
-- What the brokers say of the output topics, and what follows for requests (R15).
local ffi = require "ffi"
local mock = require "spec.unit.mock"
local lib = require "spec.unit.onced_lib"
local C = mock.C
lib.declare { "sink_topics" }
lib.cdef("sink_topics_spec", [[
rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *, const char *, void *);
void rd_kafka_topic_destroy(rd_kafka_topic_t *);
]])

describe("output topics", function()
   local c, pipeline, keep, topics, e
   local rk, handles

   setup(function()
      c = mock.cluster()
      c:topic("one", 3)
      c:topic("two", 1)
   end)
   teardown(function() c:free() end)

   local function new(names)
      e, pipeline, keep = ffi.new "struct err", c:pipeline { topics = names or { "one", "two" } }
      assert(keep)
      topics = C.sink_topics_new(pipeline, 0)
      local conf = C.kafka_conf_new(pipeline, pipeline.producer, e)
      rk = C.rd_kafka_new(0, conf, nil, 0)
      handles = ffi.new("rd_kafka_topic_t *[?]", pipeline.topic_count)
      for i = 0, pipeline.topic_count - 1 do handles[i] = C.rd_kafka_topic_new(rk, pipeline.topics[i].name, nil) end
   end
   after_each(function()
      for i = 0, pipeline.topic_count - 1 do C.rd_kafka_topic_destroy(handles[i]) end
      C.rd_kafka_destroy(rk)
      C.sink_topics_free(ffi.new("struct sink_topics *[1]", topics))
   end)

   local function lent(i) return ffi.cast("struct onced_topic *", C.sink_topics_lent(topics)) + i end
   local function metadata() return C.sink_topics_metadata(topics, rk, handles, e) end

   it("are lent in the pipeline's order, with a broker's default limit until it tells", function()
      new()
      assert.same({ "one", "two", 1048588, 0 }, { ffi.string(lent(0).name), ffi.string(lent(1).name), lent(0).max_message_bytes, lent(0).partition_count })
   end)

   it("a broker that doesn't tell their configuration leaves the default", function()
      new()
      assert.equal(C.OK, C.sink_topics_describe(topics, e))
      assert.equal(1048588, lent(1).max_message_bytes)
   end)

   it("have the partition counts of the metadata", function()
      new()
      assert.equal(C.OK, metadata())
      assert.same({ 3, 1 }, { lent(0).partition_count, lent(1).partition_count })
   end)

   it("a missing one: RETRY, by name", function()
      new { "one", "gone" }
      C.rd_kafka_mock_topic_set_error(c.handle, "gone", 3) -- the mock would make it
      assert.equal(C.RETRY, metadata())
      assert.equal("output topic gone doesn't exist (any more)", ffi.string(e.text))
   end)

   it("one that is refused: RETRY, with the reason", function()
      -- Known before: librdkafka below 2.10.0 dies of the partitions that the mock sends with the error (issue 4907); brokers send none.
      new { "closed" }
      assert.equal(C.OK, metadata())
      C.rd_kafka_mock_topic_set_error(c.handle, "closed", 29)
      assert.equal(C.RETRY, metadata())
      assert.matches("^output topic closed: .*authorization", ffi.string(e.text))
      C.rd_kafka_mock_topic_set_error(c.handle, "closed", 0)
      assert.equal(C.OK, metadata())
   end)

   it("bound requests by the least limit and records by the greatest", function()
      new()
      local function bounds() return { tonumber(C.sink_topics_most(topics)), tonumber(C.sink_topics_batch(topics)) } end
      assert.same({ 1048588, 1000000 }, bounds())
      lent(1).max_message_bytes = 50000
      local most, batch = unpack(bounds())
      assert.equal(1048588, most)
      assert.is_true(batch < 50000 and batch > 49000)
      lent(0).max_message_bytes = 20000000
      assert.equal(20000000, (unpack(bounds())))
      lent(1).max_message_bytes = 1 -- absurd, and still a legal batch.size
      assert.is_true(select(2, unpack(bounds())) >= 1)
      lent(0).max_message_bytes = 2147483647
      assert.equal(1000000000, (unpack(bounds()))) -- message.max.bytes ends there
   end)

   it("know which refusals are for good", function()
      new()
      for name, code in pairs { ["message too large"] = 10, ["invalid size"] = 4, ["invalid record"] = 87, ["invalid timestamp"] = 32,
         ["policy violation"] = 44, ["list too large"] = 18, ["no such partition"] = -190 } do
         assert.equal(1, C.sink_topics_permanent(code), name)
      end
      for name, code in pairs { ["unknown topic"] = 3, ["not leader"] = 6, ["timed out"] = 7, ["not authorised"] = 29, ["too few replicas"] = 19,
         ["fenced"] = 47, ["out of order"] = 45, ["purged"] = -152 } do
         assert.equal(0, C.sink_topics_permanent(code), name)
      end
   end)
end)
