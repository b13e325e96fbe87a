-- Three outputs of one record.
local testing = require "onced.testing"

describe("fan-out", function()
  local p = testing.load "fan-out.yaml"

  it("sends the record, a copy by region and a line for the audit", function()
    local r = p:run { { key = "k", value = "eu:17" }, { value = "mars:1", partition = 2, offset = 40 } }
    assert.same({ "eu:17", "fan-eu", "fan-other" }, { r.sent.default[1].value, r.sent.regional[1].topic, r.sent.regional[2].topic })
    assert.same({ "fan-in/2/40 mars:1", "onced" }, { r.sent.audit[2].value, r.sent.audit[2]:header "source" })
  end)
end)
