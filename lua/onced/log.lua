-- SPDX-License-Identifier: MIT
-- onced.log.info(message, {k = v}): a line of the daemon's log. The C side cleans control characters.
local C = require("onced.border").C
local log = {}

local function quoted(value)
  local text = tostring(value)
  if text == "" or text:find('[%s"=]') then return '"' .. text:gsub('[\\"]', "\\%0") .. '"' end
  return text
end

local function line(level, message, fields)
  local parts = { tostring(message) }
  if fields ~= nil then
    if type(fields) ~= "table" then error("onced.log: the second argument must be a table of fields", 0) end
    local names = {}
    for name in pairs(fields) do names[#names + 1] = tostring(name) end
    table.sort(names)
    for _, name in ipairs(names) do parts[#parts + 1] = name .. "=" .. quoted(fields[name]) end
  end
  local text = table.concat(parts, " ")
  C.onced_log(level, text, #text)
end

function log.debug(message, fields) line(7, message, fields) end
function log.info(message, fields) line(6, message, fields) end
function log.warn(message, fields) line(4, message, fields) end
function log.error(message, fields) line(3, message, fields) end

return log
