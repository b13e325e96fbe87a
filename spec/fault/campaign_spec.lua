-- What CI plays of the campaign: each failpoint, in its short form. The ledger that is checked in isn't touched.
local cluster = require "spec.support.cluster"
local ledger = require "spec.fault.ledger"
local process = require "spec.support.process"

local function played(...)
   local path = ("build/ledger-%d.csv"):format(process.self())
   local code, out = process.run({ "spec/fault/run", "--ledger", path, ... }, { timeout = 1200 })
   assert.equal(0, code, out)
   local entry = ledger.entries(path)[1]
   os.remove(path)
   return entry, out
end

-- Exactly this: a run that made no faults or took no records through proves nothing.
local function clean(entry)
   assert.same({ "0", "0", "0", "0", "clean" }, { entry.lost, entry.repeated, entry.disordered, entry.hanging, entry.verdict })
   assert.is_true(tonumber(entry.aborted_copies) > 0, "no fault hit an open transaction")
end

describe("the campaign", function()
   it("is clean: killed at each failpoint (F01)", function()
      local entry = played("F01", "--seed", "7")
      clean(entry)
      assert.equal("16", entry.faults)
   end)

   it("is clean: faults of many kinds at the same time, half a million records (composite)", function()
      local lack = cluster.lacks()
      if lack then return pending("no network of namespaces here: " .. lack) end
      local entry, out = played("composite", "--seed", "7", "--faults", "20", "--load", "1.8")
      clean(entry)
      assert.is_true(tonumber(entry.faults) >= 20, out)
      assert.is_true(tonumber(entry.records) >= 500000, out)
      assert.is_true(tonumber(out:match "(%d+) different faults") >= 10, out)
   end)
end)
