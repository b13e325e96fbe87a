-- README has the table of what the audit finds, as daemon/audit.c has it.
local tree = require "spec.house.tree"

local LEVELS = { PRINTS = "prints", WARNS = "warns", REFUSES = "refuses" }

local function of_source(text)
   local rows = {}
   for what, level in text:gmatch '%[AUDIT_[%u_]+%] =%s+{"([^\n]-)", AUDIT_(%u+),' do rows[#rows + 1] = ("| %s | %s |"):format(what, LEVELS[level]) end
   return rows
end

local function of_page(text)
   local rows = {}
   for row in text:match "\n| `onced check %-%-online` finds | and |\n| %-%-%- | %-%-%- |\n(.-)\n\n":gmatch "[^\n]+" do rows[#rows + 1] = row end
   return rows
end

describe("the audit's table", function()
   local source, page = tree.read "daemon/audit.c", tree.read "README.md"

   it("is in README, row by row", function()
      local _, count = source:gsub("\n    %[AUDIT_", "")
      assert.equal(count, #of_source(source)) -- none is overlooked
      assert.same(of_source(source), of_page(page))
   end)

   it("is compared", function()
      assert.not_same(of_source(source), of_page((page:gsub("(| the group |) prints", "%1 warns"))))
   end)
end)
