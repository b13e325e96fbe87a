-- SPDX-License-Identifier: MIT
-- onced.json: what Lua values become of JSON, what JSON they make, and what can't be made.
local ffi = require "ffi"
local driver = require "spec.unit.json_driver"
local json = driver.module()
local null = driver.null
local decode, encode = json.decode, json.encode

local function failure(call, ...)
  local ok, message = pcall(call, ...)
  assert.is_false(ok)
  return message
end

describe("decode", function()
  it("makes Lua values", function()
    assert.same({ a = 1, b = { true, false, "x" }, c = { d = {} } }, decode '{"a":1,"b":[true,false,"x"],"c":{"d":{}}}')
    assert.equal(null, decode "null")
    assert.equal(null, decode('{"a":null}').a)
    assert.equal("é😀\n\0/", decode '"\\u00e9\\ud83d\\ude00\\n\\u0000\\/"')
    assert.equal(1.5, decode " 1.5 ")
    assert.equal(3, #decode "[null,null,null]")
    assert.same({ ["é\n"] = 1, [""] = 2 }, decode '{"\\u00e9\\n":1,"":2}')
  end)

  it("keeps integers exact", function()
    assert.equal("number", type(decode "9007199254740992"))
    assert.equal("number", type(decode "-9007199254740992"))
    assert.is_true(ffi.istype("int64_t", decode "9007199254740993"))
    assert.is_true(decode "9223372036854775807" == 9223372036854775807LL)
    assert.is_true(decode "-9223372036854775808" == -9223372036854775807LL - 1)
    assert.is_true(ffi.istype("uint64_t", decode "18446744073709551615"))
    assert.is_true(decode "18446744073709551615" == 18446744073709551615ULL)
    assert.is_true(decode("[9223372036854775808]")[1] == 9223372036854775808ULL)
    assert.equal(18446744073709551616, decode "18446744073709551616") -- as near as a number comes
    assert.equal("number", type(decode "9007199254740993.0"))
  end)

  it("tells what is wrong and at which byte, from 1", function()
    assert.equal("invalid JSON at byte 4: unexpected character", failure(decode, '[1,}'))
    assert.equal("invalid JSON at byte 1: unexpected end", failure(decode, ""))
    assert.equal("invalid JSON at byte 8: duplicate key", failure(decode, '{"a":1,"a":2}'))
    assert.equal("invalid JSON at byte 3: lone surrogate", failure(decode, '["\\ud800"]'))
    assert.equal("invalid JSON at byte 3: invalid UTF-8", failure(decode, '["\255"]'))
    assert.equal("invalid JSON at byte 2: number too large", failure(decode, "[1e999]"))
    assert.equal("invalid JSON at byte 1001: nested too deep", failure(decode, ("["):rep(2000)))
    assert.equal("invalid JSON at byte 5: something follows the value", failure(decode, "[1] x"))
    assert.equal("JSON text must be a string, is a table", failure(decode, {}))
    assert.equal("JSON text must be a string, is a nil", failure(decode))
    assert.equal(7, decode("[7]")[1])
  end)

  it("goes as deep as the limit", function()
    local value = decode(("["):rep(1000) .. ("]"):rep(1000))
    for _ = 1, 999 do value = value[1] end
    assert.same({}, value)
  end)
end)

describe("encode", function()
  it("makes JSON, the same for the same value", function()
    local cases = {
      { 1, "1" }, { 0.1, "0.1" }, { -0.0, "-0.0" }, { true, "true" }, { false, "false" }, { null, "null" }, { "", '""' }, { {}, "{}" }, { { 1, 2 }, "[1,2]" },
      { { a = 1 }, '{"a":1}' }, { { b = 2, a = { c = { 1, { d = null } } } }, '{"a":{"c":[1,{"d":null}]},"b":2}' }, { { { {} } }, "[[{}]]" },
      { 'a"\\\n\1\127é/', '"a\\"\\\\\\n\\u0001\127é/"' },
      { 9223372036854775807LL, "9223372036854775807" }, { { 18446744073709551615ULL }, "[18446744073709551615]" }, { 5LL, "5" }, { -5LL, "-5" },
      { 2 ^ 53, "9007199254740992" },
      { { [""] = 1 }, '{"":1}' }, { json.array(), "[]" }, { json.array {}, "[]" }, { json.map {}, "{}" }, { { json.array(), {} }, "[[],{}]" },
      { 1e300, "1e300" }, { { false }, "[false]" },
    }
    for _, case in ipairs(cases) do assert.equal(case[2], encode(case[1])) end
  end)

  it("sorts the names of a map", function()
    local map, names = {}, {}
    for i = 40, 1, -1 do
      local name = ("%c%d"):format(97 + i * 7 % 26, i)
      map[name], names[#names + 1] = i, name
    end
    table.sort(names)
    for i, name in ipairs(names) do names[i] = ('"%s":%d'):format(name, map[name]) end
    assert.equal("{" .. table.concat(names, ",") .. "}", encode(map))
    assert.equal('{"a":1,"b":2,"c":3,"d":4}', encode { d = 4, b = 2, a = 1, c = 3 })
  end)

  it("refuses what JSON can't hold, and says where it stands", function()
    local circle = {}
    circle.next = circle
    local cases = {
      { print, "the value is a function, which has no JSON form" }, { { a = { b = { 1, print } } }, "/a/b/1 is a function, which has no JSON form" },
      { { ["x/y~"] = 0 / 0 }, "/x~1y~0 is nan, which JSON can't express" }, { { 1, 1 / 0 }, "/1 is inf, which JSON can't express" }, { -1 / 0,
      "the value is -inf" },
      { { 1, 2, a = 3 }, "the value is an array with holes or with other keys than 1 to its length" }, { { 1, nil, 3, nil, 5 },
      "the value is an array with holes" },
      { { a = { 1, [3] = 2 } }, "/a is an array with holes" }, { { [2] = 1 }, "the value has a key that is a number" }, { { a = { [true] = 1 } },
      "/a has a key that is a boolean" },
      { { a = 1, [1.5] = 2 }, "has a key that is a number" }, { circle, "nested deeper than 1000: does a table contain itself?" },
      { coroutine.create(print), "the value is a thread" },
      { { a = "\255" }, "/a can't be written: invalid UTF-8 at its byte 1" }, { "ab\237\160\128", "can't be written: invalid UTF-8 at its byte 3" },
      { { ["\255"] = 1 }, "has a key that can't be written: invalid UTF-8 at its byte 1" }, { ffi.new "int[2]", "is a record or other cdata" },
      { newproxy(), "is a userdata" },
      { setmetatable({}, { __metatable = "drop" }), "is a drop, not a value" }, { json.array { a = 1 }, "is an array with holes or with other keys" },
      { json.map { 1 }, "has a key that is a number" },
    }
    for _, case in ipairs(cases) do
      local message = failure(encode, case[1])
      assert(message:find(case[2], 1, true), message .. " / " .. case[2])
      assert.equal("[1]", encode { 1 })
    end
    assert.truthy(failure(encode, nil):find("the value is nil: onced.null writes null", 1, true))
    assert.truthy(failure(encode):find("is nil", 1, true))
  end)

  it("takes what was decoded: arrays stay arrays and maps maps, also when they are empty or changed", function()
    for _, text in ipairs { "[]", "{}", '{"a":[],"b":{}}', "[[],{},[[]],[{}]]", "null", '{"a":null,"b":[null]}', "[1,-2.5,1e-7]", '"é\\n"',
      "18446744073709551615",
      "-9223372036854775808", '{"":{"":[]}}', "[9007199254740993,9007199254740992,-9007199254740993]", "0.1", "-0.0", "[true,false]" } do
      assert.equal(text, encode(decode(text)))
    end
    local value = decode '{"list":[1],"map":{"a":1}}'
    value.list[1], value.map.a = nil, nil
    assert.equal('{"list":[],"map":{}}', encode(value))
    value.list[1], value.map.b = "x", json.array()
    assert.equal('{"list":["x"],"map":{"b":[]}}', encode(value))
  end)

  it("round-trips random values", function()
    local state = 1
    local function random(n)
      state = (state * 16807) % 2147483647
      return state % n
    end
    local function value(depth)
      local kind = random(depth > 4 and 6 or 8)
      if kind == 0 then return null end
      if kind == 1 then return random(2) == 0 end
      if kind == 2 then return random(1000000) / 2 ^ random(40) end
      if kind == 3 then return ffi.cast("int64_t", 9007199254740993LL + random(1000000000)) * (random(2) * 2 - 1) end
      if kind < 6 then
        local parts = {}
        for i = 1, random(12) do parts[i] = ({ "a", "é", "€", "😀", '"', "\\", "\n", "\0", " ", "/", "\127", "z" })[random(12) + 1] end
        return table.concat(parts)
      end
      local t = kind == 6 and json.array() or json.map()
      for i = 1, random(6) do t[kind == 6 and i or "k" .. random(100)] = value(depth + 1) end
      return t
    end
    for _ = 1, 1000 do
      local text = encode(value(0))
      assert.equal(text, encode(decode(text)))
    end
  end)

  it("writes large texts", function()
    local list = {}
    for i = 1, 100000 do list[i] = ("%d"):format(i) end
    local text = encode(list)
    assert.equal(100000, #decode(text))
    assert.equal('"' .. ("\\n"):rep(2000000) .. '"', encode(("\n"):rep(2000000)))
    assert.equal("1", encode(1))
  end)
end)

describe("array and map", function()
  it("mark tables, and only those without a mark of another kind", function()
    local list = {}
    assert.equal(list, json.array(list))
    assert.equal("array", getmetatable(list))
    assert.equal(list, json.array(list))
    assert.is_false((pcall(json.map, list)))
    assert.is_false((pcall(json.array, setmetatable({}, {}))))
    assert.is_false((pcall(json.array, "x")))
    assert.is_false((pcall(setmetatable, list, {})))
  end)
end)

describe("a text", function()
  it("is read and edited by pointer", function()
    assert.equal(2, json.get('{"a":[1,2]}', "/a/1"))
    assert.is_nil(json.get('{"a":[1,2]}', "/b"))
    assert.equal('{ "a":[1,{"x":[]}] }', json.set('{ "a":[1,2] }', "/a/1", { x = json.array() }))
    assert.equal('{"b":2}', json.remove('{"a":1,"b":2}', "/a"))
    assert.equal('"a": a JSON Pointer is empty or starts with a slash', failure(json.get, "{}", "a"))
    assert.equal('"/a/b": there is no object or array to put it into', failure(json.set, "{}", "/a/b", 1))
  end)
end)
