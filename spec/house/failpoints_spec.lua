-- Faults by script are in the test build only; and its header lists exactly those that there are.
local process = require "spec.support.process"
local tree = require "spec.house.tree"

local SWITCHES = { "ONCED_FAILPOINT", "ONCED_GUARD_OFF" }

local function set(list)
   table.sort(list)
   return list
end

-- Names after "// Failpoints:" or "// Guards:" up to the line without a leading "//" or the next title; remarks in brackets left out.
local function listed(title)
   local text = tree.read("daemon/failpoint.h"):match("// " .. title .. ":(.-)\n[^/\n]"):gsub("\n// %u%w+:.*", "")
   local out = {}
   for name in text:gsub("%b()", ""):gmatch "[%l][%l%-]+" do out[#out + 1] = name end
   return set(out)
end

local function used(macro)
   local seen, out = {}, {}
   for _, path in ipairs(tree.files("daemon", ".c")) do
      for name in tree.read(path):gmatch("%f[%w_]" .. macro .. '%("([^"]+)"%)') do
         if not seen[name] then out[#out + 1] = name end
         seen[name] = true
      end
   end
   return set(out)
end

-- Names in a table of failpoint.c: `struct point {...} points[] = {` ... `};`
local function known(array)
   local out = {}
   for name in tree.read("daemon/failpoint.c"):match(array .. "%[%] = {(.-)\n};"):gmatch '"([^"]+)"' do out[#out + 1] = name end
   return set(out)
end

local function make(target)
   assert.equal(0, process.shell("make -s " .. target .. " >&2"), "make " .. target)
end

describe("failpoints", function()
   it("are listed, known and used alike", function()
      local points, guards = listed "Failpoints", listed "Guards"
      assert.is_true(#points >= 10 and #guards >= 11)
      assert.same(points, known "points")
      assert.same(guards, known "guards")
      assert.same(points, used "FAILPOINT")
      assert.same(guards, used "GUARD")
   end)

   it("aren't in what ships, but in the test build", function()
      make "build"
      make "FAILPOINTS=1 build"
      local shipped, tested = tree.read "build/onced", tree.read "build/failpoints/onced"
      for _, switch in ipairs(SWITCHES) do
         assert.is_nil(shipped:find(switch, 1, true), switch)
         assert.is_truthy(tested:find(switch, 1, true), switch)
      end
      for _, name in ipairs(listed "Failpoints") do
         assert.is_truthy(tested:find(name, 1, true), name)
         assert.is_nil(shipped:find(name .. "\0", 1, true), name)
      end
   end)
end)
