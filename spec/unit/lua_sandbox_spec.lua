-- SPDX-License-Identifier: MIT
-- What user code can reach, require, print, and the checks of its params.
local driver = require "spec.unit.transform_driver"

local function load_error(script, options)
  local t, message = driver.load(script, options)
  if t then t.free() end
  return message
end

-- The value that `expression` has in a script.
local function value_of(expression, options)
  local found, halt = driver.run("local v = " .. expression .. "\nreturn function() return { value = tostring(v) } end", { { value = "" } }, options)
  assert(not halt, halt)
  return found[1].value
end

describe("the sandbox", function()
  it("has Lua's library, without files, processes and the way behind it", function()
    for _, name in ipairs { "io", "debug", "jit", "package", "dofile", "loadfile", "getfenv", "setfenv", "newproxy", "module", "os.execute",
      "os.exit", "os.getenv", "os.remove", "os.tmpname", "string.dump" } do
      assert.equal("nil", value_of(name), name)
    end
    assert.equal("3", value_of "bit.bor(1, 2)")
    assert.equal("number", value_of "type(os.time())")
    assert.equal("true", value_of "_G.string == string and coroutine.create(print) ~= nil and os.date() ~= nil and os.clock() >= 0")
    assert.equal("true", value_of "collectgarbage('count') > 0")
    for _, name in ipairs { "ffi", "io", "debug", "jit", "onced.border", "onced.host" } do
      assert.truthy(load_error("require '" .. name .. "' return print"), name)
    end
    assert.truthy(load_error("collectgarbage('stop') return print"):find("isn't there for transforms", 1, true))
  end)

  it("refuses bytecode, and keeps loaded code inside", function()
    assert.equal("nil", value_of "loadstring('return io')()")
    assert.equal("nil", value_of "load('return debug')()")
    local bytecode = string.dump(function() end):gsub(".", function(c) return ("\\%03d"):format(c:byte()) end)
    assert.equal("nil", value_of(("loadstring('%s')"):format(bytecode)))
    assert.truthy(load_error(string.dump(function() end)):find("bytecode", 1, true))
  end)

  it("names the line that assigns an undeclared global", function()
    assert.equal("orders.lua:2: assigning the global 'count': declare it with local", load_error "local x\ncount = 1 return print")
    local _, halt = driver.run("return function(rec)\n total = 1\n return rec end", { { value = "" } })
    assert.truthy(halt:find("^orders.lua:2: assigning the global 'total'"))
    assert.equal("orders.lua:1: assigning the global 'f': declare it with local", load_error "function f() end return print")
  end)

  it("names the line that reads one", function()
    assert.equal("orders.lua:2: reading the global 'rate', which isn't there: declare it with local", load_error "local x\nx = rate return print")
    assert.equal("orders.lua:1: reading the global 'tostrng', which isn't there; did you mean \"tostring\"?",
      load_error "local s = tostrng(1) return print")
    local _, halt = driver.run("return function(rec)\n if totl then return nil end\n return rec end", { { value = "" } })
    assert.truthy(halt:find("^orders.lua:2: reading the global 'totl', which isn't there: declare it with local"), halt)
    assert.truthy(load_error("return _G.rate"):find("reading the global 'rate'", 1, true))
    assert.truthy(load_error("require 'm' return print", { files = { ["m.lua"] = "\nreturn rate" } }):find("^m.lua:2: reading the global 'rate'"))
    assert.truthy(load_error("require 'm' return print", { files = { ["m.lua"] = "\nrate = 1" } }):find("^m.lua:2: assigning the global 'rate'"))
  end)

  it("lets a script ask for a global, and modules for the names of other Luas", function()
    assert.equal("nil", value_of "rawget(_G, 'rate')")
    assert.truthy(load_error("rawset(_G, 1, 2) return rate"):find("reading the global 'rate'", 1, true))
    assert.equal("7", value_of "rawset(_G, 'rate', 7) and rate")
    assert.equal("true", value_of "not rawlen and not _TEST and not setfenv and not utf8 and not (jit and jit.status()) and unpack ~= nil")
  end)

  it("lets a script spoil only its own copies", function()
    local found, halt = driver.run([[
      string.find, string.format, math.max, table.sort = nil, nil, nil, nil
      local onced = require "onced"
      onced.drop = nil
      return function(rec) return { value = rec.value, headers = { b = "1", a = "2" } } end]], { { value = "v" } })
    assert.is_nil(halt)
    assert.same({ { "a", "2" }, { "b", "1" } }, found[1].headers)
  end)

  it("opens by name what the pipeline file allows", function()
    assert.equal("function", value_of("type(io.open)", { allow = '["io"]' }))
    assert.equal("nil", value_of("os.execute", { allow = '["io"]' }))
    assert.equal("function", value_of("type(os.execute)", { allow = '["os.execute", "loadlib"]' }))
    assert.truthy(load_error("return print", { allow = '["ffi"]' }):find('transform.allow: "ffi" can\'t be allowed', 1, true))
    assert.truthy(load_error("return print", { allow = '["os.exeute"]' }):find('did you mean "os.execute"?', 1, true))
  end)
end)

