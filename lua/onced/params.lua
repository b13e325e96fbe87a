-- SPDX-License-Identifier: MIT
-- transform.params: the mapping that the pipeline file gave (JSON text from C), checked against the table `params` of the script.
local json = require "onced.json"
local suggest = require "onced.suggest"
local params = { read = json.decode }

local TYPES = {
  number = function(v) return type(v) == "number" or type(v) == "cdata" end, -- cdata: an integer beyond 2^53
  integer = function(v) return type(v) == "number" and math.floor(v) == v or type(v) == "cdata" end,
  string = function(v) return type(v) == "string" end,
  boolean = function(v) return type(v) == "boolean" end,
  list = function(v) return getmetatable(v) == "array" end,
  map = function(v) return getmetatable(v) == "map" end,
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
    if rule.required then error(('transform.params: "%s" is required by the script'):format(name), 0) end
    return
  end
  if rule.type and not TYPES[rule.type](value) then
    error(('transform.params: "%s" must be a %s, is %s'):format(name, rule.type, tostring(value)), 0)
  end
  if (rule.min or rule.max) and not TYPES.number(value) then
    error(('transform.params: "%s" must be a number, is %s'):format(name, tostring(value)), 0)
  end
  if rule.min and value < rule.min or rule.max and value > rule.max then
    local range = (rule.min and " at least " .. rule.min or "") .. (rule.max and " at most " .. rule.max or "")
    error(('transform.params: "%s" must be%s, is %s'):format(name, range, tostring(value)), 0)
  end
end

-- `rules` is the script's `params`, nil: everything passes.
function params.check(values, rules)
  if rules == nil then return end
  if type(rules) ~= "table" then error("the script's params must be a table", 0) end
  for name in pairs(values) do -- first: a misspelt one is also missing
    if rules[name] == nil then
      error(('transform.params: the script knows no "%s"%s'):format(name, suggest(name, names_of(rules))), 0)
    end
  end
  for name, rule in pairs(rules) do
    check_rule(tostring(name), rule)
    check_value(tostring(name), rule, values[name])
  end
end

return params
