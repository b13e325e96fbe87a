-- SPDX-License-Identifier: MIT
-- What this worker holds: "ours" means held without interruption since the batch was filled (R3).
local ffi = require "ffi"
local driver = require "spec.unit.transform_driver"
local lib = require "spec.unit.onced_lib"
lib.declare { "partitions" }
local C = lib.load()

describe("partitions", function()
   local p, batch
   before_each(function() p, batch = C.partitions_new(), driver.batch() end)
   after_each(function()
      C.partitions_free(ffi.new("struct partitions *[1]", p))
      driver.free_batch(batch)
   end)

   local function entry(number, topic) return C.partitions_get(p, C.partitions_topic(p, topic or "in"), number) end
   local function fill(number, topic)
      local o = C.batch_offset(batch, C.partitions_topic(p, topic or "in"), number)
      o.assignment = entry(number, topic).assignment
   end
   local function own() return C.partitions_own(p, batch) == 1 end

   it("gives each topic one stable index", function()
      assert.same({ 0, 1, 0 }, { C.partitions_topic(p, "a"), C.partitions_topic(p, "b"), C.partitions_topic(p, "a") })
      local count = ffi.new "int32_t[1]"
      local names = C.partitions_topics(p, count)
      for i = 2, 499 do C.partitions_topic(p, "topic" .. i) end
      assert.is_true(names == C.partitions_topics(p, count)) -- the array never moves
      assert.same({ 500, "b", "topic499" }, { count[0], ffi.string(names[1]), ffi.string(names[499]) })
   end)

   it("keeps an entry where it is, whatever comes beside it", function()
      local first = entry(3)
      assert.same({ -1, -1, -1, 0 }, { tonumber(first.next), tonumber(first.handed), tonumber(first.eof), first.assigned })
      for i = 0, 200 do entry(i) end
      entry(1000, "other")
      assert.is_true(entry(3) == first)
      assert.equal(202, C.partitions_count(p))
      assert.is_true(C.partitions_at(p, 0) == first)
   end)

   it("takes a partition on from an offset, with its metadata, and lets it go", function()
      local e = entry(2)
      e.eof, e.paused = 99, 1
      C.partitions_assign(p, e, 42, "4")
      assert.same({ 1, 42, 42, -1, 0, "4" }, { e.assigned, tonumber(e.next), tonumber(e.handed), tonumber(e.eof), e.paused, ffi.string(e.metadata) })
      assert.is_true(e.polled_ms > 0)
      assert.equal(1, C.partitions_assigned(p))
      C.partitions_release(p, e)
      assert.same({ 0, 0 }, { e.assigned, C.partitions_assigned(p) })
   end)

   it("owns a batch as long as all of its partitions stay", function()
      for i = 0, 2 do C.partitions_assign(p, entry(i), 0, "") end
      fill(0)
      fill(1)
      assert.is_true(own())
      C.partitions_release(p, entry(2)) -- not of this batch
      assert.is_true(own())
      C.partitions_release(p, entry(1))
      assert.is_false(own())
   end)

   it("doesn't own what was lost and given back", function()
      C.partitions_assign(p, entry(0), 0, "")
      fill(0)
      C.partitions_release(p, entry(0))
      C.partitions_assign(p, entry(0), 0, "")
      assert.is_false(own())
   end)

   it("owns nothing of partitions it never saw", function()
      C.batch_offset(batch, C.partitions_topic(p, "in"), 70000)
      assert.is_false(own())
   end)

   it("gives each assignment a number of its own", function()
      local seen = {}
      for i = 0, 9 do
         C.partitions_assign(p, entry(i % 3), 0, "")
         local number = tonumber(entry(i % 3).assignment)
         assert.is_nil(seen[number])
         seen[number] = true
      end
   end)
end)