describe("require", function()
  it("looks beside the script, then in lua_path, once a module", function()
    local shared = os.tmpname()
    os.remove(shared)
    os.execute("mkdir -p " .. shared .. "/deep")
    for name, text in pairs { ["tax.lua"] = "return 'other'", ["deep/init.lua"] = "return { 'deep' }", ["b.lua"] = "return (...)" } do
      local file = io.open(shared .. "/" .. name, "w")
      file:write(text)
      file:close()
    end
    local options = { lua_path = { shared }, files = { ["tax.lua"] = "return 'beside'", ["lib/x.lua"] = "local n = 0 return { n = n }" } }
    assert.equal("beside", value_of("require 'tax'", options))
    assert.equal("deep", value_of("require('deep')[1]", options))
    assert.equal("b", value_of("require 'b'", options))
    assert.equal("true", value_of("require 'lib.x' == require 'lib.x'", options))
    options.lua_path = { shared .. "/?.lua" }
    assert.equal("b", value_of("require 'b'", options))
    os.execute("rm -rf " .. shared)
  end)

  it("reports errors with the module's own line", function()
    local files = { ["bad.lua"] = "return {\n", ["throws.lua"] = "\nerror 'no'", ["late.lua"] = "return function()\n\nerror 'late' end" }
    assert.truthy(load_error("require 'bad' return print", { files = files }):find("^bad.lua:2: "))
    assert.equal("throws.lua:2: no", load_error("require 'throws' return print", { files = files }))
    assert.truthy(load_error("require 'none' return print", { files = files }):find("orders.lua:1: module 'none' not found", 1, true))
    local _, halt = driver.run("local late = require 'late' return function(rec) late() return rec end", { { value = "" } }, { files = files })
    assert.truthy(halt:find("^late.lua:3: late %(topic"))
  end)
end)

describe("the log", function()
  it("gets print and onced.log, in one line each", function()
    local text = driver.stderr(function()
      driver.run([[
        local onced = require "onced"
        return function(rec)
          print("a", 1, nil)
          onced.log.warn("two\nlines", { b = "x y", a = 1, ["c"] = 'q"' })
          onced.log.error("plain")
          return rec
        end]], { { value = "" } })
    end)
    assert.truthy(text:find("a 1 nil\n", 1, true))
    assert.truthy(text:find('two lines a=1 b="x y" c="q\\""\n', 1, true))
    assert.truthy(text:find("plain\n", 1, true))
  end)
end)

describe("params", function()
  local function with(rules, params)
    return load_error("return { params = " .. rules .. ", process = print }", { params = params })
  end

  it("are checked by type, range and need", function()
    local rate = "{ rate = { type = 'number', min = 0, max = 1, required = true } }"
    assert.is_nil(with(rate, '{"rate": 0.5}'))
    assert.equal("orders.lua: transform.params: \"rate\" is required by the script", with(rate, "{}"))
    assert.equal("orders.lua: transform.params: \"rate\" must be a number, is x", with(rate, '{"rate": "x"}'))
    assert.equal("orders.lua: transform.params: \"rate\" must be at least 0 at most 1, is 2", with(rate, '{"rate": 2}'))
    assert.equal('orders.lua: transform.params: the script knows no "rat"; did you mean "rate"?', with(rate, '{"rat": 1}'))
    assert.truthy(with("{ n = { type = 'integer' } }", '{"n": 1.5}'):find("must be a integer", 1, true))
    assert.truthy(with("{ n = { type = 'list' } }", '{"n": {"a": 1}}'):find("must be a list", 1, true))
    assert.is_nil(with("{ n = { type = 'integer', min = 0 }, l = { type = 'list' } }", '{"n": 18446744073709551615, "l": []}'))
    assert.truthy(with("{ l = { type = 'list' } }", '{"l": {}}'):find("must be a list", 1, true))
    assert.is_nil(with("{ n = { type = 'map' }, b = { type = 'boolean' }, s = { type = 'string' } }", '{"n": {"a": [1]}, "b": false, "s": ""}'))
    assert.truthy(with("{ n = { type = 'nubmer' } }", "{}"):find('unknown type "nubmer"; did you mean "number"?', 1, true))
    assert.truthy(with("{ n = { mim = 1 } }", "{}"):find('unknown "mim"', 1, true))
  end)

  it("are read as strict JSON", function()
    local function read(json) return value_of("1", { params = json }) end
    assert.equal("1", read ' { "a" : [ 1 , -2.5e3 , "x\\n\\u00e4\\ud83d\\ude00" , true , null , { } ] } ')
    for _, bad in ipairs { "", "{", '{"a":1,}', '{"a" 1}', "{'a':1}", '{"a":01}', '{"a":1.}', '{"a":tru}', '{"a":"\\x"}', '{"a":"\1"}', '{"a":1} 2',
      '{"a":"\\ud800"}', '{"a":[1 2]}', '{"a":+1}' } do
      assert.has_error(function() read(bad) end)
    end
    local found = driver.run([[
      return function(rec, out, ctx)
        local p = ctx.params
        return { value = ("%s|%s|%d|%s|%g"):format(p.s, p.list[2], #p.list, tostring(p.none == require("onced").null), p.n) }
      end]], { { value = "" } }, { params = '{"s": "\\u00e4\\ud83d\\ude00/\\/", "list": [1, "b"], "none": null, "n": -2.5e3}' })
    assert.equal("ä😀//|b|2|true|-2500", found[1].value)
  end)
end)
