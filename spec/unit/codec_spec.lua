-- SPDX-License-Identifier: MIT
-- onced.time, base64, hex, sha256 and uuid, as scripts reach them: against the vectors of the documents that define them.
local driver = require "spec.unit.transform_driver"

local ONCED = 'local onced = require "onced"\n'

-- The values of expressions in a script, as strings.
local function values(...)
  local found, halt = driver.run(ONCED .. "return function(rec)\nlocal list = { " .. table.concat({ ... }, ", ") ..
    " }\nfor i, v in ipairs(list) do list[i] = { value = tostring(v) } end return list end", { { value = "" } })
  assert(not halt, halt)
  local list = {}
  for i, o in ipairs(found) do list[i] = o.value end
  return list
end

local function value(expression) return values(expression)[1] end

local function failure(expression)
  local _, halt = driver.run(ONCED .. "return function(rec) local v = " .. expression .. " return rec end", { { value = "" } })
  return (assert(halt, expression):gsub(" %(topic.*$", ""))
end

describe("base64", function()
  local VECTORS = { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=", foobar = "Zm9vYmFy" } -- RFC 4648

  it("encodes and decodes", function()
    for plain, encoded in pairs(VECTORS) do
      local url = encoded:gsub("=", "")
      assert.same({ encoded, plain, url, plain }, values(("onced.base64.encode %q, onced.base64.decode %q"):format(plain, encoded),
        ("onced.base64.encode_url %q, onced.base64.decode_url %q"):format(plain, url)))
    end
    assert.same({ "+/8=", "-_8", "251,255" }, values('onced.base64.encode "\\251\\255", onced.base64.encode_url "\\251\\255"',
      'table.concat({ onced.base64.decode "+/8=":byte(1, -1) }, ",")'))
    assert.equal("true", value [[(function()
      for n = 0, 300 do
        local s = ("\0\1\254x"):rep(n):sub(n % 4)
        if onced.base64.decode(onced.base64.encode(s)) ~= s or onced.base64.decode_url(onced.base64.encode_url(s)) ~= s then return n end
      end
      return true end)()]])
  end)

  it("takes nothing but what encoding makes", function()
    assert.equal("orders.lua:2: invalid base64 at byte 2: unexpected character", failure 'onced.base64.decode "Z!=="')
    assert.equal("orders.lua:2: invalid base64 at byte 3: unexpected character", failure 'onced.base64.decode "Zg==Zg=="')
    assert.truthy(failure 'onced.base64.decode "Zg"':find("isn't a multiple of 4: is the padding missing?", 1, true))
    assert.truthy(failure 'onced.base64.decode "Zh=="':find("bits are left over behind the last byte", 1, true))
    assert.truthy(failure 'onced.base64.decode "Zm9="':find("bits are left over behind the last byte", 1, true))
    assert.truthy(failure 'onced.base64.decode "Z==="':find("byte 2: unexpected character", 1, true))
    assert.truthy(failure 'onced.base64.decode_url "Zm9vY"':find("one character is left over", 1, true))
    assert.truthy(failure 'onced.base64.decode_url "Zg=="':find("byte 3: unexpected character", 1, true))
    assert.truthy(failure 'onced.base64.decode_url "+/8"':find("byte 1: unexpected character", 1, true))
    assert.truthy(failure "onced.base64.encode(1)":find("onced.base64.encode needs a string, got a number", 1, true))
  end)
end)

describe("hex", function()
  it("encodes and decodes", function()
    assert.same({ "00ff10", "", "0,255,171" },
      values('onced.hex.encode "\\0\\255\\16"', 'onced.hex.encode ""', 'table.concat({ onced.hex.decode "00fFaB":byte(1, -1) }, ",")'))
    assert.equal("true", value "onced.hex.decode(onced.hex.encode(('x\\0\\255'):rep(5000))) == ('x\\0\\255'):rep(5000)")
  end)

  it("is strict", function()
    assert.equal("orders.lua:2: invalid hex at byte 2: unexpected character", failure 'onced.hex.decode "0g"')
    assert.truthy(failure 'onced.hex.decode "abc"':find("the length is odd", 1, true))
    assert.truthy(failure "onced.hex.decode(nil)":find("onced.hex.decode needs a string, got a nil", 1, true))
  end)
end)

describe("sha256", function()
  it("meets FIPS 180-4's examples", function()
    assert.same({
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    }, values('onced.sha256 "abc"', 'onced.sha256 ""', 'onced.sha256 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"',
      "onced.sha256(('a'):rep(1000000))"))
  end)

  it("agrees with sha256sum around the block's end", function()
    for _, size in ipairs { 54, 55, 56, 57, 63, 64, 65, 119, 120, 128 } do
      local pipe = io.popen(("printf %s | sha256sum"):format(("x"):rep(size)))
      assert.equal(pipe:read(64), value(("onced.sha256(('x'):rep(%d))"):format(size)))
      pipe:close()
    end
  end)

  it("with a key meets RFC 4231's cases", function()
    assert.same({
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    }, values("onced.sha256('Hi There', ('\\11'):rep(20))", "onced.sha256('what do ya want for nothing?', 'Jefe')",
      "onced.sha256(('\\221'):rep(50), ('\\170'):rep(20))",
      "onced.sha256('Test Using Larger Than Block-Size Key - Hash Key First', ('\\170'):rep(131))"))
  end)

  it("needs strings", function()
    assert.truthy(failure "onced.sha256(7)":find("onced.sha256 needs a string, got a number", 1, true))
    assert.truthy(failure "onced.sha256('x', 7)":find("the key must be a string, is a number", 1, true))
  end)
end)

describe("time", function()
  it("is parsed to milliseconds", function()
    local cases = {
      ["1970-01-01T00:00:00Z"] = 0, ["2026-01-31T10:00:00Z"] = 1769853600000, ["2026-01-31T12:00:00.5+02:00"] = 1769853600500,
      ["2026-01-31t09:59:59.123456789z"] = 1769853599123, ["1969-12-31T23:59:59.999Z"] = -1, ["2024-02-29T00:00:00-00:30"] = 1709166600000,
      ["0000-01-01T00:00:00Z"] = -62167219200000, ["9999-12-31T23:59:59.999Z"] = 253402300799999, ["2016-12-31T23:59:60Z"] = 1483228800000,
    }
    for text, ms in pairs(cases) do assert.equal(("%.0f"):format(ms), value(('("%%.0f"):format(onced.time.parse %q)'):format(text)), text) end
  end)

  it("that isn't one is refused, and the reason told", function()
    local cases = {
      ["yesterday"] = "isn't a time as in 2026-01-31T10:00:00Z (RFC 3339)", ["2026-01-31 10:00:00Z"] = "isn't a time",
      ["2026-01-31"] = "isn't a time", ["2026-01-31T10:00:00"] = "needs a zone at its end, Z or as in +02:00",
      ["2026-01-31T10:00:00Zx"] = "needs a zone at its end", ["2026-01-31T10:00:00+0200"] = "needs a zone at its end",
      ["2026-02-29T10:00:00Z"] = "has a date that doesn't exist", ["2026-13-01T10:00:00Z"] = "has a date that doesn't exist",
      ["2026-01-31T24:00:00Z"] = "has a time of day that doesn't exist", ["2026-01-31T10:00:00+24:00"] = "has a zone that doesn't exist",
      ["2026-01-31T10:00:00.Z"] = "isn't a time", ["2026-01-31T10:00:00Z\\0"] = "holds a zero byte",
    }
    for text, problem in pairs(cases) do
      local told = failure(('onced.time.parse "%s"'):format(text))
      assert.truthy(told:find(problem, 1, true), told)
      assert.truthy(told:find("^orders%.lua:2: onced%.time%.parse: "), told)
    end
    assert.truthy(failure "onced.time.parse(5)":find("onced.time.parse needs a string, got a number", 1, true))
  end)

  it("is formatted in UTC, and comes back", function()
    assert.same({ "1970-01-01T00:00:00.000Z", "2026-01-31T10:00:00.007Z", "1969-12-31T23:59:59.999Z", "0000-01-01T00:00:00.000Z",
      "9999-12-31T23:59:59.999Z", "2024-02-29T12:30:45.000Z", "2000-12-31T23:59:59.999Z" },
      values("onced.time.format(0)", "onced.time.format(1769853600007)", "onced.time.format(-1)", "onced.time.format(-62167219200000)",
        "onced.time.format(253402300799999)", "onced.time.format(1709209845000)", "onced.time.format(978307199999)"))
    assert.equal("true", value [[(function()
      for ms = -62167219200000, 253402300799999, 86400000 * 13 + 12345678 do
        if onced.time.parse(onced.time.format(ms)) ~= ms then return onced.time.format(ms) end
      end
      return true end)()]])
    for _, bad in ipairs { "1.5", "0/0", "'x'", "nil" } do
      assert.truthy(failure("onced.time.format(" .. bad .. ")"):find("onced.time.format needs a whole number of milliseconds", 1, true))
    end
    for _, bad in ipairs { "253402300800000", "-62167219200001", "2^60", "1/0" } do
      assert.truthy(failure("onced.time.format(" .. bad .. ")"):find("outside of the years 0 to 9999", 1, true), bad)
    end
  end)
end)

describe("uuid", function()
  local DRAW = ONCED .. "return function(rec, out) for _ = 1, 2 do out.default:send { value = onced.uuid() } end end"

  local function drawn(script, records, options)
    local found, halt = driver.run(script, records, options)
    assert.is_nil(halt)
    local list = {}
    for i, o in ipairs(found) do list[i] = o.value end
    return list
  end

  local RECORDS = { { value = "a", offset = 7 }, { value = "b", offset = 8 }, { value = "c", offset = 7, partition = 1 }, { value = "d", topic = 1,
    offset = 7 } }

  it("is one of version 8, different for each record and each call", function()
    local list, seen = drawn(DRAW, RECORDS), {}
    assert.equal(8, #list)
    for _, text in ipairs(list) do
      assert.truthy(text:find "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-8%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", text)
      assert.is_nil(seen[text])
      seen[text] = true
    end
  end)

  it("is the same when a record is computed again", function()
    assert.same(drawn(DRAW, RECORDS), drawn(DRAW, RECORDS))
    assert.equal(drawn(DRAW, { RECORDS[3] })[2], drawn(DRAW, RECORDS)[6])
    -- the name's bytes are a promise: pipeline, topic, then partition, offset and number
    local pipe = io.popen [[printf 'shop\0orders\0000 7 0' | sha256sum]]
    local digest = pipe:read(32)
    pipe:close()
    assert.equal(digest:sub(1, 8) .. "-" .. digest:sub(9, 12), drawn(DRAW, RECORDS)[1]:sub(1, 13))
  end)

  it("names its record in process_batch, wherever slices end", function()
    local script = ONCED .. [[
      return { process_batch = function(recs, out)
        for _, rec in ipairs(recs) do
          out.default:send { value = onced.uuid(rec) }
          if rec.value == "bad" then error "bad" end
          out.default:send { value = onced.uuid(rec:derive { value = "" }) }
        end
      end }]]
    local each = ONCED .. "return function(rec, out) for _ = 1, 2 do out.default:send { value = onced.uuid(rec) } end end"
    local records = {}
    for i = 1, 9 do records[i] = { value = i == 5 and "bad" or "good" } end
    local good = drawn(each, records)
    table.remove(good, 9)
    table.remove(good, 9)
    assert.same(good, drawn(script, records, { on_error = "skip" }))
  end)

  it("can't be had without a record", function()
    assert.truthy(failure "onced.uuid {}":find("onced.uuid needs a record, or nothing", 1, true))
    local _, halt = driver.run(ONCED .. "return { process_batch = function() onced.uuid() end }", { { value = "" } })
    assert.truthy(halt:find("orders.lua:2: process_batch has many records: onced.uuid(rec) says for which", 1, true))
    local _, message = driver.load(ONCED .. "onced.uuid() return print")
    assert.truthy(message:find("orders.lua:2: onced.uuid() is drawn from a record", 1, true))
  end)
end)

describe("onced.json on a text", function()
  it("reads, sets and removes by pointer, and leaves the rest as it came", function()
    assert.same({ "1", "true", '{ "a": 1.0, "b":[2,3] }', '{ "a": 1.0, "b":[3] }', "nil" }, values('onced.json.get(\'{"a":{"b":1}}\', "/a/b")',
      'onced.json.get(\'{"a":null}\', "/a") == onced.json.null', [[onced.json.set('{ "a": 1.0, "b":[2] }', "/b/-", 3)]],
      [[onced.json.remove('{ "a": 1.0, "b":[2,3] }', "/b/0")]], [[tostring(onced.json.get('{}', "/x"))]]))
    assert.truthy(failure [[onced.json.get('{"a":1,"a":2}', "/a")]]:find("invalid JSON at byte 8: duplicate key", 1, true))
    assert.truthy(failure [[onced.json.set('{}', "x", 1)]]:find('"x": a JSON Pointer is empty or starts with a slash', 1, true))
    assert.truthy(failure [[onced.json.set('{}', "/a/b", 1)]]:find('"/a/b": ', 1, true))
    assert.truthy(failure [[onced.json.get('{}')]]:find("onced.json.get needs a JSON Pointer", 1, true))
  end)
end)
