-- SPDX-License-Identifier: MIT
-- onced.metric: what a script counts itself. An increment belongs to the record that is being transformed: it is counted when that
-- record's transaction is committed, once, and goes with the record when that fails. The table of series is C's (stats.h).
local border = require "onced.border"
local suggest = require "onced.suggest"

local C, turn, raise = border.C, border.turn, border.raise
local type, tostring = type, tostring
local metric = {}

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function label(name, value)
  if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" or name:find "^__" then
    raise("error", ("onced.metric.counter: \"%s\" can't be a label: letters, digits and _"):format(tostring(name)))
  end
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    raise("error", ("onced.metric.counter: label %s must be a string, is a %s"):format(name, kind))
  end
  return ('%s="%s"'):format(name, (tostring(value):gsub('[\\"\n]', ESCAPES)))
end

-- As Prometheus writes it: name{a="1",b="2"}, labels sorted.
local function text_of(name, labels)
  if type(name) ~= "string" or not name:find "^[%a_:][%w_:]*$" then
    raise("error", ("onced.metric.counter: \"%s\" can't be a name: letters, digits, _ and :"):format(tostring(name)))
  end
  if name:find "^onced_" then raise("error", "onced.metric.counter: names that start with onced_ are the daemon's own") end
  if labels == nil then return name end
  if type(labels) ~= "table" then raise("error", "onced.metric.counter: labels must be a table, is a " .. type(labels)) end
  local parts = {}
  for key, value in pairs(labels) do parts[#parts + 1] = label(key, value) end
  if #parts == 0 then return name end
  table.sort(parts)
  return name .. "{" .. table.concat(parts, ",") .. "}"
end

local function series_of(text)
  local series = C.onced_counter(turn, text, #text)
  if series < 0 and #text > 200 then raise("limit", "onced.metric.counter: name and labels are too long: " .. text:sub(1, 80) .. "...") end
  if series < 0 then
    raise("limit", ("onced.metric.counter: %s is one too many: a script can have 128 counters, each set of labels is one"):format(text))
  end
  return series
end

local function counting(series)
  local object = {}
  function object.add(self, amount)
    if self ~= object then raise("error", "call it with a colon: counter:add(1)") end
    if turn.generation == 0 then raise("error", "a counter counts for a record: it can't outside of process and process_batch") end
    if amount == nil then amount = 1 end
    if type(amount) ~= "number" or not (amount >= 0 and amount < 1 / 0) then
      raise("error", "a counter only grows, by a number from 0: not by " .. tostring(amount))
    end
    if C.onced_count(turn, series, amount) ~= 0 then raise("memory", "out of memory for counters") end
  end
  return setmetatable(object, {
    __metatable = "counter",
    __index = function(_, name) raise("error", ('a counter has no "%s"%s'):format(tostring(name), suggest(name, { "add" }))) end,
    __newindex = function() raise("error", "a counter can't be changed") end,
  })
end

local made = {}

function metric.counter(name, labels)
  local text = text_of(name, labels)
  local counter = made[text]
  if not counter then
    counter = counting(series_of(text))
    made[text] = counter
  end
  return counter
end

return metric
