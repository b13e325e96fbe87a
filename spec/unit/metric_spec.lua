-- SPDX-License-Identifier: MIT
-- What is counted under names of a script's: reasons to drop and reject, and its own counters. Here up to the batch; transaction_spec has the
-- commit, stats_spec the table, supervisor_spec the report.
local driver = require "spec.unit.transform_driver"
local C = driver.C

local ONCED = 'local onced = require "onced"\n'

local function counts(body, records, options)
  local _, halt, tally = driver.run(ONCED .. "local counter = onced.metric.counter\nreturn function(rec, out)\n" .. body .. "\nend",
    records or { { value = "1" }, { value = "2" }, { value = "3" } }, options)
  assert(not halt, halt)
  return tally.counts
end

local function halt_of(body, options)
  local _, halt = driver.run(ONCED .. "return function(rec)\n" .. body .. "\nreturn rec end", { { value = "1" } }, options)
  return assert(halt, "no halt")
end

describe("reasons", function()
  it("are counted by record", function()
    local found = counts([[
      if rec.value == "1" then return onced.drop "empty" end
      if rec.value == "2" then return onced.reject "no total" end
      return onced.drop("empty")]], nil, { on_reject = "skip" })
    assert.same({ dropped = { empty = 2 }, rejected = { ["no total"] = 1 }, counted = {} }, found)
  end)

  it("count all records of a slice that is dropped", function()
    local _, halt, tally = driver.run(ONCED .. "return { process_batch = function(recs) return onced.drop 'all' end }",
      { { value = "a" }, { value = "b" }, { value = "c", partition = 1 } })
    assert.is_nil(halt)
    assert.same({ all = 3 }, tally.counts.dropped)
  end)

  it("count only what is returned: else the record would be passed on in silence", function()
    local halt = halt_of 'if rec.value == "1" then onced.drop "empty" end'
    assert.truthy(halt:find('orders.lua:2: onced.drop must be returned, "empty" has no effect: return onced.drop(reason)', 1, true), halt)
    halt = halt_of 'onced.reject "no total"'
    assert.truthy(halt:find('onced.reject must be returned, "no total" has no effect', 1, true), halt)
    local _, batch = driver.run(ONCED .. "return { process_batch = function(recs) onced.drop 'all' return recs end }", { { value = "1" } })
    assert.truthy(batch:find('onced.drop must be returned, "all" has no effect', 1, true), batch)
  end)

  it("may be a module's, which is loaded in the midst of a record", function()
    local path = os.tmpname()
    local folder, name = path:match "^(.*)/([^/]+)$"
    local file = assert(io.open(path .. ".lua", "w"))
    file:write(ONCED .. "local two = onced.drop 'two'\nreturn function(rec) return rec.value == '2' and two or rec end")
    file:close()
    local found, halt, tally = driver.run(("return function(rec) return require(%q)(rec) end"):format(name), { { value = "1" }, { value = "2" } },
      { lua_path = { folder } })
    os.remove(path .. ".lua")
    os.remove(path)
    assert.is_nil(halt)
    assert.same({ 1, { two = 1 } }, { #found, tally.counts.dropped })
  end)

  it("may be made before they are returned, or by a record that fails", function()
    local found, halt, tally = driver.run(ONCED .. [[
      local empty = onced.drop "empty"
      return function(rec)
        if rec.value == "1" then return empty end
        local no = onced.reject "no"
        if rec.value == "2" then error(no.reason) end
        if rec.value == "3" then return onced.drop "three" end
        return no
      end]], { { value = "1" }, { value = "2" }, { value = "3" }, { value = "4" } }, { on_error = "skip", on_reject = "skip" })
    assert.is_nil(halt)
    assert.same({}, found)
    assert.same({ dropped = { empty = 1, three = 1 }, rejected = { no = 1 }, counted = {} }, tally.counts)
    found, halt = driver.run(ONCED .. [[
      return function(rec)
        if rec.value == "1" then onced.drop "x" error "no" end
        return rec
      end]], { { value = "1" }, { value = "2" } }, { on_error = "skip" })
    assert.same({ "2" }, { found[1].value, halt })
  end)

  it("beyond fifty are counted as other", function()
    local records = {}
    for i = 1, 200 do records[i] = { value = tostring(i) } end
    local found = counts("return onced.drop('reason ' .. rec.value)", records).dropped
    assert.equal(150, found.other)
    found.other = nil
    for i = 1, 50 do assert.equal(1, found["reason " .. i]) end
    found = counts("return onced.reject('reason ' .. rec.value)", records, { on_reject = "skip" }).rejected
    assert.equal(150, found.other)
  end)

  it("may be long and hold any byte", function()
    local found = counts("return onced.drop('two\\nlines\\0' .. ('x'):rep(1000))").dropped
    assert.equal(3, found["two lines " .. ("x"):rep(233)])
  end)
end)

describe("onced.metric.counter", function()
  it("counts, by labels", function()
    local found = counts [[
      counter "seen_total":add()
      counter("orders_total", { region = "eu", odd = rec.value ~= "2" }):add(2)
      counter("orders_total", { odd = rec.value ~= "2", region = "eu" }):add(0.5)
      return rec]]
    assert.same({ seen_total = 3, ['orders_total{odd="true",region="eu"}'] = 5, ['orders_total{odd="false",region="eu"}'] = 2.5 }, found.counted)
  end)

  it("counts for a record that is dropped, not for one that fails", function()
    local found = counts([[
      counter "a_total":add()
      if rec.value == "1" then return onced.drop "no" end
      counter "b_total":add(10)
      if rec.value == "2" then return onced.reject "no" end
      error "no"]], nil, { on_error = "skip", on_reject = "skip" })
    assert.same({ a_total = 1 }, found.counted)
  end)

  it("counts once in a slice that is run again in halves", function()
    local records = {}
    for i = 1, 16 do records[i] = { value = tostring(i) } end
    local _, halt, tally = driver.run(ONCED .. [[
      local seen = onced.metric.counter "seen_total"
      return { process_batch = function(recs)
        for _, rec in ipairs(recs) do
          seen:add()
          if rec.value == "11" then error "bad" end
        end
        return recs
      end }]], records, { on_error = "skip" })
    assert.is_nil(halt)
    assert.same({ seen_total = 15 }, tally.counts.counted)
  end)

  it("takes back what a record counted whose output the broker refuses", function()
    local t = assert(driver.load(ONCED .. "local c = onced.metric.counter 'a_total' return function(rec) c:add(rec.offset) return rec end",
      { on_error = "skip" }))
    local batch, e = driver.batch(), require("ffi").new "struct err"
    for i = 0, 2 do driver.add(batch, { value = "v", offset = 10 ^ i }) end
    assert.is_nil(t.run(batch))
    assert.equal(C.OK, C.transform_refuse(t.pipeline, batch, 1, "too-large", "no", e))
    assert.same({ a_total = 101 }, driver.counts(batch, t.stats).counted)
    C.batch_reset(batch)
    assert.same({}, driver.counts(batch, t.stats).counted)
    t.free()
    driver.free_batch(batch)
  end)

  it("goes on with the series of the worker's life before", function()
    local stats = C.stats_new()
    for _ = 1, 3 do
      local _, _, tally = driver.run(ONCED .. "local c = onced.metric.counter 'a_total' return function(rec) c:add() return onced.drop 'x' end",
        { { value = "v" } }, { stats = stats })
      assert.same({ dropped = { x = 1 }, rejected = {}, counted = { a_total = 1 } }, tally.counts)
    end
    assert.equal(2, stats.series_count)
    C.stats_free(stats)
  end)

  it("has room for 128, and says so", function()
    local body = "for i = 1, %d do onced.metric.counter('many_total', { n = i }):add() end"
    local found = counts(body:format(128) .. " return rec")
    assert.equal(3, found.counted['many_total{n="128"}'])
    local halt = halt_of(body:format(129))
    assert.truthy(halt:find('orders.lua:3: onced.metric.counter: many_total{n="129"} is one too many: a script can have 128', 1, true), halt)
    assert.truthy(halt_of("onced.metric.counter(('x'):rep(300))"):find("name and labels are too long: xxx", 1, true))
  end)

  it("escapes values as Prometheus does", function()
    assert.same({ ['a{b="q\\"\\\\ n"}'] = 3 }, counts([[counter("a", { b = 'q"\\ n' }):add() return rec]]).counted)
  end)

  it("refuses what can't be counted", function()
    local cases = {
      ["onced.metric.counter('a b')"] = 'orders.lua:3: onced.metric.counter: "a b" can\'t be a name', ["onced.metric.counter(1)"] = "can't be a name",
      ["onced.metric.counter('onced_x')"] = "the daemon's own", ["onced.metric.counter('a', 'x')"] = "labels must be a table, is a string",
      ["onced.metric.counter('a', { ['x-y'] = '1' })"] = '"x-y" can\'t be a label', ["onced.metric.counter('a', { __a = '1' })"] = "can't be a label",
      ["onced.metric.counter('a', { x = {} })"] = "label x must be a string, is a table",
      ["onced.metric.counter('a'):add(-1)"] = "a counter only grows, by a number from 0: not by -1",
      ["onced.metric.counter('a'):add('1')"] = "only grows", ["onced.metric.counter('a'):add(0/0)"] = "only grows",
      ["onced.metric.counter('a'):add(1/0)"] = "only grows", ["onced.metric.counter('a').add(1)"] = "with a colon",
      ["onced.metric.counter('a'):inc()"] = 'a counter has no "inc"', ["onced.metric.counter('a').x = 1"] = "a counter can't be changed",
    }
    for body, text in pairs(cases) do
      local halt = halt_of(body)
      assert.truthy(halt:find(text, 1, true), halt)
    end
    local _, message = driver.load(ONCED .. "onced.metric.counter('a'):add() return print")
    assert.truthy(message:find("orders.lua:2: a counter counts for a record", 1, true))
  end)
end)
