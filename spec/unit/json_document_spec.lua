-- SPDX-License-Identifier: MIT
-- Pointers (RFC 6901) and edits: what is read, and that what isn't touched stays byte for byte.
local driver = require "spec.unit.json_driver"

local function opened(text) return assert(driver.open(text)) end

-- The text after edits: {pointer, raw} sets, {pointer} removes.
local function edited(text, ...)
  local doc = opened(text)
  for _, edit in ipairs { ... } do
    if edit[2] then assert(driver.set(doc, edit[1], edit[2])) else assert.equal(1, driver.remove(doc, edit[1])) end
  end
  local composed = driver.composed(doc)
  assert(driver.open(composed), composed)
  return composed
end

local function refusal(text, pointer, raw)
  local doc = opened(text)
  local ok, message = driver.set(doc, pointer, raw or "1")
  assert.is_nil(ok)
  assert.equal(text, driver.composed(doc))
  return message
end

describe("a JSON Pointer", function()
  -- The example of RFC 6901, section 5.
  local RFC = '{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\\\j":5,"k\\"l":6," ":7,"m~n":8}'

  it("names what RFC 6901 says", function()
    local doc = opened(RFC)
    local expected = { ["/"] = 0, ["/a~1b"] = 1, ["/c%d"] = 2, ["/e^f"] = 3, ["/g|h"] = 4, ["/i\\j"] = 5, ['/k"l'] = 6, ["/ "] = 7, ["/m~0n"] = 8 }
    for pointer, number in pairs(expected) do assert.same({ "number", number }, { driver.get(doc, pointer) }, pointer) end
    assert.same({ "object", RFC }, { driver.get(doc, "") })
    assert.same({ "array", '["bar","baz"]' }, { driver.get(doc, "/foo") })
    assert.same({ "string", "bar" }, { driver.get(doc, "/foo/0") })
    assert.same({ "string", "baz" }, { driver.get(doc, "/foo/1") })
  end)

  it("may lead nowhere", function()
    local doc = opened '{"a":[1,[2]],"b":{"c":null},"d":"x","e":{}}'
    for _, pointer in ipairs { "/x", "/a/2", "/a/-", "/a/01", "/a/+1", "/a/-1", "/a/1e0", "/a/", "/a/ 1", "/a/4294967296",
      "/a/18446744073709551616", "/a/x", "/b/", "/b/c/d",
      "/d/0", "/A", "/a/0/0", "/e/x", "//", "/a/1/1", "/b/c/" } do
      assert.equal("missing", (driver.get(doc, pointer)), pointer)
    end
    assert.same({ "number", 2 }, { driver.get(doc, "/a/1/0") })
    assert.equal("null", (driver.get(doc, "/b/c")))
  end)

  it("is refused when it isn't one", function()
    local doc = opened '{"a":1}'
    for _, pointer in ipairs { "a", "a/b", " /a", "#/a", "/a~", "/~", "/a~2", "/x/~x/y", "~0" } do
      local kind, message = driver.get(doc, pointer)
      assert.equal("failed", kind, pointer)
      assert.truthy(message:find("a JSON Pointer", 1, true))
    end
    assert.same({ "number", 1 }, { driver.get(doc, "/a") })
  end)

  it("finds keys that are written with escapes, and names with any bytes", function()
    local doc = opened '{"\\u0061b":1,"é\\n":2,"\\ud83d\\ude00":3,"\\u0000":4,"a\\/b":5,"\\"\\\\":6}'
    local expected = { ["/ab"] = 1, ["/é\n"] = 2, ["/😀"] = 3, ["/\0"] = 4, ["/a~1b"] = 5, ['/"\\'] = 6 }
    for pointer, number in pairs(expected) do assert.same({ "number", number }, { driver.get(doc, pointer) }) end
    assert.equal("missing", (driver.get(doc, "/\\u0061b")))
  end)

  it("finds each of many keys", function()
    local parts = {}
    for i = 1, 2000 do parts[i] = ('"%s%d":%d'):format(("k"):rep(i % 20), i, i) end
    local doc = opened("{" .. table.concat(parts, ",") .. "}")
    for i = 1, 2000 do assert.same({ "number", i }, { driver.get(doc, "/" .. ("k"):rep(i % 20) .. i) }) end
  end)
end)

