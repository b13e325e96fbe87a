-- SPDX-License-Identifier: MIT
-- What scripts can say, and what becomes of it (interface.md section 2).
local ffi = require "ffi"
local driver = require "spec.unit.transform_driver"
local C = driver.C

local ONCED = 'local onced = require "onced"\n'

-- Runs the body of `process(rec, out, ctx)`.
local function process(body, records, options)
  return driver.run(ONCED .. "return function(rec, out, ctx)\n" .. body .. "\nend", records or { { key = "k", value = "v" } }, options)
end

local function halt_of(body, options, records)
  local found, halt = process(body, records, options)
  assert(halt, "no halt")
  return halt, found
end

describe("a record", function()
  it("passes with key, value, headers and time as they came", function()
    local found, halt = process("return rec", { { key = "k", value = "v", time = 5 }, { value = "" }, { key = "" } })
    assert.is_nil(halt)
    assert.same({
      { topic = "plain", key = "k", value = "v", headers = false, time = 5, partition = -1, source = 0 },
      { topic = "plain", key = nil, value = "", headers = false, time = 1700000000000, partition = -1, source = 1 },
      { topic = "plain", key = "", value = nil, headers = false, time = 1700000000000, partition = -1, source = 2 },
    }, found)
  end)

  it("has fields, eight-bit clean", function()
    local found, halt = process([[
      return { value = table.concat({ tostring(rec.key), rec.value or "nil", rec.topic, rec.partition, rec.offset, rec.timestamp }, "|") }]], {
      { key = "a\0\255", value = "\0\1", topic = 1, partition = 3, offset = 4711, time = 12 }, { value = nil, partition = 1, time = -1 } })
    assert.is_nil(halt)
    assert.equal("a\0\255|\0\1|returns|3|4711|12", found[1].value)
    assert.equal("nil|nil|orders|1|1|-1", found[2].value)
  end)

  it("has headers: the last of a name, all in order, null kept apart", function()
    local found, halt = process([[
      local all = {}
      for i, pair in ipairs(rec:headers()) do all[i] = pair[1] .. "=" .. (pair[2] == onced.null and "NULL" or pair[2]) end
      assert(rec:header "none" == nil and rec:header "n" == onced.null)
      return { value = rec:header "h" .. "," .. table.concat(all, ",") }]],
      { { value = "v", headers = { { "h", "1" }, { "n", nil }, { "h", "2" } } } })
    assert.is_nil(halt)
    assert.equal("2,h=1,n=NULL,h=2", found[1].value)
  end)

  it("can't be changed, and says which fields there are", function()
    assert.truthy(halt_of("rec.value = 'x'"):find("orders.lua:3: a record can't be changed: rec:derive", 1, true))
    assert.truthy(halt_of("return rec.vaule"):find('no field "vaule"; did you mean "value"?', 1, true))
    assert.truthy(halt_of("rec._index = 99"):find("constant", 1, true))
  end)

  it("is gone after its batch", function()
    local t = assert(driver.load [[
      local kept
      return function(rec)
        if kept then return { value = kept.value } end
        kept = rec
        return rec
      end]])
    local first, second = driver.batch(), driver.batch()
    driver.add(first, { value = "1" })
    driver.add(second, { value = "2" })
    assert.is_nil(t.run(first))
    assert.truthy(t.run(second):find("orders.lua:3: this record belongs to an earlier batch and is gone", 1, true))
    C.batch_reset(first)
    driver.add(first, { value = "3" })
    assert.truthy(t.run(first):find("is gone", 1, true))
    t.free()
    driver.free_batch(first)
    driver.free_batch(second)
  end)

  it("is gone in close", function()
    local text = driver.stderr(function()
      driver.run("local kept return { process = function(rec) kept = rec return rec end, close = function() local v = kept.value end }", {
        { value = "v" } })
    end)
    assert.truthy(text:find("close: orders.lua:1: this record belongs to an earlier batch", 1, true))
  end)

  it("may be used by a later record of its batch", function()
    local found, halt = driver.run(
      "local kept return function(rec, out) if kept then out.default:send(kept) end kept = rec return rec end", { { value = "a" }, { value = "b" } })
    assert.is_nil(halt)
    assert.same({ "a", "a", "b" }, { found[1].value, found[2].value, found[3].value })
    assert.same({ 0, 0, 1 }, { found[1].source, found[2].source, found[3].source })
  end)

  it("gives changed copies", function()
    local found, halt = process([[
      local a = rec:derive { value = "1" }
      local b = a:derive { key = onced.null, headers = { x = "y" }, timestamp = 7, partition = 2 }
      assert(a.key == "k" and a.value == "1" and b.value == "1" and b.key == nil and rec.value == "v")
      assert(a:header "h" == "1" and b:header "h" == nil and b:header "x" == "y" and #b:headers() == 1 and b.offset == 0)
      out.default:send(a)
      return b]], { { key = "k", value = "v", headers = { { "h", "1" } } } })
    assert.is_nil(halt)
    assert.same({ topic = "plain", key = "k", value = "1", headers = false, time = 1700000000000, partition = -1, source = 0 }, found[1])
    assert.same({ topic = "plain", key = nil, value = "1", headers = { { "x", "y" } }, time = 7, partition = 2, source = 0 }, found[2])
    assert.truthy(halt_of("return rec:derive { vaule = '' }"):find('did you mean "value"?', 1, true))
  end)
end)

describe("a table record", function()
  it("inherits the time, and nothing else", function()
    local found, halt = process("return { value = 'x' }", { { key = "k", value = "v", time = 9, headers = { { "h", "1" } } } })
    assert.is_nil(halt)
    assert.same({ { topic = "plain", key = nil, value = "x", headers = {}, time = 9, partition = -1, source = 0 } }, found)
  end)

  it("takes key, headers, timestamp, partition and a tombstone", function()
    local found, halt = process([[
      out.default:send { value = onced.null, key = "a\0b", timestamp = 123, partition = 3, headers = { b = "2", a = onced.null } }
      return { value = "", headers = { { "z", "1" }, { "a", "" }, { "z", "1" } } }]])
    assert.is_nil(halt)
    assert.same({
      { topic = "plain", key = "a\0b", value = nil, headers = { { "a", nil }, { "b", "2" } }, time = 123, partition = 3, source = 0 },
      { topic = "plain", value = "", headers = { { "z", "1" }, { "a", "" }, { "z", "1" } }, time = 1700000000000, partition = -1, source = 0 },
    }, found)
  end)

  it("gets the present time when there is none to inherit", function()
    local found = process("return { value = 'x' }", { { value = "v", time = -1 } })
    assert.is_true(math.abs(found[1].time - os.time() * 1000) < 60000)
  end)

  local wrong = {
    ["{ key = 'k' }"] = "value is missing",
    ["{}"] = "neither value nor records",
    ["{ value = {} }"] = "value is a table: onced.json.encode makes a string of it",
    ["{ value = 1 }"] = "value must be a string, is a number: use tostring()",
    ["{ value = 'v', key = true }"] = "key must be a string, is a boolean",
    ["{ value = 'v', timestamp = 1.5 }"] = "timestamp must be a whole number from 0, is 1.5",
    ["{ value = 'v', partition = -1 }"] = "partition must be a whole number from 0, is -1",
    ["{ value = 'v', partition = 4 }"] = "there is no partition 4: topic plain has 4",
    ["{ value = 'v', partition = 2^40 }"] = "there is no partition 1099511627776",
    ["{ value = 'v', timestamp = 0/0 }"] = "timestamp must be a whole number",
    ["{ value = 'v', headers = { a = 1 } }"] = 'header "a" must be a string or onced.null, is a number',
    ["{ value = 'v', headers = { 'a' } }"] = "headers[1] must be a pair {name, value}",
    ["{ value = 'v', header = {} }"] = 'a field "header"; did you mean "headers"?',
    ["rec, rec"] = "a hook returns one thing",
    ["'text'"] = "not a string",
    ["7"] = "not a number",
    ["nil"] = "nothing was returned and nothing sent",
    ["{ rec, 'x' }"] = "only a record or a table can be sent, not a string",
    ["{ rec, onced.drop 'x' }"] = "onced.drop must be returned",
  }
  for body, text in pairs(wrong) do
    it("that is wrong is refused: " .. body, function()
      local halt, found = halt_of("return " .. body)
      assert.truthy(halt:find("^orders%.lua"), halt)
      assert.truthy(halt:find(text, 1, true), halt)
      assert.truthy(halt:find("(topic orders, partition 0, offset 0)", 1, true), halt)
      assert.same({}, found)
    end)
  end
end)

describe("outputs", function()
  it("take a list, sends and a returned record, in that order of calls", function()
    local found, halt = process("out.audit:send { value = '1' } out.default:send(rec) return { { value = '2' }, rec, rec:derive { value = '3' } }")
    assert.is_nil(halt)
    local values = {}
    for i, o in ipairs(found) do values[i] = o.topic .. ":" .. o.value end
    assert.same({ "audit:1", "plain:v", "plain:2", "plain:v", "plain:3" }, values)
  end)

  it("put static headers over same-named ones", function()
    local found = process("out.audit:send(rec) out.audit:send { value = 'x', headers = { a = '1', source = 'script' } }",
      { { value = "v", headers = { { "source", "old" }, { "b", nil }, { "source", "older" } } }, { value = "v" } })
    assert.same({ { "b", nil }, { "source", "onced" } }, found[1].headers)
    assert.same({ { "a", "1" }, { "source", "onced" } }, found[2].headers)
    assert.same({ { "source", "onced" } }, found[3].headers)
  end)

  it("choose a topic by listed value", function()
    local found = process("out.regional:send(rec, { region = 'us' }) out.regional:send(rec, { region = 'eu' })")
    assert.same({ "orders-us", "orders-eu" }, { found[1].topic, found[2].topic })
  end)

  it("that aren't declared are errors with a suggestion", function()
    assert.truthy(halt_of("out.adit:send(rec)"):find('orders.lua:3: there is no output "adit"; did you mean "audit"?', 1, true))
    assert.truthy(halt_of("out.regional:send(rec)"):find("outputs.regional needs its variable: out.regional:send(rec, {region = ...})", 1, true))
    assert.truthy(halt_of("out.regional:send(rec, { region = 'uss' })"):find('region "uss" isn\'t listed; did you mean "us"?', 1, true))
    assert.truthy(halt_of("out.audit:send(rec, { region = 'eu' })"):find("outputs.audit has no variable", 1, true))
    assert.truthy(halt_of("out.audit.send(rec)"):find("with a colon", 1, true))
    assert.truthy(halt_of("out.mine = {}"):find("declared in the pipeline file", 1, true))
    assert.truthy(halt_of("return rec", { outputs = { { name = "audit", first = 1 } } }):find("no output is named default", 1, true))
  end)

  it("refuse what the topic doesn't take", function()
    local topics = { { name = "plain", max = 1000 }, "audit", "orders-eu", "orders-us", "dead" }
    assert.truthy(halt_of("return rec", { topics = topics }, { { value = ("x"):rep(933) } }):find(
      "a record of 933 bytes doesn't fit topic plain (max.message.bytes 1000)", 1, true))
    assert.truthy(halt_of("return { value = ('x'):rep(800), headers = { a = ('y'):rep(200) } }", { topics = topics }):find("1001 bytes", 1, true))
    assert.truthy(halt_of("return rec", { topics = topics }, { { value = ("x"):rep(500), headers = { { "h", ("y"):rep(432) } } } }):find(
      "933 bytes", 1, true))
    local _, halt = process("return rec", { { value = ("x"):rep(932) } }, { topics = topics })
    assert.is_nil(halt)
  end)

  it("are limited in number", function()
    local halt, found = halt_of("for _ = 1, 4 do out.default:send(rec) end", { outputs_per_record = 3 })
    assert.truthy(halt:find("orders.lua:3: more than 3 outputs for a record", 1, true))
    assert.same({}, found)
  end)

  it("stay as they were when a script catches the error of a send", function()
    local found, halt = process([[
      assert(not pcall(out.default.send, out.default, { value = "x", key = "k", headers = { a = 1 } }))
      assert(not pcall(out.default.send, out.default, { value = "x", partition = 99 }))
      return rec]])
    assert.is_nil(halt)
    assert.equal(1, #found)
    assert.equal("v", found[1].value)
  end)

  it("count their bytes, and count them back", function()
    local _, _, tally = process("out.audit:send { value = '12345' } if rec.key == 'x' then return onced.drop 'x' end return rec",
      { { key = "kk", value = "vvv" }, { key = "x", value = "long" } })
    assert.equal(5 + #"source" + #"onced" + 5, tally.bytes)
  end)

  it("hold many records and large values", function()
    local records = {}
    for i = 1, 20000 do records[i] = { value = tostring(i) } end
    local found, halt = process("return { value = rec.value .. ('x'):rep(rec.offset % 97 == 0 and 300000 or 3) }", records)
    assert.is_nil(halt)
    for i, o in ipairs(found) do assert(o.value:match "^(%d+)x+$" == tostring(i), "record " .. i) end
    assert.equal(20000, #found)
  end)
end)

describe("drop and reject", function()
  it("take back what the record sent", function()
    local found, halt, tally = process([[
      out.audit:send(rec)
      if rec.offset == 0 then return onced.drop "no" end
      if rec.offset == 1 then return onced.reject "bad" end
      return rec]], { { value = "a" }, { value = "b" }, { value = "c" } }, { on_reject = "skip" })
    assert.is_nil(halt)
    assert.same({ "c", "c" }, { found[1].value, found[2].value })
    assert.equal(2, #found)
    assert.same({ 1, 1, 1 }, { tally.dropped, tally.rejected, tally.skipped })
  end)

  it("need a reason", function()
    assert.truthy(halt_of("return onced.drop()"):find("onced.drop needs a reason", 1, true))
    assert.truthy(halt_of("return onced.drop()"):find("^orders.lua:2: ")) -- a tail call: the hook's own line
    assert.truthy(halt_of("return onced.reject('')"):find("onced.reject needs a reason", 1, true))
  end)
end)

describe("process_batch", function()
  local function batch_hook(body, records, options)
    return driver.run(ONCED .. "return { process_batch = function(recs, out, ctx)\n" .. body .. "\nend }", records, options)
  end

  local function mixed()
    local records = {}
    for i = 1, 20 do records[i] = { value = tostring(i), partition = i <= 8 and 0 or 1, topic = i > 15 and 1 or 0 } end
    return records
  end

  it("gets records of one partition, in order", function()
    local found, halt = batch_hook([[
      for i = 2, #recs do
        assert(recs[i].partition == recs[1].partition and recs[i].topic == recs[1].topic and recs[i].offset == recs[i - 1].offset + 1)
      end
      out.audit:send { value = #recs .. "" }
      return recs]], mixed())
    assert.is_nil(halt)
    local sizes, order = {}, {}
    for _, o in ipairs(found) do table.insert(o.topic == "audit" and sizes or order, o.value) end
    assert.same({ "8", "7", "5" }, sizes)
    for i = 1, 20 do assert.equal(tostring(i), order[i]) end
  end)

  it("names the slice's last record as the source of a table, the record's own otherwise", function()
    local found = batch_hook("out.default:send { value = 'sum' } return { recs[1], recs[2]:derive { value = 'd' } }", { { value = "a" }, { value = "b" },
      { value = "c" } })
    assert.same({ 2, 0, 1 }, { found[1].source, found[2].source, found[3].source })
  end)

  it("runs a failing slice again in halves, down to the culprit", function()
    local found, halt, tally = batch_hook([[
      for _, rec in ipairs(recs) do
        if rec.value == "5" or rec.value == "13" then error("bad " .. rec.value) end
        out.default:send(rec)
      end]], mixed(), { on_error = "dlq" })
    assert.is_nil(halt)
    local values, dead = {}, {}
    for _, o in ipairs(found) do table.insert(o.topic == "dead" and dead or values, o.value) end
    assert.same({ "5", "13" }, dead)
    assert.equal(18, #values)
    assert.equal(2, tally.dead)
    assert.equal(20, tally.transformed)
  end)

  it("halts before the culprit with what came before it kept", function()
    local found, halt, tally = batch_hook([[
      for _, rec in ipairs(recs) do
        if rec.value == "13" then error "bad" end
        out.default:send(rec)
      end]], mixed())
    assert.truthy(halt:find("orders.lua:4: bad (topic orders, partition 1, offset 12)", 1, true), halt)
    assert.equal(12, tally.transformed)
    assert.equal(12, #found)
  end)

  it("drops and rejects whole slices and single records", function()
    local _, halt, tally = batch_hook([[if recs[1].partition == 0 then return onced.drop "all" end return onced.reject "each"]], mixed(),
      { on_reject = "skip" })
    assert.is_nil(halt)
    assert.same({ 8, 12 }, { tally.dropped, tally.rejected })
  end)
end)

describe("init, close and ctx", function()
  it("run once, with the context", function()
    local found
    local text = driver.stderr(function()
      found = driver.run(ONCED .. [[
        local M = { params = { rate = { type = "number", min = 0, max = 1, required = true } } }
        function M.init(ctx) M.rate = ctx.params.rate end
        function M.process(rec, out, ctx)
          return { value = ("%s %d %g %s"):format(ctx.pipeline, ctx.worker, M.rate, math.abs(ctx.now() / 1000 - os.time()) < 60) }
        end
        function M.close(ctx) onced.log.info("closed", { pipeline = ctx.pipeline }) end
        return M]], { { value = "v" } }, { params = '{"rate": 0.5}', worker = 3 })
    end)
    assert.equal("shop 3 0.5 true", found[1].value)
    assert.truthy(text:find("closed pipeline=shop", 1, true))
  end)

  it("stop the pipeline from starting", function()
    local function load(script) return select(2, driver.load(script)) end
    assert.equal("orders.lua:1: no (in init)", load "return { init = function() error 'no' end, process = print }")
    assert.equal("orders.lua: no (in init)", load "return { init = function() return nil, 'no' end, process = print }")
    assert.truthy(load("return 1"):find("must return a function or a table of hooks, not a number", 1, true))
    assert.truthy(load("local x = 1"):find("not nothing", 1, true))
    assert.truthy(load("return { process = 1 }"):find("process must be a function", 1, true))
    assert.truthy(load("return { process = print, process_batch = print }"):find("can't both be there", 1, true))
    assert.truthy(load("local x = nil .. 1\nreturn print"):find("^orders.lua:1: attempt to concatenate"))
  end)

  it("can't send", function()
    local _, text = driver.load [[
      local o
      return { process = function(rec, out) o = out return rec end, init = function(ctx) assert(ctx.out == nil) error("x", 0) end }]]
    assert.equal("orders.lua:2: x (in init)", text)
  end)
end)

describe("the note in the shared page", function()
  it("names the record while it is in Lua, and is cleared after it", function()
    local stats = ffi.new "struct stats"
    local _, halt = driver.run("return function(rec) if rec.offset == 77 then error 'x' end return rec end",
      { { value = "a", topic = 1, partition = 2 }, { value = "b", topic = 1, partition = 5, offset = 77 } }, { stats = stats })
    assert.truthy(halt)
    assert.same({ "returns", 5, 77 }, { ffi.string(stats.note_topic), stats.note_partition, tonumber(stats.note_offset) })
    assert.equal(0, tonumber(stats.note_sequence) % 2)
    assert.is_true(stats.note_sequence > 0)
  end)
end)

describe("transform_run", function()
  it("stops early when a slice takes long, and goes on where it stopped", function()
    local t = assert(driver.load [[
      return function(rec)
        local stop = os.clock() + 0.004
        while os.clock() < stop do end
        return rec
      end]])
    local batch, e = driver.batch(), ffi.new "struct err"
    for i = 1, 400 do driver.add(batch, { value = tostring(i) }) end
    assert.equal(C.OK, C.transform_run(t.transform, batch, 400, e))
    assert.is_true(batch.transformed > 0 and batch.transformed < 400, "ran through " .. batch.transformed)
    assert.equal(batch.transformed, batch.lent.output_count)
    t.free()
    driver.free_batch(batch)
  end)
end)
