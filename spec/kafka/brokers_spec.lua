-- Brokers that restart, die and stay away (F24, F28) while two workers are at it: they wait, and go on.
local scene = require "spec.kafka.scene"
local wait = require "spec.support.wait"

describe("brokers", function()
   local s
   setup(function()
      -- A broker that starts doesn't know its youngest topics yet for some moments, and skips their markers when it ends a transaction
      -- then ("these partitions are likely deleted already"): the aborted records become part of the id's next transaction. No client
      -- can see or help that; a sweep for timed-out transactions each second, right from the start, makes it likely, so it is Kafka's
      -- default of 10 s here.
      s = scene.start { properties = { ["transaction.abort.timed.out.transaction.cleanup.interval.ms"] = 10000 } }
   end)
   teardown(function() if s then s:stop() end end)
   after_each(function() s:clear() end)

   it("that restart or stay away for 20 s cost nothing but time", function()
      local case = s:case("brokers", { lines = "workers: 2" })
      case:load(1000)
      local d = case:daemon { failpoints = false }
      local function goes_on()
         local before = case:committed()
         wait.till("commits", 60, function() return case:committed() > before + 100 end, 50)
      end
      goes_on()
      for _, how in ipairs { "TERM", "KILL" } do
         s.kafka:restart(1, how)
         goes_on()
      end
      s.kafka:kill(1)
      wait.sleep(20000)
      s.kafka:start_node(1)
      goes_on()
      case:finish()
      case:through()
      assert.are.equal(0, d:count "killed by signal 9") -- waiting is no stall
      assert.are.equal(0, d:count "halted")
      assert.are.equal(0, d:stop())
      case:clean()
   end)
end)
