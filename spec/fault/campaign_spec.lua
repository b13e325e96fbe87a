-- What CI plays of the campaign: each failpoint, in its short form. The ledger that is checked in isn't touched.
local process = require "spec.support.process"

describe("the campaign", function()
   it("is clean: killed at each failpoint (F01)", function()
      local ledger = ("build/ledger-%d.csv"):format(process.self())
      local code, out = process.run({ "spec/fault/run", "F01", "--seed", "7", "--ledger", ledger }, { timeout = 800 })
      assert.equal(0, code, out)
      local file = assert(io.open(ledger))
      local line = file:read "*a"
      file:close()
      os.remove(ledger)
      assert.truthy(line:match ",F01,7,%d+,16,0,0,0,0,clean,%d+,%d+,[1-9]%d*\n$", line)
   end)
end)
