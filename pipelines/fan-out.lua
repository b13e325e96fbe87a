-- Values look like "eu:17"; what has no known region goes to "other". The audit gets where a record came from and how it begins.
---@type onced.Transform
local M = {}

local known = { eu = true, us = true }

function M.process(rec, out)
  local region = rec.value and rec.value:match "^(%l+):"
  out.regional:send(rec, { region = known[region] and region or "other" })
  out.audit:send { key = rec.key, value = rec.topic .. "/" .. rec.partition .. "/" .. rec.offset .. " " .. (rec.value or ""):sub(1, 100) }
  return rec
end

return M
