-- Who owns which partition, on a real broker: instances that join, leave, die, freeze and come back under load (F04, F05, F06), and two
-- hosts with one name (F70). Sessions are 30 s wherever something must happen at once: what waits for a session to end
-- can't pass in half of that.
local process = require "spec.support.process"
local scene = require "spec.kafka.scene"
local wait = require "spec.support.wait"

describe("membership", function()
   local s
   setup(function() s = scene.start() end)
   teardown(function() if s then s:stop() end end)
   after_each(function() s:clear() end)

   local AT_ONCE = 15 -- seconds; half of a session

   -- {[group.instance.id's instance] = number of partitions} of a stable group; nil while it rebalances.
   local function seats(case)
      local g = s.witness:group { group = case.name }
      if g.state:lower() ~= "stable" then return nil end
      local out = {}
      for _, m in ipairs(g.members) do out[m.instance:match "^onced%.[^.]+%.([^.]+)%."] = #m.partitions end
      return out
   end

   local function seated(case, wanted, seconds)
      wait.till("seats of " .. case.name, seconds or AT_ONCE, function()
         local have, text = seats(case), {}
         local same = have ~= nil
         for k, v in pairs(have or {}) do
            same = same and wanted[k] == v
            text[#text + 1] = k .. "=" .. v
         end
         for k in pairs(wanted) do same = same and have[k] ~= nil end
         return same, table.concat(text, " ")
      end, 50)
   end

   local function goes_on(case, seconds)
      local before = case:committed()
      wait.till(case.name .. ": commits", seconds or AT_ONCE, function() return case:committed() > before + 100 end, 50)
   end

   for name, strategy in pairs { eager = "range", cooperative = "cooperative-sticky" } do
      it("lets three instances join, die, come back and leave under load: " .. name, function()
         local case = s:case(name, { partitions = 6, input = "session_timeout: 30s",
            lines = "kafka: {consumer: {partition.assignment.strategy: " .. strategy .. "}}" })
         case:load(2000)
         local d = {}
         local function start(instance) d[instance] = case:daemon { instance = instance, failpoints = false } end
         start "a"
         seated(case, { a = 6 })
         goes_on(case)
         start "b"
         seated(case, { a = 3, b = 3 })
         goes_on(case)
         start "c"
         seated(case, { a = 2, b = 2, c = 2 })
         goes_on(case)

         -- A static member that dies is back before anybody has noticed.
         for _, i in ipairs { "a", "c" } do d[i]:mark() end
         d.b:signal_worker(1, "KILL")
         goes_on(case)
         d.b:kill()
         d.b:start()
         d.b:wait_log("assigned partitions=2", AT_ONCE)
         assert.are.same({ 0, 0 }, { d.a:count "revoked", d.c:count "revoked" })
         goes_on(case)

         -- One that is stopped leaves its seats at once.
         assert.are.equal(0, d.b:stop())
         seated(case, { a = 3, c = 3 })
         goes_on(case)
         assert.are.equal(0, d.a:stop())
         seated(case, { c = 6 })
         goes_on(case)
         start "b"
         seated(case, { b = 3, c = 3 })
         assert.are.equal(0, d.c:stop())
         seated(case, { b = 6 })
         case:finish()
         case:through()
         assert.are.equal(0, d.b:stop())
         assert.are.equal("empty", s.witness:group({ group = case.name }).state:lower())
         case:clean()
      end)
   end

   -- Two instances share the partitions; a's worker stops itself at `point` of its tenth transaction. Returns both, and the frozen pid.
   local function frozen(name, point, transaction)
      local case = s:case(name, { input = "session_timeout: 6s", transaction = "commit_every: 50ms, " .. transaction })
      local b = case:daemon { instance = "b" }
      b:wait_log("assigned partitions=4", 20)
      local a = case:daemon { instance = "a", failpoints = point .. "=stop:10" }
      seated(case, { a = 2, b = 2 })
      b:mark()
      case:load(1500)
      local pid = a:workers()[1]
      wait.till("a's freeze", 20, function()
         local stat = io.open(("/proc/%d/stat"):format(pid))
         local state = stat and stat:read("*a"):match("%) (%a)")
         if stat then stat:close() end
         return state == "T"
      end)
      return case, a, b, pid
   end

   local function ended(case, a, b)
      goes_on(case)
      case:finish()
      case:through()
      assert.are.equal(0, a:stop())
      assert.are.equal(0, b:stop())
      for _, d in ipairs { a, b } do assert.are.equal(0, d:count "another instance", d:log()) end
      return select(2, case:clean())
   end

   it("shows nothing of a worker that was frozen before its offsets while another took over (F04)", function()
      local case, a, b, pid = frozen("zombie-produced", "before-offsets", "timeout: 25s")
      b:wait_log("assigned partitions=%d of=4", 15)
      process.signal(pid, "CONT")
      a:wait_log("dropped", 20)
      assert.is_true(ended(case, a, b) > 0)
   end)

   it("lets a frozen worker end its transaction before others go on behind it (F05a)", function()
      local case, a, b, pid = frozen("zombie-ending", "before-endtxn", "timeout: 30s")
      seated(case, { b = 4 }, 15)
      wait.sleep(1000)
      assert.are.equal(0, b:count "assigned partitions=%d of=4") -- it waits for the open transaction's offsets
      process.signal(pid, "CONT")
      b:wait_log("assigned partitions=%d of=4", 15)
      ended(case, a, b) -- committed, or aborted if it heard of the loss first: once in either case
   end)

   it("fences a frozen worker that wakes after its transaction timed out (F05b)", function()
      local case, a, b, pid = frozen("zombie-late", "before-endtxn", "timeout: 7s")
      b:wait_log("assigned partitions=%d of=4", 25)
      goes_on(case)
      process.signal(pid, "CONT")
      a:wait_log("dropped", 20)
      assert.is_true(ended(case, a, b) > 0)
   end)

   -- Its own time-out is no sign of another instance.
   it("goes on after a freeze longer than its transaction and shorter than its session (F06)", function()
      local case = s:case("frozen", { input = "session_timeout: 30s", transaction = "commit_every: 50ms, timeout: 3s" })
      case:load(1500)
      local d = case:daemon { failpoints = "before-endtxn=stop:10" }
      wait.till("its transaction is aborted by the broker", 60, function()
         local hidden = case:visible "read_uncommitted" - case:visible()
         return hidden > 0 and #s.witness:transactions({ prefix = "onced." .. case.name }).transactions == 0
      end, 200)
      for _, pid in ipairs(d:workers()) do process.signal(pid, "CONT") end
      d:wait_log("producer replaced", 20)
      goes_on(case)
      case:finish()
      case:through()
      assert.are.equal(0, d:count "another")
      assert.are.equal(0, d:count "killed by signal")
      assert.are.equal(0, d:stop())
      assert.is_true(select(2, case:clean()) > 0)
   end)

   it("halts one of two hosts with one name, and says so (F70)", function()
      local case = s:case "namesake"
      case:load(1000)
      local one = case:daemon { instance = "same", failpoints = false }
      goes_on(case)
      local two = case:daemon { instance = "same", failpoints = false } -- a lock directory of its own: another host
      local loser = wait.till("one halts", 60, function() return not one:running() and one or not two:running() and two end)
      local winner = loser == one and two or one
      assert.are.equal(78, (loser:wait(0)))
      loser:wait_log("another instance", 0)
      local restarts = winner:count "restart"
      goes_on(case)
      wait.sleep(3000)
      assert.are.equal(restarts, winner:count "restart") -- no ping-pong
      assert.is_true(winner:running())
      case:finish()
      case:through()
      assert.are.equal(0, winner:stop())
      case:clean()
   end)
end)
