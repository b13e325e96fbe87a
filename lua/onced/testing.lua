-- SPDX-License-Identifier: MIT
-- A pipeline's transform on tables, without broker and daemon. What runs is the daemon's own code, config to policies, in a Lua state of
-- its own (daemon/rehearsal.c in libonced.so); here records are put in and what became of them is read. For specs, under LuaJIT.
local ffi = require "ffi"
local testing = {}

local VERSION = 1

-- --- the library ---------------------------------------------------------------------------------------------------------------------

local function exists(path)
  local file = io.open(path, "rb")
  return file and file:close()
end

-- ONCED_LIB; else as installed, PREFIX/share/onced/lua/onced beside PREFIX/lib/onced; else as built.
local function library()
  local folder = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "."
  for _, path in ipairs { os.getenv "ONCED_LIB" or "", folder .. "/../../../../lib/onced/libonced.so", folder .. "/../../build/libonced.so" } do
    if exists(path) then return path:find("/", 1, true) and path or "./" .. path end
  end
  error("onced.testing: libonced.so isn't found: ONCED_LIB must name it, `onced test` and `make build` see to it", 0)
end

-- busted loads modules anew for each file, but what was declared stays.
local function declare(header, struct)
  if not pcall(ffi.sizeof, struct) then ffi.cdef(require("onced." .. header)) end
end

local path = library()
local C = ffi.load(path, true) -- global, or the Lua half in it isn't found
declare("bridge", "struct onced_turn")
declare("rehearsal", "struct onced_rehearsal")
ffi.cdef "int setenv(const char *, const char *, int); int unsetenv(const char *);"
if C.ONCED_REHEARSAL_VERSION ~= VERSION then
  error(("onced.testing is of version %d, %s of %d: they come from different builds"):format(VERSION, path, C.ONCED_REHEARSAL_VERSION), 0)
end

-- What the Lua half expects of the daemon, so that specs, and scripts that they load themselves, may require "onced".
local turn = ffi.new "struct onced_turn"
package.loaded["onced.bridge"] = ""
package.loaded["onced.host"] = { version = C.ONCED_BRIDGE_VERSION, turn = turn, null = package.loadlib(path, "onced_null")() }
package.loaded["onced.metric"] = { counter = function() return { add = function() end } end } -- there is no record to count for
local json, headers, suggest = require "onced.json", require "onced.headers", require "onced.suggest"
local null = require("onced").null

-- Raises an error at the line of the spec that is to blame.
local here = debug.getinfo(1, "S").source
local function complain(text, ...)
  local level, info = 2, debug.getinfo(2, "S")
  while info and (info.source == here or info.what == "C") do
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  error(select("#", ...) > 0 and text:format(...) or text, level)
end

