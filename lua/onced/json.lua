-- SPDX-License-Identifier: MIT
-- JSON text and Lua values. The text is read and written in C (bridge.h); here is what Lua adds: tables that remember whether they were
-- arrays or maps, null as a value, integers beyond 2^53 as 64-bit cdata. Called by record and document, and by scripts as onced.json.
local ffi = require "ffi"
local border = require "onced.border"

local C, raise, null = border.C, border.raise, border.null
local text_of, istype, cast, tonumber, type, getmetatable, setmetatable = ffi.string, ffi.istype, ffi.cast, tonumber, type, getmetatable, setmetatable
local next, rawget, sort, concat = next, rawget, table.sort, table.concat
local json = {}

local MISSING, NULL, FALSE, TRUE = C.ONCED_JSON_MISSING, C.ONCED_JSON_NULL, C.ONCED_JSON_FALSE, C.ONCED_JSON_TRUE
local STRING, ARRAY, OBJECT, NUMBER = C.ONCED_JSON_STRING, C.ONCED_JSON_ARRAY, C.ONCED_JSON_OBJECT, C.ONCED_JSON_NUMBER
local INT64, UINT64 = C.ONCED_JSON_INT64, C.ONCED_JSON_UINT64
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local DEPTH_MOST = 1000
local KEEP = 2 ^ 20 -- bytes of a writer that are kept for the next text

local Array, Map = { __metatable = "array" }, { __metatable = "map" }

-- A document of C's; `document.lua` keeps one for records.
function json.document()
  local doc = C.onced_json_new()
  if doc == nil then raise("memory", "out of memory") end
  return ffi.gc(doc, C.onced_json_free)
end

-- Raises what the document's last call failed with.
local function failed(doc, what)
  local at = tonumber(doc.error_at)
  raise("json", at < 0 and ("%s: %s"):format(what, text_of(doc.error)) or ("%s at byte %d: %s"):format(what, at + 1, text_of(doc.error)))
end
json.failed = failed

function json.open(doc, data, size)
  if C.onced_json_open(doc, data, size) ~= 0 then failed(doc, "invalid JSON") end
end

-- --- reading -------------------------------------------------------------------------------------------------------------------------

local container

-- The value that onced_json_get or _value found; the document's fields tell the rest.
local function found(doc, kind)
  if kind == STRING then
    local value = text_of(doc.data, doc.data_size)
    return value
  elseif kind == NUMBER then
    return doc.number
  elseif kind == MISSING then
    return nil
  elseif kind == NULL then
    return null
  elseif kind == TRUE then
    return true
  elseif kind == FALSE then
    return false
  elseif kind == INT64 then
    return doc.integer
  elseif kind == UINT64 then
    return cast(uint64, doc.integer)
  elseif kind == ARRAY or kind == OBJECT then
    return container(doc, doc.node, kind)
  end
  failed(doc, "invalid JSON")
end
json.found = found

function container(doc, node, kind)
  local nodes = doc.nodes
  local child, stop = node + 1, nodes[node].next
  if kind == ARRAY then
    local list, count = setmetatable({}, Array), 0
    while child < stop do
      count = count + 1
      list[count] = found(doc, C.onced_json_value(doc, child))
      child = nodes[child].next
    end
    return list
  end
  local map = setmetatable({}, Map)
  while child < stop do
    C.onced_json_value(doc, child)
    local name = text_of(doc.data, doc.data_size)
    map[name] = found(doc, C.onced_json_value(doc, child + 1))
    child = nodes[child + 1].next
  end
  return map
end

-- The text of cdata that stands for JSON, pointer and size; data.lua knows some.
function json.foreign() end

-- --- writing -------------------------------------------------------------------------------------------------------------------------

local path = {} -- of keys, to the value that is being written

local function refuse(depth, problem)
  local parts = {}
  for i = 1, depth do parts[i] = "/" .. tostring(path[i]):gsub("~", "~0"):gsub("/", "~1") end
  local where = concat(parts)
  raise("error", (where == "" and "the value" or where) .. " " .. problem)
end

local put

local function checked(doc, status)
  if status ~= 0 then raise("memory", text_of(doc.error)) end
end

