-- SPDX-License-Identifier: MIT
-- A script's lines that the compiler gives up on are counted and named.
local driver = require "spec.unit.transform_driver"
local C = driver.C

local function aborts(script)
  local stats, records, halt = C.stats_new(), {}, nil
  for i = 1, 4000 do records[i] = { value = tostring(i) } end
  local text = driver.stderr(function() halt = select(2, driver.run(script, records, { stats = stats })) end)
  assert.is_nil(halt)
  local count = tonumber(stats.trace_aborts)
  C.stats_free(stats)
  return count, text
end

describe("traces", function()
  it("that are aborted are counted, and the line is told once, with the reason", function()
    local count, text = aborts [[
      return function(rec)
        local parts = {}
        for i = 1, 2 do
          parts[i] = function() return i end
        end
        return rec
      end]]
    assert.is_true(count >= 3, count .. " aborts")
    local _, lines = text:gsub("orders.lua:4 isn't compiled: ", "")
    assert.equal(1, lines, text)
    assert.truthy(text:find("isn't compiled: NYI: bytecode FNEW", 1, true) or text:find "isn't compiled: reason %d+", text)
  end)

  it("of others aren't the script's", function()
    local count, text = aborts "return function(rec) return rec:derive { headers = { a = rec.value } } end"
    assert.same({ 0, "" }, { count, text })
  end)
end)
