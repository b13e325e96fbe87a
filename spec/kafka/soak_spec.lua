-- The short form of spec/soak: everything it does, in twenty seconds. The long one is `make soak`.
local process = require "spec.support.process"

describe("soak", function()
   it("loses and repeats nothing while workers and daemons are killed and a third daemon joins and leaves", function()
      local code, out = process.run({ "spec/soak", "--records", "100000", "--seconds", "20", "--seed", "7" }, { timeout = 240 })
      assert.equal(0, code, out)
      for _, name in ipairs { "map", "fan%-out" } do assert.truthy(out:match("\n" .. name .. ": 100,000 records in"), out) end
      for zero in out:gmatch "  lost (%d+), repeated" do assert.equal("0", zero) end
   end)
end)
