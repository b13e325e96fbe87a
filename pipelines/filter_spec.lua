-- What is dropped, and why; params that take the place of the file's.
local testing = require "onced.testing"

describe("filter", function()
  local p = testing.load "filter.yaml"

  it("passes large orders on as they came", function()
    local r = p:run { key = "7", value = '{ "total": 100.0 }' }
    assert.equal('{ "total": 100.0 }', r.sent.default[1].value)
    assert.equal("7", r.sent.default[1].key)
  end)

  it("drops the rest, with a reason", function()
    local r = p:run { { value = '{"total": 99.9}' }, { value = '{"total": "100"}' }, { value = "[]" } }
    assert.equal(0, #r.sent.default)
    assert.same({ "too small", "no order", "no order" }, { r.drops[1].reason, r.drops[2].reason, r.drops[3].reason })
  end)

  it("halts over what isn't JSON: nobody said what to do with it", function()
    assert.matches("filter.lua:8: invalid JSON", p:run({ value = "total: 100" }).halt, 1, true)
  end)

  it("takes its limit from params", function()
    local low = testing.load("filter.yaml", { params = { least = 1 } })
    assert.equal(1, #low:run({ value = '{"total": 1}' }).sent.default)
    assert.has_error(function() testing.load("filter.yaml", { params = { least = -1 } }) end)
  end)
end)
