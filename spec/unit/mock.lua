-- SPDX-License-Identifier: MIT
-- librdkafka's mock cluster inside the spec's process, on a real port, and the real sink and back thread against it. Chosen requests get
-- chosen errors. The mock keeps no transaction state: aborted records stay readable, which is how a spec sees what was sent twice.
--
--   local c = mock.cluster(); c:topic("out"); c:push(mock.END_TXN, 48); local s = c:sink(); s:open(); ... s:free(); c:free()
local ffi = require "ffi"
local lib = require "spec.unit.onced_lib"
local process = require "spec.support.process"

-- Before the library, so that back asks the stubs.
local STUB = "build/spec/libmock_stubs.so"
assert(process.shell(("mkdir -p build/spec && env -u LD_PRELOAD %s -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -fPIC -shared -pthread " ..
   "-Idaemon -o %s.%d spec/unit/group_stub.c spec/unit/calls_stub.c -lrdkafka -ldl && mv %s.%d %s"):format(os.getenv "CC" or "cc", STUB, process.self(), STUB,
   process.self(), STUB)) == 0, "can't build " .. STUB)
local stub = ffi.load("./" .. STUB, true)
local driver = require "spec.unit.transform_driver"
local C = lib.load()

lib.declare { "kafka", "sink", "mailbox", "source", "transaction" }
lib.cdef("mock", [[
rd_kafka_conf_t *rd_kafka_conf_new(void);
int rd_kafka_conf_set(rd_kafka_conf_t *, const char *, const char *, char *, size_t);
rd_kafka_t *rd_kafka_new(int, rd_kafka_conf_t *, char *, size_t);
void rd_kafka_destroy(rd_kafka_t *);
int rd_kafka_version(void);
int rd_kafka_fatal_error(rd_kafka_t *, char *, size_t);
struct mock;
struct mock *rd_kafka_mock_cluster_new(rd_kafka_t *, int);
void rd_kafka_mock_cluster_destroy(struct mock *);
const char *rd_kafka_mock_cluster_bootstraps(struct mock *);
int rd_kafka_mock_topic_create(struct mock *, const char *, int, int);
void rd_kafka_mock_topic_set_error(struct mock *, const char *, int);
void rd_kafka_mock_push_request_errors_array(struct mock *, int16_t, size_t, const int *);
void rd_kafka_mock_clear_request_errors(struct mock *, int16_t);
int rd_kafka_mock_broker_set_rtt(struct mock *, int32_t, int);
int rd_kafka_mock_broker_set_down(struct mock *, int32_t);
int rd_kafka_mock_broker_set_up(struct mock *, int32_t);
int rd_kafka_mock_set_apiversion(struct mock *, int16_t, int16_t, int16_t);
struct mock_list;
struct mock_list *rd_kafka_topic_partition_list_new(int);
void rd_kafka_topic_partition_list_destroy(struct mock_list *);
struct mock_element { char *topic; int32_t partition; int64_t offset; };
struct mock_element *rd_kafka_topic_partition_list_add(struct mock_list *, const char *, int32_t);
int rd_kafka_assign(rd_kafka_t *, struct mock_list *);
struct mock_message { int err; void *rkt; int32_t partition; char *payload; size_t len; char *key; size_t key_len; int64_t offset; };
struct mock_message *rd_kafka_consumer_poll(rd_kafka_t *, int);
void rd_kafka_message_destroy(struct mock_message *);
void *rd_kafka_consumer_group_metadata_new_with_genid(const char *, int32_t, const char *, const char *);
void rd_kafka_consumer_group_metadata_destroy(void *);
struct group_stub { int owns, member, found, unanswered; uint64_t serial; int owned, groups, compares; } group_stub;
const struct source_hooks group_hooks;
struct calls_stub { char trace[4096]; rd_kafka_t *newest[2]; int version, assign_ms, unseen; } calls_stub;
size_t rd_kafka_queue_length(void *);
void *rd_kafka_queue_get_consumer(rd_kafka_t *);
void rd_kafka_queue_destroy(void *);
int rd_kafka_consumer_close(rd_kafka_t *);
const rd_kafka_conf_t *rd_kafka_conf(rd_kafka_t *);
int rd_kafka_conf_get(const rd_kafka_conf_t *, const char *, char *, size_t *);
int pthread_create(unsigned long *, const void *, void *(*)(void *), void *);
int pthread_join(unsigned long, void **);
]])

