-- SPDX-License-Identifier: MIT
-- onced.uuid: not random but drawn from where a record stands (onced_uuid) and how many were drawn for it before, so that a record
-- that is computed again after a crash gets the same ones.
local ffi = require "ffi"
local border = require "onced.border"
local record = require "onced.record"

local C, turn, raise = border.C, border.turn, border.raise
local istype, type, getmetatable, rawget = ffi.istype, type, getmetatable, rawget
local uuid = {}

local drawn, generation = {}, 0 -- for the batch's records, by index
local text = ffi.new "char[36]"

local function index_of(rec)
  if rec == nil then
    if turn.generation == 0 then raise("error", "onced.uuid() is drawn from a record: it can't be had outside of process") end
    if turn.stretches ~= 0 then raise("error", "process_batch has many records: onced.uuid(rec) says for which") end
    return turn.current
  end
  if type(rec) == "table" and getmetatable(rec) == "record" then rec = rawget(rec, "_view") end
  if not istype(record.View, rec) then raise("error", "onced.uuid needs a record, or nothing") end
  record.source(rec)
  return rec._index
end

function uuid.draw(rec)
  local index = index_of(rec)
  if generation ~= turn.generation then drawn, generation = {}, turn.generation end
  local number = drawn[index] or 0
  drawn[index] = number + 1
  C.onced_uuid(turn, index, number, text)
  local value = ffi.string(text, 36)
  return value
end

-- Records [first, last) are run anew.
function uuid.forget(first, last)
  for i = first, last - 1 do drawn[i] = nil end
end

return uuid
