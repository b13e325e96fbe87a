-- SPDX-License-Identifier: MIT
-- out.NAME:send and what a hook returns, appended to the batch's array of outputs. Everything is checked before the output is
-- counted: a script may catch the error and go on, and must not leave half a record behind.
local ffi = require "ffi"
local border = require "onced.border"
local document = require "onced.document"
local headers = require "onced.headers"
local record = require "onced.record"
local suggest = require "onced.suggest"

local C, turn, failure, raise, null = border.C, border.turn, border.failure, border.raise, border.null
local View, source = record.View, record.source
local istype, max, floor, type, getmetatable, rawget = ffi.istype, math.max, math.floor, type, getmetatable, rawget
local output = {}

local OVERHEAD = border.host.overhead -- bytes that a record costs besides key, value and headers
local MOST = 2 ^ 53
local NO_HEADERS = { headers = nil, header_count = 0 } -- an output without static ones

local function check_size(topic, bytes)
  local most = topic.max_message_bytes
  if most > 0 and bytes + OVERHEAD > most then
    raise("too-large", ("a record of %d bytes doesn't fit topic %s (max.message.bytes %d)"):format(bytes, ffi.string(topic.name), most))
  end
end

-- Forwarded headers aren't parsed to be measured unless key and value alone fill half of what the topic takes; the rest is the
-- broker's to refuse (transform_refuse).
local function check_forwarded(topic, bytes, index)
  if topic.max_message_bytes > 0 and 2 * (bytes + OVERHEAD) > topic.max_message_bytes then
    local first, count = record.headers(index)
    check_size(topic, bytes + headers.merge(first, count, NO_HEADERS).bytes)
  end
end

-- The struct behind the last output; it counts only after append.
local function next_output(batch)
  local count = batch.output_count
  if count - turn.mark >= turn.outputs_per_record * (turn.current_last - turn.current) then
    raise("limit", ("more than %d output%s for a record (transform.limits.outputs_per_record)"):format(
      turn.outputs_per_record, turn.outputs_per_record == 1 and "" or "s"))
  end
  if count == batch.output_capacity and C.onced_outputs_more(batch, failure) ~= 0 then border.check() end
  return batch.outputs + count
end

local function append(batch, bytes)
  batch.output_count = batch.output_count + 1
  batch.bytes = batch.bytes + bytes
end

-- The source's own headers, or those and the output's static ones. Returns the bytes they add to what is known of the record.
local function inherit_headers(to, topic, o, bytes, index)
  if to.header_count == 0 then
    check_forwarded(topic, bytes, index)
    o.header_count = -1
    return 0
  end
  local first, count = record.headers(index)
  local merged = headers.merge(first, count, to)
  check_size(topic, bytes + merged.bytes)
  o.headers, o.header_count = merged.list, merged.count
  return merged.bytes
end

local function inherit_time(o, r)
  if r.time >= 0 then o.time = r.time else o.time = turn.now_ms end
end

-- A record as it came: pointers, no bytes; or with its value edited, which lies in the arena.
local function forward(to, topic_index, view)
  local r = source(view)
  local batch = turn.batch
  local data, size = document.value(view, r)
  local o = next_output(batch)
  local bytes = max(r.key_size, 0) + max(size, 0)
  bytes = bytes + inherit_headers(to, batch.output_topics + topic_index, o, bytes, view._index)
  o.key_data, o.key_size = r.key_data, r.key_size
  o.value_data, o.value_size = data, size
  inherit_time(o, r)
  o.partition, o.topic_index, o.source = -1, topic_index, view._index
  append(batch, bytes)
end

local function check_bytes(what, name)
  local kind = type(what)
  if kind == "string" then return end
  if kind == "table" then raise("error", name .. " is a table: onced.json.encode makes a string of it") end
  raise("error", ("%s must be a string, is a %s%s"):format(name, kind, kind == "number" and ": use tostring()" or ""))
end

local function check_whole(what, name)
  if type(what) ~= "number" or floor(what) ~= what or what < 0 or what >= MOST then
    raise("error", ("%s must be a whole number from 0, is %s"):format(name, tostring(what)))
  end
end

-- A partition beyond those that are known may be new: the brokers are asked before a record fails for it.
local function check_partition(topic, topic_index, partition)
  check_whole(partition, "partition")
  local count = topic.partition_count
  if count > 0 and partition >= count and partition < 2 ^ 31 then count = max(count, C.onced_partitions(turn.batch, topic_index)) end
  if partition >= 2 ^ 31 or count > 0 and partition >= count then
    raise("partition", ("there is no partition %.0f: topic %s has %d"):format(partition, ffi.string(topic.name), count))
  end
end

local function place_bytes(batch, o, prefix_key, what)
  if prefix_key then
    if what == null then o.key_data, o.key_size = nil, -1 else o.key_data, o.key_size = headers.copy(batch, what), #what end
  elseif what == null then
    o.value_data, o.value_size = nil, -1
  else
    o.value_data, o.value_size = headers.copy(batch, what), #what
  end
