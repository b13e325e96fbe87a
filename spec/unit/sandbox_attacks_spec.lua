-- SPDX-License-Identifier: MIT
-- The sandbox under attack. Each attempt is the body of a hook that meets the record "attack"; it must come to a Lua error (a dead
-- letter with that text) or to a harmless value, and the record behind it must be passed on as if nothing had been.
local driver = require "spec.unit.transform_driver"

local function quoted(bytes)
  return (bytes:gsub(".", function(c) return ("\\%03d"):format(c:byte()) end))
end
local BYTECODE = quoted(string.dump(function() return io end))
local FORGED = "local forged = { _generation = rec._generation, _index = -1000000 } "
local DEEP = "local depth = 0 "

-- {what it tries, body, value = what it returns} or {..., error = a part of the message}
local ATTEMPTS = {
  { "the string metatable", "return type(getmetatable(''))", value = "string" },
  { "a change to the string metatable", "getmetatable('').__index.format = function() return 'evil' end", error = "attempt to index" },
  { "string.dump", "return string.dump", value = "nil" },
  { "string.dump as a method", "return ('').dump", value = "nil" },
  { "bytecode by loadstring", "return (loadstring('" .. BYTECODE .. "'))", value = "nil" },
  { "bytecode by load, mode b", "return (load('" .. BYTECODE .. "', '=x', 'b'))", value = "nil" },
  { "bytecode behind a byte order mark", "return (loadstring('\\239\\187\\191" .. BYTECODE .. "'))", value = "nil" },
  { "bytecode behind a comment", "return (loadstring('#!\\n" .. BYTECODE .. "'))", value = "nil" },
  { "bytecode by pieces", "local done return (load(function() if not done then done = true return '" .. BYTECODE .. "' end end))",
    error = "loadstring needs a string" },
  { "an environment for loaded code", "return load('return io', '=x', 't', { io = 1 })()", value = "nil" },
  { "getfenv", "return tostring(getfenv) .. tostring(setfenv)", value = "nilnil" },
  { "getfenv in a coroutine", "return coroutine.wrap(function() return getfenv end)()", value = "nil" },
  { "debug", "return tostring(debug) .. tostring(newproxy) .. tostring(module) .. tostring(jit)", value = "nilnilnilnil" },
  { "files", "return tostring(io) .. tostring(dofile) .. tostring(loadfile) .. tostring(package)", value = "nilnilnilnil" },
  { "processes", "return tostring(os.execute) .. tostring(os.exit) .. tostring(os.getenv)", value = "nilnilnil" },
  { "require ffi", "require 'ffi'", error = "isn't there for transforms" },
  { "require jit.opt", "require 'jit.opt'", error = "not found" },
  { "require table.new", "require 'table.new'", error = "not found" },
  { "require string.buffer", "require 'string.buffer'", error = "not found" },
  { "the daemon's modules", "return select(2, pcall(require, 'onced.border')):match 'not found' .. select(2, pcall(require, 'onced.host')):match 'not found'",
    value = "not foundnot found" },
  { "require upwards", "require '../../../../../../etc/hostname'", error = "not found" },
  { "require of a path", "require '/etc/hostname'", error = "not found" },
  { "require of a name that ends early", "require 'orders.lua\\0'", error = "isn't a module's name" },
  { "to take the collector away", "collectgarbage 'stop'", error = "isn't there for transforms" },
  { "to slow the collector", "collectgarbage('setpause', 1e6)", error = "isn't there for transforms" },
  { "another metatable for the globals", "setmetatable(_G, nil)", error = "protected" },
  { "to see the globals' metatable", "return getmetatable(_G)", value = "globals" },
  { "a global in secret", "rawset(_G, 'string', nil) return string", error = "reading the global 'string'" },
  { "to spoil the library", "for _, t in ipairs { string, table, math } do for k in pairs(t) do t[k] = error end end return 'spoilt'", value = "spoilt" },
  { "to spoil the library by methods", "rawset(string, 'find', nil) return ('abc'):find 'b'", value = "2" },
  { "to spoil onced", "local o = require 'onced' for _, t in ipairs { o.json, o.log, o } do for k in pairs(t) do t[k] = error end end print 'x'",
    error = "nothing was returned" },
  { "to take its outputs away", "rawset(out, 'default', nil) return 'gone'", value = "gone" },
  { "to replace send", "out.default.send = error return 'replaced'", value = "replaced" },

  { "to write a record's field", "rec.value = 'x'", error = "a record can't be changed" },
  { "to move a record", "rec._index = 1000000", error = "constant" },
  { "to make it another batch's", "rec._generation = 7", error = "constant" },
  { "a record's metatable", "return getmetatable(rec)", value = "ffi" },
  { "another metatable for a record", "setmetatable(rec, {})", error = "table expected" },
  { "arithmetic on a record", "return rec + 1", error = "attempt to perform arithmetic" },
  { "to call a record", "rec()", error = "is not callable" },
  { "the length of a record", "return #rec", error = "attempt to get length" },
  { "to join a record", "return rec .. ''", error = "attempt to concatenate" },
  { "to order records", "return rec < rec", error = "attempt to compare" },
  { "a record's bytes by index", "return rec[0]", error = 'no field "0"' },
  { "a record's bytes by int64", "return rec[1LL]", error = 'no field "1LL"' },
  { "a record as a number", "return tonumber(rec)", value = "nil" },
  { "bits of a record", "return bit.band(rec, 1)", error = "" },
  { "members of an int64", "return (1LL).x", error = "" },
  { "an int64 as a partition", "return { value = 'x', partition = 1LL }", error = "partition must be a whole number" },
  { "nan as a partition", "return { value = 'x', partition = 0/0 }", error = "partition must be a whole number" },
  { "an int64 as a key", "return { value = 'x', key = 1LL }", error = "key must be a string" },
  { "an int64 as a header", "return { value = 'x', headers = { a = 1LL } }", error = "must be a string" },
  { "a forged record", FORGED .. "return rec.get(forged, '/a')", error = "isn't a record" },
  { "a forged record's headers", FORGED .. "return rec.headers(forged)", error = "isn't a record" },
  { "a forged record's header", FORGED .. "return rec.header(forged, 'a')", error = "isn't a record" },
  { "to edit a forged record", FORGED .. "return rec.set(forged, '/a', 1)", error = "isn't a record" },
  { "to derive from a forged record", FORGED .. "return rec.derive(forged, {})", error = "isn't a record" },
  { "a method of nothing", "return rec.json(nil)", error = "isn't a record" },
  { "a forged derived record", "return setmetatable({}, { __metatable = 'record' })", error = "isn't a record" },
  { "a forged derived record of a forged one", FORGED .. "return setmetatable({ _view = forged, _changes = {} }, { __metatable = 'record' })",
    error = "isn't a record" },
  { "a derived record of a forged one", FORGED .. "local d = rec:derive {} d._view = forged return d", error = "isn't a record" },
  { "a UUID of a forged one", FORGED .. "return require('onced').uuid(setmetatable({ _view = forged }, { __metatable = 'record' }))",
    error = "onced.uuid needs a record" },
  { "a derived record's headers unchecked", "local d = rec:derive { headers = {} } d._changes.headers = { { 'a', 5 } } return d", error = "must be" },
  { "headers that grow while they are read", [[
      local list = {}
      list[1] = setmetatable({}, { __index = function() for i = 1, 1e5 do list[i] = list[i] or { 'a', 'b' } end return 'x' end })
      local d = rec:derive { headers = {} }
      d._changes.headers = list
      return d]], error = "must be" },
  { "to send while a record is read", [[
      local d = rec:derive { value = 'x' }
      setmetatable(d._changes, { __index = function(_, name)
        if name == 'partition' then for i = 1, 500 do out.default:send { value = 'y' } end end
      end })
      out.default:send(d)
      error 'sent 501']], error = "sent 501" },
  { "a forged drop", "return setmetatable({ reason = {} }, { __metatable = 'drop' })", error = "cannot convert" },
  { "a forged drop with a pointer", "return setmetatable({ reason = require('onced').null }, { __metatable = 'drop' })", error = "attempt to get length" },
  { "a forged reject without a reason", "return setmetatable({}, { __metatable = 'reject' })", error = "attempt to get length" },
  { "a forged reject with a pointer", "return setmetatable({ reason = require('onced').null }, { __metatable = 'reject' })", error = "attempt to get length" },
  { "a record as a reason", "return setmetatable({ reason = rec }, { __metatable = 'reject' })", error = "attempt to get length" },

  { "error(nil)", "error(nil)", error = "nil" },
  { "error of a table", "error {}", error = "error object: table" },
  { "error of a number", "error(42)", error = "42" },
  { "error of a function", "error(print)", error = "error object: " },
  { "error of a record", "error(rec)", error = "record (topic orders" },
  { "error of an int64", "error(1LL)", error = "1LL" },
  { "error of what fails to tell itself", "error(setmetatable({}, { __tostring = function() error 'again' end }))", error = "error" },
  { "error of what tells a table", "error(setmetatable({}, { __tostring = function() return { match = print } end }))", error = "error object" },
  { "error of what hides its metatable", "error(setmetatable({}, { __metatable = false, __tostring = function() return {} end }))", error = "error object" },
  { "an error of two megabytes", "error(('x'):rep(2e6))", error = "xxx" },
  { "a handler that fails", "return tostring(select(2, xpcall(error, function() error 'x' end)))", value = "error in error handling" },
  { "to print what fails to tell itself", "print(setmetatable({}, { __tostring = function() error 'untold' end }))", error = "untold" },
  { "to log what tells a table", "print(setmetatable({}, { __tostring = function() return {} end }))", error = "" },

  { "to yield out of a hook", "coroutine.yield(rec)", error = "attempt to yield" },
  { "to send from a coroutine", "coroutine.wrap(function() out.default:send(rec) end)()", value = "attack" },
  { "an error in a coroutine", "coroutine.wrap(function() error 'inside' end)()", error = "inside" },
  { "coroutines in coroutines", DEEP .. "local function f() depth = depth + 1 return coroutine.wrap(f)() end f()", error = "" },
  { "endless recursion", "local function f() return 1 + f() end f()", error = "stack overflow" },
  { "endless recursion by pcall", "local function f() return (pcall(f)) end f() return 'back'", value = "back" },
  { "endless recursion by __index", "local t = setmetatable({}, { __index = function(t, k) return t[k] end }) return t.x", error = "stack overflow" },
  { "a circle of __index", "local t = {} setmetatable(t, { __index = t }) return t.x", error = "loop" },
  { "endless recursion by gsub", "local function f() return (('x'):gsub('x', f)) end f()", error = "overflow" },
  { "endless recursion by tostring", "local t = setmetatable({}, {}) getmetatable(t).__tostring = function() return tostring(t) .. '' end return tostring(t)",
    error = "overflow" },
  { "endless recursion by sort", "local function f() table.sort({ 3, 2, 1 }, f) end f()", error = "overflow" },
  { "endless recursion by concat", "local m = {} m.__concat = function(a) return a .. 'x' end return setmetatable({}, m) .. 'x'", error = "overflow" },
  { "endless recursion by load", "local code = 'local x = loadstring(...)(...) return x' return loadstring(code)(code)", error = "" },
  { "a table that contains itself as JSON", "local t = {} t.t = t return require('onced').json.encode(t)", error = "nested deeper" },
  { "JSON inside of JSON's making", [[
      local json = require('onced').json
      local t = setmetatable({ a = 1 }, { __index = function() json.encode { b = 2 } end })
      return json.encode { x = t }]], value = '{"x":{"a":1}}' },
  { "a contradictory order", "local t = {} for i = 1, 100 do t[i] = i % 7 end table.sort(t, function() return true end) return 'sorted'", error = "" },

  { "a string of a gigabyte", "return ('x'):rep(1e9)", error = "not enough memory" },
  { "a string that doubles", "local s = 'x' while true do s = s .. s end", error = "not enough memory" },
  { "a table without end", "local t = {} while true do t[#t + 1] = {} end", error = "not enough memory" },
  { "strings in a table", "local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end", error = "not enough memory" },
  { "too many results", "return unpack({}, 1, 1e8)", error = "too many results" },
  { "a wide format", "return ('%999d'):format(1)", error = "invalid" },
  { "too many captures", "return ('x'):find(('('):rep(100))", error = "captures" },
  { "a pattern that goes deep", "return (('x'):rep(1e6)):find(('x?'):rep(1e5))", error = "pattern too complex" },
  { "code that nests deep", "return (loadstring('return ' .. ('('):rep(1e5)))", value = "nil" },
  { "code with many constants", "local t = {} for i = 1, 7e4 do t[i] = 'f(' .. i .. '.5)' end return (loadstring(table.concat(t, ' ')))", error = "" },
  { "a year that isn't", "return tostring(os.date('%c', 2 ^ 62)) .. tostring(os.time { year = 1e9, month = 1, day = 1 })", error = "" },
  { "a date format that isn't", "return #os.date(('%Q'):rep(1000)) >= 0", value = "true" },
  { "bits beyond", "return bit.tobit(1e300) == bit.tobit(1e300)", value = "true" },
  { "a finaliser", "setmetatable({}, { __gc = error }) collectgarbage() return 'none'", value = "none" },
  { "more outputs than allowed", "while true do out.default:send(rec) end", error = "more than 1000 outputs" },
  { "failed sends without end", [[
      local bad = { value = ('x'):rep(1e6) }
      for i = 1, 1e4 do pcall(out.default.send, out.default, bad) end
      out.default:send { value = ('y'):rep(9e5) }]], error = "takes more than transform.limits.memory" },
  { "edits without end", [[
      local text = ('x'):rep(1e6)
      local d = rec:derive { value = '{}' }
      for i = 1, 300 do d:set('/' .. i, text) end]], error = "" },
}

