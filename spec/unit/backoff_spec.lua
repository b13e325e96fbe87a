-- Waits before a restart, in order, for given lives (milliseconds).
local ffi = require "ffi"

ffi.cdef [[
   struct backoff { int64_t next_ms; };
   int64_t backoff_wait(struct backoff *backoff, int64_t life_ms);
]]
local lib = require("spec.unit.onced_lib").load()

local function waits(lives)
   local backoff, out = ffi.new "struct backoff", {}
   for i, life in ipairs(lives) do out[i] = tonumber(lib.backoff_wait(backoff, life)) end
   return out
end

describe("backoff", function()
   it("restarts at once first, then waits 100 ms and doubles to 10 s", function()
      assert.same({ 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 }, waits { 10, 10, 10, 10, 10, 10, 10, 10, 10, 10 })
   end)
   it("restarts at once after a life of some seconds, without forgetting the short ones", function()
      assert.same({ 0, 100, 0, 0, 200, 400 }, waits { 10, 10, 2000, 5000, 1999, 0 })
   end)
   it("forgets after a minute of life", function() assert.same({ 0, 100, 200, 0, 100 }, waits { 10, 10, 10, 60000, 10 }) end)
end)
