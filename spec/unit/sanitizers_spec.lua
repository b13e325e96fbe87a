-- SPDX-License-Identifier: MIT
-- That the sanitized run would notice: the flags of `make asan` on planted faults, and the preloaded runtime around LuaJIT.
local ffi = require "ffi"
local process = require "spec.support.process"

local FAULTS = {
   ["heap-buffer-overflow"] = "int fault(int n) { char *p = malloc(8); memset(p, 0, 8); int v = p[8 + n]; free(p); return v; }",
   ["heap-use-after-free"] = "int fault(int n) { char *p = malloc(8); memset(p, 0, 8); free(p); return p[n]; }",
   ["signed integer overflow"] = "int fault(int n) { return 2147483647 + n + 1; }",
}

-- The SANITIZE value of `make asan`, as the Makefile has it.
local function sanitizers()
   local file = assert(io.open "Makefile")
   local text = file:read "*a"
   file:close()
   return assert(text:match "\nasan:.-SANITIZE=(%S+)")
end

describe("the sanitized run", function()
   local runtime
   setup(function()
      local pipe = io.popen "gcc -print-file-name=libasan.so"
      runtime = pipe:read "*l"
      pipe:close()
   end)

   for name, source in pairs(FAULTS) do
      it("reports " .. name .. " in a library that LuaJIT calls", function()
         local base = ("build/spec/fault-%d"):format(process.self())
         local file = assert(io.open(base .. ".c", "w"))
         file:write("#include <stdlib.h>\n#include <string.h>\n" .. source .. "\n")
         file:close()
         assert.equal(0, process.shell(("env -u LD_PRELOAD gcc -shared -fPIC -O0 -w -fsanitize=%s -o %s.so %s.c"):format(sanitizers(), base, base)))
         local _, out = process.run({ "sh", "-c", 'exec luajit -e "$0" 2>&1',
            ('local f = require "ffi"; f.cdef "int fault(int);"; f.load("./%s.so").fault(0)'):format(base) },
            { env = { LD_PRELOAD = runtime, ASAN_OPTIONS = "detect_leaks=0", UBSAN_OPTIONS = "print_stacktrace=0" } })
         os.remove(base .. ".c")
         os.remove(base .. ".so")
         assert.truthy(out:find(name, 1, true), out)
      end)
   end

   if os.getenv "ONCED_RUNTIME" then -- else this is the plain run
      it("runs against a sanitized library", function()
         local lib = require "spec.unit.onced_lib"
         lib.load()
         ffi.cdef "void __asan_init(void);"
         assert.is_true(pcall(function() return ffi.C.__asan_init end))
         assert.truthy(lib.path:find("san-", 1, true))
      end)
   end
end)