end

-- Fields that a script gave: key, value, timestamp, partition of `given`, `list` of headers; nil: as the source record `r` has it.
-- `index` is that of the source, `own_headers` says that it has none to inherit.
local function compose(to, topic_index, given, list, r, index)
  local batch = turn.batch
  local topic = batch.output_topics + topic_index
  local key, value, partition, time = given.key, given.value, given.partition, given.timestamp
  if key ~= nil and key ~= null then check_bytes(key, "key") end
  if value ~= nil and value ~= null then check_bytes(value, "value") end
  if partition ~= nil then check_partition(topic, topic_index, partition) end
  if time ~= nil then check_whole(time, "timestamp") end
  local o = next_output(batch) -- behind all that may run code of the script's, which could send
  if key == nil then o.key_data, o.key_size = r.key_data, r.key_size else place_bytes(batch, o, true, key) end
  if value == nil then o.value_data, o.value_size = r.value_data, r.value_size else place_bytes(batch, o, false, value) end
  local bytes = max(o.key_size, 0) + max(o.value_size, 0)
  if list then
    local placed = headers.place(list, to)
    o.headers, o.header_count = placed.list, placed.count
    bytes = bytes + placed.bytes
    check_size(topic, bytes)
  else
    bytes = bytes + inherit_headers(to, topic, o, bytes, index)
  end
  if time then o.time = time else inherit_time(o, r) end
  o.partition, o.topic_index, o.source = partition or -1, topic_index, index
  append(batch, bytes)
end

local NONE = {}

-- A table record inherits the timestamp alone; key and headers are what it says.
local plain = {}

local function send_table(to, topic_index, given)
  record.check_fields(given)
  local value = given.value
  if value == nil then raise("error", "value is missing: a record needs one (onced.null makes a tombstone)") end
  local key = given.key
  local index = turn.current_last - 1
  local partition, timestamp, list = given.partition, given.timestamp, given.headers
  list = list ~= nil and headers.list(list) or NONE
  plain.key, plain.value, plain.partition, plain.timestamp = key == nil and null or key, value, partition, timestamp
  compose(to, topic_index, plain, list, turn.batch.records + index, index)
end

local function send_derived(to, topic_index, derived)
  local view, changes = rawget(derived, "_view"), rawget(derived, "_changes")
  local r = source(view)
  compose(to, topic_index, changes, changes.headers, r, view._index)
end

local function emit(to, topic_index, what)
  if istype(View, what) then return forward(to, topic_index, what) end
  if type(what) ~= "table" then raise("error", "only a record or a table can be sent, not a " .. type(what)) end
  local mark = getmetatable(what)
  if mark == "record" then return send_derived(to, topic_index, what) end
  if mark == "drop" or mark == "reject" then raise("error", "onced." .. mark .. " must be returned, it can't be sent") end
  return send_table(to, topic_index, what)
end

local function topic_of(to, vars)
  if not to.variable then
    if vars ~= nil then raise("output", ("outputs.%s has no variable in its topic"):format(to.name)) end
    return to.first_topic
  end
  local value = type(vars) == "table" and vars[to.variable]
  if not value then
    raise("output", ("outputs.%s needs its variable: out.%s:send(rec, {%s = ...})"):format(to.name, to.name, to.variable))
  end
  local topic_index = to.topics[value]
  if not topic_index then
    local names = {}
    for name in pairs(to.topics) do names[#names + 1] = name end
    raise("output", ('outputs.%s: %s "%s" isn\'t listed%s'):format(to.name, to.variable, tostring(value), suggest(value, names)))
  end
  return topic_index
end

local function sender(to)
  local object = {}
  function object.send(self, what, vars)
    if self ~= object then raise("error", ("call it with a colon: out.%s:send(...)"):format(to.name)) end
    if turn.generation == 0 then raise("error", "nothing can be sent outside of process and process_batch") end
    emit(to, topic_of(to, vars), what)
  end
  return object
end

-- The `out` of the hooks, and the function that a returned record goes through. `declared` is transform.c's table of outputs.
function output.open(declared)
  local out, names, default = {}, {}, nil
  for _, to in ipairs(declared) do
    if to.variable then
      local topics = {}
      for i, value in ipairs(to.values) do topics[value] = to.first_topic + i - 1 end
      to.topics = topics
    end
    to.headers = ffi.cast("const struct onced_header *", to.headers)
    out[to.name] = sender(to)
    names[#names + 1] = to.name
    if to.name == "default" then default = to end
  end
  setmetatable(out, {
    __metatable = "out",
    __index = function(_, name) raise("output", ('there is no output "%s"%s'):format(tostring(name), suggest(name, names))) end,
    __newindex = function() raise("output", "outputs are declared in the pipeline file") end,
  })
  local function returned(what)
    if not default then raise("output", "a record was returned, but no output is named default: use out.NAME:send(rec)") end
    emit(default, topic_of(default), what)
  end
  return out, returned
end

return output
