-- SPDX-License-Identifier: MIT
-- What happens to brokers: killed, stopped, restarted, moved away from.
local rig = require "spec.fault.rig"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local GATED = { instances = { "a" }, pipelines = { "fan" }, failpoints = true }

-- Killed, then from the failure on the time to the next commit; the broker comes back only after it.
local function killed(r, n)
   process.signal(r.kafka:pid(n), "KILL")
   r:resume()
   r.kafka:start_node_only(n)
   r:whole()
end

-- The broker goes while the worker stands at that failpoint; "between": a moment after it was let go, when the request is on its way.
local function killed_at(r, point, n, between)
   local pid = r.kafka:pid(n)
   r:close_gate("a", point)
   if between then
      r:open_gate("a", point)
      wait.sleep(math.random(0, 5))
   end
   process.signal(pid, "KILL")
   if not between then r:open_gate("a", point) end
   r:resume()
   r.kafka:start_node_only(n)
   r:whole()
end

local function all_down(r, seconds)
   for n = 1, 3 do process.signal(r.kafka:pid(n), "KILL") end
   r:rest(seconds * 1000)
   r.kafka:start_node(1, 2, 3)
   r:resume()
   r:whole()
end

return {
   F24 = {
      title = "kill -9 of the leader of an output partition",
      hurts = "broker",
      rounds = { 3, 40 },
      fault = function(r)
         local p = rig.pick(r.pipelines)
         killed(r, r:leader(rig.pick(p.outputs).topic, math.random(0, r.setting.partitions - 1)))
      end,
   },
   F25 = {
      title = "kill -9 of the transaction coordinator: after AddPartitions, before EndTxn, while it is on its way, after its answer",
      hurts = "broker",
      rounds = { 4, 40 },
      setting = GATED,
      fault = function(r, k)
         local n = r:transaction_coordinator()
         killed_at(r, ({ "after-produce", "before-endtxn", "before-endtxn", "after-endtxn" })[(k - 1) % 4 + 1], n, (k - 1) % 4 == 2)
      end,
   },
   F26 = {
      title = "kill -9 of the group coordinator between offsets and EndTxn",
      hurts = "broker",
      rounds = { 3, 40 },
      setting = GATED,
      fault = function(r, k) killed_at(r, "after-offsets", r:group_coordinator(), k % 3 == 0) end,
   },
   F27 = {
      title = "rolling clean restart of all brokers",
      hurts = "broker",
      rounds = { 3, 30 },
      fault = function(r, k)
         local n = (k - 1) % 3 + 1
         r.kafka:kill(n, "TERM")
         r.kafka:start_node_only(n)
         r:resume()
         r:whole()
      end,
   },
   F28 = {
      title = "kill -9 of all brokers at once, restarted after some seconds",
      rounds = { 2, 20 },
      setting = { cluster = { controller = true }, resume = 180 },
      -- A transaction that ends while a partition has no leader gets no marker there (Kafka 4, README, Limits): loud is all that can be.
      halts = "stand behind what was committed before",
      fault = function(r) all_down(r, math.random(2, 10)) end,
   },
   F29 = {
      title = "two of three brokers down: nothing is acknowledged, nothing seen, until the second is back",
      rounds = { 1, 10 },
      setting = { cluster = { controller = true }, resume = 180 },
      halts = "stand behind what was committed before",
      fault = function(r)
         local first = math.random(3)
         local second = first % 3 + 1
         process.signal(r.kafka:pid(first), "KILL")
         process.signal(r.kafka:pid(second), "KILL")
         r:rest(math.random(2000, 10000))
         process.signal(r:worker(r:instance()), "KILL") -- it starts again on what the last broker says
         r:rest(12000)
         r.kafka:start_node(first)
         r:resume()
         r.kafka:start_node_only(second)
         r:whole()
      end,
   },
   F30 = {
      title = "SIGSTOP of a coordinator for longer than the socket time-out and shorter than its broker session",
      hurts = "broker",
      rounds = { 4, 200 },
      setting = { cluster = { properties = { ["broker.session.timeout.ms"] = 9000 } } },
      fault = function(r)
         local p = rig.pick(r.pipelines)
         local n = math.random(2) == 1 and r:transaction_coordinator(p, r:instance()) or r:group_coordinator(p)
         r.kafka:kill(n, "STOP")
         r:rest(math.random(5500, 6500))
         r.kafka:kill(n, "CONT")
      end,
   },
   F31 = {
      title = "leadership moves without failure: of inputs, outputs, offsets, transaction state",
      hurts = "broker",
      rounds = { 8, 100 },
      fault = function(r)
         local topic = rig.pick(r:topics())
         local partitions = r:ask("topic", { topic = topic }).partitions
         local one = rig.pick(partitions)
         r:ask("lead", { topic = topic, partition = one.partition, broker = one.leader % 3 + 1 })
      end,
   },
   F32 = { title = "unclean election on purpose", lacking = "what is lost then is the cluster's, and the oracle can't tell whose a loss is; the audit warns" },
   F33 = { title = "a broker's disk fails", lacking = "the broker halts, as in F24" },
   F62 = { title = "broker upgrade 3.9 to 4.x", lacking = "a cluster has one version's jars; spec/compat runs the specs on 3.9" },
}
