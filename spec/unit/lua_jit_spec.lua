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
  ["JSON edits"] = {
    [[return function(rec)
        local n = rec:get "/n"
        rec:set("/n", n * 1.19)
        rec:set("/status", "priced")
        return rec
      end]],
    outputs = 3000,
  },
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

describe("onced.json", function()
  it("has nothing that can't be compiled", function()
    local seen = watch [[local onced = require "onced"
      return function(rec)
        local t = onced.json.decode(rec.value)
        t.list, t.x = { 1, true, onced.null, "s" }, rec:get "/n"
        return { value = onced.json.encode(t) }
      end]]
    assert.equal(3000, seen.outputs)
    assert.falsy(seen.text:find("NYI", 1, true), seen.text)
  end)
end)

describe("without the right to make code", function()
  it("a script runs interpreted, and the log says so", function()
    -- PR_SET_MDWE needs Linux 6.3; the process that is denied is one of its own, with its own compiler off.
    local pipe = assert(io.popen [[luajit -joff -e '
      local ffi = require "ffi"
      package.path = "./?.lua;" .. package.path
      local driver = require "spec.unit.transform_driver"
      ffi.cdef "int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long);"
      if ffi.C.prctl(65, 1, 0, 0, 0) ~= 0 then return print "unsupported" end
      local records = {}
      for i = 1, 5000 do records[i] = { value = "" .. i } end
      print(#driver.run("return function(rec) return rec end", records))' 2>&1]])
    local text = pipe:read "*a"
    pipe:close()
    if text == "unsupported\n" then return pending "this kernel has no PR_SET_MDWE" end
    assert.truthy(text:find("orders.lua runs interpreted", 1, true), text)
    assert.truthy(text:find("\n5000\n", 1, true), text)
  end)
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
