-- SPDX-License-Identifier: MIT
-- How a worker comes to its next script: loaded beside the running one, taken over by a call. The spec is the master, and front.
local ffi = require "ffi"
local driver = require "spec.unit.transform_driver"
local lib = require "spec.unit.onced_lib"
local wait = require "spec.support.wait"

lib.cdef("pthread", "typedef unsigned long pthread_t; int close(int);")
lib.declare { "recipe", "exchange" }
local C = driver.C

describe("exchange", function()
  local config, stats, shelf, exchange, e, folders
  before_each(function()
    config, stats, shelf, exchange, e = ffi.new "struct config", C.stats_new(), C.recipe_shelf(), ffi.new "struct exchange", ffi.new "struct err"
    config.log_level, folders = 3, {} -- errors only
  end)
  after_each(function()
    C.transform_free(ffi.new("struct transform *[1]", exchange.transform))
    C.recipe_free(ffi.new("struct recipe *[1]", exchange.recipe))
    C.stats_free(stats)
    ffi.C.close(shelf)
    os.execute("rm -rf " .. table.concat(folders, " "))
  end)

  local function put(script)
    local pipeline, folder = driver.pipeline(script)
    folders[#folders + 1] = folder
    local bytes = C.recipe_write(config, pipeline, "", 0)
    stats.recipe = C.recipe_put(shelf, bytes)
    return pipeline
  end

  local function begin(script)
    local pipeline = put(script)
    assert.equal(C.OK, C.exchange_init(exchange, config, pipeline, 0, shelf, stats, e))
    return pipeline
  end

  -- Runs one record, as if its batch were committed.
  local function run(value)
    local batch = driver.batch()
    driver.add(batch, { value = value })
    assert.equal(C.OK, C.transform_run(exchange.transform, batch, 1, e), ffi.string(e.text))
    for i = 0, batch.count_count - 1 do
      local series = stats.series[batch.counts[i].series]
      series.value = series.value + batch.counts[i].amount
    end
    driver.free_batch(batch)
  end

  -- The master: what was counted by series that were left.
  local told = {}
  local function collect()
    for i = 0, stats.series_count - 1 do
      local series = stats.series[i]
      if series.state == C.SERIES_LEFT then
        told[ffi.string(series.text)] = series.value
        series.state = C.SERIES_FREE
      end
    end
  end

  local function take()
    wait.till("the next script", 60, function() return C.exchange_is_due(exchange) == 1 end)
    assert.equal(C.OK, C.exchange_take(exchange, e), ffi.string(e.text))
  end

  local SCRIPT = [[
    local onced = require "onced"
    local kept, own = onced.metric.counter "kept", {}
    for i = 1, 100 do own[i] = onced.metric.counter("own%d", { n = i }) end
    return function(rec)
      kept:add()
      own[100]:add(2)
      for i = 1, 27 do onced.metric.counter("later%d", { n = i }):add() end
      return onced.drop "reason %d"
    end]]

  it("gives each script its 128 counters, whatever those before had, and loses no count", function()
    begin((SCRIPT:gsub("%%d", 1)))
    run "x"
    for edition = 2, 9 do
      put((SCRIPT:gsub("%%d", edition)))
      take()
      run "x"
      collect()
      assert.equal(2, told[('own%d{n="100"}'):format(edition - 1)])
      assert.equal(1, told[('later%d{n="27"}'):format(edition - 1)])
      assert.equal(1, told["reason " .. edition - 1])
    end
    assert.is_nil(told.kept)
    assert.equal(9, stats.series[0].value)
  end)

  it("waits with the script after the next until the master has taken back what was left", function()
    begin((SCRIPT:gsub("%%d", 1)))
    put((SCRIPT:gsub("%%d", 2)))
    take()
    put((SCRIPT:gsub("%%d", 3)))
    for _ = 1, 50 do
      assert.equal(0, C.exchange_is_due(exchange))
      assert.equal(0, exchange.next_place)
      wait.sleep(1)
    end
    collect()
    take()
    run "x"
  end)
end)
