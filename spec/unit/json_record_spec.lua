-- SPDX-License-Identifier: MIT
-- rec:get, rec:set, rec:remove, rec:json in scripts, and where edited values go.
local driver = require "spec.unit.transform_driver"

local ORDER = '{ "id":12345678901234567890, "total": 100.0,"list":[ ],"name":"Zo\\u00eb","c":{"d":[1,{"e":null}]} }'

local function process(body, records, options)
  local script = 'local onced = require "onced"\nreturn function(rec, out, ctx)\n' .. body .. "\nend"
  return driver.run(script, records or { { key = "k", value = ORDER, time = 5 } }, options)
end

local function values(found)
  local list = {}
  for i, o in ipairs(found) do list[i] = o.value end
  return list
end

local function halt_of(body, records, options)
  local _, halt = process(body, records, options)
  assert(halt, "no halt")
  return halt
end

describe("rec:get", function()
  it("reads one value", function()
    local found, halt = process [[
      assert(rec:get "/total" == 100 and rec:get "/name" == "Zo\195\171" and rec:get "/none" == nil and rec:get "/c/d/0" == 1)
      assert(rec:get "/c/d/1/e" == onced.null and rec:get "/list/0" == nil and rec:get "/id" == 12345678901234567890ULL)
      assert(rec:get("/c").d[2].e == onced.null and #rec:get "/list" == 0 and rec:get("").name == rec:json().name)
      assert(onced.json.encode(rec:get "/list") == "[]" and onced.json.encode(rec:get "/c") == '{"d":[1,{"e":null}]}')
      return rec]]
    assert.is_nil(halt)
    assert.same({ ORDER }, values(found))
  end)

  it("fails with the byte where the value isn't JSON, and says what a pointer is", function()
    assert.truthy(halt_of("local a = rec:get '/a' return a", { { value = '{"a":1,}' } }):find(
      "orders.lua:3: invalid JSON at byte 8: unexpected character", 1, true))
    assert.truthy(halt_of("return rec:get '/a'", { { value = "" } }):find("invalid JSON at byte 1: unexpected end", 1, true))
    assert.truthy(halt_of("return rec:get '/a'", { { value = nil, key = "k" } }):find(
      "the record's value is null (a tombstone): there is no JSON in it", 1, true))
    assert.truthy(halt_of("return rec:get 'total'"):find('"total": a JSON Pointer is empty or starts with a slash', 1, true))
    assert.truthy(halt_of("return rec:get(1)"):find('rec:get needs a JSON Pointer such as "/total", got a number', 1, true))
    assert.truthy(halt_of("return rec:json()", { { value = "[1e999]" } }):find("invalid JSON at byte 2: number too large", 1, true))
  end)

  it("counts as bad JSON in a dead letter", function()
    local found, halt = process("return rec:set('/a', 1)", { { value = "{" }, { value = "{}" } }, { on_error = "dlq" })
    assert.is_nil(halt)
    assert.equal("dead", found[1].topic)
    assert.equal("{", found[1].value)
    local kind
    for _, pair in ipairs(found[1].headers) do if pair[1] == "__onced.error.kind" then kind = pair[2] end end
    assert.equal("json", kind)
    assert.equal('{"a":1}', found[2].value)
  end)
end)

describe("rec:set", function()
  it("changes one value; other bytes, key, headers and time stay", function()
    local found, halt = process([[return rec:set("/gross", rec:get "/total" * 1.19):set("/c/d/-", "x")]],
      { { key = "k", value = ORDER, time = 5, headers = { { "h", "1" } } } })
    assert.is_nil(halt)
    assert.same({ { topic = "plain", key = "k", headers = false, time = 5, partition = -1, source = 0,
      value = '{ "id":12345678901234567890, "total": 100.0,"list":[ ],"name":"Zo\\u00eb","c":{"d":[1,{"e":null},"x"]},"gross":119 }' } }, found)
  end)

  it("writes any value, numbers exactly", function()
    local found, halt = process([[
      rec:set("/a", 0.1):set("/b", 18446744073709551615ULL):set("/c", -9223372036854775807LL - 1):set("/d", onced.null):set("/e", false)
      rec:set("/f", "\"\n\195\171"):set("/g", {}):set("/h", onced.json.array()):set("/i", { 1,
      { x = "y" } }):set("/j", rec:get "/b"):set("/k", rec:get "/i/1")
      return rec]], { { value = "{}" } })
    assert.is_nil(halt)
    assert.equal('{"a":0.1,"b":18446744073709551615,"c":-9223372036854775808,"d":null,"e":false,"f":"\\"\\në","g":{},"h":[],"i":[1,{"x":"y"}],' ..
      '"j":18446744073709551615,"k":{"x":"y"}}', found[1].value)
  end)

  it("is seen by everything that reads the record", function()
    local found, halt = process [[
      rec:set("/total", 7):set("/new", true):remove("/id"):remove("/none")
      assert(rec:get "/total" == 7 and rec:get "/new" == true and rec:get "/id" == nil and rec:json().total == 7)
      local edited = '{ "total": 7,"list":[ ],"name":"Zo\\u00eb","c":{"d":[1,{"e":null}]},"new":true }'
      assert(rec.value == edited and rec.value == edited)
      rec:set("/total", 8)
      return { value = rec.value }]]
    assert.is_nil(halt)
    assert.same({ '{ "total": 8,"list":[ ],"name":"Zo\\u00eb","c":{"d":[1,{"e":null}]},"new":true }' }, values(found))
  end)

  it("leaves what was sent before as it was", function()
    local found, halt, tally = process([[
      out.default:send(rec)
      for i = 1, 3 do
        rec:set("/n", i)
        out.default:send(rec)
      end
      return rec:set("/m", 0)]], { { value = '{"n":0}' } })
    assert.is_nil(halt)
    assert.same({ '{"n":0}', '{"n":1}', '{"n":2}', '{"n":3}', '{"n":3,"m":0}' }, values(found))
    assert.equal(7 * 4 + 13, tally.bytes)
  end)

  it("and derived records don't touch each other", function()
    local found, halt = process([[
      local before = rec:derive { key = "before" }
      rec:set("/n", 1)
      local between = rec:derive { key = "between" }
      rec:set("/n", 2)
      local own = before:derive { key = "own" }:set("/n", 9):set("/m", {})
      assert(before.value == '{"n":0}' and between.value == '{"n":1}' and own.value == '{"n":9,"m":{}}' and own:get "/n" == 9 and before:get "/n" == 0)
      own:remove "/m"
      assert(own:json().n == 9 and own:json().m == nil)
      return { before, between, rec, own }]], { { value = '{"n":0}' } })
    assert.is_nil(halt)
    assert.same({ '{"n":0}', '{"n":1}', '{"n":2}', '{"n":9}' }, values(found))
  end)

  it("of several records at once, in any order", function()
    local records = {}
    for i = 1, 200 do records[i] = { value = ('{"n":%d}'):format(i) } end
    local found, halt = driver.run([[return { process_batch = function(recs, out)
      for round = 1, 3 do
        for i = #recs, 1, -1 do recs[i]:set("/r" .. round, recs[i]:get "/n" * round) end
      end
      return recs
    end }]], records)
    assert.is_nil(halt)
    assert.equal(200, #found)
    for i, o in ipairs(found) do assert.equal(('{"n":%d,"r1":%d,"r2":%d,"r3":%d}'):format(i, i, 2 * i, 3 * i), o.value) end
  end)

  it("is undone with a stretch that is run again", function()
    local records = {}
    for i = 1, 64 do records[i] = { value = ('{"n":%d,"edits":0}'):format(i) } end
    records[40].value = "bad"
    local found, halt = driver.run([[return { process_batch = function(recs, out)
      for _, rec in ipairs(recs) do rec:set("/edits", rec:get "/edits" + 1) end
      return recs
    end }]], records, { on_error = "skip" })
    assert.is_nil(halt)
    assert.equal(63, #found)
    for _, o in ipairs(found) do assert.truthy(o.value:find '"edits":1}$', o.value) end
  end)

  it("of a record that fails afterwards doesn't change its dead letter", function()
    local found, halt = process([[rec:set("/n", 1) out.default:send(rec) rec:set("/n", 2) error "no"]], { { value = '{"n":0}' } }, { on_error = "dlq" })
    assert.is_nil(halt)
    assert.equal(1, #found)
    assert.same({ "dead", '{"n":0}' }, { found[1].topic, found[1].value })
  end)

  it("survives into later records of the batch, not into the next batch", function()
    local t = assert(driver.load [[
      local first
      return function(rec, out)
        if not first then first = rec:set("/n", 1) return rec end
        rec:set("/n", rec:get "/n" + 1)
        if rec.offset == 1 then out.default:send(first:set("/m", 2)) end
        return rec
      end]])
    local batch = driver.batch()
    for i = 0, 2 do driver.add(batch, { value = '{"n":0}', offset = i }) end
    assert.is_nil(t.run(batch))
    assert.same({ '{"n":1}', '{"n":1,"m":2}', '{"n":1}', '{"n":1}' }, values(driver.outputs(batch)))
    driver.C.batch_reset(batch)
    for i = 0, 2 do driver.add(batch, { value = '{"n":5}', offset = 2 * i }) end
    assert.is_nil(t.run(batch))
    assert.same({ '{"n":6}', '{"n":6}', '{"n":6}' }, values(driver.outputs(batch)))
    t.free()
    driver.free_batch(batch)
  end)

  it("is measured as what it has become", function()
    local topics = { { name = "plain", max = 1000 }, "audit", "orders-eu", "orders-us", "dead" }
    local halt = halt_of("rec:set('/b', ('x'):rep(950)) return rec", { { value = '{"a":1}' } }, { topics = topics })
    assert.truthy(halt:find("a record of 964 bytes doesn't fit topic plain (max.message.bytes 1000)", 1, true), halt)
    local found, none = process("return rec:remove '/b'", { { value = '{"a":1,"b":"' .. ("x"):rep(950) .. '"}' } }, { topics = topics })
    assert.is_nil(none)
    assert.equal('{"a":1}', found[1].value)
  end)

  it("says what it can't do", function()
    assert.truthy(halt_of("return rec:set('/x', nil)"):find("rec:set needs a value: onced.null writes null, rec:remove takes a value away", 1, true))
    assert.truthy(halt_of("return rec:set('/x', print)"):find("the value is a function, which has no JSON form", 1, true))
    assert.truthy(halt_of("return rec:set('/x', { a = 0/0 })"):find("/a is nan", 1, true) or halt_of("return rec:set('/x', { a = 0/0 })"):find(
      "/a is -nan", 1, true))
    assert.truthy(halt_of("return rec:set('/x/y', 1)"):find('"/x/y": there is no object or array to put it into', 1, true))
    assert.truthy(halt_of("return rec:set('/list/0', 1)"):find('the array has no such element ("-" appends)', 1, true))
    assert.truthy(halt_of("return rec:remove ''"):find("the whole document can't be removed", 1, true))
    assert.truthy(halt_of("rec.value = 1"):find("rec:set(pointer, value) edits its JSON", 1, true))
    assert.truthy(halt_of("return { value = {} }"):find("onced.json.encode", 1, true))
    assert.truthy(halt_of("return { value = onced.json.encode { rec = rec } }"):find("/rec is a record", 1, true))
  end)

  it("of a caught failure leaves the record as it was", function()
    local found, halt = process([[
      assert(not pcall(rec.set, rec, "/a", { 1, 2, print }))
      assert(not pcall(rec.set, rec, "/x/y", 1))
      assert(not pcall(rec.get, rec, "a"))
      return rec:set("/b", 1)]], { { value = "{}" } })
    assert.is_nil(halt)
    assert.same({ '{"b":1}' }, values(found))
  end)
end)
