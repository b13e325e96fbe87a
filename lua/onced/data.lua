-- SPDX-License-Identifier: MIT
-- ctx.data: the files of transform.data, which stay JSON text and its index in C's memory. What a script sees are views, four bytes each,
-- so the data isn't counted as the script's memory and nothing is decoded but what is asked for. A view isn't a table because nothing
-- protects a table under LuaJIT: a key that is there can be assigned, and pairs and # don't ask the metatable of a stand-in. With cdata
-- all of them do.
local ffi = require "ffi"
local border = require "onced.border"
local json = require "onced.json"

local C, raise = border.C, border.raise
local type, istype, floor, tostring = type, ffi.istype, math.floor, tostring
local data = {}

local ARRAY, OBJECT = C.ONCED_JSON_ARRAY, C.ONCED_JSON_OBJECT
local NODE = "\1node" -- no name that data could have
local View = ffi.typeof("struct { const int32_t $; }", NODE)
local Starts = ffi.typeof "int32_t[?]"

local doc

local function value_of(node)
  local kind = C.onced_json_value(doc, node)
  if kind == ARRAY or kind == OBJECT then return View(node) end
  local value = json.found(doc, kind)
  return value
end

local lists = {} -- of arrays that were looked into: where each element begins

local function elements(node)
  local list = lists[node]
  if list then return list end
  local nodes, count = doc.nodes, 0
  local child, stop = node + 1, nodes[node].next
  while child < stop do
    count, child = count + 1, nodes[child].next
  end
  list = { count = count, starts = Starts(count + 1) }
  child = node + 1
  for i = 1, count do
    list.starts[i], child = child, nodes[child].next
  end
  lists[node] = list
  return list
end

local function element(node, index)
  local list = elements(node)
  if type(index) ~= "number" or index < 1 or index > list.count or floor(index) ~= index then return nil end
  local value = value_of(list.starts[index])
  return value
end

local function index_of(view, key)
  local node = view[NODE]
  if doc.nodes[node].kind == ARRAY then return (element(node, key)) end
  if type(key) ~= "string" then return nil end
  local member = C.onced_json_member(doc, node, key, #key)
  if member < 0 then return nil end
  local value = value_of(member)
  return value
end

-- "/countries/de": for errors only.
local function path_of(target)
  local path, node = "", 0
  while node ~= target do
    local nodes, position = doc.nodes, 0
    local is_map, child = nodes[node].kind == OBJECT, node + 1
    local value = is_map and child + 1 or child
    while nodes[value].next <= target do
      child, position = nodes[value].next, position + 1
      value = is_map and child + 1 or child
    end
    local name = position + 1
    if is_map then
      C.onced_json_value(doc, child)
      name = ffi.string(doc.data, doc.data_size)
    end
    path, node = path .. "." .. name, value
  end
  return path
end

local function elements_of(view)
  local node, i = view[NODE], 0
  return function()
    i = i + 1
    local value = element(node, i)
    if value ~= nil then return i, value end
  end
end

local function members_of(view)
  local node = view[NODE]
  if doc.nodes[node].kind == ARRAY then return elements_of(view) end
  local child, stop = node + 1, doc.nodes[node].next
  return function()
    if child >= stop then return nil end
    C.onced_json_value(doc, child)
    local name = ffi.string(doc.data, doc.data_size)
    local value = value_of(child + 1)
    child = doc.nodes[child + 1].next
    return name, value
  end
end

ffi.metatype(View, {
  __index = index_of,
  __newindex = function(view, key)
    raise("error", ("ctx.data is read-only: ctx.data%s.%s can't be assigned; onced.copy makes a table of it"):format(
      path_of(view[NODE]), tostring(key)))
  end,
  __len = function(view)
    local node = view[NODE]
    return doc.nodes[node].kind == ARRAY and elements(node).count or 0
  end,
  __pairs = members_of,
  __ipairs = elements_of,
  __eq = function(a, b) return istype(View, a) and istype(View, b) and a[NODE] == b[NODE] end,
  __tostring = function(view) return "ctx.data" .. path_of(view[NODE]) end,
})

-- The text of a view, for JSON that is written: pointer and size.
function json.foreign(value)
  if not istype(View, value) then return nil end
  local node = doc.nodes[value[NODE]]
  return doc.text + node.at, node["end"] - node.at
end

-- `text` is JSON that the master has checked, and stays.
function data.open(text, size)
  doc = json.document()
  json.open(doc, ffi.cast("const char *", text), size)
  return View(0)
end

-- What a view shows, as tables of the script's own.
function data.copy(value)
  if not istype(View, value) then raise("error", "onced.copy makes tables of what is in ctx.data, got a " .. type(value)) end
  local copied = json.found(doc, C.onced_json_value(doc, value[NODE]))
  return copied
end

-- A list of maps, by what each has in `column`: { [value] = row }. Nothing may be missing, and nothing be there twice.
function data.index(list, column)
  if type(list) ~= "table" and not (istype(View, list) and doc.nodes[list[NODE]].kind == ARRAY) then
    raise("error", "onced.index needs a list of maps, got a " .. type(list))
  end
  local index = {}
  for i, row in ipairs(list) do
    local key
    if type(row) == "table" or istype(View, row) then key = row[column] end
    local kind = type(key)
    if kind ~= "string" and kind ~= "number" then raise("error", ('onced.index: row %d has no "%s"'):format(i, tostring(column))) end
    if index[key] ~= nil then raise("error", ('onced.index: row %d: %s "%s" is there twice'):format(i, tostring(column), key)) end
    index[key] = row
  end
  return index
end

return data
