-- SPDX-License-Identifier: MIT
-- transform.params: reads the mapping that the pipeline file gave (JSON text from C, so only strictness matters, not speed) and
-- checks it against the table `params` of the script.
local border = require "onced.border"
local suggest = require "onced.suggest"
local params = {}

local function fail(at, what) error(("params: %s at byte %d"):format(what, at), 0) end

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + bit.rshift(code, 6), 0x80 + code % 64) end
  if code < 0x10000 then return string.char(0xE0 + bit.rshift(code, 12), 0x80 + bit.rshift(code, 6) % 64, 0x80 + code % 64) end
  return string.char(0xF0 + bit.rshift(code, 18), 0x80 + bit.rshift(code, 12) % 64, 0x80 + bit.rshift(code, 6) % 64, 0x80 + code % 64)
end

local function read_unicode(text, at)
  local code = tonumber(text:match("^%x%x%x%x", at) or fail(at, "bad \\u escape"), 16)
  if code >= 0xD800 and code < 0xDC00 then
    local low = tonumber(text:match("^\\u(%x%x%x%x)", at + 4) or fail(at, "half a surrogate pair"), 16)
    if low < 0xDC00 or low > 0xDFFF then fail(at, "half a surrogate pair") end
    return utf8(0x10000 + (code - 0xD800) * 1024 + low - 0xDC00), at + 10
  end
  if code >= 0xDC00 and code < 0xE000 then fail(at, "half a surrogate pair") end
  return utf8(code), at + 4
end

local function read_string(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = text:find('["\\%c]', from) or fail(at, "string without end")
    parts[#parts + 1] = text:sub(from, stop - 1)
    local c = text:sub(stop, stop)
    if c == '"' then return table.concat(parts), stop + 1 end
    if c ~= "\\" then fail(stop, "control character") end
    local escape = text:sub(stop + 1, stop + 1)
    if escape == "u" then
      parts[#parts + 1], from = read_unicode(text, stop + 2)
    else
      parts[#parts + 1], from = ESCAPES[escape] or fail(stop, "bad escape"), stop + 2
    end
  end
end

local read_value

local function read_items(text, at, close, item)
  at = text:match("^%s*()", at + 1)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    at = text:match("^%s*()", item(at))
    local c = text:sub(at, at)
    if c == close then return at + 1 end
    if c ~= "," then fail(at, ("expected , or %s"):format(close)) end
    at = text:match("^%s*()", at + 1)
  end
end

local function read_list(text, at)
  local list, count = {}, 0
  return list, read_items(text, at, "]", function(from)
    local value, after = read_value(text, from)
    count = count + 1
    list[count] = value
    return after
  end)
end

local function read_map(text, at)
  local map = {}
  return map, read_items(text, at, "}", function(from)
    if text:sub(from, from) ~= '"' then fail(from, "expected a name") end
    local name, after = read_string(text, from)
    after = text:match("^%s*:()", after) or fail(after, "expected :")
    map[name], after = read_value(text, after)
    return after
  end)
end

local function read_number(text, at)
  local digits = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local whole = digits and digits:match("^-?(%d+)")
  local strict = digits and not (whole:find "^0%d") and not digits:find "%.$" and not digits:find "%.[eE]"
  local number = strict and tonumber(digits)
  return number or fail(at, "expected a value"), at + #digits
end

local WORDS = { ["true"] = true, ["false"] = false, ["null"] = border.null }

function read_value(text, at)
  at = text:match("^%s*()", at)
  local c = text:sub(at, at)
  if c == '"' then return read_string(text, at) end
  if c == "{" then return read_map(text, at) end
  if c == "[" then return read_list(text, at) end
  local word = text:match("^%l+", at)
  if word and WORDS[word] ~= nil then return WORDS[word], at + #word end
  return read_number(text, at)
end

function params.read(text)
  local value, after = read_value(text, 1)
  after = text:match("^%s*()", after)
  if after <= #text then fail(after, "something follows the value") end
  return value
end

local function is_list(value)
  return type(value) == "table" and (value[1] ~= nil or next(value) == nil)
end

local TYPES = {
  number = function(v) return type(v) == "number" end,
  integer = function(v) return type(v) == "number" and math.floor(v) == v end,
  string = function(v) return type(v) == "string" end,
  boolean = function(v) return type(v) == "boolean" end,
  list = is_list,
  map = function(v) return type(v) == "table" and v[1] == nil end,
}
local RULES = { type = true, min = true, max = true, required = true }

local function names_of(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = tostring(name) end
  return names
end

local function check_rule(name, rule)
  if type(rule) ~= "table" then error(("the script's params.%s must be a table such as {type = \"number\"}"):format(name), 0) end
  for key in pairs(rule) do
    if not RULES[key] then error(('the script\'s params.%s: unknown "%s"%s'):format(name, key, suggest(key, names_of(RULES))), 0) end
  end
  if rule.type ~= nil and not TYPES[rule.type] then
    error(('the script\'s params.%s: unknown type "%s"%s'):format(name, tostring(rule.type), suggest(rule.type, names_of(TYPES))), 0)
  end
end

local function check_value(name, rule, value)
  if value == nil then
    if rule.required then error(("transform.params: %s is required by the script"):format(name), 0) end
    return
  end
  if rule.type and not TYPES[rule.type](value) then
    error(("transform.params: %s must be a %s, is %s"):format(name, rule.type, tostring(value)), 0)
  end
  if (rule.min or rule.max) and type(value) ~= "number" then
    error(("transform.params: %s must be a number, is %s"):format(name, tostring(value)), 0)
  end
  if rule.min and value < rule.min or rule.max and value > rule.max then
    local range = (rule.min and " at least " .. rule.min or "") .. (rule.max and " at most " .. rule.max or "")
    error(("transform.params: %s must be%s, is %s"):format(name, range, tostring(value)), 0)
  end
end

-- `rules` is the script's `params`, nil: everything passes.
function params.check(values, rules)
  if rules == nil then return end
  if type(rules) ~= "table" then error("the script's params must be a table", 0) end
  for name, rule in pairs(rules) do
    check_rule(tostring(name), rule)
    check_value(tostring(name), rule, values[name])
  end
  for name in pairs(values) do
    if rules[name] == nil then
      error(('transform.params: the script knows no "%s"%s'):format(name, suggest(name, names_of(rules))), 0)
    end
  end
end

return params
