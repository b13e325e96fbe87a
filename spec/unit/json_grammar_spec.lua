-- SPDX-License-Identifier: MIT
-- RFC 8259, case by case: what must be read, what must be refused and at which byte (from 0), and what the standard leaves open.
local driver = require "spec.unit.json_driver"

local bytes = string.char

-- Each within nothing, an array and an object, so that it stands at the end, before a comma and before a bracket.
local function surrounded(text)
  return { text, "[" .. text .. "]", "[1," .. text .. ",2]", '{"k":' .. text .. "}", " \t\r\n" .. text .. "\n\r\t ",
    '{"k" : ' .. text .. ' ,"l":[]}' }
end

local function accepts(text)
  for _, whole in ipairs(surrounded(text)) do
    local doc, message, at = driver.open(whole)
    assert(doc, ("%q is refused: %s at %s"):format(whole, message or "", tostring(at)))
    assert.equal(whole, driver.composed(doc))
  end
end

-- At the given byte, and with what is given as a part of the message.
local function refuses(text, at, message)
  local doc, said, where = driver.open(text)
  assert(not doc, ("%q is accepted"):format(text))
  if message then assert(said:find(message, 1, true), ("%q: %s, expected %s"):format(text, said, message)) end
  if at then assert(where == at, ("%q: %s at %d, expected at %d"):format(text, said, where, at)) end
  for _, whole in ipairs(surrounded(text)) do assert(not driver.open(whole), ("%q is accepted"):format(whole)) end
end

