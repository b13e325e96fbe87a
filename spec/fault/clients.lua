-- SPDX-License-Identifier: MIT
-- What happens to onced's own processes: killed, stopped, doubled, thrown out.
local process = require "spec.support.process"
local rig = require "spec.fault.rig"

local ONE = { instances = { "a" }, pipelines = { "fan" }, failpoints = true, rest = { 100, 600 } }

return {
   F01 = {
      title = "SIGKILL at each failpoint",
      rounds = { #rig.POINTS * 2, #rig.POINTS * 20 },
      setting = ONE,
      fault = function(r, k)
         local point = rig.POINTS[(k - 1) % #rig.POINTS + 1]
         r:close_gate("a", point)
         local pid = r:worker "a"
         process.signal(pid, "KILL")
         r:open_gate("a", point)
      end,
   },
   F02 = {
      title = "SIGKILL at random times, of a worker or of a whole instance",
      rounds = { 12, 200 },
      setting = { rest = { 200, 4000 } },
      fault = function(r)
         local instance = r:instance()
         if math.random(4) == 1 then r:kill_instance(instance)
         else process.signal(r:worker(instance), "KILL") end
      end,
   },
}
