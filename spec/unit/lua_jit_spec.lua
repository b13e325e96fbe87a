-- SPDX-License-Identifier: MIT
-- The runner's loop must stay compiled: off the JIT a record costs a hundred times as much. See lua_jit_driver.lua.

local function watch(script)
  local pipe = assert(io.popen(("luajit spec/unit/lua_jit_driver.lua '%s' 2>&1"):format(script:gsub("'", '"'))))
  local text = pipe:read "*a"
  pipe:close()
  local seen = { aborts = {}, loops = {}, text = text, outputs = tonumber(text:match "\noutputs (%d+)\n$") }
  assert(seen.outputs, text)
  for line in text:gmatch "[^\n]+" do
    if line:find "^loop" then seen.loops[#seen.loops + 1] = line:match "^loop (.*)" end
    -- Warming up in the first slices, LuaJIT may try functions on their own before it finds the loop, and give up on those. The outer
    -- loop of run_each turns once a slice; that it isn't compiled costs nothing.
    local round = tonumber(line:match "^abort (%d)")
    if round and round > 2 and not line:find "inner loop in root trace" then seen.aborts[#seen.aborts + 1] = line end
  end
  return seen
end

local SCRIPTS = {
  ["a pass-through"] = { "return function(rec) return rec end", outputs = 3000 },
  ["reading fields"] = {
    [[return function(rec, out)
        local key = rec.key
        if rec.offset % 3 == 0 and key ~= "k1" and rec.timestamp > 0 and rec.partition >= 0 then out.audit:send(rec) end
        return rec
      end]],
    outputs = 3857,
  },
  ["drops"] = {
    [[local onced = require "onced"
      return function(rec) if rec.offset % 2 == 0 then return onced.drop "even" end return rec end]],
    outputs = 1500,
  },
  ["table records"] = { "return function(rec) return { key = rec.key, value = rec.value } end", outputs = 3000 },
  ["several outputs"] = { "return function(rec, out) out.audit:send(rec) out.default:send(rec) end", outputs = 6000 },
}

describe("the runner's loop is compiled, and no trace is aborted once it runs, with", function()
  for name, case in pairs(SCRIPTS) do
    it(name, function()
      local seen = watch(case[1])
      assert.same({}, seen.aborts)
      assert.truthy(seen.text:find "loop runner.lua:")
      assert.equal(case.outputs, seen.outputs)
    end)
  end
end)

describe("the watch", function()
  it("sees a script that can't be compiled", function()
    local seen = watch [[return function(rec)
      local parts = {}
      for i = 1, 2 do parts[i] = function() return i end end
      return rec
    end]]
    assert.truthy(seen.text:find "abort %d [^\n]*NYI")
    assert.falsy(seen.text:find "loop runner.lua:")
  end)

  it("sees that derived records compile in the end", function()
    assert.truthy(watch("return function(rec) return rec:derive { value = rec.value } end").text:find "loop runner.lua:")
  end)
end)
