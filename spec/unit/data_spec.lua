-- SPDX-License-Identifier: MIT
-- transform.data: what files become (config_data.c; what is wrong with some is in broken/data.yaml), and what scripts see of them.
local config = require "spec.unit.config_driver"
local driver = require "spec.unit.transform_driver"
local ffi = require "ffi"

local ONCED = 'local onced = require "onced"\n'
local JSON = '{"rates":[{"code":"EUR","rate":"1.0"},{"code":"USD","rate":"1.1"}],"n":{"big":9007199254740993,"one":1.0,"no":null,'
  .. '"yes":true,"list":[[],{},[1,2,3]],"_node":"x","é/~":"u"}}'

-- What `expression` is in a script whose data is `json`, as a string.
local function value_of(expression, json)
  local found, halt = driver.run(ONCED .. "return function(rec, out, ctx)\nlocal data = ctx.data\nreturn { value = tostring(" .. expression .. ") } end",
    { { value = "" } }, { data = json or JSON })
  assert(not halt, halt)
  return found[1].value
end

local function halt_of(body)
  local _, halt = driver.run(ONCED .. "return function(rec, out, ctx)\nlocal data = ctx.data\n" .. body .. "\nreturn rec end", { { value = "" } },
    { data = JSON })
  return assert(halt, "no halt")
end

describe("ctx.data", function()
  it("reads as tables do", function()
    local cases = {
      ["data.rates[1].code"] = "EUR", ["data.rates[2].rate"] = "1.1", ["data.rates[3]"] = "nil", ["data.rates[0]"] = "nil",
      ["data.rates[1.5]"] = "nil", ["data.rates.x"] = "nil", ["data.none"] = "nil", ["data[1]"] = "nil", ["#data.rates"] = "2",
      ["#data.n.list[1]"] = "0", ["#data"] = "0", ["data.n.big"] = "9007199254740993LL", ["data.n.one"] = "1", ["data.n.no == onced.null"] = "true",
      ["data.n.yes"] = "true", ["data.n._node"] = "x", ["data.n['é/~']"] = "u", ["#data.n.list[3] + data.n.list[3][3]"] = "6",
      ["data.rates[1]"] = "ctx.data.rates.1", ["data.n == data.n and data.n ~= data.rates"] = "true", ["data.rates == nil"] = "false",
    }
    for expression, expected in pairs(cases) do assert.equal(expected, value_of(expression), expression) end
    assert.equal("nil", value_of("data.x", "{}"))
  end)

  it("has pairs and ipairs, in the file's order", function()
    assert.equal("big,one,no,yes,list,_node,é/~,", value_of "(function() local s = '' for k in pairs(data.n) do s = s .. k .. ',' end return s end)()")
    assert.equal("1EUR2USD", value_of "(function() local s = '' for i, r in ipairs(data.rates) do s = s .. i .. r.code end return s end)()")
    assert.equal("1EUR2USD", value_of "(function() local s = '' for i, r in pairs(data.rates) do s = s .. i .. r.code end return s end)()")
    assert.equal("0", value_of "(function() local n = 0 for _ in pairs(data.n.list[2]) do n = n + 1 end return n end)()")
  end)

  it("can't be written, and names what was", function()
    local text = "orders.lua:4: ctx.data is read-only: ctx.data%s can't be assigned; onced.copy makes a table of it"
    for path, body in pairs { [".n.one"] = "data.n.one = 2", [".new"] = "data.new = 1", [".rates.2.rate"] = "data.rates[2].rate = '2'",
      [".rates.3"] = "data.rates[3] = {}", [".n.list.3.1"] = "data.n.list[3][1] = 5" } do
      local halt = halt_of(body)
      assert.truthy(halt:find(text:format(path), 1, true), halt)
    end
    assert.truthy(halt_of("table.insert(data.rates, {})"):find("table expected", 1, true))
  end)

  it("goes into records as it is in the file", function()
    assert.equal('{"list":[[],{},[1,2,3]],"one":9007199254740993}', value_of 'onced.json.encode { one = data.n.big, list = data.n.list }')
    local found, halt = driver.run("return function(rec, out, ctx) return rec:set('/n', ctx.data.n) end", { { value = '{ "a" :1}' } }, { data = JSON })
    assert.is_nil(halt)
    assert.equal('{ "a" :1,"n":' .. JSON:match '"n":({.*})}$' .. "}", found[1].value)
  end)

  it("is looked up by column, and copied, on demand", function()
    assert.equal("1.1", value_of "onced.index(data.rates, 'code').USD.rate")
    assert.equal("2", value_of "onced.index({ { k = 1, v = 1 }, { k = 7, v = 2 } }, 'k')[7].v")
    assert.equal("2", value_of "(function() local c = onced.copy(data.rates) c[1].rate = '2' return c[1].rate end)()")
    assert.equal("[]{}", value_of "onced.json.encode(onced.copy(data.n.list)[1]) .. onced.json.encode(onced.copy(data.n.list)[2])")
    assert.truthy(halt_of("onced.index(data.rates, 'cod')"):find('orders.lua:4: onced.index: row 1 has no "cod"', 1, true))
    assert.truthy(halt_of("onced.index({ { a = 1 }, { a = 1 } }, 'a')"):find('onced.index: row 2: a "1" is there twice', 1, true))
    assert.truthy(halt_of("onced.index({ 1 }, 'a')"):find('row 1 has no "a"', 1, true))
    assert.truthy(halt_of("onced.index(data.n, 'a')"):find("onced.index needs a list of maps", 1, true))
    assert.truthy(halt_of("onced.copy {}"):find("onced.copy makes tables of what is in ctx.data, got a table", 1, true))
  end)

  it("is there in init, and isn't counted as the script's memory", function()
    local rows = {}
    for i = 1, 100000 do rows[i] = ('{"id":"%d","name":"%s"}'):format(i, ("x"):rep(100)) end
    local found, halt = driver.run([[
      local M = {}
      function M.init(ctx) M.last = ctx.data.rows[100000].id end
      function M.process(rec, out, ctx) return { value = M.last .. ctx.data.rows[tonumber(rec.value)].name:sub(1, 3) } end
      return M]], { { value = "7" } }, { data = '{"rows":[' .. table.concat(rows, ",") .. "]}", memory = 4 * 2 ^ 20 })
    assert.is_nil(halt)
    assert.equal("100000xxx", found[1].value)
  end)
end)

