-- SPDX-License-Identifier: MIT
-- Records that a worker died over: how they are remembered, and what the next life does about them.
local ffi = require "ffi"
local driver = require "spec.unit.transform_driver"
local C = driver.C

local TIME, MEMORY, CRASH = C.DEATH_TIME, C.DEATH_MEMORY, C.DEATH_CRASH

describe("suspects", function()
  local stats, s
  before_each(function()
    stats = ffi.new "struct stats"
    s = stats.suspects
  end)

  local function add(topic, partition, first, last, cause) return C.suspects_add(s, topic, partition, first, last, cause or CRASH) end

  local function deaths(topic, partition, offset)
    local found = C.suspects_find(s, topic, partition, offset)
    return found ~= nil and found.deaths or nil
  end

  it("are told by topic, partition and offset", function()
    assert.is_nil(deaths("orders", 1, 5))
    assert.equal(1, add("orders", 1, 5, 5))
    assert.equal(1, deaths("orders", 1, 5))
    for _, other in ipairs { { "orders", 1, 4 }, { "orders", 1, 6 }, { "orders", 2, 5 }, { "bills", 1, 5 } } do
      assert.is_nil(deaths(unpack(other)))
    end
    assert.equal(2, add("orders", 1, 5, 5, MEMORY))
    assert.equal(1, s.count)
    assert.equal(MEMORY, s.list[0].cause)
    assert.equal(1, add("orders", 2, 5, 5))
  end)

  it("of a stretch count nothing, until one of its records has killed alone", function()
    assert.equal(0, add("orders", 1, 5, 8))
    assert.equal(0, add("orders", 1, 5, 8))
    assert.equal(1, add("orders", 1, 7, 7))
    assert.same({ 0, 1, 0 }, { deaths("orders", 1, 6), deaths("orders", 1, 7), deaths("orders", 1, 8) })
    assert.is_nil(deaths("orders", 1, 9))
  end)

  it("are forgotten once the partition is past them; of too many the oldest goes", function()
    add("orders", 1, 5, 5)
    add("bills", 1, 4, 4)
    add("orders", 1, 9, 9)
    assert.is_nil(deaths("orders", 1, 5))
    assert.equal(1, deaths("bills", 1, 4))
    for partition = 2, C.SUSPECTS_MOST do add("orders", partition, 1, 1) end
    assert.equal(C.SUSPECTS_MOST, s.count)
    assert.is_nil(deaths("bills", 1, 4))
    assert.same({ 1, 1 }, { deaths("orders", 1, 9), deaths("orders", C.SUSPECTS_MOST, 1) })
  end)

  describe("in a transform", function()
    -- Ten records of partition 0 of orders; what the script was called with is in the outputs.
    local function run(script, options, work)
      options.stats = stats
      local t = assert(driver.load(script, options))
      local batch = driver.batch()
      for i = 0, 9 do driver.add(batch, { value = tostring(i), offset = 100 + i }) end
      work(t, batch)
      t.free()
      driver.free_batch(batch)
    end

    local PASS = "return function(rec) return rec end"
    local STRETCHES = "return { process_batch = function(recs) return { value = ('%d from %d'):format(#recs, recs[1].offset) } end }"

    local function values(batch)
      local list = {}
      for i, output in ipairs(driver.outputs(batch)) do list[i] = output.value end
      return list
    end

    it("are run like any other, but alone", function()
      add("orders", 0, 103, 105)
      run(PASS, {}, function(t, batch)
        assert.is_nil(t.run(batch))
        assert.equal(10, #values(batch))
        assert.equal(0, batch.cut)
      end)
      run(STRETCHES, {}, function(t, batch)
        assert.is_nil(t.run(batch))
        assert.same({ "3 from 100", "1 from 103", "1 from 104", "1 from 105", "4 from 106" }, values(batch))
      end)
    end)

    it("that have killed twice are left out, and the batch is cut behind them", function()
      add("orders", 0, 104, 104, TIME)
      add("orders", 0, 104, 104, TIME)
      run(PASS, { on_error = "skip" }, function(t, batch)
        assert.is_nil(t.run(batch, 5))
        assert.same({ "0", "1", "2", "3" }, values(batch))
        assert.same({ 5, 1, 1 }, { batch.transformed, batch.cut, tonumber(batch.skipped) })
        local e = ffi.new "struct err"
        assert.equal(C.OK, C.transform_run(t.transform, batch, 5, e)) -- nothing more until it is committed
        assert.equal(5, batch.transformed)
      end)
    end)

    it("that have killed twice stop the pipeline, which names them", function()
      add("orders", 0, 104, 104, TIME)
      add("orders", 0, 104, 104, CRASH)
      run(PASS, {}, function(t, batch)
        assert.equal("orders.lua: ended its worker 2 times, at last because the process crashed (topic orders, partition 0, offset 104)",
          t.run(batch))
        assert.same({ "0", "1", "2", "3" }, values(batch))
        assert.equal(4, batch.transformed)
      end)
    end)

    it("that have killed twice become dead letters", function()
      add("orders", 0, 104, 104, TIME)
      add("orders", 0, 104, 104, TIME)
      run(STRETCHES, { on_error = "dlq" }, function(t, batch)
        assert.is_nil(t.run(batch, 5))
        local letter = driver.outputs(batch)[2]
        assert.same({ "dead", "4", 4 }, { letter.topic, letter.value, letter.source })
        local headers = {}
        for _, h in ipairs(letter.headers) do headers[h[1]] = h[2] end
        assert.same({ "killed", "104" }, { headers["__onced.error.kind"], headers["__onced.error.offset"] })
        assert.equal("ended its worker 2 times, at last because transform.limits.record_time was over", headers["__onced.error.message"])
      end)
    end)

    it("are told from the note, which names a whole stretch", function()
      run(PASS, {}, function(t, batch)
        assert.is_nil(t.run(batch))
        assert.same({ 109, -1 }, { tonumber(stats.note_offset), tonumber(stats.note_last) })
      end)
      local before = tonumber(stats.note_sequence)
      run("return { process_batch = function(recs) if #recs > 4 then error 'halve' end return recs end }", {}, function(t, batch)
        assert.is_nil(t.run(batch))
        assert.same({ 107, 109 }, { tonumber(stats.note_offset), tonumber(stats.note_last) })
      end)
      -- 10, 5, 2, 3, 5, 2, 3 records: each a note of its own, or several tries would be taken for one that lasts
      assert.equal(before + 2 * 7, tonumber(stats.note_sequence))
    end)
  end)
end)