C.log_init(C.LOG_LEVEL_ERROR) -- what the specs provoke is all that it would say

local mock = { PRODUCE = 0, END_TXN = 26, ADD_PARTITIONS = 24, ADD_OFFSETS = 25, TXN_OFFSET_COMMIT = 28, INIT = 22, METADATA = 3,
   TRANSPORT = -195, C = C, driver = driver, group = stub.group_stub, calls = stub.calls_stub, hooks = stub.group_hooks,
   stub = stub } -- a library that nobody refers to is unloaded

local function client(kind, settings)
   local conf = C.rd_kafka_conf_new()
   settings.log_level = "0"
   for name, value in pairs(settings) do assert(C.rd_kafka_conf_set(conf, name, value, nil, 0) == 0, name) end
   local rk = C.rd_kafka_new(kind, conf, nil, 0)
   assert(rk ~= nil)
   return rk
end

-- A property as the newest handle made by onced has it; kind: 0 producer, 1 consumer.
function mock.property(kind, name)
   local text, size = ffi.new "char[512]", ffi.new("size_t[1]", 512)
   if C.rd_kafka_conf_get(C.rd_kafka_conf(mock.calls.newest[kind]), name, text, size) == 0 then return ffi.string(text) end
end

-- The calls into librdkafka since the last time, without the flush that commit does itself.
function mock.trace()
   local text = ffi.string(mock.calls.trace):gsub(" $", ""):gsub("commit flush", "commit")
   mock.calls.trace[0] = 0
   return text
end

local Cluster, Sink = {}, {}
Cluster.__index, Sink.__index = Cluster, Sink

-- Before 2.1.0 the mock names broker 0 as its controller, which it hasn't, and every admin request waits for it in vain. The cluster begins
-- with its id's text and its owner; the controller's number follows.
local function controller_set(handle)
   local head = ffi.cast("struct { char id[32]; void *owner; int32_t controller; } *", handle)
   if ffi.string(head.id, 11) == "mockCluster" and head.controller == 0 then head.controller = 1 end
end

function mock.cluster(brokers)
   local host = client(0, {})
   local handle = C.rd_kafka_mock_cluster_new(host, brokers or 1)
   controller_set(handle)
   return setmetatable({ host = host, handle = handle, bootstrap = ffi.string(C.rd_kafka_mock_cluster_bootstraps(handle)) }, Cluster)
end

function Cluster:free()
   C.rd_kafka_mock_cluster_destroy(self.handle)
   C.rd_kafka_destroy(self.host)
end

function Cluster:topic(name, partitions)
   assert(C.rd_kafka_mock_topic_create(self.handle, name, partitions or 1, 1) == 0)
   return name
end

