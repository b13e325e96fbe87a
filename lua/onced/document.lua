-- SPDX-License-Identifier: MIT
-- The JSON of records: rec:get, rec:set, rec:json. One index serves all: that of the record looked at last. When another is looked at,
-- the text of an edited one is composed into the batch's arena, and what has been sent keeps the text that it was sent with.
local ffi = require "ffi"
local border = require "onced.border"
local json = require "onced.json"

local C, turn, failure, raise = border.C, border.turn, border.failure, border.raise
local check_pointer = json.check_pointer
local tonumber, max, min = tonumber, math.max, math.min
local document = {}

local doc = json.document()

-- Texts of edited records by their index; of value only where the generation is the batch's.
local Texts = ffi.typeof "struct { const char *data; int32_t size, generation; }[?]"
local texts, room = Texts(64), 64
-- The last batch in which a record was edited: all others are spared the look.
local edited = ffi.new "struct { int32_t generation; }"
document.edited = edited

local function texts_grow(index)
  local more = max(turn.batch.record_count, room * 2, index + 1)
  local grown = Texts(more)
  ffi.copy(grown, texts, room * ffi.sizeof "struct { const char *data; int32_t size, generation; }")
  texts, room = grown, more
end

-- Composes the present document into the arena. There is always a byte to spare, as in headers.copy.
local function place()
  if doc.text == nil then raise("error", "the record's edits have failed: its JSON is lost") end
  local batch, size = turn.batch, tonumber(doc.composed_size)
  local at = batch.arena_next
  if batch.arena_end - at <= size then
    if C.onced_arena_more(batch, size + 1, failure) ~= 0 then border.check() end
    at = batch.arena_next
  end
  C.onced_json_compose(doc, at)
  batch.arena_next = at + size
  local index = doc.record
  if index >= room then texts_grow(index) end
  local t = texts[index]
  t.data, t.size, t.generation = at, size, doc.generation
  doc.changed = 0
end

-- The record's value as its edits have left it: pointer and size, -1 for null. `r` is its struct.
local function value(view, r)
  local generation, index = view._generation, view._index
  if edited.generation ~= generation then return r.value_data, r.value_size end
  if doc.changed ~= 0 and doc.record == index and doc.generation == generation then place() end
  if index < room and texts[index].generation == generation then return texts[index].data, texts[index].size end
  return r.value_data, r.value_size
end
document.value = value

-- Makes the document that of the record.
local function open(view, r)
  if doc.record == view._index and doc.generation == view._generation then return end
  if doc.changed ~= 0 and doc.generation == turn.generation and doc.text ~= nil then place() end
  doc.record, doc.changed = -1, 0
  local data, size = value(view, r)
  if size < 0 then raise("json", "the record's value is null (a tombstone): there is no JSON in it") end
  json.open(doc, data, size)
  doc.record, doc.generation = view._index, view._generation
end

function document.get(view, r, pointer)
  check_pointer(pointer, "rec:get")
  open(view, r)
  local found = json.look(doc, pointer)
  return found
end

function document.set(view, r, pointer, what)
  check_pointer(pointer, "rec:set")
  if what == nil then raise("error", "rec:set needs a value: onced.null writes null, rec:remove takes a value away") end
  open(view, r)
  json.change(doc, pointer, what)
  doc.changed, edited.generation = 1, view._generation
end

function document.remove(view, r, pointer)
  check_pointer(pointer, "rec:remove")
  open(view, r)
  if json.cut(doc, pointer) then doc.changed, edited.generation = 1, view._generation end
end

-- Records [first, last) are as they came again: the stretch that edited them is run anew.
function document.forget(first, last)
  if doc.record >= first and doc.record < last then doc.record, doc.changed = -1, 0 end
  for i = first, min(last, room) - 1 do texts[i].generation = 0 end
end

return document
