-- The page: shared with a forked process, zeroed, and still there when that one has died. The master's specs prove the rest.
local ffi = require "ffi"

local onced = require "spec.unit.onced_lib"
onced.declare { "suspects", "stats" }
ffi.cdef [[
   int fork(void);
   int waitpid(int pid, int *status, int options);
   void _exit(int status);
   int raise(int signal);
]]
local lib = onced.load()

describe("stats", function()
   it("makes a zeroed page that survives its writer", function()
      local page = lib.stats_new()
      local words = ffi.cast("volatile int64_t *", page)
      assert.equal(0, tonumber(words[0]))
      local pid = ffi.C.fork()
      if pid == 0 then
         words[0] = 42
         ffi.C.raise(9)
      end
      local status = ffi.new "int[1]"
      assert.equal(pid, ffi.C.waitpid(pid, status, 0))
      assert.equal(9, status[0] % 128)
      assert.equal(42, tonumber(words[0]))
      lib.stats_free(page)
   end)

   local function series_of(page)
      return function(kind, text, edition) return lib.stats_series(page, edition or 1, kind, text, #text) end
   end

   it("has a table of series, found again by kind and text", function()
      local page = lib.stats_new()
      local series = series_of(page)
      assert.same({ 0, 1, 2, 0 }, { series(lib.SERIES_DROPPED, "a"), series(lib.SERIES_REJECTED, "a"), series(lib.SERIES_DROPPED, "b"),
         series(lib.SERIES_DROPPED, "a") })
      for i = 3, 60 do series(lib.SERIES_DROPPED, "r" .. i) end
      local other = series(lib.SERIES_DROPPED, "other")
      assert.same({ other, other }, { series(lib.SERIES_DROPPED, "new"), series(lib.SERIES_DROPPED, ("x"):rep(1000)) })
      assert.equal("other", ffi.string(page.series[other].text))
      for i = 1, 128 do assert.is_true(series(lib.SERIES_COUNTER, "c" .. i) > 0) end
      assert.same({ -1, -1 }, { series(lib.SERIES_COUNTER, "c129"), series(lib.SERIES_COUNTER, ("x"):rep(244)) })
      for i = 1, 128 do assert.is_true(series(lib.SERIES_COUNTER, "next" .. i, 2) > 0) end
      assert.equal(-1, series(lib.SERIES_COUNTER, "c1", 2)) -- the one before has it, but it is one more
      for i = 1, 60 do series(lib.SERIES_REJECTED, "r" .. i) end
      assert.equal(lib.SERIES_MOST / 2 + 128, page.series_count)
      lib.stats_free(page)
   end)

   it("has room for two scripts, and gives back what neither uses any more when the master has taken it", function()
      local page = lib.stats_new()
      local series = series_of(page)
      local kept = series(lib.SERIES_COUNTER, "kept")
      page.series[kept].value = 5
      for edition = 1, 9 do
         for i = 1, 60 do
            assert.is_true(series(lib.SERIES_DROPPED, ("%d %d"):format(edition, i), edition) >= 0)
            assert.is_true(series(lib.SERIES_REJECTED, ("%d %d"):format(edition, i), edition) >= 0)
         end
         for i = 1, 127 do assert.is_true(series(lib.SERIES_COUNTER, ("c%d_%d"):format(edition, i), edition) >= 0) end
         assert.equal(kept, series(lib.SERIES_COUNTER, "kept", edition))
         assert.equal(-1, series(lib.SERIES_COUNTER, "more", edition))
         lib.stats_series_leave(page, edition)
         assert.equal(edition > 1 and 1 or 0, lib.stats_series_left(page))
         for i = 0, page.series_count - 1 do -- the master
            if page.series[i].state == lib.SERIES_LEFT then
               assert.is_true(page.series[i].edition < edition)
               page.series[i].value, page.series[i].state = 7, lib.SERIES_FREE
            end
         end
         assert.equal(0, lib.stats_series_left(page))
      end
      assert.equal(5, page.series[kept].value)
      local reused = series(lib.SERIES_COUNTER, "afresh", 10)
      assert.same({ 0, lib.SERIES_USED, "afresh" }, { page.series[reused].value, page.series[reused].state, ffi.string(page.series[reused].text) })
      assert.is_true(page.series_count <= lib.SERIES_MOST)
      lib.stats_free(page)
   end)

   it("names every state", function()
      local names = {}
      for state = -1, 8 do names[#names + 1] = ffi.string(lib.worker_state_name(state)) end
      assert.same({ "?", "new", "starting", "joining", "standby", "running", "blocked", "draining", "halted", "?" }, names)
   end)
end)
