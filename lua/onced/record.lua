-- SPDX-License-Identifier: MIT
-- A consumed record as scripts see it: a view, eight bytes that name the record and the filling of the batch it belongs to. Every
-- access checks the latter, so a view that is kept too long is an error and never a stray read. Nothing is decoded unless asked for.
-- The view doesn't hold a pointer: a script can reach a struct's fields.
local ffi = require "ffi"
local border = require "onced.border"
local document = require "onced.document"
local headers = require "onced.headers"
local json = require "onced.json"
local suggest = require "onced.suggest"

local C, turn, failure = border.C, border.turn, border.failure
local text, istype, tonumber, next, setmetatable, rawget = ffi.string, ffi.istype, tonumber, next, setmetatable, rawget
local record = {}

local View = ffi.typeof "struct { const int32_t _index, _generation; }"
local Derived = { __metatable = "record" }
record.View, record.Derived = View, Derived

-- Methods can be called on anything, and only a view's fields can be trusted: a script can't make one.
local function source(view)
  if not istype(View, view) then border.raise("error", "this isn't a record: call its methods with a colon, rec:get(pointer)") end
  if view._generation ~= turn.generation or view._index >= turn.last then
    border.raise("error", "this record belongs to an earlier batch and is gone: keep its fields, not the record")
  end
  return turn.batch.records + view._index
end
record.source = source

local fields, methods = {}, {}

-- No tail calls to library functions below: a side trace can't be recorded through their return ("return to lower frame").
function fields.key(view)
  local r = source(view)
  if r.key_size < 0 then return nil end
  local key = text(r.key_data, r.key_size)
  return key
end

function fields.value(view)
  local data, size = document.value(view, source(view))
  if size < 0 then return nil end
  local value = text(data, size)
  return value
end

function fields.topic(view)
  local topic = text(turn.batch.input_topics[source(view).topic_index])
  return topic
end

function fields.partition(view) return source(view).partition end

function fields.offset(view)
  local offset = tonumber(source(view).at)
  return offset
end

function fields.timestamp(view)
  local timestamp = tonumber(source(view).time)
  return timestamp
end

local list = ffi.new "struct onced_header *[1]"

-- The parsed headers of a record: pointer and count.
function record.headers(index)
  local count = C.onced_record_headers(turn.batch, index, list, failure)
  if count < 0 then border.check() end
  return list[0], count
end

local function value_of(header)
  if header.data_size < 0 then return border.null end
  local value = text(header.data, header.data_size)
  return value
end

