-- SPDX-License-Identifier: MIT
-- onced.time: RFC 3339 and integer milliseconds since 1970, the only form of time here.
local ffi = require "ffi"
local border = require "onced.border"

local C, raise, failure = border.C, border.raise, border.failure
local tonumber, type, floor = tonumber, type, math.floor
local time = {}

local ms = ffi.new "int64_t[1]"
local text = ffi.new "char[24]"

function time.parse(given)
  if type(given) ~= "string" then raise("error", "onced.time.parse needs a string, got a " .. type(given)) end
  if C.onced_time_parse(given, #given, ms, failure) ~= 0 then
    raise("error", ('onced.time.parse: "%s" %s'):format((given:sub(1, 100):gsub("%c", "?")), ffi.string(failure[0])))
  end
  local value = tonumber(ms[0])
  return value
end

-- In UTC, always with three digits behind the second, so that texts sort as times do.
function time.format(given)
  if type(given) ~= "number" or floor(given) ~= given then
    raise("error", "onced.time.format needs a whole number of milliseconds, got " .. tostring(given))
  end
  if given < -1e15 or given > 1e15 or C.onced_time_format(given, text) ~= 0 then
    raise("error", ("onced.time.format: %.0f lies outside of the years 0 to 9999"):format(given))
  end
  local value = ffi.string(text, 24)
  return value
end

return time
