-- SPDX-License-Identifier: MIT
-- What source and sink share of librdkafka: Java's partitioner, errors as verdicts, the user's properties, the count of answers.
local ffi = require "ffi"
local mock = require "spec.unit.mock"
local C = mock.C
require("spec.unit.onced_lib").cdef("kafka_spec", [[
rd_kafka_error_t *rd_kafka_error_new(int code, const char *format, ...);
int rd_kafka_conf_get(const rd_kafka_conf_t *, const char *, char *, size_t *);
void rd_kafka_conf_destroy(rd_kafka_conf_t *);
int rd_kafka_version(void);
]])

describe("the partition of a key", function()
   -- org.apache.kafka.common.utils.UtilsTest.testMurmur2, and an empty key
   local MURMUR2 = { ["21"] = -973932308, foobar = -790332482, ["a-little-bit-long-string"] = -985981536, abc = 479470107,
      ["a-little-bit-longer-string"] = -1486304829, ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"] = -58897971, [""] = 275646681 }

   for key, hash in pairs(MURMUR2) do
      it("is Java's: " .. ("%q"):format(key), function()
         local positive = bit.band(hash, 0x7fffffff)
         for _, count in ipairs { 1, 2, 7, 12, 1000, 2147483647 } do
            assert.equal(positive % count, C.kafka_partition_of_key(key, #key, count))
         end
      end)
   end

   it("takes bytes as they are", function()
      local found = {}
      for _, key in ipairs { "\0", "\0\0", "\255", "\255\255\255", "a\0b" } do found[C.kafka_partition_of_key(key, #key, 2147483647)] = true end
      local n = 0
      for _ in pairs(found) do n = n + 1 end
      assert.equal(5, n)
   end)
end)

describe("an error", function()
   it("may quote the one before it", function()
      local e = ffi.new "struct err"
      C.err_set(e, C.RETRY, 1, "no answer")
      C.err_set(e, C.RESTART, 2, "given up: %.200s", ffi.cast("const char *", e.text))
      assert.equal("given up: no answer", ffi.string(e.text))
   end)
end)

describe("an error of librdkafka", function()
   local e = ffi.new "struct err"

   it("none is OK", function() assert.equal(C.OK, C.kafka_error("begin", nil, e)) end)

   it("without any flag is taken for fatal", function()
      assert.equal(C.RESTART, C.kafka_error("begin", C.rd_kafka_error_new(-172, "why %s", ffi.cast("const char *", "so")), e))
      assert.same({ -172, "begin: _STATE: why so" }, { e.code, ffi.string(e.text) })
   end)

   it("is cut where it is too long, and ends", function()
      C.kafka_error("begin", C.rd_kafka_error_new(-172, ("x"):rep(1000)), e)
      assert.equal(255, #ffi.string(e.text))
   end)
end)

describe("properties", function()
   local c, pipeline, e
   setup(function() c = mock.cluster() end)
   teardown(function() c:free() end)
   before_each(function() e = ffi.new "struct err" end)

   local keep -- what the structs point to
   local function conf(kafka)
      pipeline, keep = c:pipeline { kafka = kafka }
      return C.kafka_conf_new(pipeline, pipeline.producer, e), keep
   end
   local function value(of, name)
      local text, size = ffi.new "char[512]", ffi.new("size_t[1]", 512)
      return C.rd_kafka_conf_get(of, name, text, size) == 0 and ffi.string(text) or nil
   end

   it("of the user are taken, and beat what onced prefers", function()
      local made = conf { ["socket.nagle.disable"] = "false", ["client.id"] = "mine" }
      C.kafka_conf_offer(made, pipeline, pipeline.producer, "client.id", "ours")
      C.kafka_conf_offer(made, pipeline, pipeline.producer, "linger.ms", "7")
      C.kafka_conf_offer(made, pipeline, pipeline.producer, "no.such.property.yet", "1") -- an older library: fine
      assert.same({ "false", "mine", "7", "true" },
         { value(made, "socket.nagle.disable"), value(made, "client.id"), value(made, "linger.ms"), value(made, "socket.keepalive.enable") })
      C.rd_kafka_conf_destroy(made)
   end)

   it("that librdkafka refuses: HALT, with the name and never the value, which may be a secret", function()
      assert.is_true(conf { ["sasl.pasword"] = "hunter2" } == nil)
      assert.equal(C.HALT, e.verdict)
      assert.matches('^kafka: sasl.pasword: ', ffi.string(e.text))
      assert.is_nil(ffi.string(e.text):find("hunter2", 1, true))
   end)

   it("of the promise must exist", function()
      local made = conf {}
      assert.equal(C.HALT, C.kafka_conf_set(made, "no.such.property", "1", e))
      assert.equal(C.OK, C.kafka_conf_set_number(made, "transaction.timeout.ms", 12345, e))
      assert.equal("12345", value(made, "transaction.timeout.ms"))
      C.rd_kafka_conf_destroy(made)
   end)

   it("compare versions as numbers", function()
      local v = C.rd_kafka_version()
      local major, minor, patch = bit.rshift(v, 24), bit.band(bit.rshift(v, 16), 255), bit.band(bit.rshift(v, 8), 255)
      local function below(a, b, d) return C.kafka_version_below(a, b, d) == 1 end
      assert.is_false(below(major, minor, patch))
      assert.is_true(below(major, minor, patch + 1) and below(major, minor + 1, 0) and below(major + 1, 0, 0))
      assert.is_false(below(major - 1, 255, 255) or below(1, 9, 9))
   end)
end)

describe("the count of requests", function()
   it("names the first that has no answer", function()
      local r = ffi.new "struct kafka_requests"
      assert.is_true(C.kafka_requests_unanswered(r) == nil)
      for i = 0, C.KAFKA_WATCHED - 1 do r.sent[i], r.answered[i] = 3, 3 end
      assert.is_true(C.kafka_requests_unanswered(r) == nil)
      local seen = {}
      for i = C.KAFKA_WATCHED - 1, 0, -1 do
         r.sent[i] = 4
         seen[ffi.string(C.kafka_requests_unanswered(r)):match "%a+"] = i
      end
      local names = {}
      for name, i in pairs(seen) do names[i + 1] = name end
      assert.equal(C.KAFKA_WATCHED, #names) -- each by its own name
      assert.same({ "Produce", "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "TxnOffsetCommit" }, { unpack(names, 1, 5) })
   end)
end)
