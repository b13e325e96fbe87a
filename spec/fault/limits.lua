-- SPDX-License-Identifier: MIT
-- Time, limits and rights: descriptors, expiry, clocks, quotas, versions of the protocol, somebody else's transaction.
local process = require "spec.support.process"
local rig = require "spec.fault.rig"

local IDLE_MS = 20000

-- A program with a wall clock of its own, where libfaketime is; clocks that only go forward stay as they are. `$LIB` is for the loader.
local FAKETIME = os.execute "ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1" == 0
local NO_FAKETIME = not FAKETIME and "there is no libfaketime here: apt-get install -y faketime" or nil

local function faked(env)
   env.LD_PRELOAD, env.FAKETIME_DONT_FAKE_MONOTONIC, env.FAKETIME_NO_CACHE = "/usr/$LIB/faketime/libfaketimeMT.so.1", 1, 1
   return env
end

local function clock_set(r, instance, seconds)
   local path = ("%s/%s.clock"):format(r.stage.dir, instance)
   local file = assert(io.open(path, "w"))
   file:write(("%+d\n"):format(seconds))
   file:close()
   return path
end

-- librdkafka waits by C11's cnd_timedwait, which libfaketime doesn't know: its deadlines would be of one clock and measured by another.
local function clock(r, instance)
   local env = faked { FAKETIME_TIMESTAMP_FILE = clock_set(r, instance, 0) }
   env.LD_PRELOAD = process.absolute "build/libc11threads.so" .. ":" .. env.LD_PRELOAD
   return env
end

local JUMPS = { 3600, -600, 360000000, -3600, 0 } -- seconds from the real time: the third is in 2038

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
   F53 = {
      title = "onced's wall clock jumps: by an hour, back, and beyond 2038",
      lacking = NO_FAKETIME,
      rounds = { 5, 50 },
      setting = { pipelines = { "map" }, env = clock }, -- dead letters have the present time, which brokers refuse if it is the future
      fault = function(r, k)
         clock_set(r, r:instance(), JUMPS[(k - 1) % #JUMPS + 1])
         r:rest(3000)
      end,
   },
   F54 = {
      title = "a broker's wall clock is two hours ahead, or half an hour behind, and right again",
      lacking = NO_FAKETIME,
      rounds = { 2, 20 },
      fault = function(r)
         local n = math.random(3)
         r.kafka:restart(n, "TERM", faked { FAKETIME = rig.pick { "+2h", "-30m" }, FAKETIME_FORCE_MONOTONIC_FIX = 0 }) -- or the JVM hangs
         r:resume()
         r:whole()
         r:rest(10000)
         r.kafka:restart(n, "TERM")
         r:resume()
         r:whole()
      end,
   },
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
