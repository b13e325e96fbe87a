-- Ends, wanted and not, and what a worker takes while it has nothing or far too much to do.
local flow = require "spec.kafka.flow"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local wait = require "spec.support.wait"

-- Three milliseconds a record: whatever is sent, a signal finds it in the middle of a batch.
local SLOW = [[
return function(r)
   local till = os.clock() + 0.003
   while os.clock() < till do end
   return r
end]]
local ENDLESS = "return function(r) while r.value ~= 'never' do end return r end"

describe("a stop", function()
   local f, w
   setup(function()
      f = flow.open { proxied = true }
      w = f.witness
   end)
   teardown(function() if f then f:close() end end)
   after_each(function() f:clear() end)

   -- Everything that `name`.in holds is in `name`.out once; with `partial` what isn't committed may be missing.
   local function clean(name, partial)
      local v = w:verify { group = name, inputs = { name .. ".in" }, outputs = { { topic = name .. ".out" } }, partial = partial,
         transactions = "onced." .. name .. "." }
      assert.is_true(v.ok, table.concat(v.examples, "\n"))
      return v
   end

   it("in the middle of a batch commits what is done, leaves the group at once and exits with 0", function()
      f:topics { ["term.in"] = 4, ["term.out"] = 4 }
      w:produce { topic = "term.in", count = 3000, size = 100 }
      local d = f:run("term", { from = "term.in", to = "term.out", lines = "workers: 2" })
      f:through("term", "term.in")
      flow.stopped(d)
      flow.rewrite(d, "term", { from = "term.in", to = "term.out", lines = "workers: 2", lua = SLOW })
      local made = w:produce { topic = "term.in", count = 3000, size = 100 }
      assert.are.equal(3000, made.acked)
      d:start()
      wait.till("it is at it", 20, function() return #w:values("term.out", "read_uncommitted") > 3000 end)
      flow.stopped(d)
      assert.are.same({ state = "Empty", members = {} }, { state = w:group({ group = "term" }).state, members = w:group({ group = "term" }).members })
      local v = clean("term", true)
      assert.is_true(v.pending > 0, "it was stopped in the middle")
      assert.are.equal(0, v.outputs["term.out"].aborted_copies) -- finished, not thrown away
      flow.rewrite(d, "term", { from = "term.in", to = "term.out", lines = "workers: 2" })
      d:start()
      f:through("term", "term.in")
      flow.stopped(d)
      clean "term"
   end)

   it("of one of two members gives its partitions to the other at once", function()
      f:topics { ["heir.in"] = 4, ["heir.out"] = 1 }
      local p = { from = "heir.in", to = "heir.out", input = "start: earliest, session_timeout: 10m" }
      local function member(instance)
         return f:run("heir", { from = p.from, to = p.to, input = p.input, daemon = { instance = instance } })
      end
      local first, second = member "a", member "b"
      wait.till("both are in", 30, function()
         local members = w:group({ group = "heir" }).members
         return #members == 2 and #members[1].partitions == 2 and #members[2].partitions == 2
      end)
      flow.stopped(first)
      local list = {}
      for i = 1, 8 do list[i] = { value = tostring(i), partition = i % 4 } end
      w:send("heir.in", list)
      f:visible("heir.out", 8, 30) -- far within its session
      flow.stopped(second)
   end)

   it("before a broker was ever reached is quick and clean", function()
      local d = f:run("lost", { from = "lost.in", to = "lost.out", daemon = { bootstrap = "127.0.0.1:1" } })
      d:wait_log "can't start yet: the brokers don't answer"
      flow.stopped(d)
   end)

   it("asked for twice ends at once, with another code than 0", function()
      f:topics { ["twice.in"] = 1, ["twice.out"] = 1 }
      w:send("twice.in", { "a" })
      local d = f:run("twice", { from = "twice.in", to = "twice.out", lua = ENDLESS })
      d:wait_log "assigned partitions=1"
      local worker = d:workers()[1]
      d:signal "TERM"
      d:wait_log "SIGTERM: finishing open batches"
      assert.is_true(d:running())
      d:signal "TERM"
      local code, signal = d:wait(10) -- drain_timeout is 30 s
      assert.is_true(code ~= 0, "code " .. tostring(code) .. " signal " .. tostring(signal))
      assert.is_false(process.alive(worker))
   end)

   it("that a script holds up ends with drain_timeout, and not with 0; the record is done again", function()
      f:topics { ["held.in"] = 1, ["held.out"] = 1 }
      w:send("held.in", { "a" })
      local config = "version: 1\ndrain_timeout: 3s\n"
      local d = f:run("held", { from = "held.in", to = "held.out", lua = ENDLESS, daemon = { config = config } })
      d:wait_log "assigned partitions=1"
      d:signal "TERM"
      local code = d:wait(15)
      assert.is_true(code ~= 0, "code " .. tostring(code))
      assert.are.equal(1, d:count "while transforming held.in/0 offset 0")
      flow.rewrite(d, "held", { from = "held.in", to = "held.out" })
      d:start()
      f:through("held", "held.in")
      assert.are.same({ "a" }, w:values "held.out")
      flow.stopped(d)
   end)

   it("by SIGKILL of the master takes the workers along before its successor's are started", function()
      f:topics { ["kill.in"] = 2, ["kill.out"] = 2 }
      w:produce { topic = "kill.in", count = 2000, size = 100 }
      local p = { from = "kill.in", to = "kill.out", lua = SLOW, lines = "workers: 2" }
      local d = f:run("kill", p)
      wait.till("it is at it", 20, function() return #w:values("kill.out", "read_uncommitted") > 0 end)
      local old = { d:wait_log "kill#0: started, pid (%d+)", d:wait_log "kill#1: started, pid (%d+)" }
      d:signal "KILL"
      d:wait(10)
      p.lua = nil
      flow.rewrite(d, "kill", p)
      d:start()
      for i, pid in ipairs(old) do -- each under its own name
         d:wait_log(("kill#%d: started, pid"):format(i - 1))
         assert.is_false(process.alive(tonumber(pid)))
      end
      f:through("kill", "kill.in")
      flow.stopped(d)
      clean "kill"
   end)

   it("while the brokers are down ends within drain_timeout; nothing is lost or repeated", function()
      f:topics { ["down.in"] = 2, ["down.out"] = 2 }
      -- Away for onced alone: a lone broker that is killed in the middle of an EndTxn never writes that transaction's markers (README, Limits).
      local between = proxy.start(f.kafka)
      finally(function() between:stop() end)
      local d = f:run("down", { from = "down.in", to = "down.out", transaction = "commit_every: 20ms, timeout: 60s",
         daemon = { config = "version: 1\ndrain_timeout: 8s\n", bootstrap = between.bootstrap } })
      local job = w:produce({ topic = "down.in", count = 100000, rate = 2000, size = 100, background = true }).job
      wait.till("it is at it", 20, function() return #w:values "down.out" > 1000 end)
      between:refuse(true)
      local begun = wait.now()
      d:signal "TERM"
      d:wait(20)
      assert.is_true(wait.now() - begun < 8000 + 2000, "drain_timeout and what it takes to end")
      between:refuse(false)
      w:halt(job)
      d:start()
      f:through("down", "down.in", 60)
      flow.stopped(d)
      clean "down"
   end)
end)

describe("a worker", function()
   local f, w
   setup(function()
      f = flow.open()
      w = f.witness
   end)
   teardown(function() if f then f:close() end end)
   after_each(function() f:clear() end)

   -- CPU of a process in milliseconds.
   local function cpu(pid)
      local file = assert(io.open(("/proc/%d/stat"):format(pid)))
      local user, system = file:read("*a"):match "^.*%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)"
      file:close()
      return (tonumber(user) + tonumber(system)) * 10
   end

   local function megabytes(pid, what)
      local file = assert(io.open(("/proc/%d/status"):format(pid)))
      local kb = file:read("*a"):match(what .. ":%s+(%d+) kB")
      file:close()
      return tonumber(kb) / 1024
   end

   it("that is idle starts no transaction and takes less than a hundredth of a core", function()
      f:topics { ["idle.in"] = 4, ["idle.out"] = 4 }
      local d = f:run("idle", { from = "idle.in", to = "idle.out" })
      w:send("idle.in", { { value = "a", partition = 0 } }, { transaction = "commit", id = "idle" })
      f:visible("idle.out", 1)
      -- Once, alone, the end of the log behind the marker is committed.
      wait.till("the end is committed", 20, function() return w:offset("idle", "idle.in", 0) == 2 end)
      local function writes() -- the markers of every transaction, and where its producer stands
         local out = {}
         for _, p in ipairs(w:ends({ topic = "idle.out" }).partitions) do out[#out + 1] = p.high end
         for _, p in ipairs(w:producers({ topic = "idle.out" }).producers) do out[#out + 1] = p.producer .. "/" .. p.epoch .. "/" .. p.sequence end
         return table.concat(out, " ")
      end
      local before, worker, master = writes(), cpu(d:workers()[1]), cpu(d.child.pid)
      wait.sleep(10000)
      local used = cpu(d:workers()[1]) - worker
      assert.is_true(used < 100, ("the worker used %d ms of CPU in 10 s"):format(used))
      used = cpu(d.child.pid) - master
      assert.is_true(used < 100, ("the master used %d ms of CPU in 10 s"):format(used))
      assert.are.equal(before, writes())
      assert.are.same({}, w:transactions({ prefix = "onced.idle." }).transactions)
      flow.stopped(d)
      assert.are.equal(1, d:count "committed records=1 transactions=2 aborts=0 produced=1")
   end)

   it("stays within its bounds of memory whatever waits for it, and gives it back", function()
      f:topics { ["heap.in"] = 4, ["heap.out"] = 4 }
      local made = w:produce { topic = "heap.in", count = 50000, size = 10000 }
      assert.are.equal(50000, made.acked)
      local d = f:run("heap", { from = "heap.in", to = "heap.out" })
      f:through("heap", "heap.in", 120)
      -- Two batches of max_bytes (32 MiB) and a slice over, the prefetch of 64 MiB, what is in the sockets, and the program itself.
      local peak = megabytes(d:workers()[1], "VmHWM")
      assert.is_true(peak < 300, ("%d MiB at most for a backlog of 500 MB"):format(peak))
      wait.till("its memory given back", 60, function() return megabytes(d:workers()[1], "VmRSS") < peak / 2 end, 500)
      flow.stopped(d)
      local v = w:verify { group = "heap", inputs = { "heap.in" }, outputs = { { topic = "heap.out" } }, transactions = "onced.heap." }
      assert.is_true(v.ok, table.concat(v.examples, "\n"))
   end)
end)