describe("a JSON value", function()
  it("is one of seven", function()
    for _, text in ipairs { "null", "true", "false", "0", '""', "[]", "{}", "[ ]", "{ }", "[\n]", "[[]]", "[{}]", '{"a":{}}', "[null]", "[1,2]",
      '{"":0}', '{"a":1,"b":2}', '{"a":[1,{"b":[]}],"c":null}', "[[[[[[]]]]]]", '{"a":1,"A":2}', '[{"a":1},{"a":1}]', '{"a":{"a":{"a":1}}}',
      '[null, 1, "1", {}, true, -0.5e1]', "[[]   ]", '{"min": -1.0e+28, "max": 1.0e+28}', '{"":{"":[""]}}', ("["):rep(500) .. ("]"):rep(500),
      '{"title":"\\u041f\\u043e"}', '{"a\\u0000b":0}' } do
      accepts(text)
    end
  end)

  it("isn't what is merely similar", function()
    local cases = {
      { "nul", 0 }, { "nulll", 4, "something follows" }, { "True", 0 }, { "TRUE", 0 }, { "truth", 0 }, { "fals", 0 }, { "undefined", 0 },
      { "nan", 0 }, { "NaN", 0 }, { "Infinity", 0 }, { "-Infinity", 0, "invalid number" }, { "-NaN", 0 }, { "a", 0 }, { "'a'", 0 }, { "`a`", 0 },
      { "aé", 0 }, { "é", 0 }, { "2@", 1, "something follows" }, { "]", 0 }, { "}", 0 }, { ",", 0 }, { ":", 0 }, { "\\u000A1", 0 }, { "\229", 0 },
      { "\0", 0 }, { "/", 0 }, { "/**/1", 0 }, { "1//", 1 }, { "#", 0 }, { "*", 0 }, { "(1)", 0 }, { "<null>", 0 }, { "☃", 0 },
    }
    for _, case in ipairs(cases) do refuses(unpack(case)) end
  end)

  it("is there", function()
    for _, text in ipairs { "", " ", "\n\t\r " } do
      local doc, message, at = driver.open(text)
      assert.is_nil(doc)
      assert.same({ "unexpected end", #text }, { message, at })
    end
  end)

  it("is alone", function()
    for _, case in ipairs { { "1 2", 2 }, { "[][]", 2 }, { "{}{}", 2 }, { "[1]]", 3 }, { '{"a":1}}', 7 }, { '""x', 2 }, { "null,", 4 }, { "[1],", 3 },
      { "true false", 5 }, { '{"a":"b"}/**/', 9 }, { '{"a":"b"}#', 9 }, { "[]\0", 2 }, { "1\0", 1 }, { "1]", 1 }, { '"a"b', 3 } } do
      local doc, message, at = driver.open(case[1])
      assert.is_nil(doc, case[1])
      assert.same({ "something follows the value", case[2] }, { message, at }, case[1])
    end
  end)

  it("has no byte order mark, and is UTF-8", function()
    for _, case in ipairs { { "\239\187\191{}", "a byte order mark" }, { "\239\187\191", "a byte order mark" }, { "\255\254[\0]\0" },
      { "\254\255\0[\0]" },
      { "[\0\"\0\233\0\"\0]\0" }, { "\0[\0\"\0\"\0]" },
      { "\239\187{}" }, { "[\239\187\191]" } } do
      local doc, message = driver.open(case[1])
      assert.is_nil(doc, case[1])
      if case[2] then assert.equal(case[2], message) end
    end
  end)

  it("stands among the four kinds of white space, and no other", function()
    accepts " \t\n\r[ \t\n\r1 \t\n\r, \t\n\r2 \t\n\r] \t\n\r"
    accepts '{ \t\n\r"a" \t\n\r: \t\n\r1 \t\n\r, \t\n\r"b" \t\n\r: \t\n\r2 \t\n\r}'
    for _, space in ipairs { "\f", "\v", "\b", "\0", "\127", "\194\160", "\226\128\168", "\226\129\160", "\227\128\128", "\\n" } do
      for _, text in ipairs { space .. "1", "1" .. space, "[" .. space .. "]", "[1" .. space .. "]", '{"a"' .. space .. ":1}",
      '{"a":' .. space .. "1}" } do
        assert.is_nil(driver.open(text), text)
      end
    end
  end)
end)

describe("arrays and objects", function()
  it("have commas between, and nowhere else", function()
    local cases = {
      { "[1,]", 3 }, { "[,1]", 1 }, { "[1,,2]", 3 }, { "[1\0]", 2 }, { "[,]", 1 }, { "[1 2]", 3 }, { "[1;2]", 2 }, { "[1:2]", 2 }, { "[1,,]", 3 }, { "[,]", 1 },
      { "[1}", 2 }, { "[1 true]", 3 }, { "[3[4]]", 2 }, { "[   , 1]", 4 }, { "[x", 1 }, { "[a\229]", 1 }, { "[\255]", 1 }, { "[*]", 1 },
      { '["a"\v]', 4 }, { "[\\n]", 1 }, { '[\\u0020"a"]', 1 }, { "[1/**/]", 2 }, { "[<null>]", 1 }, { "[,", 1 }, { '[1,"a"', 6, "unexpected end" },
      { '{"a":1,}', 7 }, { '{,"a":1}', 1 }, { '{"a":1,,"b":2}', 7 }, { "{,}", 1 }, { '{"a":1 "b":2}', 7 }, { '{"a":1;"b":2}', 6 }, { '{"a":1]', 6 },
      { '["a":1]', 4 }, { '{"a",1}', 4 }, { '{"a" 1}', 5 }, { '{"a"::1}', 5 }, { '{"a":}', 5 }, { '{"a":,}', 5 }, { '{:1}', 1 }, { '{"a":1 2}', 7 },
      { '{"a":"b":1}', 8 }, { '{"a"}', 4 }, { '{"a"=1}', 4 }, { '{"a":"a" 123}', 9 },
      { '{"a":/**/1}', 5 }, { '{"a":1/**/}', 6 }, { '{"a":1,,}', 7 }, { '{"a":1}}', 7 }, { '{"a":1}#', 7 }, { '{"a" "b"}', 5 }, { '{"a":truth}', 5 },
      { "[1,2}", 4 }, { "{]", 1 }, { "[}", 1 }, { '["a",\n4\n,1,', 11, "unexpected end" },
    }
    for _, case in ipairs(cases) do refuses(unpack(case)) end
  end)

  it("have names that are strings", function()
    for _, case in ipairs { { "{1:1}", 1 }, { "{a:1}", 1 }, { "{null:1}", 1 }, { "{[]:1}", 1 }, { "{{}:1}", 1 }, { "{'a':1}", 1 }, { "{true:1}", 1 },
      { '{[:"x"}', 1 }, { "{9999E9999:1}", 1 }, { "{null:1,null:1}", 1 }, { "{🇨🇭}", 1 }, { "{1}", 1 }, { "{*:1}", 1 }, { '{"a":1,b:2}', 7 },
      { '{"\\udc00":1}', 2, "surrogate" }, { '{"\128":1,}', 2, "UTF-8" },
      { '{"a":1,2:3}', 7 }, { '{"a\n":1}', 3, "control" }, { '{"\255":1}', 2, "UTF-8" }, { '{"\\x":1}', 2, "escape" } } do
      refuses(unpack(case))
    end
  end)

  it("are closed", function()
    for _, text in ipairs { "[", "{", "[1", "[1,", '{"a"', '{"a":', '{"a":1', '{"a":1,', "[[", '[{"a":[', "[\n\n", '["', '["a', '[""', "[[]",
      "[{}", '{"' } do
      local doc, _, at = driver.open(text)
      assert.is_nil(doc, text)
      assert.equal(#text, at, text)
    end
    for size = 1, 40 do -- every prefix of something whole
      local whole = '{"a":[1,2.5e3,"x\\u00e9é",true],"b":{"c":null}}'
      if size < #whole then assert.is_nil(driver.open(whole:sub(1, size)), whole:sub(1, size)) end
    end
  end)

  it("are nested as deep as the limit says", function()
    local deep = ("["):rep(1000) .. ("]"):rep(1000)
    assert.truthy(driver.open(deep))
    local doc, message, at = driver.open("[" .. deep .. "]")
    assert.is_nil(doc)
    assert.same({ "nested too deep", 1000 }, { message, at })
    assert.truthy(driver.open(('{"a":'):rep(1000) .. "1" .. ("}"):rep(1000)))
    assert.is_nil(driver.open(('{"a":'):rep(1001) .. "1" .. ("}"):rep(1001)))
    assert.is_nil(driver.open(("["):rep(100000)))
    assert.is_nil(driver.open(('[{"":'):rep(50000) .. "\n"))
    local shallow = driver.new()
    shallow.depth_most = 2
    assert.truthy(driver.open("[[1],[2],[3]]", shallow))
    assert.is_nil((driver.open("[[[]]]", shallow)))
  end)

  it("are as large as the limit says", function()
    local doc = driver.new()
    doc.size_most = 10
    assert.truthy(driver.open("[12345678]", doc))
    local _, message, at = driver.open("[123456789]", doc)
    assert.same({ "too large", -1 }, { message, at })
    local many = {}
    for i = 1, 50000 do many[i] = ('"k%d":%d'):format(i, i) end
    assert.truthy(driver.open("{" .. table.concat(many, ",") .. "}"))
  end)

  it("have each key once, however it is written", function()
    local cases = {
      { '{"a":1,"a":1}', 7 }, { '{"a":1,"b":2,"a":3}', 13 }, { '{"a":1,"\\u0061":2}', 7 }, { '{"\\u0061":1,"a":2}', 12 }, { '{"":1,"":2}', 6 },
      { '{"é":1,"\\u00e9":2}', 8 }, { '{"\\ud83d\\ude00":1,"😀":2}', 18 }, { '[{"x":{"a":1,"a":2}}]', 13 }, { '{"/":1,"\\/":2}', 7 },
      { '{"\\n":1,"\\u000A":2}', 8 },
    }
    for _, case in ipairs(cases) do refuses(case[1], case[2], "duplicate key") end
    accepts '{"a":{"a":1},"b":{"a":1},"c":[{"a":1},{"a":2}]}'
    accepts '{"a":1,"a\\u0000":2,"\\u0000a":3,"aa":4,"A":5}'
    local keys = {}
    for i = 1, 3000 do keys[i] = ('"name-%d":0'):format(i) end
    local all = table.concat(keys, ",")
    assert.truthy(driver.open("{" .. all .. "}"))
    for _, i in ipairs { 1, 2, 1500, 3000 } do
      local _, message, at = driver.open("{" .. all .. "," .. keys[i] .. "}")
      assert.same({ "duplicate key", #all + 2 }, { message, at })
    end
  end)
end)

describe("numbers", function()
  it("are what the grammar says", function()
    for _, text in ipairs { "0", "-0", "1", "-1", "10", "123", "0.5", "-0.5", "1.0", "1.50", "0e0", "0e1", "0e+1", "0E-1", "1e5", "1E5", "1e+5",
      "1E+2", "1e-5",
      "20e1", "123e45", "123e-10000000", "123.456e78", "123.456789", "-0.0", "-0e-0", "1e005", "1e00", "0.000", "-123", "-1e+9999", "0.1e1",
      "1e400", "-1e400", "1.5e+9999", "-123123e100000", "0.4e00669999999999999999999999999999999999999999999999999999999999999", "123.456e-789",
      "123123123123123123123123123123", "-123123123123123123123123123123",
      "0." .. ("0"):rep(300) .. "1", ("9"):rep(400), "1.7976931348623157e308" } do
      accepts(text)
    end
  end)

  it("are nothing else", function()
    for _, text in ipairs { "-", "+1", "+", "01", "-01", "00", "-00", "012", "1.", "-1.", ".5", "-.5", ".", "1.e5", "0.e1", "1e", "1e+", "1e-",
      "1E", "1.0e", "1.0e+", "0e", "0e+",
      "0E", "0E+", "1eE2", "1e1.5", "1e1e1", "1..2", "1.2.3", "--1", "-+1", "+-1", "++1", "1-", "1+1", "1-1", "0x1", "0X1F", "1a", "1_000",
      "- 1", "1 000",
      "1e 5", "1 .5", "1. 5", "Inf", "-Inf", "-nan", "-foo", "1ea", "1.5f", "1L", "0b1", "0o7", "１", "1\239\188\145", "2.e3", "2.e-3", "2.e+3",
      "9.e+", "-2.", "-1.0.",
      "0.1.2", "0.3e", "0.3e+", "-1x", "1.2a-3", "1.8011670033376514H-308", "1e1\229",
      "0e+-1", ".-1", "-123.123foo", "+Inf", "1.2.e3", "-2.e1", "0.3e-",
      "0\229", "123\229", "-9223372036854775809x" } do
      refuses(text)
    end
    refuses("[-]", 1, "invalid number")
    refuses("[1.]", 1, "invalid number")
    refuses("[01]", 2)
    refuses("[.5]", 1)
  end)
end)

describe("strings", function()
  it("hold what UTF-8 can, and escapes", function()
    for _, text in ipairs { '""', '"a"', '" "', '"/"', '"\127"', '"é"', '"€"', '"😀"', '"\\""', '"\\\\"', '"\\/"', '"\\b\\f\\n\\r\\t"',
      '"\\u0000"', '"\\u0020"', '"\\u00e9"', '"\\u00E9"',
      '"\\uABCD\\uabcd"', '"\\uD83D\\uDE00"', '"\\ud83d\\ude00x"', '"\\uDBFF\\uDFFF"', '"\\ud800\\udc00"', '"\\uD7FF\\uE000"',
      '"\\uFFFF\\uFFFE"', '"\\\\u0000"', '"\\"\\\\\\""',
      '"a/*b*/c"', '"\239\191\191"', '"\194\128"', '"\224\160\128"', '"\240\144\128\128"', '"\244\143\191\191"', '"\237\159\191"', '"\238\128\128"',
      '"\226\128\168\226\128\169"', '"asd "', '"new\\u000Aline"', '"\\u0012"', '"\\uFFFF"', '"\\u002c\\u005C\\u0022"',
      '"\\uDBFF\\uDFFE\\uFDD0\\u200B"', '"\240\155\191\191"', '"π"', '"\243\160\128\129"', '"\239\187\191"' } do
      accepts(text)
    end
  end)

  it("hold them at any place, in strings of any length", function()
    for length = 0, 40 do
      for at = 0, length do
        local before, behind = ("x"):rep(at), ("y"):rep(length - at)
        assert.truthy(driver.open('"' .. before .. behind .. '"'))
        for _, good in ipairs { "\\n", "\\u20ac", "é", "€", "😀", "\127" } do assert.truthy(driver.open('"' .. before .. good .. behind .. '"')) end
        for _, bad in ipairs { "\n", "\0", "\31", "\\x", "\128", "\255", "\195", "\\ud800" } do
          local _, _, where = driver.open('["' .. before .. bad .. behind .. '"]')
          assert.equal(2 + at, where)
        end
        assert.is_nil((driver.open('"' .. before .. '"' .. behind .. '"')))
      end
    end
  end)

  it("hold no control characters", function()
    for code = 0, 31 do refuses('"a' .. bytes(code) .. 'b"', 2, "control character in a string") end
  end)

  it("have no other escapes", function()
    local known = { ['"'] = true, ["\\"] = true, ["/"] = true, b = true, f = true, n = true, r = true, t = true }
    for code = 0, 255 do
      if not known[bytes(code)] and code ~= 117 then refuses('"\\' .. bytes(code) .. '"', nil) end
    end
    for _, text in ipairs { '"\\u"', '"\\u1"', '"\\u12"', '"\\u123"', '"\\u123g"', '"\\u 123"', '"\\u-123"', '"\\u+123"', '"\\u0x12"',
      '"\\U0041"', '"\\u{41}"', '"\\x41"', '"\\101"', '"\\\'"',
      '"\\a"', '"\\0"', '"\\\n"', '"\\u12é"', '"\\u1"', '"\\u00A"', '"\\uqqqq"', '"\\\\\\"', '"\\', '"\\u12', '"\\\240"', '"\\u\239\188\145234"' } do
      refuses(text)
    end
    refuses('["ab\\q"]', 4, "invalid escape")
  end)

  it("have surrogates in pairs", function()
    for _, text in ipairs { '"\\ud800"', '"\\udbff"', '"\\udc00"', '"\\udfff"', '"\\ud800x"', '"\\ud800\\n"', '"\\ud800\\u0041"',
      '"\\ud800\\ud800"', '"\\udc00\\ud800"', '"\\uDd1e\\uD834"',
      '"\\ud800\\ud800\\udc00"', '"\\ud83dde00"', '"\\ud800\\"', '"\\uDADA"', '"\\uD888\\u1234"', '"\\ud800\\\\udc00"', '"\\ud800😀"' } do
      refuses(text)
    end
    refuses('["ab\\ud800c"]', 4, "lone surrogate")
    refuses('["ab\\uDFFFc"]', 4, "lone surrogate")
    assert.is_nil((driver.open '"\\ud800\\u'))
    assert.is_nil((driver.open '"\\uD800\\uD800\\x"'))
    assert.is_nil((driver.open '"\\uD800\\u1x"'))
  end)

  it("are valid UTF-8", function()
    local bad = { "\128", "\191", "\192\128", "\193\191", "\192\175", "\194", "\194a", "\194\192", "\224\128\128", "\224\159\191",
      "\224\128\175", "\226\130", "\226\130a", "\226a\130",
      "\237\160\128", "\237\191\191", "\237\176\128", "\240\128\128\128", "\240\143\191\191", "\240\128\128\175", "\240\159\152",
      "\240\159\152a", "\240\159a\128", "\240a\152\128", "\244\144\128\128", "\244\191\191\191", "\224\255",
      "\245\128\128\128", "\247\191\191\191", "\248\136\128\128\128", "\252\132\128\128\128\128", "\254", "\255", "\233", "é\128", "€\130",
      "\252\131\191\191\191\191" }
    for _, text in ipairs(bad) do refuses('"a' .. text .. '"', nil, "invalid UTF-8") end
    refuses('["ab\255"]', 4, "invalid UTF-8")
    refuses('["é€\237\160\128"]', 7, "invalid UTF-8")
    for lead = 128, 255 do -- every sequence of two bytes
      for tail = 0, 255 do
        local good = lead >= 194 and lead < 224 and tail >= 128 and tail < 192
        assert.equal(good, driver.open('"' .. bytes(lead, tail) .. '"') ~= nil)
      end
    end
  end)

  it("end", function()
    for _, text in ipairs { '"', '"a', '"\\"', '"a\\"', "\"'", '["a', '["a\\"]', '"' .. ("x"):rep(100) } do
      local doc, message, at = driver.open(text)
      assert.is_nil(doc)
      assert.same({ "string without end", #text }, { message, at })
    end
  end)
end)
