-- Several outputs of one record, in their order; a limit.
local testing = require "onced.testing"

describe("split", function()
  local p = testing.load "split.yaml"

  it("makes a record of each line", function()
    local r = p:run { value = '{"id":9007199254740993,"lines":[{"sku":"a","n":1},{"sku":"b","n":2}]}', timestamp = 5 }
    local first, second = r.sent.default[1], r.sent.default[2]
    assert.same({ "a", '{"n":1,"order":9007199254740993,"sku":"a"}', 5 }, { first.key, first.value, first.timestamp })
    assert.same({ "b", "2" }, { second.key, second:header "line" })
    assert.equal(2, #r.sent.default)
  end)

  it("drops an order without lines", function()
    assert.equal("an order without lines", p:run({ value = '{"id":1,"lines":[]}' }).drops[1].reason)
  end)

  it("halts over an order of more lines than the file allows", function()
    local r = p:run { value = '{"id":1,"lines":[' .. ('{"sku":"a"},'):rep(500) .. '{"sku":"a"}]}' }
    assert.matches("more than 500 outputs for a record", r.halt)
    assert.equal(0, #r.sent.default)
  end)
end)
