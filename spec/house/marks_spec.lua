-- Nothing is left for later in the code: what is open belongs into an issue.
local tree = require "spec.house.tree"

local MARKS = { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X", "HA" .. "CK" } -- in halves: this file is searched too

local function marked(folder)
   local out = {}
   for _, path in ipairs(tree.files(folder)) do
      local number = 0
      for line in (tree.read(path) .. "\n"):gmatch "([^\n]*)\n" do
         number = number + 1
         for _, mark in ipairs(MARKS) do
            if line:find("%f[%w_]" .. mark .. "%f[^%w_]") then out[#out + 1] = ("%s:%d: %s"):format(path, number, mark) end
         end
      end
   end
   return out
end

describe("marks", function()
   it("aren't there", function() assert.same({}, marked ".") end)

   it("are found when planted", function()
      tree.with_copy("spec/house", function(copy)
         tree.write(copy .. "/a.c", "int a;\n// " .. MARKS[1] .. ": b\n")
         tree.write(copy .. "/b.lua", "-- " .. MARKS[3] .. "\nlocal a = '" .. MARKS[3]:rep(2) .. "'\n")
         assert.same({ copy .. "/a.c:2: " .. MARKS[1], copy .. "/b.lua:1: " .. MARKS[3] }, marked(copy))
      end)
   end)
end)