local SCRIPT = [[
local kept
return function(rec, out, ctx)
  if rec.value ~= "attack" then return rec end
  kept = rec
  local function attempt() BODY end
  local function answer(...)
    if select("#", ...) == 0 or type(...) == "table" then return (...) end
    return { value = tostring((...)) }
  end
  return answer(attempt())
end]]

describe("the sandbox, attacked:", function()
  for _, attempt in ipairs(ATTEMPTS) do
    it(attempt[1], function()
      local found
      driver.stderr(function()
        found = driver.run((SCRIPT:gsub("BODY", function() return attempt[2] end)), { { value = "attack" }, { value = "behind", offset = 8 } },
          { on_error = "dlq", on_reject = "dlq", memory = 32 * 1024 * 1024 })
      end)
      local last = table.remove(found)
      assert.same({ "behind", "plain" }, { last.value, last.topic })
      assert.equal(1, #found)
      if attempt.value then
        assert.same({ "plain", attempt.value }, { found[1].topic, found[1].value })
      elseif found[1].topic == "dead" then
        local message
        for _, h in ipairs(found[1].headers) do message = h[1] == "__onced.error.message" and h[2] or message end
        assert.truthy(message:find(attempt.error, 1, true), message)
      else
        assert.equal("", attempt.error) -- either way is fine
      end
    end)
  end

  it("a record that is used after its batch", function()
    local t = assert(driver.load([[
      local kept
      return function(rec)
        if not kept then kept = rec return rec end
        return { value = kept.value }
      end]], { on_error = "dlq" }))
    local first, second = driver.batch(), driver.batch()
    driver.add(first, { value = "a" })
    driver.add(second, { value = "b" })
    assert.is_nil(t.run(first))
    driver.free_batch(first)
    driver.stderr(function() assert.is_nil(t.run(second)) end)
    assert.equal("dead", driver.outputs(second)[1].topic)
    assert.truthy(driver.outputs(second)[1].headers[8][2]:find("belongs to an earlier batch and is gone", 1, true))
    t.free()
    driver.free_batch(second)
  end)
end)
