-- Which topic a record went to.
local testing = require "onced.testing"

describe("route", function()
  local p = testing.load "route.yaml"

  it("goes by the header", function()
    local r = p:run { { value = "a", headers = { region = "us" } }, { value = "b", headers = { region = "eu" } } }
    assert.same({ "route-us", "a" }, { r.sent.regional[1].topic, r.sent.regional[1].value })
    assert.same({ "route-eu", "b" }, { r.sent.regional[2].topic, r.sent.regional[2].value })
  end)

  it("keeps the rest apart, and says why", function()
    local r = p:run { { value = "a", headers = { region = "mars" } }, { value = "b" } }
    assert.same({ { "region", "mars" }, { "why", "no region of ours" } }, r.sent.rest[1].headers)
    assert.equal(2, #r.sent.rest)
    assert.equal(0, #r.sent.regional)
  end)
end)