-- The next requests of this key get these error codes (TRANSPORT: the connection is closed), whichever broker they go to.
function Cluster:push(key, ...)
   local codes = { ... }
   C.rd_kafka_mock_push_request_errors_array(self.handle, key, #codes, ffi.new("int[?]", #codes, codes))
end

function Cluster:push_many(key, code, count)
   local codes = ffi.new("int[?]", count)
   for i = 0, count - 1 do codes[i] = code end
   C.rd_kafka_mock_push_request_errors_array(self.handle, key, count, codes)
end

function Cluster:clear(key) C.rd_kafka_mock_clear_request_errors(self.handle, key) end

-- Every answer of broker 1 takes so long. (Errors with a delay of their own would hide what `push` pushes, for good.)
function Cluster:slow(ms) assert(C.rd_kafka_mock_broker_set_rtt(self.handle, 1, ms) == 0) end

function Cluster:down(broker) C.rd_kafka_mock_broker_set_down(self.handle, broker or 1) end
function Cluster:up(broker) C.rd_kafka_mock_broker_set_up(self.handle, broker or 1) end

-- The values in a partition, aborted ones too, in order.
function Cluster:values(topic, partition)
   local rk = client(1, { ["bootstrap.servers"] = self.bootstrap, ["group.id"] = "reader", ["enable.partition.eof"] = "true",
      ["isolation.level"] = "read_uncommitted" })
   local list, found = C.rd_kafka_topic_partition_list_new(1), {}
   C.rd_kafka_topic_partition_list_add(list, topic, partition or 0).offset = -2
   assert(C.rd_kafka_assign(rk, list) == 0)
   C.rd_kafka_topic_partition_list_destroy(list)
   local deadline = process.now() + 10000
   repeat
      local m, at_end = C.rd_kafka_consumer_poll(rk, 100), false
      if m ~= nil then
         if m.err == 0 then found[#found + 1] = ffi.string(m.payload, m.len) end
         at_end = m.err == -191
         C.rd_kafka_message_destroy(m)
      end
      assert(process.now() < deadline, "no end of the log")
   until at_end
   C.rd_kafka_destroy(rk)
   return found
end

local CHOICE = { stop = 0, skip = 1, dlq = 2 }

-- options: topics (default {"out"}), inputs, timeout (transaction's, default 3000), kafka = {property = value}, on_error, compression
function Cluster:pipeline(options)
   options = options or {}
   local p, keep = ffi.new "struct config_pipeline", {}
   local function text(s)
      local copy = ffi.new("char[?]", #s + 1, s)
      keep[#keep + 1] = copy
      return ffi.cast("const char *", copy)
   end
   local function array(kind, n)
      keep[#keep + 1] = ffi.new(kind .. "[?]", n + 1)
      return keep[#keep]
   end
   p.transform.script = text "orders.lua"
   p.name, p.group, p.instance, p.dlq_topic = text "orders", text "orders", text "spec", -1
   local topics = options.topics or { "out" }
   local inputs = options.inputs or {}
   p.input.topics, p.input.topic_count = array("const char *", #inputs), #inputs
   for i, name in ipairs(inputs) do p.input.topics[i - 1] = text(name) end
   p.topics, p.topic_count = array("struct config_topic", #topics), #topics
   for i, name in ipairs(topics) do p.topics[i - 1].name, p.topics[i - 1].compression = text(name), text(options.compression or "none") end
   local properties = { { "bootstrap.servers", self.bootstrap }, { "log_level", "0" } }
   for name, value in pairs(options.kafka or {}) do properties[#properties + 1] = { name, value } end
   p.both.items, p.both.count = array("struct config_property", #properties), #properties
   for i, pair in ipairs(properties) do p.both.items[i - 1].name, p.both.items[i - 1].value = text(pair[1]), text(pair[2]) end
   p.transaction.timeout_ms, p.transaction.max_records, p.transaction.max_bytes = options.timeout or 3000, 1000, 1000000
   p.input.session_timeout_ms = 15000
   p.on_error = CHOICE[options.on_error or "stop"]
   return p, keep
end

function Cluster:sink(options)
   local self_ = setmetatable({ cluster = self, e = ffi.new "struct err", id = "onced.orders.spec.0", stats = C.stats_new() }, Sink)
   self_.pipeline, self_.keep = self:pipeline(options)
   self_.handle = C.sink_new(self_.pipeline, self_.id, self_.stats, self_.e)
   return self_
end

-- Writes values to a topic, in one transaction of another producer.
function Cluster:write(topic, values)
   local s = self:sink { topics = { topic } }
   assert(s:open() == "OK", s:text())
   local batch = s:batch(values)
   assert(s:begin() == "OK" and s:send(batch) == "OK" and s:commit() == "OK", s:text())
   s:free()
end

local function verdict(v) return ffi.string(C.verdict_name(v)) end

function Sink:text() return ffi.string(self.e.text) end
function Sink:code() return self.e.code end
function Sink:open() return verdict(C.sink_open(self.handle, self.e)) end
function Sink:begin() return verdict(C.sink_begin(self.handle, self.e)) end
-- Sends what is left of the batch behind `sent` outputs (a counter of the caller's, or none).
function Sink:send(batch, sent) return verdict(C.sink_send(self.handle, batch, sent or ffi.new "int32_t[1]", self.e)) end
function Sink:flush(ms) return verdict(C.sink_flush(self.handle, ms or 3000, self.e)) end
function Sink:commit(ms) return verdict(C.sink_commit(self.handle, ms or 3000, self.e)) end
function Sink:abort() return verdict(C.sink_abort(self.handle, self.e)) end

function Sink:offsets(batch)
   local names = ffi.new("const char *[1]", ffi.cast("const char *", "in"))
   local group = C.rd_kafka_consumer_group_metadata_new_with_genid("orders", 1, "member", nil)
   local v = C.sink_offsets(self.handle, batch, names, ffi.cast("struct rd_kafka_consumer_group_metadata_s *", group), self.e)
   C.rd_kafka_consumer_group_metadata_destroy(group)
   return verdict(v)
end

-- Why the handle has to be replaced, nil: it needn't; and the cause's name.
local CAUSES = { [0] = "start", "tainted", "aborted", "fenced", "unknown" }
function Sink:stale()
   local cause = ffi.new "enum sink_cause[1]"
   local why = C.sink_stale(self.handle, cause)
   if why ~= nil then return ffi.string(why), CAUSES[tonumber(cause[0])] end
end

function Sink:recreated()
   local found = {}
   for i = 0, 4 do
      local n = tonumber(self.stats.recreated[i])
      if n > 0 then found[CAUSES[i]] = n end
   end
   return found
end

-- A batch whose outputs are `values` (strings, or {value, key=, partition=, topic=index}), one source record each, at offset 10 of `in`.
function Sink:batch(values)
   local batch, count = driver.batch { inputs = { "in" } }, ffi.new "int[1]"
   self.batches = self.batches or {}
   table.insert(self.batches, batch)
   batch.lent.output_topics = C.sink_topics(self.handle, count)
   batch.lent.output_topic_count = count[0]
   for i, value in ipairs(values) do
      local given = type(value) == "table" and value or { value }
      driver.add(batch, { value = given[1], key = given.key, offset = 9 + i })
      local r, o = batch.lent.records[i - 1], C.batch_output(batch)
      o.key_data, o.key_size, o.value_data, o.value_size = r.key_data, r.key_size, r.value_data, r.value_size
      o.time, o.source, o.partition, o.topic_index, o.header_count = 1700000000000, i - 1, given.partition or -1, given.topic or 0, 0
   end
   batch.transformed = #values
   local o = C.batch_offset(batch, 0, 0)
   o.before, o.next = 10, 10 + #values
   return batch
end

function Sink:stop()
   if not self.thread then return end
   C.mailbox_stop(self.mailbox)
   ffi.C.pthread_join(self.thread[0], nil)
   C.mailbox_free(ffi.new("struct mailbox *[1]", self.mailbox))
   self.thread = nil
end

function Sink:free()
   self:stop()
   C.sink_free(ffi.new("struct sink *[1]", self.handle))
   for _, batch in ipairs(self.batches or {}) do driver.free_batch(batch) end
   C.stats_free(self.stats)
end

-- Starts the back thread on this sink; the group answers as told (mock.group's fields).
function Sink:back(answers)
   ffi.fill(mock.group, ffi.sizeof "struct group_stub")
   mock.group.owns, mock.group.member, mock.group.serial, mock.group.found = 1, 1, 1, C.FOUND_OTHER
   for name, value in pairs(answers or {}) do mock.group[name] = value end
   self.mailbox, self.thread = C.mailbox_new(), ffi.new "unsigned long[1]"
   self.transaction = ffi.new "struct transaction"
   local t = self.transaction
   t.pipeline, t.sink, t.mailbox, t.stats = self.pipeline, self.handle, self.mailbox, self.stats
   assert(ffi.C.pthread_create(self.thread, nil, C.transaction_run, t) == 0)
end

local RESULTS = { [0] = "COMMITTED", "DROPPED", "SPENT", "HALTED" }

function Sink:put(batch) C.mailbox_put(self.mailbox, batch, 0, nil) end

-- What became of the batch, and the text; "UNDERWAY" after `seconds`.
function Sink:collect(seconds)
   local result = ffi.new "enum mailbox_result[1]"
   local deadline = process.now() + (seconds or 15) * 1000
   repeat
      if C.mailbox_collect(self.mailbox, 100, result, self.e) ~= nil then return RESULTS[tonumber(result[0])], self:text() end
   until process.now() >= deadline
   return "UNDERWAY"
end

-- Hands a batch over and waits for its end.
function Sink:bring(batch, seconds)
   self:put(batch)
   return self:collect(seconds)
end

return mock