describe("a value", function()
  it("is read as what it is", function()
    local doc = opened ' { "s":"a\\n\\u00e9\\ud83d\\ude00\\/\\u0000b","t":true,"f":false,"n":null,"e":"","a":[ ],"o":{ } } '
    assert.same({ "string", "a\né😀/\0b" }, { driver.get(doc, "/s") })
    assert.same({ "string", "" }, { driver.get(doc, "/e") })
    assert.same({ "array", "[ ]" }, { driver.get(doc, "/a") })
    assert.same({ "object", "{ }" }, { driver.get(doc, "/o") })
    for name, kind in pairs { t = "true", f = "false", n = "null" } do assert.equal(kind, (driver.get(doc, "/" .. name))) end
    assert.same({ "string", "x" }, { driver.get(opened '"x"', "") })
  end)

  local numbers = {
    { "0", "number", 0 }, { "-1", "number", -1 }, { "9007199254740991", "number", 2 ^ 53 - 1 }, { "9007199254740992", "number", 2 ^ 53 },
    { "-9007199254740992", "number", -2 ^ 53 }, { "9007199254740993", "int64", "9007199254740993" }, { "-9007199254740993", "int64", "-9007199254740993" },
    { "9223372036854775807", "int64", "9223372036854775807" }, { "-9223372036854775808", "int64", "-9223372036854775808" },
    { "9223372036854775808", "uint64", "9223372036854775808" }, { "18446744073709551615", "uint64", "18446744073709551615" },
    { "18446744073709551616", "number", 18446744073709551616 }, { "-9223372036854775809", "number", -9223372036854775808 }, { "1e400", "failed",
      "number too large" },
    { "-1e400", "failed", "number too large" }, { "1e-400", "number", 0 }, { "1.0", "number", 1 }, { "9007199254740993.0", "number", 9007199254740992 },
    { "1.7976931348623157e308", "number", 1.7976931348623157e308 }, { "4.9e-324", "number", 4.9406564584124654e-324 }, { "2.2250738585072011e-308",
      "number", 2.2250738585072011e-308 },
    { "0.1", "number", 0.1 }, { "123456789012345678901234567890", "number", 123456789012345678901234567890 }, { "0.30000000000000004",
      "number", 0.30000000000000004 },
    { "1e22", "number", 1e22 }, { "1e23", "number", 1e23 }, { "9007199254740993e0", "number", 9007199254740992 }, { "100000000000000000000e-2",
      "number", 1e18 },
    { "5e-22", "number", 5e-22 }, { "1E2", "number", 100 }, { "1e+2", "number", 100 }, { "12.5e-1", "number", 1.25 },
  }

  it("is exact when it is a number", function()
    for _, case in ipairs(numbers) do
      local kind, value = driver.get(opened("[" .. case[1] .. "]"), "/0")
      assert.same({ case[2], case[3] }, { kind, value }, case[1])
    end
    local _, zero = driver.get(opened "-0", "")
    assert.equal(-math.huge, 1 / zero)
    local _, digits = driver.get(opened("0." .. ("0"):rep(300) .. "1"), "")
    assert.equal(1e-301, digits)
  end)

  it("tells the byte of a number that no double can hold", function()
    local doc = opened '{"a":  1e999}'
    assert.same({ "failed", "number too large", 7 }, { driver.get(doc, "/a") })
  end)
end)

