-- Puts a prefix before each value; an empty value is rejected, a tombstone passes as it is.
local onced = require "onced"

---@type onced.Transform
local M = { params = { prefix = { type = "string", required = true } } }

local prefix

function M.init(ctx)
  prefix = ctx.params.prefix
end

function M.process(rec)
  local value = rec.value
  if value == nil then return rec end
  if value == "" then return onced.reject("the value is empty") end
  return { key = rec.key, value = prefix .. value, headers = rec:headers() }
end

return M
