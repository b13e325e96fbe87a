-- SPDX-License-Identifier: MIT
-- What a hook may return instead of a record. Marks are told by their metatable, which scripts can't reach.
local outcome = { Drop = { __metatable = "drop" }, Reject = { __metatable = "reject" } }

local function reason_of(reason, what)
  if type(reason) ~= "string" or reason == "" then
    error(("onced.%s needs a reason: onced.%s(\"total is missing\")"):format(what, what), 0)
  end
  return reason
end

function outcome.drop(reason)
  local mark = setmetatable({ reason = reason_of(reason, "drop") }, outcome.Drop) -- no tail call: see record.lua
  return mark
end

function outcome.reject(reason)
  local mark = setmetatable({ reason = reason_of(reason, "reject") }, outcome.Reject) -- no tail call: see record.lua
  return mark
end

return outcome
