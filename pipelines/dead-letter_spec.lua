-- Dead letters, their headers and their time; when it is too many of them.
local testing = require "onced.testing"

describe("dead-letter", function()
  local p = testing.load("dead-letter.yaml", { now = "2026-01-31T10:00:00Z" })

  it("edits good records in place", function()
    assert.equal('{ "age": 18, "name":"Ann","adult":true }', p:run({ value = '{ "age": 18, "name":"Ann" }' }).sent.default[1].value)
  end)

  it("rejects what it knows to be wrong", function()
    local r = p:run { { key = "k", value = '{"age":-1}', timestamp = 5 }, { value = "{}" } }
    assert.same({ "age is negative: -1", "age is missing" }, { r.rejects[1].reason, r.rejects[2].reason })
    local letter = r.dead_letters[1]
    assert.same({ "k", '{"age":-1}', 1769853600000 }, { letter.key, letter.value, letter.timestamp })
    assert.same({ "reject", "age is negative: -1", "5" }, { letter:header "__onced.error.kind", letter:header "__onced.error.message",
      letter:header "__onced.error.timestamp" })
  end)

  it("puts aside what it didn't foresee", function()
    local r = p:run { { value = "?" }, { value = '{"age":"18"}' } }
    assert.same({ "json", "dead-letter.lua:6" }, { r.errors[1].kind, r.errors[1].place })
    assert.matches("attempt to compare", r.errors[2].message)
    assert.equal(2, #r.dead_letters)
  end)

  it("halts when most of it is wrong", function()
    local wrong = {}
    for i = 1, 30 do wrong[i] = { value = "{}" } end
    assert.matches("became dead letters, above errors.dlq.max_ratio 0.5", p:run(wrong).halt)
  end)
end)