describe("an edit", function()
  it("replaces a value and nothing else", function()
    assert.equal('{ "a" : 7 , "b":1.0,"c":[ ] }', edited('{ "a" : "x" , "b":1.0,"c":[ ] }', { "/a", "7" }))
    assert.equal("[1,[2,9],3]", edited("[1,[2,0],3]", { "/1/1", "9" }))
    assert.equal(' "x"\n', edited(' {"a":1}\n', { "", '"x"' }))
    assert.equal('{"a":[],"z":-0}', edited('{"a":{"b":1},"z":-0}', { "/a", "[]" }))
    assert.equal('{"\\u0061":2}', edited('{"\\u0061":1}', { "/a", "2" }))
  end)

  it("adds to an object, behind its last member", function()
    assert.equal('{"a":1,"b":2}', edited('{"a":1}', { "/b", "2" }))
    assert.equal('{\n  "a": 1,"b":2\n}\n', edited('{\n  "a": 1\n}\n', { "/b", "2" }))
    assert.equal('{"b":2}', edited("{}", { "/b", "2" }))
    assert.equal('{"b":2 }', edited("{ }", { "/b", "2" }))
    assert.equal('{"a":{"x":[1],"y":null},"c":3}', edited('{"a":{"x":[1]},"c":3}', { "/a/y", "null" }))
    assert.equal('{"":0,"a/b":1,"~":2,"\\"\\n\\u0001é":3}', edited("{}", { "/", "0" }, { "/a~1b", "1" }, { "/~0", "2" }, { '/"\n\1é', "3" }))
  end)

  it("appends to an array", function()
    assert.equal("[1,2]", edited("[1]", { "/-", "2" }))
    assert.equal("[2 ]", edited("[ ]", { "/-", "2" }))
    assert.equal('{"a":[ [],[2] ]}', edited('{"a":[ [] ]}', { "/a/-", "[2]" }))
    assert.equal("[1,2,3]", edited("[]", { "/-", "1" }, { "/-", "2" }, { "/-", "3" }))
  end)

  it("is refused where there is no place for it", function()
    assert.truthy(refusal('{"a":1}', "/b/c"):find("no object or array", 1, true))
    assert.truthy(refusal('{"a":1}', "/a/b"):find("no object or array", 1, true))
    assert.truthy(refusal("[1]", "/1"):find("no such element", 1, true))
    assert.truthy(refusal("[1]", "/x"):find("no such element", 1, true))
    assert.truthy(refusal("1", "/x"):find("no object or array", 1, true))
    assert.truthy(refusal('{"a":1}', "b"):find("a JSON Pointer", 1, true))
    assert.truthy(refusal('{"a":1}', "/\255"):find("invalid UTF-8", 1, true))
    assert.truthy(refusal('{"a":1}', "/-/b"):find("no object or array", 1, true))
  end)

  it("follows another", function()
    local text = '{"a":1,"b":{"c":[1,2]},"d":"x"}'
    assert.equal('{"a":3,"b":{"c":[1,2]},"d":"x"}', edited(text, { "/a", "2" }, { "/a", "3" }))
    assert.equal('{"a":1,"b":{"c":[1,2]},"d":"x","e":5,"f":6}', edited(text, { "/e", "4" }, { "/f", "6" }, { "/e", "5" }))
    assert.equal('{"a":1,"b":{"z":1},"d":"x"}', edited(text, { "/b", "{}" }, { "/b/z", "1" }))
    assert.equal('{"a":1,"b":7,"d":"x"}', edited(text, { "/b/c/0", "9" }, { "/b/c/-", "8" }, { "/b", "7" }))
    assert.equal('{"a":1,"b":{"c":[9,2,8]},"d":"y"}', edited(text, { "/d", '"y"' }, { "/b/c/-", "8" }, { "/b/c/0", "9" }))
    assert.equal('{"a":1,"b":{"c":[1,2,3,4]},"d":"x"}', edited(text, { "/b/c/-", "3" }, { "/b/c/-", "0" }, { "/b/c/3", "4" }))
    assert.equal('{"n":{"m":{"k":1}}}', edited("{}", { "/n", "{}" }, { "/n/m", "{}" }, { "/n/m/k", "1" }))
    assert.equal('[{"x":{}},1]', edited("[]", { "/-", "{}" }, { "/0/x", "{}" }, { "/-", "1" }))
  end)

  it("is seen by what is read behind it", function()
    local doc = opened '{"a":1,"b":{"c":2},"e":{}}'
    assert(driver.set(doc, "/a", "5"))
    assert(driver.set(doc, "/x", '"new"'))
    assert.same({ "number", 2 }, { driver.get(doc, "/b/c") })
    assert.equal("missing", (driver.get(doc, "/y")))
    assert.equal(2, doc.edits) -- neither is touched: nothing had to settle
    assert.same({ "number", 5 }, { driver.get(doc, "/a") })
    assert.same({ "string", "new" }, { driver.get(doc, "/x") })
    assert(driver.set(doc, "/e/f", "1"))
    assert.same({ "object", '{"f":1}' }, { driver.get(doc, "/e") })
    assert(driver.set(doc, "/b/c", "3"))
    assert.same({ "object", '{"a":5,"b":{"c":3},"e":{"f":1},"x":"new"}' }, { driver.get(doc, "") })
    assert.equal(1, driver.remove(doc, "/b"))
    assert.equal("missing", (driver.get(doc, "/b/c")))
    assert.equal('{"a":5,"e":{"f":1},"x":"new"}', driver.composed(doc))
  end)

  it("removes a value with its key and one comma", function()
    assert.equal('{"b":2}', edited('{"a":1,"b":2}', { "/a" }))
    assert.equal('{"a":1}', edited('{"a":1,"b":2}', { "/b" }))
    assert.equal("{}", edited('{"a":1}', { "/a" }))
    assert.equal('{ "c":3 }', edited('{ "a":[1,2] , "c":3 }', { "/a" }))
    assert.equal('{ "a":[1,2] }', edited('{ "a":[1,2] , "c":3 }', { "/c" }))
    assert.equal("[2,3]", edited("[1,2,3]", { "/0" }))
    assert.equal("[1,3]", edited("[1,2,3]", { "/1" }))
    assert.equal("[1,2 ]", edited("[1,2 , 3 ]", { "/2" }))
    assert.equal("[[]]", edited("[[{}]]", { "/0/0" }))
    assert.equal('{"x":{}}', edited('{"x":{"a":{"b":[1,{"c":2}]}}}', { "/x/a" }))
    assert.equal("{}", edited('{"a":1,"b":2}', { "/a" }, { "/b" }))
    local doc = opened '{"a":1}'
    assert.equal(0, driver.remove(doc, "/b"))
    assert.equal(-1, driver.remove(doc, ""))
    assert.equal(-1, driver.remove(doc, "x"))
    assert.equal('{"a":1}', driver.composed(doc))
  end)

  it("may be one of very many", function()
    local doc, parts = opened '{"list":[]}', {}
    for i = 1, 500 do
      assert(driver.set(doc, "/k" .. i, tostring(i)))
      assert(driver.set(doc, "/list/-", tostring(i)))
      parts[i] = tostring(i)
    end
    for i = 1, 500, 7 do assert.same({ "number", i }, { driver.get(doc, "/k" .. i) }) end
    assert.same({ "array", "[" .. table.concat(parts, ",") .. "]" }, { driver.get(doc, "/list") })
    assert(driver.open(driver.composed(doc)))
  end)

  it("leaves what was put for a refused one behind", function()
    local doc = opened '{"a":1}'
    assert.is_nil((driver.set(doc, "/x/y", "777")))
    assert(driver.set(doc, "/b", "2"))
    assert.equal('{"a":1,"b":2}', driver.composed(doc))
  end)

  it("that makes it too deep or too large is told, and nothing is read from it any more", function()
    local doc = opened '{"a":1}'
    doc.depth_most = 3
    assert(driver.set(doc, "/a", "[[[1]]]"))
    assert.same({ "failed", "nested too deep", 7 }, { driver.get(doc, "/a/0") })
    assert.same({ "failed", "no document is open", -1 }, { driver.get(doc, "/a") })
    doc = opened '{"a":1}'
    doc.size_most = 20
    assert(driver.set(doc, "/a", '"' .. ("x"):rep(20) .. '"'))
    assert.same({ "failed", "too large", -1 }, { driver.get(doc, "/a") })
  end)
end)

describe("a document", function()
  it("can be opened again and again, also after a refusal", function()
    local doc = driver.new()
    for i = 1, 300 do
      assert(driver.open('{"a":' .. i .. ',"b":[{"a":' .. i .. "}]}", doc))
      assert.same({ "number", i }, { driver.get(doc, "/b/0/a") })
      assert.is_nil((driver.open('{"a":', doc)))
      assert.equal("failed", (driver.get(doc, "/a")))
    end
    local large = "[" .. ('{"k":[1,2,3]},'):rep(40000) .. "0]"
    assert(driver.open(large, doc))
    assert.same({ "number", 3 }, { driver.get(doc, "/39999/k/2") })
    assert(driver.open("[1]", doc))
    assert.same({ "number", 1 }, { driver.get(doc, "/0") })
  end)
end)
