-- A slice at once: a run's records of one partition.
local testing = require "onced.testing"

describe("batch", function()
  local p = testing.load "batch.yaml"

  local function values(records)
    local list = {}
    for i, record in ipairs(p:run(records).sent.default) do list[i] = record.value end
    return list
  end

  it("keeps the last update of each key, in order", function()
    assert.same({ "b1", "a3", "c1" },
      values { { key = "a", value = "a1" }, { key = "b", value = "b1" }, { key = "a", value = "a2" }, { key = "a", value = "a3" },
        { key = "c", value = "c1" } })
  end)

  it("keeps a deletion, and all records without key", function()
    local r = p:run { { key = "a", value = "a1" }, { value = "x" }, { key = "a" }, { value = "y" } }
    assert.same({ "x", "y" }, { r.sent.default[1].value, r.sent.default[3].value })
    assert.is_nil(r.sent.default[2].value)
  end)

  it("looks at each partition for itself", function()
    assert.same({ "a1", "a2" }, values { { key = "a", value = "a1" }, { key = "a", value = "a2", partition = 1 } })
  end)
end)