local function put_raw(doc, raw) checked(doc, C.onced_json_put(doc, raw, #raw)) end

local function put_array(doc, list, depth)
  local count, keys = #list, 0
  for _ in next, list do keys = keys + 1 end
  if keys ~= count then refuse(depth, "is an array with holes or with other keys than 1 to its length: JSON has no such value") end
  put_raw(doc, "[")
  for i = 1, count do
    if i > 1 then put_raw(doc, ",") end
    path[depth + 1] = i - 1
    put(doc, list[i], depth + 1)
  end
  put_raw(doc, "]")
end

-- Sorted, so that the same table always makes the same text. Few names are the rule, and table.sort isn't compiled.
local function names_of(map, depth)
  local names, count = {}, 0
  for name in next, map do
    if type(name) ~= "string" then
      refuse(depth, ("has a key that is a %s: a map's keys are strings, an array's 1 to its length"):format(type(name)))
    end
    count = count + 1
    names[count] = name
  end
  if count > 16 then
    sort(names)
    return names, count
  end
  for i = 2, count do
    local name, at = names[i], i - 1
    while at > 0 and names[at] > name do
      names[at + 1] = names[at]
      at = at - 1
    end
    names[at + 1] = name
  end
  return names, count
end

local function put_string(doc, value, depth, what)
  if C.onced_json_put_string(doc, value, #value) ~= 0 then
    local at = tonumber(doc.error_at)
    refuse(depth, ("%s: %s%s"):format(what, text_of(doc.error), at >= 0 and (" at its byte %d"):format(at + 1) or ""))
  end
end

local function put_map(doc, map, depth)
  local names, count = names_of(map, depth)
  put_raw(doc, "{")
  for i = 1, count do
    local name = names[i]
    if i > 1 then put_raw(doc, ",") end
    put_string(doc, name, depth, "has a key that can't be written")
    put_raw(doc, ":")
    path[depth + 1] = name
    put(doc, map[name], depth + 1)
  end
  put_raw(doc, "}")
end

local function put_table(doc, t, depth)
  if depth >= DEPTH_MOST then refuse(3, ("... is nested deeper than %d: does a table contain itself?"):format(DEPTH_MOST)) end
  local mark = getmetatable(t)
  if mark == "array" then return put_array(doc, t, depth) end
  if type(mark) == "string" and mark ~= "map" then refuse(depth, ("is a %s, not a value"):format(mark)) end
  if mark ~= "map" and rawget(t, 1) ~= nil then return put_array(doc, t, depth) end
  return put_map(doc, t, depth)
end

local function put_cdata(doc, value, depth)
  if istype(int64, value) then
    checked(doc, C.onced_json_put_int64(doc, value))
  elseif istype(uint64, value) then
    checked(doc, C.onced_json_put_uint64(doc, value))
  else
    local text, size = json.foreign(value)
    if not text then refuse(depth, "is a record or other cdata, which has no JSON form") end
    checked(doc, C.onced_json_put(doc, text, size))
  end
end

-- Appends a value to what the document has put. An error leaves a part of it there: doc.out.size is the caller's to reset.
function put(doc, value, depth)
  local kind = type(value)
  if kind == "string" then
    put_string(doc, value, depth, "can't be written")
  elseif kind == "number" then
    if C.onced_json_put_number(doc, value) ~= 0 then refuse(depth, ("is %s, which JSON can't express"):format(tostring(value))) end
  elseif kind == "boolean" then
    if value then put_raw(doc, "true") else put_raw(doc, "false") end
  elseif kind == "table" then
    put_table(doc, value, depth)
  elseif kind == "cdata" then
    put_cdata(doc, value, depth)
  elseif value == null then
    put_raw(doc, "null")
  elseif value == nil then
    refuse(depth, "is nil: onced.null writes null")
  else
    refuse(depth, ("is a %s, which has no JSON form"):format(kind))
  end
end

-- What a pointer names becomes `value`.
function json.change(doc, pointer, value)
  doc.out.size = doc.mark
  put(doc, value, 0)
  if C.onced_json_set(doc, pointer, #pointer) ~= 0 then raise("error", ('"%s": %s'):format(pointer, text_of(doc.error))) end
end

-- True: it was there.
function json.cut(doc, pointer)
  local was = C.onced_json_remove(doc, pointer, #pointer)
  if was < 0 then raise("error", ('"%s": %s'):format(pointer, text_of(doc.error))) end
  return was == 1
end

function json.look(doc, pointer)
  local kind = C.onced_json_get(doc, pointer, #pointer)
  if kind < 0 then
    if doc.error_at >= 0 then failed(doc, "invalid JSON") end
    raise("error", ('"%s": %s'):format(pointer, text_of(doc.error)))
  end
  return found(doc, kind)
end

-- --- texts ---------------------------------------------------------------------------------------------------------------------------

local reader, writer = json.document(), json.document()

local function read(text)
  if type(text) ~= "string" then raise("error", "JSON text must be a string, is a " .. type(text)) end
  if reader.out.capacity > KEEP then reader = json.document() end
  json.open(reader, text, #text)
  return reader
end

local function composed(doc)
  local size = tonumber(doc.composed_size)
  local to = ffi.new("char[?]", size)
  C.onced_json_compose(doc, to)
  local text = text_of(to, size)
  return text
end

local function check_pointer(pointer, call)
  if type(pointer) ~= "string" then raise("error", ("%s needs a JSON Pointer such as \"/total\", got a %s"):format(call, type(pointer))) end
end
json.check_pointer = check_pointer

-- Of a text's document: one value; the text with one value changed or removed.
function json.get(text, pointer)
  check_pointer(pointer, "onced.json.get")
  return (json.look(read(text), pointer))
end

function json.set(text, pointer, value)
  check_pointer(pointer, "onced.json.set")
  if value == nil then raise("error", "onced.json.set needs a value: onced.null writes null, onced.json.remove takes a value away") end
  local doc = read(text)
  json.change(doc, pointer, value)
  return composed(doc)
end

function json.remove(text, pointer)
  check_pointer(pointer, "onced.json.remove")
  local doc = read(text)
  json.cut(doc, pointer)
  return composed(doc)
end

function json.decode(text)
  local doc = read(text)
  local value = found(doc, C.onced_json_value(doc, 0))
  return value
end

function json.encode(value)
  if writer.out.capacity > KEEP then writer = json.document() end
  writer.out.size = 0
  put(writer, value, 0)
  local text = text_of(writer.out.data, writer.out.size)
  return text
end

local function marked(t, mark, name)
  if type(t) ~= "table" then raise("error", ("onced.json.%s needs a table, got a %s"):format(name, type(t))) end
  if getmetatable(t) ~= nil and getmetatable(t) ~= name then raise("error", "the table has a metatable of its own") end
  if getmetatable(t) == nil then setmetatable(t, mark) end
  return t
end

-- An empty table is a map unless it was read as an array or is marked as one.
function json.array(t) return (marked(t == nil and {} or t, Array, "array")) end
function json.map(t) return (marked(t == nil and {} or t, Map, "map")) end

return json
