-- The smallest spec: a record in, the same record out.
local testing = require "onced.testing"

describe("pass", function()
  it("passes a record on as it came", function()
    local p = testing.load "pass.yaml"
    local record = p:run({ key = "k", value = "any\0bytes", headers = { { "h", "1" }, { "h", "2" } }, timestamp = 5 }).sent.default[1]
    assert.same({ "k", "any\0bytes", 5, "pass-out" }, { record.key, record.value, record.timestamp, record.topic })
    assert.same({ { "h", "1" }, { "h", "2" } }, record.headers)
  end)
end)
