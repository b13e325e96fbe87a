-- SPDX-License-Identifier: MIT
-- Real messages, from librdkafka's mock broker inside this process.
local ffi = require "ffi"
local driver = require "spec.unit.transform_driver"
local C = driver.C

ffi.cdef [[
typedef struct rd_kafka_s rd_kafka_t; typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_topic_partition_list_s rd_kafka_topic_partition_list_t;
typedef struct { int err; void *rkt; int32_t partition; } message_head;
typedef struct rd_kafka_headers_s rd_kafka_headers_t;
rd_kafka_conf_t *rd_kafka_conf_new(void);
int rd_kafka_conf_set(rd_kafka_conf_t *, const char *, const char *, char *, size_t);
rd_kafka_t *rd_kafka_new(int, rd_kafka_conf_t *, char *, size_t);
void rd_kafka_destroy(rd_kafka_t *);
void *rd_kafka_mock_cluster_new(rd_kafka_t *, int); void rd_kafka_mock_cluster_destroy(void *);
const char *rd_kafka_mock_cluster_bootstraps(void *);
int rd_kafka_mock_topic_create(void *, const char *, int, int);
int rd_kafka_producev(rd_kafka_t *, ...);
int rd_kafka_flush(rd_kafka_t *, int);
rd_kafka_topic_partition_list_t *rd_kafka_topic_partition_list_new(int);
void rd_kafka_topic_partition_list_destroy(rd_kafka_topic_partition_list_t *);
void *rd_kafka_topic_partition_list_add(rd_kafka_topic_partition_list_t *, const char *, int32_t);
int rd_kafka_assign(rd_kafka_t *, rd_kafka_topic_partition_list_t *);
message_head *rd_kafka_consumer_poll(rd_kafka_t *, int);
void rd_kafka_message_destroy(void *);
]]

local function client(kind, settings)
  local conf = C.rd_kafka_conf_new()
  for name, value in pairs(settings) do assert(C.rd_kafka_conf_set(conf, name, value, nil, 0) == 0, name) end
  local rk = C.rd_kafka_new(kind, conf, nil, 0)
  assert(rk ~= nil)
  return rk
end

-- rd_kafka_vtype_t
local TOPIC, VALUE, KEY, TIMESTAMP, HEADER = 1, 4, 5, 8, 9

local function int(n) return ffi.cast("int", n) end
local function size(n) return ffi.cast("size_t", n) end
local function pointer(text) return ffi.cast("const char *", text) end

