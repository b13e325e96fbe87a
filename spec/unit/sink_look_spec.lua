-- SPDX-License-Identifier: MIT
-- Where the begin and the end of what went to each partition are, told by delivery reports. What readers see there: transaction_spec and
-- spec/kafka/rules_spec (R4).
local ffi = require "ffi"
local mock = require "spec.unit.mock"
local C = mock.C
require("spec.unit.onced_lib").cdef("sink_look_spec", [[
struct look_end { const void *rkt; int32_t partition; int32_t outputs[2]; int64_t offsets[2]; };
struct look_ends { struct look_end list[64]; int count, more, latest; const void *rkt; int32_t partition; int64_t counted; };
struct look_report { int err; void *rkt; int32_t partition; void *payload; size_t len; void *key; size_t key_len; int64_t offset; void *output; };
void sink_ends_note(struct look_ends *, const struct look_report *);
]])

describe("the ends of a transaction's outputs", function()
   local topic = ffi.new "int[1]"

   -- Reports of outputs 0, 1, ..., each {partition, offset}. Answers {partition, first and last offset, their outputs} and whether there is more.
   local function noted(reports)
      local ends, out = ffi.new "struct look_ends", {}
      for i, r in ipairs(reports) do
         local report = ffi.new("struct look_report", { rkt = topic, partition = r[1], offset = r[2], output = ffi.cast("void *", i - 1) })
         C.sink_ends_note(ends, report)
      end
      for i = 0, ends.count - 1 do
         local e = ends.list[i]
         out[i + 1] = { e.partition, tonumber(e.offsets[0]), tonumber(e.offsets[1]), e.outputs[0], e.outputs[1] }
      end
      return out, ends.more ~= 0
   end

   for what, case in pairs {
      ["are the first and the last record of each partition, however they come"] =
         { { { 0, 5 }, { 0, 6 }, { 1, 9 }, { 0, 7 } }, { { 0, 5, 7, 0, 3 }, { 1, 9, 9, 2, 2 } }, false },
      ["begin behind what a broker had before, which librdkafka counts on from -1"] =
         { { { 0, -1 }, { 0, 0 }, { 0, 1 }, { 0, 40 }, { 0, 41 } }, { { 0, 40, 41, 3, 4 } }, true },
      ["aren't moved by what is counted on so"] = { { { 0, 0 }, { 0, -1 }, { 0, 0 }, { 0, 1 }, { 0, 2 } }, { { 0, 0, 0, 0, 0 } }, true },
      ["begin behind what was refused and acknowledged by a later request"] =
         { { { 0, -1001 }, { 0, -1001 }, { 0, 12 }, { 0, 13 } }, { { 0, 12, 13, 2, 3 } }, true },
      ["aren't there when no offset is known"] = { { { 0, -1 }, { 0, 0 }, { 0, 1 } }, {}, true },
      ["may be at 0"] = { { { 0, 0 }, { 0, 1 }, { 1, 0 } }, { { 0, 0, 1, 0, 1 }, { 1, 0, 0, 2, 2 } }, false },
   } do
      it(what, function() assert.same({ case[2], case[3] }, { noted(case[1]) }) end)
   end

   it("are those of 64 partitions at most", function()
      local reports = {}
      for i = 0, 64 do reports[i + 1] = { i, 7 } end
      local ends, more = noted(reports)
      assert.same({ 64, true }, { #ends, more })
      reports[65] = nil
      ends, more = noted(reports)
      assert.same({ 64, false }, { #ends, more })
   end)
end)
