-- With the file's data, and with data of the spec's own.
local testing = require "onced.testing"

describe("enrich-json", function()
  local p = testing.load "enrich-json.yaml"

  it("adds what the table knows and leaves the rest as it is", function()
    local value = p:run({ value = '{ "id": 12345678901234567890, "country": "ie" }' }).sent.default[1].value
    assert.equal('{ "id": 12345678901234567890, "country": "ie","country_name":"Ireland","vat":0.23 }', value)
  end)

  it("rejects what the table doesn't know", function()
    local r = p:run { { value = '{"country":"xx"}' }, { value = "{}" } }
    assert.same({ "unknown country: xx", "unknown country: nil" }, { r.rejects[1].reason, r.rejects[2].reason })
    assert.equal(2, #r.dead_letters)
  end)

  it("takes another table", function()
    local other = testing.load("enrich-json.yaml", { data = { countries = { { code = "xx", name = "Xanadu", vat = "0" } } } })
    assert.equal("Xanadu", other:run({ value = '{"country":"xx"}' }).sent.default[1]:get "/country_name")
  end)
end)
