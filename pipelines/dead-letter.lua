-- Rejects what it knows to be wrong, with words for whoever reads the dead letter. What it doesn't foresee is an error, with the line.
local onced = require "onced"

---@param rec onced.Record
return function(rec)
  local age = rec:get "/age" -- not JSON: an error
  if age == nil then return onced.reject "age is missing" end
  if age < 0 then return onced.reject("age is negative: " .. tostring(age)) end -- a text instead of a number: an error
  return rec:set("/adult", age >= 18)
end
