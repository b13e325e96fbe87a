-- SPDX-License-Identifier: MIT
-- Waiting with a deadline: specs never sleep a fixed time in the hope that something has happened.
--
--   wait.till("all records are through", 30, function() return witness:pending("g", {"in"}) == 0 end)
local process = require "spec.support.process"

local wait = {}

-- Calls `condition` until it returns something true, which is returned; after `seconds` an error that names `what`.
function wait.till(what, seconds, condition, pause_ms)
   local deadline = process.now() + seconds * 1000
   while true do
      local result, detail = condition()
      if result then return result end
      if process.now() >= deadline then
         error(("waited %g s for: %s%s"):format(seconds, what, detail and " (" .. tostring(detail) .. ")" or ""), 2)
      end
      process.sleep(pause_ms or 20)
   end
end

wait.now, wait.sleep = process.now, process.sleep -- monotonic milliseconds

return wait