describe("transform.data", function()
  local function load(files)
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local lines = {}
    local function write(name, text)
      local file = io.open(folder .. "/" .. name, "wb")
      file:write(text)
      file:close()
    end
    for name, text in pairs(files) do
      write(name, text)
      lines[#lines + 1] = ("    %s: %s\n"):format(name:match "^%w+", name)
    end
    write("a.lua", "return print")
    write("a.yaml", "version: 1\ninput: {topics: [a]}\ntransform:\n  script: a.lua\n  data:\n" .. table.concat(lines) .. "outputs: {default: {topic: b}}\n")
    local report, _, loaded = config.load { pipelines = { folder .. "/a.yaml" }, brokers = "localhost:9092" }
    os.execute("rm -rf " .. folder)
    assert(loaded, report)
    local t = loaded.pipelines[0].transform
    return ffi.string(t.data_json, t.data_size)
  end

  it("keeps JSON's bytes", function()
    assert.equal('{"a":{ "x" : 1.0 }\n}', load { ["a.json"] = '{ "x" : 1.0 }\n' })
    assert.equal("[1]", load({ ["a.json"] = "[1]", ["b.json"] = '"x"' }):match '"a":(%[1%])')
  end)

  it("makes a list of maps of CSV, as RFC 4180 has it", function()
    local function rows(csv) return load({ ["a.csv"] = csv }):match '^{"a":(.*)}$' end
    assert.equal('[{"code":"de","name":"Germany"},{"code":"fr","name":""}]', rows "code,name\r\nde,Germany\r\nfr,\r\n")
    assert.equal('[{"a b":"1"}]', rows '\239\187\191"a b"\n1')
    assert.equal('[{"a":"x, \\"y\\"","b":"two\\nlines"},{"a":" s ","b":"é\\\\"}]', rows 'a,b\n"x, ""y""","two\nlines"\n s ,"é\\"\n')
    assert.equal('[{"a":"1"},{"a":""}]', rows "a\n1\n\n")
    assert.equal("[]", rows "a,b\n")
  end)

  it("is an empty map without files", function()
    local report, _, loaded = config.load { pipelines = { "pipelines/pass.yaml" }, brokers = "localhost:9092" }
    assert(loaded, report)
    assert.equal("{}", ffi.string(loaded.pipelines[0].transform.data_json, loaded.pipelines[0].transform.data_size))
  end)
end)
