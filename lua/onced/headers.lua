-- SPDX-License-Identifier: MIT
-- Headers that a script gives: {name = value} or {{name, value}, ...}, made into one ordered list and then into C structs.
local ffi = require "ffi"
local border = require "onced.border"

local C, turn, failure, raise = border.C, border.turn, border.failure, border.raise
local null = border.null
local headers = {}

local function check(name, value)
  if type(name) ~= "string" then raise("error", "a header's name must be a string, is a " .. type(name)) end
  if type(value) ~= "string" and value ~= null then
    raise("error", ('header "%s" must be a string or onced.null, is a %s'):format(name, type(value)))
  end
end

local function pair_checked(name, value)
  check(name, value)
  return { name, value }
end

local function by_name(a, b) return a[1] < b[1] end

-- A map has no order of its own; sorted by name, so that a record that is computed again is the same.
local function list_of_map(map)
  local list = {}
  for name, value in pairs(map) do list[#list + 1] = pair_checked(name, value) end
  table.sort(list, by_name)
  return list
end

function headers.list(given)
  if type(given) ~= "table" then raise("error", "headers must be a table, is a " .. type(given)) end
  if given[1] == nil then return list_of_map(given) end
  local list = {}
  for i = 1, #given do
    local pair = given[i]
    if type(pair) ~= "table" then raise("error", ("headers[%d] must be a pair {name, value}"):format(i)) end
    list[i] = pair_checked(pair[1], pair[2])
  end
  return list
end

-- Copies a Lua string into the batch. There is always a byte to spare, so that an empty string has an address: NULL would be null.
local function copy(batch, s)
  local size = #s
  local at = batch.arena_next
  if batch.arena_end - at <= size then
    if C.onced_arena_more(batch, size + 1, failure) ~= 0 then border.check() end
    at = batch.arena_next
  end
  ffi.copy(at, s, size)
  batch.arena_next = at + size
  return at
end
headers.copy = copy

local Scratch = ffi.typeof "struct onced_header[?]"
local scratch, room = Scratch(16), 16
local merged = ffi.new "struct onced_headers"

-- With the output's static headers on top. The result is valid until the next call.
local function merge(base, count, output)
  if C.onced_headers_merge(turn.batch, base, count, output.headers, output.header_count, merged, failure) ~= 0 then border.check() end
  return merged
end
headers.merge = merge

-- A checked list as structs in the batch, with the output's static headers on top. That of a derived record may have been tampered with:
-- it is read raw, so that no code of the script's runs meanwhile, and checked again.
function headers.place(list, output)
  local batch, count = turn.batch, #list
  if count > room then
    room = count * 2
    scratch = Scratch(room)
  end
  for i = 1, count do
    local pair = rawget(list, i)
    local name, value = rawget(pair, 1), rawget(pair, 2)
    check(name, value)
    local h = scratch[i - 1]
    h.name, h.name_size = copy(batch, name), #name
    if value == null then
      h.data, h.data_size = nil, -1
    else
      h.data, h.data_size = copy(batch, value), #value
    end
  end
  return merge(scratch, count, output)
end

return headers
