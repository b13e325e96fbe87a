-- SPDX-License-Identifier: MIT
-- Time, limits and rights: descriptors, expiry, clocks, quotas, versions of the protocol, somebody else's transaction.
local process = require "spec.support.process"

local IDLE_MS = 20000

-- Nothing to do for longer than brokers remember.
local function idle(r)
   r:pause()
   r:rest(IDLE_MS)
   r:feed()
end

return {
   F10 = {
      title = "no descriptors left while a worker is killed and starts again",
      rounds = { 3, 30 },
      fault = function(r)
         local instance = r:instance()
         local d = r.daemons[instance]
         local function limit(n)
            local pids = d:workers()
            pids[#pids + 1] = d.child.pid
            for _, pid in ipairs(pids) do process.run { "prlimit", "--pid", pid, "--nofile=" .. n .. ":4096" } end
         end
         local victim = r:worker(instance)
         limit(16)
         process.signal(victim, "KILL")
         r:rest(5000)
         limit(1024)
      end,
   },
   F34 = { title = "disk of onced full, log target full", lacking = "onced writes nothing but its log and a note of a group's start; spec/unit/log_spec.lua" },
   F51 = {
      title = "the transactional id expires while the input rests",
      rounds = { 2, 10 },
      setting = { cluster = { properties = { ["transactional.id.expiration.ms"] = 8000,
         ["transaction.remove.expired.transaction.cleanup.interval.ms"] = 1000 } } },
      fault = idle,
   },
   F52 = {
      title = "the brokers' memory of producers expires while the input rests",
      rounds = { 2, 10 },
      setting = { cluster = { properties = { ["producer.id.expiration.ms"] = 8000, ["producer.id.expiration.check.interval.ms"] = 1000 } } },
      fault = idle,
   },
   F53 = { title = "onced's wall clock jumps", lacking = "under libfaketime no commit came any more, and whose doing that is wasn't found" },
   F54 = { title = "a broker's clock is wrong", lacking = "a JVM under libfaketime wasn't tried; INVALID_TIMESTAMP is in spec/kafka/policies_spec.lua" },
   F57 = {
      title = "transaction.version 2 to 1 and back under load",
      rounds = { 4, 20 },
      fault = function(r, k) r:ask("feature", { name = "transaction.version", level = k % 2 == 1 and 1 or 2, down = k % 2 == 1 }) end,
   },
   F58 = {
      title = "quotas: a tenth of what is needed, for ten seconds",
      rounds = { 2, 10 },
      fault = function(r)
         r:ask("quota", { client = "rdkafka", rate = 20000 })
         r:rest(10000)
         r:ask("quota", { client = "rdkafka" })
      end,
   },
   F60 = {
      title = "somebody else's transaction hangs on the input",
      rounds = { 2, 10 },
      fault = function(r)
         local id = "foreign." .. r.name
         r.witness:send(r.inputs[1], { "never seen" }, { transaction = "open", id = id, timeout_ms = 600000 })
         r:rest(math.random(5000, 15000))
         r.witness:end_transaction { id = id, how = "abort" }
      end,
   },
   F61 = { title = "authorization lost", spec = "spec/kafka/output_spec.lua" },
}
