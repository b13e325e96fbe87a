-- SPDX-License-Identifier: MIT
-- Batches and transforms for specs, without Kafka: the C structs are declared from the headers themselves, records have no message.
local ffi = require "ffi"
local lib = require "spec.unit.onced_lib"
local process = require "spec.support.process"
local driver = {}

ffi.cdef "int setenv(const char *, const char *, int); int unsetenv(const char *);"
lib.declare { "err", "log", "arena", "bridge", "batch", "config", "suspects", "stats", "failure", "transform" }
driver.C = lib.load()
local C = driver.C

-- Keeps what C structs point to alive as long as `owner`.
local anchors = setmetatable({}, { __mode = "k" })
local function anchor(owner, value)
  anchors[owner] = anchors[owner] or {}
  table.insert(anchors[owner], value)
  return value
end

local function bytes(owner, text)
  if text == nil then return nil, -1 end
  local copy = anchor(owner, ffi.new("char[?]", #text + 1, text))
  return ffi.cast("const char *", copy), #text
end

-- An array of structs; empty ones are NULL.
local function array(owner, kind, count)
  if count == 0 then return nil end
  return anchor(owner, ffi.new(kind .. "[?]", count))
end

function driver.batch(options)
  options = options or {}
  local batch = C.batch_new()
  local inputs = options.inputs or { "orders", "returns" }
  local names = array(batch, "const char *", #inputs)
  for i, name in ipairs(inputs) do names[i - 1] = bytes(batch, name) end
  batch.lent.input_topics, batch.lent.input_topic_count = names, #inputs
  local topics = options.topics or driver.TOPICS
  local outputs = array(batch, "struct onced_topic", #topics)
  for i, t in ipairs(topics) do
    local topic = outputs[i - 1]
    topic.name = bytes(batch, t.name or t)
    topic.max_message_bytes, topic.partition_count = t.max or 1000000, t.partitions or 4
  end
  batch.lent.output_topics, batch.lent.output_topic_count = outputs, #topics
  return batch
end

-- record: key, value (nil: null), topic (index, default 0), partition, offset, time, headers ({{name, value}, ...}, value nil: null)
function driver.add(batch, record)
  local headers = record.headers or {}
  local r, list = ffi.new "struct onced_record", ffi.new("struct onced_header[?]", #headers + 1)
  r.key_data, r.key_size = bytes(batch, record.key)
  r.value_data, r.value_size = bytes(batch, record.value)
  r.at, r.time = record.offset or batch.lent.record_count, record.time or 1700000000000
  r.topic_index, r.partition = record.topic or 0, record.partition or 0
  for i, pair in ipairs(headers) do
    list[i - 1].name, list[i - 1].name_size = bytes(batch, pair[1])
    list[i - 1].data, list[i - 1].data_size = bytes(batch, pair[2])
  end
  assert(C.batch_put(batch, r, list, #headers, ffi.new "struct err") == C.OK)
end

function driver.free_batch(batch)
  C.batch_free(ffi.new("struct batch *[1]", batch))
  anchors[batch] = nil
end

local function string_of(data, size)
  if size >= 0 then return ffi.string(data, size) end
end

-- The outputs as tables; null is nil, headers false when they are the source's own.
function driver.outputs(batch)
  local found = {}
  for i = 0, batch.lent.output_count - 1 do
    local o = batch.lent.outputs[i]
    local headers = o.header_count >= 0 and {}
    for h = 0, o.header_count - 1 do
      headers[h + 1] = { ffi.string(o.headers[h].name, o.headers[h].name_size), string_of(o.headers[h].data, o.headers[h].data_size) }
    end
    found[i + 1] = {
      key = string_of(o.key_data, o.key_size), value = string_of(o.value_data, o.value_size), headers = headers,
      time = tonumber(o.time), partition = o.partition, source = o.source,
      topic = ffi.string(batch.lent.output_topics[o.topic_index].name),
    }
  end
  return found
end

driver.TOPICS = { "plain", "audit", "orders-eu", "orders-us", "dead" }
driver.POLICY = { stop = 0, skip = 1, dlq = 2 }

local function strings(owner, list)
  local texts = array(owner, "const char *", #list)
  for i, text in ipairs(list) do texts[i - 1] = bytes(owner, text) end
  return texts, #list
end

local function set_outputs(pipeline, outputs)
  pipeline.outputs = array(pipeline, "struct config_output", #outputs)
  pipeline.output_count = #outputs
  for i, given in ipairs(outputs) do
    local o = pipeline.outputs[i - 1]
    o.name, o.topic, o.first_topic = bytes(pipeline, given.name), bytes(pipeline, given.name), given.first
    if given.variable then
      o.variable = bytes(pipeline, given.variable)
      o.values, o.value_count = strings(pipeline, given.values)
    end
    local headers = given.headers or {}
    o.headers, o.header_count = array(pipeline, "struct config_header", #headers), #headers
    for h, pair in ipairs(headers) do
      o.headers[h - 1].name, o.headers[h - 1].value = bytes(pipeline, pair[1]), bytes(pipeline, pair[2])
    end
  end
end

-- A pipeline whose script is `script` (text), in a folder of its own. Outputs: default, audit (static header), regional (eu, us).
function driver.pipeline(script, options)
  options = options or {}
  local folder = os.tmpname()
  os.remove(folder)
  assert(process.shell("mkdir " .. folder) == 0)
  local files = options.files or {}
  files["orders.lua"] = script
  for name, text in pairs(files) do
    if name:find "/" then os.execute("mkdir -p " .. folder .. "/" .. name:match "^(.*)/") end
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
    file:close()
  end
  local p = ffi.new "struct config_pipeline"
  p.name = bytes(p, "shop")
  p.transform.script = bytes(p, folder .. "/orders.lua")
  p.transform.params_json = bytes(p, options.params or "{}")
  p.transform.allow_json = bytes(p, options.allow or "[]")
  if options.data then p.transform.data_json, p.transform.data_size = bytes(p, options.data) end
  p.transform.memory_bytes = options.memory or 0
  p.transform.outputs_per_record = options.outputs_per_record or 1000
  p.transform.lua_path, p.transform.lua_path_count = strings(p, options.lua_path or {})
  set_outputs(p, options.outputs or {
    { name = "default", first = 0 },
    { name = "audit", first = 1, headers = { { "source", "onced" } } },
    { name = "regional", first = 2, variable = "region", values = { "eu", "us" } },
  })
  p.dlq_topic = options.dlq_topic or 4
  p.on_error, p.on_reject = driver.POLICY[options.on_error or "stop"], driver.POLICY[options.on_reject or "stop"]
  p.dlq_max_ratio, p.dlq_min, p.dlq_per_ms = options.max_ratio or 0, options.min or 20, options.per or 60000
  return p, folder
end

-- Loads a script. The object runs batches; nil and the error's text when the script can't be loaded.
function driver.load(script, options)
  local pipeline, folder = driver.pipeline(script, options)
  local e = ffi.new "struct err"
  local stats = options and options.stats or ffi.gc(C.stats_new(), C.stats_free)
  local t = C.transform_new(pipeline, options and options.worker or 0, stats, e)
  os.execute("rm -rf " .. folder)
  if t == nil then
    assert(e.verdict == C.HALT)
    return nil, ffi.string(e.text)
  end
  local self = { transform = t, pipeline = pipeline, stats = stats }
  -- Runs until `count` records (default: all) are through; nil, or the text of the halt.
  function self.run(batch, count)
    local stop = batch.transformed + (count or batch.lent.record_count - batch.transformed)
    while batch.transformed < stop do
      local before = batch.transformed
      local verdict = C.transform_run(t, batch, stop - batch.transformed, e)
      if verdict ~= C.OK then return ffi.string(e.text) end
      assert(batch.transformed > before, "no progress")
    end
  end
  function self.free() C.transform_free(ffi.new("struct transform *[1]", t)) end
  return self
end

-- What a batch will count at its commit: { [text] = amount } by kind.
function driver.counts(batch, stats)
  local kinds, found = { [0] = "dropped", "rejected", "counted" }, { dropped = {}, rejected = {}, counted = {} }
  for i = 0, batch.count_count - 1 do
    local count = batch.counts[i]
    local series = stats.series[count.series]
    local of_kind, text = found[kinds[series.kind]], ffi.string(series.text)
    of_kind[text] = (of_kind[text] or 0) + count.amount
  end
  return found
end

-- Runs `script` over records: outputs, the halt's text or nil, and the batch's tallies.
function driver.run(script, records, options)
  local t, message = driver.load(script, options)
  assert(t, message)
  local batch = driver.batch(options)
  for _, record in ipairs(records) do driver.add(batch, record) end
  local halt = t.run(batch)
  local found = driver.outputs(batch)
  local tally = {
    dropped = tonumber(batch.dropped), rejected = tonumber(batch.rejected), skipped = tonumber(batch.skipped),
    dead = tonumber(batch.dead_lettered), counts = driver.counts(batch, t.stats), transformed = batch.transformed, bytes = tonumber(batch.lent.bytes),
  }
  t.free()
  driver.free_batch(batch)
  return found, halt, tally
end

-- What is written to stderr while `work` runs: log lines.
function driver.stderr(work)
  ffi.cdef "int dup(int); int dup2(int, int); int close(int); int open(const char *, int, ...);"
  local path = os.tmpname()
  local file = ffi.C.open(path, 1) -- O_WRONLY
  local before = ffi.C.dup(2)
  ffi.C.dup2(file, 2)
  local ok, message = pcall(work)
  ffi.C.dup2(before, 2)
  ffi.C.close(before)
  ffi.C.close(file)
  local text = io.open(path):read "*a"
  os.remove(path)
  assert(ok, message)
  return text
end

return driver