function methods.header(view, name)
  if type(name) ~= "string" then border.raise("error", "rec:header needs a name") end
  source(view)
  local header = C.onced_record_header(turn.batch, view._index, name, #name, failure)
  if header ~= nil then return value_of(header) end
  if failure[0] ~= nil then border.check() end
end

function methods.headers(view)
  source(view)
  local first, count = record.headers(view._index)
  local pairs_of = {}
  for i = 0, count - 1 do
    pairs_of[i + 1] = { text(first[i].name, first[i].name_size), value_of(first[i]) }
  end
  return pairs_of
end

local function names(of)
  local found = {}
  for _, t in ipairs(of) do
    for name in pairs(t) do found[#found + 1] = name end
  end
  return found
end

local GIVEN = { key = true, value = true, headers = true, timestamp = true, partition = true }

local function given(name)
  if not GIVEN[name] then
    border.raise("error", ('a record can\'t be given a field "%s"%s'):format(tostring(name), suggest(name, names { GIVEN })))
  end
end

-- A misspelt field would be lost in silence. Written out: a loop here would break the trace of the runner's.
function record.check_fields(t)
  local name = next(t)
  if name == nil then return end
  given(name)
  name = next(t, name)
  if name == nil then return end
  given(name)
  name = next(t, name)
  if name == nil then return end
  given(name)
  name = next(t, name)
  if name == nil then return end
  given(name)
  name = next(t, name)
  if name == nil then return end
  given(name)
end

local function either(changed, before)
  if changed ~= nil then return changed end
  return before
end

local function derived(view, base, changes)
  if type(changes) ~= "table" then border.raise("error", "rec:derive needs a table of changes, such as {value = ...}") end
  record.check_fields(changes)
  local copy = setmetatable({
    _view = view,
    _changes = {
      key = either(changes.key, base.key), value = either(changes.value, base.value),
      timestamp = either(changes.timestamp, base.timestamp), partition = either(changes.partition, base.partition),
      headers = changes.headers ~= nil and headers.list(changes.headers) or base.headers,
    },
  }, Derived)
  return copy
end

local NOTHING = {}

-- What is derived from an edited record keeps the value of that moment.
function methods.derive(view, changes)
  source(view)
  if document.edited.generation == view._generation then return derived(view, { value = view.value }, changes) end
  return derived(view, NOTHING, changes)
end

-- The value at a JSON Pointer; nil: there is none.
function methods.get(view, pointer)
  local found = document.get(view, source(view), pointer)
  return found
end

-- Changes the record's JSON at a pointer; all other bytes stay as they came.
function methods.set(view, pointer, value)
  document.set(view, source(view), pointer, value)
  return view
end

function methods.remove(view, pointer)
  document.remove(view, source(view), pointer)
  return view
end

-- The whole value, decoded.
function methods.json(view)
  local found = document.get(view, source(view), "")
  return found
end

local function unknown(name)
  border.raise("error", ('a record has no field "%s"%s'):format(tostring(name), suggest(name, names { fields, methods })))
end

local function unchangeable()
  border.raise("error", "a record can't be changed: rec:derive{value = ...} makes a changed copy, rec:set(pointer, value) edits its JSON")
end

local function describe(view)
  if view._generation ~= turn.generation then return "record (gone)" end
  return ("record (topic %s, partition %d, offset %d)"):format(view.topic, view.partition, view.offset)
end

ffi.metatype(View, {
  __index = function(view, name)
    local field = fields[name]
    if field then return field(view) end
    return methods[name] or unknown(name)
  end,
  __newindex = unchangeable,
  __tostring = describe,
})

-- A derived record reads like the record it came from, with the changes on top.
local derived_methods = {}

function derived_methods.headers(self)
  local changed = self._changes.headers
  if not changed then return self._view:headers() end
  local copy = {}
  for i, pair in ipairs(changed) do copy[i] = { pair[1], pair[2] } end
  return copy
end

function derived_methods.header(self, name)
  local changed = self._changes.headers
  if not changed then return self._view:header(name) end
  for i = #changed, 1, -1 do
    if changed[i][1] == name then return changed[i][2] end
  end
end

local function json_of(self)
  local value = self.value
  if value == nil then border.raise("json", "the record's value is null (a tombstone): there is no JSON in it") end
  return value
end

function derived_methods.get(self, pointer) return (json.get(json_of(self), pointer)) end
function derived_methods.json(self) return (json.get(json_of(self), "")) end

function derived_methods.set(self, pointer, value)
  self._changes.value = json.set(json_of(self), pointer, value)
  return self
end

function derived_methods.remove(self, pointer)
  self._changes.value = json.remove(json_of(self), pointer)
  return self
end

function derived_methods.derive(self, changes) return derived(self._view, self._changes, changes) end

function Derived.__index(self, name)
  local method = derived_methods[name]
  if method then return method end
  local changes = rawget(self, "_changes")
  local changed = changes[name]
  if changed == nil then
    local view = rawget(self, "_view")
    if name ~= "value" then return view[name] end
    local r = source(view) -- as it came: later edits of the record aren't this one's
    return r.value_size >= 0 and text(r.value_data, r.value_size) or nil
  end
  if changed == border.null then return nil end
  return changed
end

Derived.__newindex = unchangeable
function Derived.__tostring(self) return "derived " .. describe(self._view) end

return record