local function names_of(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  return names
end

local function check_names(given, known, what)
  for name in pairs(given) do
    if not known[name] then complain('%s: there is no "%s"%s', what, tostring(name), suggest(name, names_of(known))) end
  end
end

-- --- results -------------------------------------------------------------------------------------------------------------------------

local function text_of(data, size)
  if size >= 0 then return ffi.string(data, size) end
end

local Record = {}
local record_fields = { key = true, value = true, headers = true, timestamp = true, partition = true, topic = true, source = true }

-- The value at a JSON Pointer; nil: there is none.
function Record:get(pointer) return (json.get(self.value or complain "the value is null: there is no JSON in it", pointer)) end

function Record:json() return self:get "" end

-- The last header of that name.
function Record:header(name)
  for i = #self.headers, 1, -1 do
    if self.headers[i][1] == name then return self.headers[i][2] end
  end
end

local record_meta = {
  __index = function(_, name)
    if Record[name] then return Record[name] end
    if not record_fields[name] then
      local names = names_of(Record)
      for field in pairs(record_fields) do names[#names + 1] = field end
      complain('a record has no field "%s"%s', tostring(name), suggest(name, names))
    end
  end,
}

local function headers_of(batch, output)
  local first, count, list = output.headers, output.header_count, {}
  if count < 0 then -- the source's, as they came
    local found = ffi.new "struct onced_header *[1]"
    count = C.onced_record_headers(batch, output.source, found, ffi.new "const char *[1]")
    first = found[0]
  end
  for i = 0, count - 1 do
    list[i + 1] = { ffi.string(first[i].name, first[i].name_size), text_of(first[i].data, first[i].data_size) or null }
  end
  return list
end

local function record_of(batch, output)
  return setmetatable({
    key = text_of(output.key_data, output.key_size), value = text_of(output.value_data, output.value_size),
    headers = headers_of(batch, output), timestamp = tonumber(output.time),
    partition = output.partition >= 0 and output.partition or nil, -- nil: the partitioner's to choose
    topic = ffi.string(batch.output_topics[output.topic_index].name), source = output.source + 1,
  }, record_meta)
end

-- What became of each record, in words: why something isn't there.
local function describe(result)
  local lines = {}
  for _, list in ipairs { result.drops, result.rejects, result.errors } do
    for _, entry in ipairs(list) do lines[#lines + 1] = entry end
  end
  table.sort(lines, function(a, b) return a.record < b.record end)
  for i, entry in ipairs(lines) do
    local place = entry.place and entry.place .. ": " or ""
    local policy = entry.policy and (" (%s: %s)"):format(entry.reason and "on_reject" or "on_error", entry.policy) or ""
    lines[i] = ("\n  record %d %s: %s%s%s"):format(entry.record, entry.what, place, entry.reason or entry.message, policy)
  end
  if #lines > 10 then lines[11] = ("\n  ... and %d more"):format(#lines - 10) end
  if result.halt then lines[math.min(#lines, 11) + 1] = "\n  the pipeline has halted: " .. result.halt end
  return table.concat(lines, "", 1, math.min(#lines, 12))
end

-- An entry that isn't there is an error that tells why; #list says how many there are.
local function list_of(result, name, list)
  return setmetatable(list, {
    __index = function(_, index)
      if type(index) == "number" then complain("%s has %d entries, not %d%s", name, #list, index, describe(result)) end
    end,
  })
end

local result_meta = {
  __index = function(self, name)
    if name ~= "halt" then
      local names = names_of(self)
      names[#names + 1] = "halt"
      complain('a result has no field "%s"%s', tostring(name), suggest(name, names))
    end
  end,
  __tostring = function(self)
    local counts = {}
    for name, list in pairs(self.sent) do counts[#counts + 1] = ("%d sent to %s"):format(#list, name) end
    table.sort(counts)
    return table.concat(counts, ", ") .. describe(self)
  end,
}

local function outputs_into(result, handle)
  local batch, of_topic = handle.batch, {}
  for i = 0, handle.output_count - 1 do
    local output = handle.outputs[i]
    local name = ffi.string(output.name)
    result.sent[name] = list_of(result, "sent." .. name, {})
    for topic = output.first_topic, output.first_topic + output.topic_count - 1 do of_topic[topic] = result.sent[name] end
  end
  if handle.dlq_topic >= 0 then of_topic[handle.dlq_topic] = result.dead_letters end
  setmetatable(result.sent, {
    __index = function(sent, name) complain('there is no output "%s"%s', tostring(name), suggest(name, names_of(sent))) end,
  })
  for i = 0, batch.output_count - 1 do
    local list = of_topic[batch.outputs[i].topic_index]
    list[#list + 1] = record_of(batch, batch.outputs[i])
  end
end

local function said(self, note)
  local line = ffi.string(note.text, note.text_size)
  io.stderr:write(ffi.string(self.handle.name), ": ", line, "\n")
  return line
end

local function notes_into(result, self)
  local handle = self.handle
  for i = 0, handle.note_count - 1 do
    local note = handle.notes[i]
    local kind = ffi.string(note.kind)
    if kind == "said" then
      result.log[#result.log + 1] = said(self, note)
    elseif kind == "counted" then
      local name = ffi.string(note.text)
      result.metrics[name] = (result.metrics[name] or 0) + note.amount
    else
      local text = ffi.string(note.text, note.text_size)
      local policy, place = note.policy ~= nil and ffi.string(note.policy) or nil, note.place ~= nil and ffi.string(note.place) or nil
      local list = kind == "dropped" and result.drops or kind == "rejected" and result.rejects or result.errors
      for record = note.first + 1, note.last do
        list[#list + 1] = list == result.errors and { record = record, what = "failed", message = text, kind = kind, place = place, policy = policy }
          or { record = record, what = kind, reason = text, place = place, policy = policy }
      end
    end
  end
end

-- --- pipelines -----------------------------------------------------------------------------------------------------------------------

local Pipeline = {}
Pipeline.__index = Pipeline

local function alive(self) return self.handle or complain "the pipeline is closed" end

-- Loads the script anew, as the daemon's next start would; init runs again, after close.
function Pipeline:restart()
  local handle = alive(self)
  self.halted = nil
  C.onced_rehearsal_clear(handle)
  local failed = C.onced_rehearsal_start(handle, self.params, self.data, self.data and #self.data or 0) ~= 0
  for i = 0, handle.note_count - 1 do said(self, handle.notes[i]) end
  if failed then complain("%s: %s", self.file, ffi.string(handle.problem)) end
  return self
end

local function milliseconds(now)
  local ms = ffi.new "int64_t[1]"
  if type(now) == "number" and now >= 0 and now % 1 == 0 then return now end
  if type(now) == "string" and C.onced_rehearsal_time(now, ms) == 0 then return ms[0] end
  complain('now is a time such as "2026-01-31T10:00:00Z" or milliseconds since 1970, not %s', tostring(now))
end

-- Sets the clock, which then stands still.
function Pipeline:at(now)
  alive(self).now_ms = milliseconds(now)
  return self
end

-- Runs the script's close and lets go of everything.
function Pipeline:close()
  C.onced_rehearsal_free(ffi.gc(alive(self), nil))
  self.handle = nil
end

local input_fields = { key = true, value = true, headers = true, timestamp = true, partition = true, offset = true, topic = true }

local function topic_of(handle)
  for i = 0, handle.input_count - 1 do
    local topic = ffi.string(handle.inputs[i])
    if topic:sub(1, 1) ~= "^" then return topic end
  end
  complain "the pipeline's input topics are patterns: each record needs a topic"
end

local function bytes_of(what, value)
  if value == nil or value == null then return nil, -1 end
  if type(value) ~= "string" then complain("%s must be a string, is a %s", what, type(value)) end
  return value, #value
end

local function header_structs(given)
  local list = headers.list(given or {})
  local structs = ffi.new("struct onced_header[?]", #list + 1)
  for i, pair in ipairs(list) do
    local header = structs[i - 1]
    header.name, header.name_size = pair[1], #pair[1]
    header.data, header.data_size = bytes_of("a header", pair[2])
  end
  return structs, #list
end

local function add(self, given, number)
  local handle, what = self.handle, "record " .. number
  if type(given) ~= "table" then complain("%s must be a table such as {value = ...}, is a %s", what, type(given)) end
  check_names(given, input_fields, what)
  local topic, partition = given.topic or topic_of(handle), given.partition or 0
  local place = topic .. "/" .. partition
  local r = ffi.new "struct onced_record"
  r.partition, r.at = partition, given.offset or self.offsets[place] or 0
  r.key_data, r.key_size = bytes_of(what .. ": key", given.key)
  r.value_data, r.value_size = bytes_of(what .. ": value", given.value)
  r.time = given.timestamp or handle.now_ms >= 0 and handle.now_ms or C.onced_now()
  local structs, count = header_structs(given.headers)
  if C.onced_rehearsal_add(handle, topic, r, structs, count) ~= 0 then
    complain('%s: topic "%s": %s', what, topic, ffi.string(handle.problem))
  end
  self.offsets[place] = tonumber(r.at) + 1
end

-- Runs a record, or a list of them, through the transform, as one batch. What the script keeps in its variables stays for the next run.
-- After a halt the next run starts the pipeline anew.
function Pipeline:run(records)
  local handle, done = alive(self), ffi.new "int32_t[1]"
  if type(records) ~= "table" then complain "run needs a record such as {value = ...}, or a list of them" end
  if next(records) == nil then
    complain "an empty table is neither a record nor a list of them: {value = onced.null} is a record without key and value"
  end
  if self.halted then self:restart() end
  C.onced_rehearsal_clear(handle)
  for number, record in ipairs(records[1] ~= nil and records or { records }) do add(self, record, number) end
  self.halted = C.onced_rehearsal_run(handle, done) ~= 0 or nil
  local result = setmetatable({ sent = {}, log = {}, metrics = {} }, result_meta)
  for _, name in ipairs { "dead_letters", "drops", "rejects", "errors" } do result[name] = list_of(result, name, {}) end
  if self.halted then result.halt = ffi.string(handle.problem) end
  outputs_into(result, handle)
  notes_into(result, self)
  return result
end

-- --- loading -------------------------------------------------------------------------------------------------------------------------

-- Relative to the current directory, else to whichever spec asks.
local function find(name)
  if exists(name) or name:sub(1, 1) == "/" then return name end
  for level = 3, 20 do
    local info = debug.getinfo(level, "S")
    local folder = info and info.source:match "^@(.*/)[^/]*$"
    if folder and exists(folder .. name) then return folder .. name end
  end
  return name
end

local function with_environment(env, work)
  local before = {}
  for name, text in pairs(env) do
    before[name] = os.getenv(name) or false
    if text then ffi.C.setenv(name, text, 1) else ffi.C.unsetenv(name) end
  end
  local result = work()
  for name, text in pairs(before) do
    if text then ffi.C.setenv(name, text, 1) else ffi.C.unsetenv(name) end
  end
  return result
end

-- A JSON object with members replaced.
local function object_with(text, given)
  for name, value in pairs(given) do text = json.set(text, "/" .. name:gsub("~", "~0"):gsub("/", "~1"), value) end
  return text
end

local function topics_set(handle, given)
  local topics = {}
  for i = 0, handle.topic_count - 1 do topics[ffi.string(handle.topics[i].name)] = handle.topics[i] end
  check_names(given, topics, "topics")
  for name, limits in pairs(given) do
    check_names(limits, { partitions = true, max_message_bytes = true }, "topics." .. name)
    topics[name].partition_count = limits.partitions or topics[name].partition_count
    topics[name].max_message_bytes = limits.max_message_bytes or topics[name].max_message_bytes
  end
end

local OPTIONS = { params = true, data = true, now = true, env = true, service = true, topics = true }

-- Reads and checks a pipeline file, loads its script and runs init: an error says what is wrong. Options:
--   params   take the place of the file's ones of the same name, and are checked by the script's `params`
--   data     the same for ctx.data: {countries = {...}} instead of the file
--   now      where the clock stands, for ctx.now(), dead letters, and records without a timestamp: RFC 3339 or milliseconds; else it runs
--   env      {NAME = text, or false for none}: the environment that ${env:NAME} sees
--   service  a service file, for its lua_path
--   topics   {["orders-dlq"] = {partitions = 4, max_message_bytes = 1000}}: what brokers would say of an output's topic
function testing.load(name, options)
  options = options or {}
  check_names(options, OPTIONS, "testing.load")
  local file = find(name)
  if not exists(file) then complain("%s isn't there, neither here nor beside the spec", name) end
  local now = options.now and milliseconds(options.now) or -1
  local handle = with_environment(options.env or {}, function()
    return ffi.gc(C.onced_rehearsal_new(file, options.service), C.onced_rehearsal_free)
  end)
  if handle.problem ~= nil then complain("%s can't be used:\n%s", name, ffi.string(handle.problem)) end
  handle.now_ms = now
  topics_set(handle, options.topics or {})
  local data = handle.data_json ~= nil and ffi.string(handle.data_json, handle.data_size) or options.data and "{}" or nil
  local self = setmetatable({
    handle = handle, file = name, offsets = {}, params = object_with(ffi.string(handle.params_json), options.params or {}),
    data = object_with(data, options.data or {}),
  }, Pipeline)
  return self:restart()
end

return testing
