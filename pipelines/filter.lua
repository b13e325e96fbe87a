-- Passes on orders of at least `least`. Only one field of the JSON is decoded, and what is passed on is never copied.
local onced = require "onced"

---@type onced.Transform
local M = { params = { least = { type = "number", min = 0, required = true } } }

function M.process(rec, _, ctx)
  local total = rec:get "/total"
  if type(total) ~= "number" then return onced.drop "no order" end
  if total < ctx.params.least then return onced.drop "too small" end
  return rec
end

return M
