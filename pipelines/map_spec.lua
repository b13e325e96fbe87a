-- Values, tombstones, rejects; the environment that the file asks for.
local testing = require "onced.testing"

describe("map", function()
  local p = testing.load("map.yaml", { env = { MAP_PREFIX = false } })

  it("puts the prefix before the value and keeps key and headers", function()
    local record = p:run({ key = "k", value = "a", headers = { h = "1" } }).sent.default[1]
    assert.same({ "k", "mapped:a", "1" }, { record.key, record.value, record:header "h" })
  end)

  it("takes the prefix from the environment", function()
    local other = testing.load("map.yaml", { env = { MAP_PREFIX = "<" } })
    assert.equal("<a", other:run({ value = "a" }).sent.default[1].value)
  end)

  it("passes a tombstone", function() assert.is_nil(p:run({ key = "k" }).sent.default[1].value) end)

  it("rejects an empty value", function()
    local r = p:run { value = "" }
    assert.equal("the value is empty", r.rejects[1].reason)
    assert.equal("reject", r.dead_letters[1]:header "__onced.error.kind")
  end)
end)
