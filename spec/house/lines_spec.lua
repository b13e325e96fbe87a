-- A file that has grown too long holds two nouns.
local tree = require "spec.house.tree"

local LIMITS = { { "daemon", 500 }, { "lua", 500 }, { "Makefile", 150 } }

local function too_long(limits)
   local out = {}
   for _, limit in ipairs(limits) do
      for _, path in ipairs(tree.files(limit[1])) do
         local _, lines = tree.read(path):gsub("\n", "")
         if lines > limit[2] then out[#out + 1] = ("%s: %d lines, at most %d"):format(path, lines, limit[2]) end
      end
   end
   return out
end

describe("lines", function()
   it("are few in every file", function() assert.same({}, too_long(LIMITS)) end)

   it("are counted", function()
      tree.with_copy("spec/house", function(copy)
         tree.write(copy .. "/long.c", ("\n"):rep(501))
         tree.write(copy .. "/full.c", ("\n"):rep(500))
         assert.same({ copy .. "/long.c: 501 lines, at most 500" }, too_long { { copy, 500 } })
      end)
   end)
end)
