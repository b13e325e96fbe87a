-- SPDX-License-Identifier: MIT
-- What happens to onced's own processes: killed, stopped, frozen, thrown out of their group.
local process = require "spec.support.process"
local rig = require "spec.fault.rig"

local ONE = { instances = { "a" }, pipelines = { "fan" }, failpoints = true, rest = { 100, 600 } }

-- A frozen instance: its master too, which would start a worker anew that stands still.
local function freeze(r, instance, signal)
   local d = r.daemons[instance]
   local pids = d:workers()
   d:signal(signal)
   for _, pid in ipairs(pids) do process.signal(pid, signal) end
end

-- An instance is frozen at a failpoint for so long, while the other takes its place or waits.
local function frozen(point, from_ms, to_ms)
   return function(r)
      r:close_gate("a", point)
      freeze(r, "a", "STOP")
      r:open_gate("a", point)
      r:rest(math.random(from_ms, to_ms))
      freeze(r, "a", "CONT")
   end
end

local TWO = { pipelines = { "fan" }, failpoints = true, rest = { 500, 3000 } }

local function setting(base, change)
   local out = {}
   for k, v in pairs(base) do out[k] = v end
   for k, v in pairs(change) do out[k] = v end
   return out
end

return {
   F01 = {
      title = "SIGKILL at each failpoint",
      hurts = "client",
      rounds = { #rig.POINTS * 2, #rig.POINTS * 20 },
      setting = ONE,
      fault = function(r, k)
         local point = rig.POINTS[(k - 1) % #rig.POINTS + 1]
         r:close_gate("a", point)
         process.signal(r:worker "a", "KILL")
         r:open_gate("a", point)
      end,
   },
   F02 = {
      title = "SIGKILL at random times, of a worker or of a whole instance",
      hurts = "client",
      rounds = { 12, 200 },
      setting = { rest = { 200, 4000 } },
      fault = function(r)
         local instance = r:instance()
         if math.random(4) == 1 then r:kill_instance(instance)
         else process.signal(r:worker(instance), "KILL") end
      end,
   },
   F03 = {
      title = "SIGTERM in the middle of the load, every third time twice",
      hurts = "client",
      rounds = { 9, 100 },
      setting = { rest = { 200, 2000 } },
      fault = function(r, k)
         local instance = r:instance()
         r:stop(instance, k % 3 == 0 and math.random(0, 100) or nil)
         r:launch(instance)
      end,
   },
   F04 = {
      title = "frozen before its offsets for longer than its session, another takes over: the zombie's batch isn't seen",
      hurts = "client",
      rounds = { 3, 40 },
      setting = TWO,
      fault = frozen("after-produce", 8000, 12000),
   },
   F05 = {
      title = "frozen between offsets and EndTxn, woken before or after the transaction's time-out",
      hurts = "client",
      rounds = { 4, 40 },
      setting = TWO,
      fault = function(r, k)
         if k % 2 == 1 then frozen("before-endtxn", 1000, 4000)(r)
         else frozen("before-endtxn", 12000, 16000)(r) end
      end,
   },
   F06 = {
      title = "frozen for longer than its transaction and shorter than its session: it goes on, and nobody took it for another instance",
      rounds = { 3, 40 },
      setting = setting(ONE, { input = "session_timeout: 30s", transaction = "commit_every: 50ms, timeout: 3s" }),
      fault = function(r)
         frozen("after-produce", 5000, 7000)(r)
         if r.daemons.a:count "another instance" > 0 then r:note "taken for another instance" end
      end,
   },
   F08 = { title = "the same instance twice on one host: the second waits", spec = "spec/unit/lock_spec.lua" },
   F09 = { title = "memory ceiling, killed for memory", spec = "spec/kafka/hostile_spec.lua, spec/kafka/stop_spec.lua" },
   F46 = {
      title = "rebalance storm: a third and a fourth instance join and leave every one to three seconds",
      hurts = "client",
      rounds = { 20, 400 },
      setting = { rest = { 1000, 3000 } },
      fault = function(r)
         local instance = rig.pick { "c", "d" }
         if r.up[instance] then r:stop(instance) else r:launch(instance) end
      end,
   },
   F50 = {
      title = "more members than partitions, killed at random: idle ones hold no transaction",
      rounds = { 6, 100 },
      setting = { partitions = 1, workers = 3, rate = 300 },
      fault = function(r)
         process.signal(r:worker(r:instance()), "KILL")
         for _, p in ipairs(r.pipelines) do
            local open = #r:ask("transactions", { prefix = "onced." .. p.name .. "." }).transactions
            if open > 2 then r:note(("%s: %d transactions of at most 2 members with partitions"):format(p.name, open)) end
         end
      end,
   },
   F55 = { title = "reload under load", spec = "spec/kafka/reload_spec.lua" },
   F56 = { title = "rolling upgrade of onced", lacking = "there is one release only" },
   F65 = { title = "cooperative revoke with both batches in flight", spec = "spec/kafka/rules_spec.lua" },
   F66 = { title = "partitions lost and given back", spec = "spec/kafka/rules_spec.lua" },
   F70 = { title = "two hosts with one name", spec = "spec/kafka/membership_spec.lua" },
}
