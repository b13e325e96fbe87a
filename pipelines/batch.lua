-- process_batch gets a slice: records of one partition, in order. Where a slice ends is not the script's to know, so what it does has
-- to be right for any: here an update may always be left out when a later one follows.
local onced = require "onced"

---@type onced.Transform
local M = {}

function M.process_batch(recs)
  local last, kept = {}, {}
  for i, rec in ipairs(recs) do last[rec.key or i] = i end
  for i, rec in ipairs(recs) do
    if last[rec.key or i] == i then kept[#kept + 1] = rec end
  end
  return #kept > 0 and kept or onced.drop "nothing to keep"
end

return M
