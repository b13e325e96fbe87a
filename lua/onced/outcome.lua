-- SPDX-License-Identifier: MIT
-- What a hook may return instead of a record. Marks are told by their metatable, which scripts can't reach.
local border = require "onced.border"

local C, turn = border.C, border.turn
local outcome = {
  Drop = { __metatable = "drop" }, Reject = { __metatable = "reject" },
  made = false, -- the latest mark, until a hook has returned: without its `return` the record would be passed on in silence
}

local function reason_of(reason, what)
  if type(reason) ~= "string" or reason == "" then
    error(("onced.%s needs a reason: onced.%s(\"total is missing\")"):format(what, what), 0)
  end
  return reason
end

function outcome.drop(reason)
  local mark = setmetatable({ reason = reason_of(reason, "drop") }, outcome.Drop) -- no tail call: see record.lua
  outcome.made = mark
  return mark
end

function outcome.reject(reason)
  local mark = setmetatable({ reason = reason_of(reason, "reject") }, outcome.Reject) -- no tail call: see record.lua
  outcome.made = mark
  return mark
end

-- The series in which drops are counted, by reason: those that were seen. C has room for some reasons only, so this doesn't grow without end.
outcome.reasons = {}
local known, MOST = 0, 1000

function outcome.drop_series(reason)
  local series = C.onced_drop_reason(turn, reason, #reason)
  if known < MOST then
    known = known + 1
    outcome.reasons[reason] = series
  end
  return series
end

return outcome
