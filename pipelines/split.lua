-- Returns a list. A table record takes the timestamp of the record it came from; key and headers are what it says.
local onced = require "onced"

---@param rec onced.Record
return function(rec)
  local order = rec:json()
  if #order.lines == 0 then return onced.drop "an order without lines" end
  local list = {}
  for i, line in ipairs(order.lines) do
    line.order = order.id
    list[i] = { key = line.sku, value = onced.json.encode(line), headers = { line = tostring(i) } }
  end
  return list
end
