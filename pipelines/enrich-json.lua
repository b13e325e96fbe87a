-- Reads two fields, writes two; everything else of the JSON, spaces and long numbers too, stays byte for byte.
local onced = require "onced"

---@type onced.Transform
local M = {}

local countries

function M.init(ctx)
  countries = onced.index(ctx.data.countries, "code") -- once, not for each record
end

function M.process(rec)
  local country = countries[rec:get "/country"]
  if not country then return onced.reject("unknown country: " .. tostring(rec:get "/country")) end
  rec:set("/country_name", country.name)
  return rec:set("/vat", tonumber(country.vat)) -- a CSV file has texts only
end

return M
