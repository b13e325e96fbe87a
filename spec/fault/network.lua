-- SPDX-License-Identifier: MIT
-- What happens between onced and the brokers, and among these. Instances and nodes are hosts of a network of namespaces; late requests
-- and lost answers take a proxy that reads frames, on the loopback.
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local rig = require "spec.fault.rig"
local wait = require "spec.support.wait"

local NET = { cluster = { namespaces = true }, resume = 120 }
local FRAMES = { cluster = { proxied = true }, pipelines = { "fan" }, instances = { "a" }, resume = 120 }

-- Brokers end transactions that have timed out as late as by Kafka's default; then a client may be the first to end its own.
local SWEEP = { ["transaction.abort.timed.out.transaction.cleanup.interval.ms"] = 10000 }

-- Cut for so long; `cuts`: lists of arguments for the network's cut.
local function cut(r, seconds, ...)
   for _, c in ipairs { ... } do r.kafka:net("cut", unpack(c)) end
   r:rest(seconds * 1000)
   r.kafka:net "heal"
end

-- Does that broker lead partitions all of whose other replicas are out of sync?
local function is_alone(r, n)
   for _, p in ipairs(r:ask("topic", { topic = r.inputs[1] }).partitions) do
      if p.leader == n and #p.isr == 1 then return true end
   end
end

-- The keys that f42 is about. A held EndTxn's client is cut off, so that it sends again on a new connection.
local KEYS = { proxy.END_TXN, proxy.END_TXN, proxy.TXN_OFFSET_COMMIT, proxy.PRODUCE, proxy.ADD_PARTITIONS, proxy.ADD_OFFSETS }

local function held(r, n)
   return pcall(wait.till, "a request to hold", 20, function() return r.proxy:held() >= n end, 5)
end

-- Delivered where it hurts most: EndTxn when a later transaction has its records and not its offsets yet, another request when only the
-- end is missing. Then the client dies, before one more transaction covers it up.
local function deliver(r, key)
   local ends = key == proxy.END_TXN
   r.proxy:hold(ends and proxy.TXN_OFFSET_COMMIT or proxy.END_TXN, "stall", 2) -- the first may be of the same transaction still
   local later = held(r, 2)
   r.proxy:release(0)
   if later and not ends then r.proxy:resume(1) end
   process.signal(r:worker "a", "KILL")
end

return {
   F36 = {
      title = "one instance cut off from all brokers: two seconds, twelve, and in the long form sixty",
      hurts = "network",
      rounds = { 4, 30 },
      setting = NET,
      fault = function(r, k) cut(r, ({ 2, 12, 2, 12, 60 })[(k - 1) % 5 + 1], { r:instance(), "all" }) end,
   },
   F37 = {
      title = "one instance cut off from its transaction coordinator alone, or from its group coordinator",
      hurts = "network",
      rounds = { 4, 30 },
      setting = NET,
      fault = function(r, k)
         local instance = rig.pick { "a", "b" }
         local p = rig.pick(r.pipelines)
         local n = k % 2 == 1 and r:transaction_coordinator(p, instance) or r:group_coordinator(p)
         cut(r, math.random(2, 15), { instance, n })
      end,
   },
   F38 = {
      title = "one-way cut: requests arrive, at every broker or at the group's coordinator alone, and their answers are lost",
      hurts = "network",
      rounds = { 4, 30 },
      setting = { cluster = { namespaces = true, properties = SWEEP }, resume = 120 },
      fault = function(r, k)
         local from = math.random(3) == 1 and "all" or r:group_coordinator(rig.pick(r.pipelines))
         cut(r, k % 2 == 1 and math.random(1, 5) or math.random(7, 12), { rig.pick { "a", "b" }, from, "in" })
      end,
   },
   F39 = {
      title = "a broker cut off from the others, not from clients and controller: replicas fall out of sync",
      rounds = { 2, 20 },
      setting = { cluster = { namespaces = true, controller = true, properties = { ["replica.lag.time.max.ms"] = 1500 } }, resume = 120 },
      fault = function(r)
         local n = math.random(3)
         r.kafka:net("cut", n, n % 3 + 1)
         r.kafka:net("cut", n, (n + 1) % 3 + 1)
         r:rest(math.random(12, 20) * 1000)
         if not is_alone(r, n) then r:note(("no replica of broker %d's fell out of sync"):format(n)) end
         r.kafka:net "heal"
         r:resume()
         r:whole()
      end,
   },
   F40 = {
      title = "lossy link: of what an instance sends one packet in two is lost, and sent again later and later",
      hurts = "network",
      rounds = { 2, 20 },
      setting = NET,
      fault = function(r)
         r.kafka:net("lossy", rig.pick { "a", "b" }, 50)
         r:rest(30000)
         r.kafka:net "heal"
      end,
   },
   F41 = {
      title = "slow link: what an instance sends goes at 256 kbit/s",
      hurts = "network",
      rounds = { 2, 10 },
      setting = NET,
      fault = function(r)
         r.kafka:net("slow", rig.pick { "a", "b" }, "256kbit")
         r:rest(20000)
         r.kafka:net "heal"
      end,
   },
   F42 = {
      title = "a request is late: held while its client sends again, delivered in a later transaction",
      rounds = { 12, 300 },
      setting = FRAMES,
      fault = function(r, k)
         local key = rig.pick(KEYS)
         r.proxy:hold(key, "cut", math.random(5))
         if held(r, 1) then
            if k % 2 == 0 then
               deliver(r, key)
            else
               r:rest(math.random(0, 400))
               r.proxy:release(0)
            end
         end
         r.proxy:drop()
      end,
   },
   F42b = {
      title = "a Produce's answer is lost, or says it wasn't replicated, and its transaction is aborted: no late request at all",
      rounds = { 8, 200 },
      setting = FRAMES,
      fault = function(r, k)
         if k % 2 == 1 then
            r.proxy:hold(proxy.PRODUCE, "respcut", math.random(3))
            r:rest(100)
         else
            r.proxy:mangle(proxy.PRODUCE, rig.pick { 20, 7 })
         end
         r.proxy:mangle(proxy.HEARTBEAT, 25) -- thrown out of the group: the batch is dropped, its transaction aborted
         r:rest(math.random(3500, 5000)) -- one comes every 3 s at least
         r.proxy:drop()
      end,
   },
   F43 = {
      title = "every EndTxn's answer is lost, or every EndTxn itself, for longer than commit is waited for",
      rounds = { 4, 40 },
      setting = FRAMES,
      fault = function(r, k)
         for _ = 1, 12 do r.proxy:hold(proxy.END_TXN, k % 2 == 1 and "resp" or "stall") end
         r:rest(math.random(8000, 15000))
         r.proxy:drop()
      end,
   },
   F45 = { title = "credentials change", lacking = "they are read at the start; spec/kafka/tls_spec.lua has what is said of wrong and expired ones" },
}
