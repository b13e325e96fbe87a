-- SPDX-License-Identifier: MIT
-- Numbers as they are written: integers exact, doubles by the fewest digits that read back as the same, checked against the C library.
local ffi = require "ffi"
local driver = require "spec.unit.json_driver"
local C = driver.C

local doc = driver.new()

ffi.cdef "int snprintf(char *, size_t, const char *, ...);"
local line = ffi.new "char[64]"

-- The C library's rounding is exact; LuaJIT's own isn't always.
local function rounded(number, digits)
  ffi.C.snprintf(line, 64, "%.*e", ffi.cast("int", digits - 1), ffi.cast("double", number))
  return ffi.string(line)
end

local function written(number)
  doc.out.size = 0
  if ffi.istype("int64_t", number) then
    assert.equal(0, C.onced_json_put_int64(doc, number))
  elseif ffi.istype("uint64_t", number) then
    assert.equal(0, C.onced_json_put_uint64(doc, number))
  else
    assert.equal(0, C.onced_json_put_number(doc, number))
  end
  return ffi.string(doc.out.data, doc.out.size)
end

-- Digits without leading and trailing zeros, and the power of ten of the first.
local function digits_of(text)
  local mantissa, exponent = text:match "^%-?([%d.]+)e?([+-]?%d*)$"
  local whole, fraction = mantissa:match "^(%d*)%.?(%d*)$"
  local digits = whole .. fraction
  local zeros = #digits:match "^0*"
  return (digits:sub(zeros + 1):gsub("0+$", "")), #whole - zeros + (tonumber(exponent) or 0)
end

describe("a number is written", function()
  it("as people write it", function()
    local cases = { [0] = "0", [1] = "1", [-1] = "-1", [0.1] = "0.1", [-0.5] = "-0.5", [119] = "119", [100 * 1.19] = "119", [1.5] = "1.5",
      [1e15] = "1000000000000000",
      [2 ^ 53] = "9007199254740992", [-2 ^ 53] = "-9007199254740992", [2 ^ 53 + 2] = "9.007199254740994e15", [1e16] = "1e16", [1e22] = "1e22",
      [1e23] = "1e23",
      [0.001] = "0.001", [0.000001] = "0.000001", [0.0000001] = "1e-7", [1.25e-7] = "1.25e-7", [123456.789] = "123456.789",
      [0.1 + 0.2] = "0.30000000000000004",
      [1 / 3] = "0.3333333333333333", [2 / 3] = "0.6666666666666666", [4503599627370495.5] = "4503599627370495.5", [5e-324] = "5e-324", [-5e-324] = "-5e-324",
      [1.7976931348623157e308] = "1.7976931348623157e308", [2.2250738585072014e-308] = "2.2250738585072014e-308", [2 ^ 63] = "9.223372036854776e18",
      [9.5] = "9.5", [1e21 + 2 ^ 20] = "1.000000000000001e21" }
    for number, text in pairs(cases) do assert.equal(text, written(number)) end
    assert.equal("-0.0", written(-0.0))
  end)

  it("not when it is none", function()
    for _, number in ipairs { 0 / 0, 1 / 0, -1 / 0 } do
      assert.equal(-1, C.onced_json_put_number(doc, number))
      assert.equal("NaN and infinity aren't JSON", ffi.string(doc.error))
    end
  end)

  it("to the last of 64 bits", function()
    assert.equal("9223372036854775807", written(9223372036854775807LL))
    assert.equal("-9223372036854775808", written(-9223372036854775807LL - 1))
    assert.equal("18446744073709551615", written(18446744073709551615ULL))
    for _, n in ipairs { 0LL, 9LL, 10LL, 99LL, 100LL, 101LL, 999LL, 1000LL, -7LL, -10LL, -1234567890123LL } do
      assert.equal((tostring(n):gsub("LL", "")), written(n))
    end
  end)

  it("by the fewest digits, the nearest of them, whatever the bits", function()
    local bits = ffi.new "union { uint64_t bits; double number; }"
    local state = 88172645463325252ULL
    local function next_bits()
      state = bit.bxor(state, bit.lshift(state, 13))
      state = bit.bxor(state, bit.rshift(state, 7))
      state = bit.bxor(state, bit.lshift(state, 17))
      return state
    end
    local function check(number)
      local text = written(number)
      local back = tonumber(text)
      assert(back == number, ("%.17g is written %s"):format(number, text))
      local kind, value = driver.get(assert(driver.open(text)), "")
      if kind == "number" then assert(value == number, text) end
      local digits, point = digits_of(text)
      local same, at = digits_of(rounded(number, #digits))
      -- The neighbour below a power of two is closer than that above: there a decimal may do that isn't the nearest of its length.
      local power = math.abs(math.frexp(number)) == 0.5
      assert(same == digits and at == point or power, ("%.17g is written %s"):format(number, text))
      assert(#digits == 1 or tonumber(rounded(number, #digits - 1)) ~= number, ("%.17g is written %s"):format(number, text))
    end
    for i = 1, 20000 do
      bits.bits = next_bits()
      if i % 5 == 0 then bits.bits = bit.band(bits.bits, 0xFFF0000000000000ULL) end -- powers of two: their neighbour below is closer
      if i % 7 == 0 then bits.bits = bit.band(bits.bits, 0x800FFFFFFFFFFFFFULL) end -- subnormal
      -- A NaN's bits, read as a number, would be taken for a Lua object.
      local finite = bit.band(bits.bits, 0x7FF0000000000000ULL) ~= 0x7FF0000000000000ULL
      if finite and bits.number ~= 0 then check(bits.number) end
      local cents = tonumber(next_bits() % 100000000) / 100
      if cents ~= 0 then check(cents * 1.19) end
    end
    for e = -1074, 1023 do check(2 ^ e) end
    for e = -323, 308 do check(tonumber("1e" .. e)) end
  end)
end)
