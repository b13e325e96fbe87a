-- SPDX-License-Identifier: MIT
-- Each target of spec/fuzz in short: its corpus once, with what were findings in it, and some new inputs. The long runs are by hand.
local RUNS = { config = 500, interpolate = 1000, topics = 1000, json = 5000, headers = 1000 }

local function fuzz(arguments)
   local pipe = assert(io.popen("env -u LD_PRELOAD spec/fuzz " .. arguments .. " 2>&1; echo status $?"))
   local text = pipe:read "*a"
   pipe:close()
   return text, tonumber(text:match "status (%d+)\n$")
end

local function count(command)
   local pipe = assert(io.popen(command))
   local number = tonumber(pipe:read "*n")
   pipe:close()
   return number
end

-- libFuzzer comes with clang, which is no matter of the libraries beneath: spec/compat has none.
local CLANG = count "command -v clang | wc -l" > 0

describe("spec/fuzz", function()
   for name, runs in pairs(RUNS) do
      it("finds nothing in the corpus of " .. name, function()
         if not CLANG then return pending "no clang here" end
         local text, status = fuzz(name .. " --replay")
         assert.equal(0, status, text)
         local _, executed = text:gsub("Executed /[^\n]* in %d+ ms\n", "")
         assert.equal(count("ls spec/unit/corpus/" .. name .. " | wc -l"), executed)
         assert.is_true(executed > 10)
      end)

      it("finds nothing in new inputs of " .. name, function()
         if not CLANG then return pending "no clang here" end
         local text, status = fuzz(("%s --runs %d"):format(name, runs))
         assert.equal(0, status, text)
         assert.is_true(tonumber(text:match "stat::number_of_executed_units: (%d+)") >= runs, text)
      end)
   end

   it("knows its targets", function()
      local text, status = fuzz "nothing"
      assert.equal(64, status, text)
      assert.matches("usage: spec/fuzz TARGET", text, 1, true)
   end)

   it("keeps each corpus small", function()
      for name in pairs(RUNS) do assert.is_true(count("du -sb spec/unit/corpus/" .. name .. " | cut -f 1") <= 102400, name) end
   end)
end)
