-- daemon/README.md is a tour of the source: it names each file, and none that isn't there.
local tree = require "spec.house.tree"

local function differences(folder)
   local text, out, here = tree.read(folder .. "/README.md"), {}, {}
   for _, path in ipairs(tree.files(folder, ".c", ".h")) do
      local name = path:match "[^/]+$"
      here[name] = true
      if name:find "%.c$" and not text:find("`" .. name .. "`", 1, true) then out[#out + 1] = name .. " isn't on the tour" end
   end
   for name in text:gmatch "`([%w_]+%.[ch])`" do
      if not here[name] then out[#out + 1] = name .. " is on the tour but not there" end
   end
   return out
end

describe("the tour in daemon/README.md", function()
   it("names every file, and only those", function() assert.same({}, differences "daemon") end)

   it("is compared with what is there", function()
      tree.with_copy("daemon", function(copy)
         local before = #differences(copy)
         tree.write(copy .. "/stray.c", "")
         tree.write(copy .. "/README.md", tree.read(copy .. "/README.md") .. "\n`gone.c`\n")
         local found = table.concat(differences(copy), "\n")
         assert.equal(before + 2, #differences(copy))
         for _, one in ipairs { "stray.c isn't on the tour", "gone.c is on the tour but not there" } do assert.matches(one, found, 1, true) end
      end)
   end)
end)
