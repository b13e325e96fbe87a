-- SPDX-License-Identifier: MIT
-- errors.on_error, errors.on_reject and the dead-letter topic: what becomes of a record that failed.
local ffi = require "ffi"
local driver = require "spec.unit.transform_driver"
local C = driver.C

local FAIL = [[
local onced = require "onced"
return function(rec, out)
  out.audit:send(rec)
  if rec.value == "bad" then error("is bad") end
  if rec.value == "no" then return onced.reject("no \0 good") end
  return rec
end]]

local function three(value)
  return { { value = "a", offset = 10 }, { key = "k", value = value, offset = 11, partition = 3, time = 99, headers = { { "h", "1" } } },
    { value = "c", offset = 12 } }
end

local function values(found)
  local list = {}
  for i, o in ipairs(found) do list[i] = o.topic .. ":" .. tostring(o.value) end
  return list
end

describe("stop", function()
  it("halts before the record, which takes back what it sent", function()
    local found, halt, tally = driver.run(FAIL, three "bad")
    assert.equal("orders.lua:4: is bad (topic orders, partition 3, offset 11)", halt)
    assert.same({ "audit:a", "plain:a" }, values(found))
    assert.equal(1, tally.transformed)
  end)

  it("answers a reject by its own policy", function()
    local found, halt = driver.run(FAIL, three "no", { on_error = "skip" })
    assert.truthy(halt:find("orders.lua:2: no ", 1, true))
    assert.truthy(halt:find("(topic orders, partition 3, offset 11)", 1, true))
    assert.equal(2, #found)
  end)

  it("goes on where it stood when it is run again", function()
    local t = assert(driver.load "local n = 0 return function(rec) n = n + 1 if n == 2 then error 'once' end return rec end")
    local batch = driver.batch()
    for _, record in ipairs(three "x") do driver.add(batch, record) end
    assert.truthy(t.run(batch))
    assert.is_nil(t.run(batch))
    assert.same({ "plain:a", "plain:x", "plain:c" }, values(driver.outputs(batch)))
    t.free()
    driver.free_batch(batch)
  end)

  it("names the record even when the message is endless", function()
    local _, halt = driver.run("return function() error(('x'):rep(100000)) end", three "a")
    assert.truthy(halt:find("^orders.lua:1: xxx.*x %(topic orders, partition 0, offset 10%)$"))
  end)
end)

describe("skip", function()
  it("counts, warns and goes on", function()
    local found, halt, tally
    local text = driver.stderr(function() found, halt, tally = driver.run(FAIL, three "bad", { on_error = "skip" }) end)
    assert.is_nil(halt)
    assert.same({ "audit:a", "plain:a", "audit:c", "plain:c" }, values(found))
    assert.same({ 1, 0, 0 }, { tally.skipped, tally.rejected, tally.dead })
    -- at most one warning in a few seconds: another spec may have had it
    assert.is_true(text == "" or text:find("skipped: orders.lua:4: is bad (topic orders, partition 3, offset 11)", 1, true) ~= nil)
  end)

  it("goes through a batch in which every record fails, in any way", function()
    local records = {}
    for i = 1, 1000 do records[i] = { value = tostring(i) } end
    local found, halt, tally = driver.run([[
      return function(rec)
        local kind = rec.offset % 5
        if kind == 0 then error { table = true } end
        if kind == 1 then error(nil) end
        if kind == 2 then error(setmetatable({}, { __tostring = function() error "inner" end })) end
        if kind == 3 then local function f() return f() + 1 end f() end
        return nil .. "x"
      end]], records, { on_error = "skip" })
    assert.is_nil(halt)
    assert.same({}, found)
    assert.equal(1000, tally.skipped)
  end)
end)

describe("dlq", function()
  local function letter(value, options)
    options = options or {}
    options.on_error, options.on_reject = "dlq", "dlq"
    local found, halt, tally = driver.run(FAIL, three(value), options)
    assert.is_nil(halt)
    return found, tally
  end

  it("appends a letter with key, value and headers, the present time, and what went wrong", function()
    local found, tally = letter "bad"
    assert.same({ "audit:a", "plain:a", "dead:bad", "audit:c", "plain:c" }, values(found))
    local dead = found[3]
    assert.same({ "k", 1, -1 }, { dead.key, dead.source, dead.partition })
    assert.is_true(math.abs(dead.time - os.time() * 1000) < 60000)
    assert.same({
      { "h", "1" }, { "__onced.error.topic", "orders" }, { "__onced.error.partition", "3" }, { "__onced.error.offset", "11" },
      { "__onced.error.timestamp", "99" }, { "__onced.error.pipeline", "shop" }, { "__onced.error.script", "orders.lua:4" },
      { "__onced.error.kind", "error" }, { "__onced.error.message", "is bad" },
    }, dead.headers)
    assert.same({ 1, 0, 0 }, { tally.dead, tally.rejected, tally.skipped })
  end)

  it("tells the lines that led to an error, where there were some", function()
    local found, halt
    local script = "local function check(rec)\nerror 'no'\nend\nlocal function price(rec)\ncheck(rec)\nreturn rec end\n"
      .. "return function(rec)\nlocal r = price(rec)\nreturn r end"
    found = driver.run(script, { { value = "v" } }, { on_error = "dlq" })
    assert.same({ "__onced.error.script", "orders.lua:2" }, found[1].headers[6])
    assert.same({ "__onced.error.stack", "orders.lua:5 in price, orders.lua:8 in process" }, found[1].headers[9])
    local text = driver.stderr(function() halt = select(2, driver.run(script, { { value = "v" } })) end)
    assert.equal("orders.lua:2: no (topic orders, partition 0, offset 0)", halt)
    assert.truthy(text:find("halting: " .. halt .. "; called from orders.lua:5 in price, orders.lua:8 in process", 1, true), text)
    local _, message = driver.load("local function f() error 'no' end\nf()\nreturn print")
    assert.equal("orders.lua:1: no (called from orders.lua:2)", message)
  end)

  it("keeps the kind and text of a reject, all bytes of it", function()
    local found, tally = letter "no"
    assert.same({ "__onced.error.kind", "reject" }, found[3].headers[8])
    assert.same({ "__onced.error.message", "no \0 good" }, found[3].headers[9])
    assert.same({ 1, 1 }, { tally.dead, tally.rejected })
  end)

  it("names the kind of failure", function()
    local kinds = {
      ["out.none:send(rec)"] = "output", ["return { value = 'x', partition = 9 }"] = "partition",
      ["return { value = ('x'):rep(2000000) }"] = "too-large", ["for _ = 1, 9999 do out.default:send(rec) end"] = "limit",
    }
    for body, kind in pairs(kinds) do
      local found = driver.run("return function(rec, out) " .. body .. " end", { { value = "v" } }, { on_error = "dlq" })
      assert.same({ "__onced.error.kind", kind }, found[1].headers[7])
    end
  end)

  it("replaces the error headers of a letter that fails again, and keeps null", function()
    local found = driver.run("return function() error('again', 0) end",
      { { headers = { { "__onced.error.message", "old" }, { "n", nil } } } }, { on_error = "dlq" })
    assert.is_nil(found[1].value)
    assert.is_nil(found[1].key)
    assert.equal(9, #found[1].headers)
    assert.same({ "n", nil }, found[1].headers[1])
    assert.same({ "__onced.error.message", "again" }, found[1].headers[9])
  end)

  it("halts when the letter doesn't fit its topic", function()
    local topics = { "plain", "audit", "orders-eu", "orders-us", { name = "dead", max = 500 } }
    local found, halt, tally = driver.run("return function() error 'x' end", { { value = ("v"):rep(300) } }, { on_error = "dlq", topics = topics })
    assert.truthy(halt:find("orders.lua:1: its dead letter of %d+ bytes doesn't fit topic dead %(max.message.bytes 500%) %(topic orders,"), halt)
    assert.same({ 0, 0, 0 }, { #found, tally.dead, tally.bytes })
  end)

  local function share(bad, good, options)
    local records = {}
    for i = 1, bad + good do records[i] = { value = i % ((bad + good) / bad) == 0 and "bad" or "good" } end
    return driver.run(FAIL, records, options)
  end

  it("halts above its ratio, but not below `min`", function()
    local options = { on_error = "dlq", max_ratio = 0.05, min = 20 }
    local _, halt, tally = share(19, 19, options)
    assert.is_nil(halt)
    assert.equal(19, tally.dead)
    _, halt, tally = share(200, 200, options)
    assert.truthy(halt:find("20 of 40 records became dead letters, above errors.dlq.max_ratio 0.05; this one: is bad (topic", 1, true), halt)
    assert.same({ 19, 39 }, { tally.dead, tally.transformed })
    _, halt, tally = share(40, 960, options)
    assert.is_nil(halt)
    assert.equal(40, tally.dead)
  end)

  it("forgets the ratio after `per`", function()
    local t = assert(driver.load(FAIL, { on_error = "dlq", max_ratio = 0.05, min = 3, per = 1 }))
    for _ = 1, 4 do
      local batch = driver.batch()
      driver.add(batch, { value = "bad" })
      driver.add(batch, { value = "bad" })
      assert.is_nil(t.run(batch))
      driver.free_batch(batch)
      local stop = os.clock() + 0.005
      while os.clock() < stop do end -- luacheck: ignore
    end
    t.free()
  end)
end)

describe("transform_refuse", function()
  local function refused(options, times)
    local t = assert(driver.load(
      "return function(rec, out) out.audit:send(rec) if rec.offset == 12 then out.default:send(rec) end return rec end", options))
    local batch, e, verdict = driver.batch(), ffi.new "struct err", nil
    for _, record in ipairs(three "b") do driver.add(batch, record) end
    assert.is_nil(t.run(batch))
    for _ = 1, times or 1 do verdict = C.transform_refuse(t.pipeline, batch, 1, "too-large", "the broker said no", e) end
    local found, bytes = driver.outputs(batch), 0
    for _, o in ipairs(found) do
      bytes = bytes + #(o.key or "") + #(o.value or "")
      for _, h in ipairs(o.headers or {}) do bytes = bytes + #h[1] + #(h[2] or "") end
    end
    assert.equal(bytes, tonumber(batch.lent.bytes))
    local tally = { tonumber(batch.skipped), tonumber(batch.dead_lettered) }
    t.free()
    driver.free_batch(batch)
    return verdict, found, tally, ffi.string(e.text)
  end

  it("takes all outputs of the record back and applies on_error", function()
    local verdict, found, tally = refused { on_error = "skip" }
    assert.equal(tonumber(C.OK), tonumber(verdict))
    assert.same({ "audit:a", "plain:a", "audit:c", "plain:c", "plain:c" }, values(found))
    assert.same({ 1, 0 }, tally)
    local text
    verdict, found, tally, text = refused { on_error = "stop" }
    assert.equal(tonumber(C.HALT), tonumber(verdict))
    assert.equal("orders.lua: the broker said no (topic orders, partition 3, offset 11)", text)
    assert.same({ 0, 0 }, tally)
    assert.equal(5, #found)
  end)

  it("writes a dead letter, and halts when that one is refused too", function()
    local verdict, found, tally = refused { on_error = "dlq" }
    assert.equal(tonumber(C.OK), tonumber(verdict))
    assert.equal("dead:b", values(found)[6])
    assert.same({ "__onced.error.kind", "too-large" }, found[6].headers[8])
    assert.same({ 0, 1 }, tally)
    verdict = refused({ on_error = "dlq" }, 2)
    assert.equal(tonumber(C.HALT), tonumber(verdict))
  end)
end)

describe("the memory cap", function()
  local CAP = 8 * 2 ^ 20

  it("fails the record that needs more, and no later one", function()
    local records = {}
    for i = 1, 300 do records[i] = { value = tostring(i) } end
    local found, halt, tally = driver.run([[
      return function(rec)
        if rec.offset % 100 == 50 then
          local hoard = {}
          for i = 1, 1e7 do hoard[i] = { i, tostring(i) } end
        end
        return { value = rec.value }
      end]], records, { memory = CAP, on_error = "dlq" })
    assert.is_nil(halt)
    assert.equal(3, tally.dead)
    assert.equal(300, #found)
    for _, o in ipairs(found) do
      if o.topic == "dead" then assert.same({ "__onced.error.kind", "memory" }, o.headers[7]) end
    end
  end)

  it("lets garbage alone pass, even with much that lives", function()
    local records = {}
    for i = 1, 20000 do records[i] = { value = ("x"):rep(1000) .. i } end
    local found, halt = driver.run([[
      local alive = {}
      for i = 1, 4500 do alive[i] = ("y"):rep(1000) .. i end
      return function(rec) return { value = rec.value .. "!" .. #alive } end]], records, { memory = CAP })
    assert.is_nil(halt)
    assert.equal(20000, #found)
  end)

  it("holds while the script loads", function()
    local t, message = driver.load("local t = {} for i = 1, 1e8 do t[i] = { i } end return print", { memory = CAP })
    assert.is_nil(t)
    assert.truthy(message:find "^orders.lua.*: not enough memory")
  end)

  it("fails the slice in halves down to the record with process_batch", function()
    local records = {}
    for i = 1, 64 do records[i] = { value = tostring(i) } end
    local found, halt, tally = driver.run([[
      return { process_batch = function(recs)
        for _, rec in ipairs(recs) do
          if rec.offset == 33 then local s = {} for i = 1, 1e7 do s[i] = { i } end end
        end
        return recs
      end }]], records, { memory = CAP, on_error = "skip" })
    assert.is_nil(halt)
    assert.same({ 63, 1 }, { #found, tally.skipped })
  end)
end)
