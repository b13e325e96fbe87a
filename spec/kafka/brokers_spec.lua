-- Brokers that restart, die and stay away (F24, F27, F28) while two workers are at it: they wait, and go on.
local scene = require "spec.kafka.scene"
local wait = require "spec.support.wait"

describe("brokers", function()
   local s
   setup(function() s = scene.start { brokers = 3 } end)
   teardown(function() if s then s:stop() end end)
   after_each(function() s:clear() end)

   local function goes_on(case)
      local before = case:committed()
      wait.till("commits", 90, function() return case:committed() > before + 100 end, 50)
   end

   it("that restart one by one, or stay away together, cost nothing but time", function()
      local case = s:case("brokers", { lines = "workers: 2" })
      case:load(1000)
      local d = case:daemon { failpoints = false }
      goes_on(case)
      for i, how in ipairs { "TERM", "KILL" } do
         s.kafka:restart(i, how)
         goes_on(case)
      end
      -- All at once only when nothing is being written: a partition without a leader gets no marker (README, Limits).
      case:finish()
      case:through()
      for i = 1, 3 do s.kafka:kill(i) end
      wait.sleep(10000)
      s.kafka:start_node(1, 2, 3)
      case:load(1000)
      goes_on(case)
      case:finish()
      case:through()
      assert.are.equal(0, d:count "killed by signal 9") -- waiting is no stall
      assert.are.equal(0, d:count "halted")
      assert.are.equal(0, d:stop())
      case:clean()
   end)
end)
