-- daemon/bridge.h is the one border between C and Lua: LuaJIT reads the very text that the compiler reads, and no copy of it exists.
local process = require "spec.support.process"
local tree = require "spec.house.tree"

local text = tree.read "daemon/bridge.h"

-- Names that the header declares.
local names = {}
for name in text:gmatch "struct%s+([%w_]+)%s*{" do names[#names + 1] = name end
for name in text:gmatch "\n[%w_]+%s+%*?([%w_]+)%s*%(" do names[#names + 1] = name end

-- Declarations of the header's names inside cdef texts: structs with a body, functions. A use of the type's name is none.
local function copies(folder)
   local out = {}
   for _, path in ipairs(tree.files(folder, ".lua")) do
      for _, cdef in tree.read(path):gmatch "cdef%s*%(?%s*%[(=*)%[(.-)%]%1%]" do
         for _, name in ipairs(names) do
            if cdef:find("%f[%w_]" .. name .. "%s*[%({]") then out[#out + 1] = path:match "[^/]+$" .. ": " .. name end
         end
      end
   end
   return out
end

describe("bridge", function()
   it("is read by ffi.cdef as it is", function()
      local code, out = process.run({ "luajit", "-e", [[
         local ffi = require "ffi"
         ffi.cdef(io.open("daemon/bridge.h"):read "*a")
         print(ffi.C.ONCED_BRIDGE_VERSION >= 1, ffi.sizeof "struct onced_batch" > 0)]] })
      assert.same({ 0, "true\ttrue" }, { code, out })
   end)

   it("has no macros but #pragma once", function()
      local directives = {}
      for line in text:gmatch "[^\n]+" do
         if line:match "^%s*#" then directives[#directives + 1] = line end
      end
      assert.same({ "#pragma once" }, directives)
   end)

   it("has no second copy in lua/", function()
      assert.is_true(#names >= 8, "the header's names weren't found")
      assert.same({}, copies "lua")
   end)

   it("is guarded: a planted copy is found", function()
      tree.with_copy("lua", function(copy)
         tree.write(copy .. "/planted.lua", "ffi.cdef [[ struct onced_record { int a; };\nint onced_outputs_more(void *); ]]")
         assert.same({ "planted.lua: onced_record", "planted.lua: onced_outputs_more" }, copies(copy))
      end)
   end)
end)