describe("batch", function()
  local host, cluster, producer, consumer, batch, e

  setup(function()
    host = client(0, {})
    cluster = C.rd_kafka_mock_cluster_new(host, 1)
    C.rd_kafka_mock_topic_create(cluster, "orders", 1, 1)
    local brokers = ffi.string(C.rd_kafka_mock_cluster_bootstraps(cluster))
    producer = client(0, { ["bootstrap.servers"] = brokers })
    local h = { int(HEADER), pointer "h", pointer "1", ffi.cast("ssize_t", 1), int(HEADER), pointer "n", ffi.cast("void *", nil),
      ffi.cast("ssize_t", 0), int(HEADER), pointer "h", pointer "2", ffi.cast("ssize_t", 1) }
    local function produce(key, value, ...)
      assert.equal(0, C.rd_kafka_producev(producer, int(TOPIC), pointer "orders", int(KEY), key and pointer(key) or ffi.cast("void *", nil),
        size(key and #key or 0), int(VALUE), value and ffi.cast("void *", pointer(value)) or ffi.cast("void *", nil),
        size(value and #value or 0), int(TIMESTAMP), ffi.cast("int64_t", 1700000000123), ...))
    end
    h[#h + 1] = int(0)
    produce("key", "value", unpack(h))
    produce(nil, "no key", int(0))
    produce("tombstone", nil, int(0))
    produce("", "", int(0))
    assert.equal(0, C.rd_kafka_flush(producer, 10000))
    consumer = client(1, { ["bootstrap.servers"] = brokers, ["group.id"] = "g", ["auto.offset.reset"] = "earliest" })
    local list = C.rd_kafka_topic_partition_list_new(1)
    C.rd_kafka_topic_partition_list_add(list, "orders", 0)
    assert.equal(0, C.rd_kafka_assign(consumer, list))
    C.rd_kafka_topic_partition_list_destroy(list)
    batch, e = driver.batch(), ffi.new "struct err"
    for _ = 1, 200 do
      local m = C.rd_kafka_consumer_poll(consumer, 100)
      if m ~= nil and m.err == 0 then
        assert.equal(C.OK, C.batch_add(batch, m, 0, e))
      elseif m ~= nil then
        C.rd_kafka_message_destroy(m)
      end
      if batch.lent.record_count == 4 then break end
    end
  end)

  teardown(function()
    driver.free_batch(batch)
    for _, rk in ipairs { consumer, producer } do C.rd_kafka_destroy(rk) end
    C.rd_kafka_mock_cluster_destroy(cluster)
    C.rd_kafka_destroy(host)
  end)

  local function field(data, bytes)
    if bytes < 0 then
      assert.is_true(data == nil)
      return "NULL"
    end
    assert.is_true(data ~= nil)
    return ffi.string(data, bytes)
  end

  it("views a message's fields and tells null from empty", function()
    local seen = {}
    assert.equal(4, batch.lent.record_count)
    for i = 0, 3 do
      local r = batch.lent.records[i]
      seen[i + 1] = { field(r.key_data, r.key_size), field(r.value_data, r.value_size), tonumber(r.at), tonumber(r.time), r.partition }
    end
    assert.same({
      { "key", "value", 0, 1700000000123, 0 }, { "NULL", "no key", 1, 1700000000123, 0 }, { "tombstone", "NULL", 2, 1700000000123, 0 },
      { "", "", 3, 1700000000123, 0 },
    }, seen)
    assert.equal(#"keyvalueno keytombstone", tonumber(batch.input_bytes))
    assert.is_true(batch.opened_ms > 0)
  end)

  it("parses headers once, in order, with duplicates and null", function()
    local list, failure = ffi.new "struct onced_header *[1]", ffi.new "const char *[1]"
    assert.equal(3, C.onced_record_headers(batch.lent, 0, list, failure))
    local first, seen = list[0], {}
    for i = 0, 2 do seen[i + 1] = ffi.string(first[i].name, first[i].name_size) .. "=" .. field(first[i].data, first[i].data_size) end
    assert.same({ "h=1", "n=NULL", "h=2" }, seen)
    assert.equal(3, C.onced_record_headers(batch.lent, 0, list, failure))
    assert.is_true(first == list[0])
    assert.equal(0, C.onced_record_headers(batch.lent, 1, list, failure))
    local last = C.onced_record_header(batch.lent, 0, "h", 1, failure)
    assert.equal("2", ffi.string(last.data, last.data_size))
    assert.is_true(C.onced_record_header(batch.lent, 0, "x", 1, failure) == nil and failure[0] == nil)
  end)

  it("is transformed without copying what wasn't touched", function()
    local t = assert(driver.load "return function(rec) return rec end")
    assert.is_nil(t.run(batch))
    for i = 0, 3 do
      local o, r = batch.lent.outputs[i], batch.lent.records[i]
      assert.is_true(o.key_data == r.key_data and o.value_data == r.value_data and o.key_size == r.key_size)
      assert.equal(-1, o.header_count)
    end
    t.free()
  end)

  it("is empty with another number after a reset, and lets go of its tail", function()
    local small = driver.batch()
    for i = 1, 5 do driver.add(small, { value = ("x"):rep(i) }) end
    small.transformed, small.input_bytes = 2, 15
    C.batch_truncate(small, 3)
    assert.equal(3, small.lent.record_count)
    assert.equal(6, tonumber(small.input_bytes))
    C.batch_offset(small, 0, 7).next = 42
    assert.equal(42, tonumber(C.batch_offset(small, 0, 7).next))
    assert.equal(-1, tonumber(C.batch_offset(small, 1, 7).next))
    assert.equal(2, small.offset_count)
    local number = small.lent.number
    C.batch_reset(small)
    assert.is_true(small.lent.number > number)
    assert.same({ 0, 0, 0, 0 }, { small.lent.record_count, small.offset_count, small.transformed, tonumber(small.input_bytes) })
    driver.free_batch(small)
  end)

  it("grows its outputs and merges headers", function()
    local small, failure = driver.batch(), ffi.new "const char *[1]"
    for i = 1, 3000 do
      local o = C.batch_output(small)
      assert.is_true(o == small.lent.outputs + (i - 1) and o.partition == -1)
    end
    assert.is_true(small.lent.output_capacity >= 3000)
    local base, own = ffi.new "struct onced_header[3]", ffi.new "struct onced_header[1]"
    for i, name in ipairs { "a", "b", "a" } do base[i - 1] = { name, "1", 1, 1 } end
    own[0] = { "a", "22", 1, 2 }
    local merged = ffi.new "struct onced_headers"
    assert.equal(0, C.onced_headers_merge(small.lent, base, 3, own, 1, merged, failure))
    assert.same({ 2, 5, "b", "22" }, { merged.count, merged.bytes, ffi.string(merged.list[0].name), ffi.string(merged.list[1].data) })
    driver.free_batch(small)
  end)
end)
