-- Where a pipeline starts and goes on (R7): the group's offset; without one `start`, resolved once; gaps by policy; partitions and topics
-- that come later; what a static member finds changed (R13, F67); logs that end in markers (R2, F69).
local flow = require "spec.kafka.flow"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

describe("the start", function()
   local f, w
   setup(function()
      f = flow.open()
      w = f.witness
   end)
   teardown(function() if f then f:close() end end)
   after_each(function() f:clear() end)

   local function sorted(topic)
      local list = w:values(topic)
      table.sort(list)
      return list
   end

   -- A stopped daemon, started again, and all that is there through.
   local function again(d, group, topic)
      d:start()
      f:through(group, topic)
   end

   describe("of a group without offsets", function()
      it("is the earliest record, the end, or a time, and is committed with the number of partitions", function()
         f:topics { ["three.in"] = 2, ["three.early"] = 1, ["three.late"] = 1, ["three.time"] = 1 }
         for p = 0, 1 do
            w:send("three.in", { { value = "a" .. p, partition = p, timestamp = 1700000000000 },
               { value = "b" .. p, partition = p, timestamp = 1700000060000 }, { value = "c" .. p, partition = p, timestamp = 1700000120000 } })
         end
         w:delete_records { topic = "three.in", partition = 1, before = 1 }
         local start = { early = "earliest", late = "latest", time = '"2023-11-14T22:14:20Z"' } -- 1700000060
         local pipelines = {}
         for name, at in pairs(start) do
            pipelines["three-" .. name] = { lua = flow.PASS,
               yaml = flow.yaml("three-" .. name, { from = "three.in", to = "three." .. name, input = "start: " .. at }) }
         end
         local d = f:run("three", { from = "three.in", to = "three.early", daemon = { pipelines = pipelines } })
         d:wait_log "ready: every worker is in its group"
         assert.are.equal(3, (f:offset("three-late", "three.in", 0)))
         for name in pairs(start) do
            for p = 0, 1 do
               local _, metadata = f:offset("three-" .. name, "three.in", p)
               assert.are.equal("onced partitions=2", metadata)
            end
         end
         w:send("three.in", { { value = "d0", partition = 0 }, { value = "d1", partition = 1 } })
         for name in pairs(start) do f:through("three-" .. name, "three.in") end
         assert.are.same({ "a0", "b0", "b1", "c0", "c1", "d0", "d1" }, sorted "three.early")
         assert.are.same({ "d0", "d1" }, sorted "three.late")
         assert.are.same({ "b0", "b1", "c0", "c1", "d0", "d1" }, sorted "three.time")
         local _, metadata = f:offset("three-late", "three.in", 1)
         assert.are.equal("onced partitions=2", metadata) -- a batch's commit carries it on
         flow.stopped(d)
      end)

      it("is resolved once: with latest, a restart loses nothing written while it was down", function()
         f:topics { ["once.in"] = 2, ["once.out"] = 1 }
         w:send("once.in", { { value = "old", partition = 0 }, { value = "old", partition = 1 } })
         local d = f:run("once", { from = "once.in", to = "once.out", input = "start: latest" })
         assert.are.equal(1, (f:offset("once", "once.in", 0)))
         assert.are.equal(1, (f:offset("once", "once.in", 1)))
         d:kill() -- it hasn't read a record yet
         w:send("once.in", { { value = "new0", partition = 0 }, { value = "new1", partition = 1 } })
         again(d, "once", "once.in")
         assert.are.same({ "new0", "new1" }, sorted "once.out")
         flow.stopped(d)
      end)
   end)

   describe("behind a gap", function()
      -- Ten records through, onced down.
      local function ten(name, policy)
         f:topics { [name .. ".in"] = 1, [name .. ".out"] = 1 }
         local list = {}
         for i = 0, 9 do list[i + 1] = tostring(i) end
         w:send(name .. ".in", list)
         local d = f:run(name, { from = name .. ".in", to = name .. ".out", input = "start: earliest, on_gap: " .. policy })
         f:through(name, name .. ".in")
         flow.stopped(d)
         return d
      end

      local function more(name)
         local list = {}
         for i = 10, 19 do list[#list + 1] = tostring(i) end
         w:send(name .. ".in", list)
         w:delete_records { topic = name .. ".in", partition = 0, before = 15 }
      end

      it("of deleted records stops with the exact offsets, and goes on when the file says so", function()
         local d = ten("gap", "stop")
         more "gap"
         d:start()
         assert.are.equal(65, d:wait(20))
         assert.is_truthy(d:tail():find("gap in gap.in[0]: offsets 10 to 14 are gone", 1, true), d:tail())
         assert.are.equal(10, (f:offset("gap", "gap.in")))
         assert.are.equal(10, #w:values "gap.out")

         flow.rewrite(d, "gap", { from = "gap.in", to = "gap.out", input = "start: latest, on_gap: continue" })
         again(d, "gap", "gap.in")
         assert.is_truthy(d:tail():find("gap in gap.in[0]: offsets 10 to 14 are gone (retention or deleted records); going on at 15", 1, true), d:tail())
         assert.are.same({ "15", "16", "17", "18", "19" }, { unpack(w:values "gap.out", 11) })
         flow.stopped(d)
      end)

      it("that opens while it runs is told with its offsets too", function()
         local d = ten("open", "continue")
         local hold = "build/spec/hold-open-" .. process.self()
         finally(function() os.remove(hold) os.remove(hold .. ".reached") end)
         local file = assert(io.open(hold, "w"))
         file:close()
         d:start { failpoints = "in-init=hold:" .. hold } -- between the lock and the group: offsets move meanwhile
         wait.till("it is held", 20, function()
            local reached = io.open(hold .. ".reached")
            return reached and reached:close()
         end)
         more "open"
         os.remove(hold)
         f:through("open", "open.in")
         assert.are.equal(1, d:count "going on at 15")
         assert.are.equal(15, #w:values "open.out")
         flow.stopped(d)
      end)

      it("of a topic that was deleted and made anew stops, or goes on from its beginning", function()
         local d = ten("anew", "stop")
         w:delete_topic { topic = "anew.in" }
         wait.till("the topic is made anew", 20, function() return pcall(f.topics, f, { ["anew.in"] = 1 }) end, 100)
         w:send("anew.in", { "x", "y" })
         d:start()
         assert.are.equal(65, d:wait(20))
         assert.is_truthy(d:tail():find("gap in anew.in[0]: the group's offset is gone, though the group had started", 1, true), d:tail())
         flow.rewrite(d, "anew", { from = "anew.in", to = "anew.out", input = "start: latest, on_gap: continue" })
         d:start()
         f:visible("anew.out", 12)
         assert.are.same({ "x", "y" }, { unpack(w:values "anew.out", 11) })
         assert.are.equal(2, (f:offset("anew", "anew.in")))
         flow.stopped(d)
      end)

      it("of offsets that are all gone, though the group had started, stops", function()
         local d = ten("gone", "stop")
         w:delete_group { group = "gone" }
         d:start()
         assert.are.equal(65, d:wait(20))
         assert.is_truthy(d:tail():find("gap in gone.in[0]", 1, true), d:tail())
         assert.are.equal(10, #w:values "gone.out")
      end)
   end)

   describe("of what comes later", function()
      it("is the beginning: partitions added while it runs, whatever start says", function()
         f:topics { ["grow.in"] = 1, ["grow.out"] = 1 }
         w:send("grow.in", { "old" })
         local d = f:run("grow", { from = "grow.in", to = "grow.out", input = "start: latest" })
         f:offset("grow", "grow.in")
         w:add_partitions { topic = "grow.in", partitions = 3 }
         w:send("grow.in", { { value = "n0", partition = 0 }, { value = "n1", partition = 1 }, { value = "n2", partition = 2 } })
         f:visible("grow.out", 3, 30)
         assert.are.same({ "n0", "n1", "n2" }, sorted "grow.out")
         local _, metadata = f:offset("grow", "grow.in", 2)
         assert.are.equal("onced partitions=1", metadata) -- the count is that of the group's start
         d:kill()
         w:send("grow.in", { { value = "n3", partition = 2 } })
         again(d, "grow", "grow.in")
         assert.are.same({ "n0", "n1", "n2", "n3" }, sorted "grow.out")
         flow.stopped(d)
      end)

      it("is the beginning of a topic that a regex finds, and `start` for the first ones", function()
         f:topics { ["rex-a"] = 1, ["rex-9"] = 1, ["rex.out"] = 1 }
         w:send("rex-a", { "old" })
         w:send("rex-9", { "not matched" })
         local d = f:run("rex", { from = "^rex-[a-z]+$", to = "rex.out", input = "start: latest" })
         f:offset("rex", "rex-a")
         f:topics { ["rex-b"] = 2 }
         w:send("rex-b", { { value = "b0", partition = 0 }, { value = "b1", partition = 1 } })
         w:send("rex-a", { "a" })
         f:visible("rex.out", 3, 30)
         assert.are.same({ "a", "b0", "b1" }, sorted "rex.out")
         assert.is_nil(w:offset("rex", "rex-9"))
         flow.stopped(d)
      end)

      it("waits for a literal topic that isn't there, and reads it once it is", function()
         f:topics { ["later.a"] = 1, ["later.out"] = 1 }
         local d = f:run("later", { from = { "later.a", "later.b" }, to = "later.out" })
         w:send("later.a", { "a" })
         f:visible("later.out", 1)
         f:topics { ["later.b"] = 1 }
         w:send("later.b", { "b" })
         f:visible("later.out", 2, 30)
         flow.stopped(d)
      end)

      it("waits for its only topic", function()
         f:topics { ["lone.out"] = 1 }
         local d = f:run("lone", { from = "lone.in", to = "lone.out" })
         d:wait_log "waiting for an input topic .*: Subscribed topic not available: lone.in"
         f:topics { ["lone.in"] = 2 }
         w:send("lone.in", { { value = "a", partition = 0 }, { value = "b", partition = 1 } })
         f:visible("lone.out", 2, 30)
         flow.stopped(d)
      end)
   end)

   describe("of a static member that comes back", function()
      -- What it reads ten seconds after its start is what counts; without the check it would be the old assignment for ever.
      local function started(d, from)
         local begun = wait.now()
         d:start()
         return function(count)
            f:visible(from, count, 10 - (wait.now() - begun) / 1000)
         end
      end

      it("includes partitions added while it was down", function()
         f:topics { ["back.in"] = 1, ["back.out"] = 1 }
         local d = f:run("back", { from = "back.in", to = "back.out", input = "start: earliest, session_timeout: 60s" })
         w:send("back.in", { "a" })
         f:visible("back.out", 1)
         d:kill()
         w:add_partitions { topic = "back.in", partitions = 3 }
         w:send("back.in", { { value = "b", partition = 1 }, { value = "c", partition = 2 } })
         started(d, "back.out")(3)
         assert.are.equal(1, #w:group({ group = "back" }).members)
         flow.stopped(d)
      end)

      it("excludes topics taken out of the file and includes those put in", function()
         f:topics { ["file.a"] = 1, ["file.b"] = 1, ["file.c"] = 1, ["file.out"] = 1 }
         local input = "start: earliest, session_timeout: 60s"
         local d = f:run("file", { from = { "file.a", "file.b" }, to = "file.out", input = input })
         w:send("file.a", { "a1" })
         w:send("file.b", { "b1" })
         f:visible("file.out", 2)
         d:kill()
         flow.rewrite(d, "file", { from = { "file.a", "file.c" }, to = "file.out", input = input })
         w:send("file.b", { "b2" })
         w:send("file.a", { "a2" })
         w:send("file.c", { "c1" })
         started(d, "file.out")(4)
         w:send("file.a", { "a3" })
         w:send("file.b", { "b3" })
         f:visible("file.out", 5)
         assert.are.same({ "a1", "a2", "a3", "b1", "c1" }, sorted "file.out")
         assert.are.same({ "file.a-0", "file.c-0" }, w:group({ group = "file" }).members[1].partitions)
         assert.are.equal(1, (f:offset("file", "file.b")))
         flow.stopped(d)
      end)

      it("would still include topics taken out of the file without the check", function()
         f:topics { ["kept.a"] = 1, ["kept.b"] = 1, ["kept.out"] = 1 }
         local p = { from = { "kept.a", "kept.b" }, to = "kept.out", input = "start: earliest, session_timeout: 60s",
            daemon = { guard_off = "static-check" } }
         local d = f:run("kept", p)
         w:send("kept.a", { "a1" })
         w:send("kept.b", { "b1" })
         f:visible("kept.out", 2)
         d:kill()
         p.from = "kept.a"
         flow.rewrite(d, "kept", p)
         w:send("kept.b", { "b2" })
         d:start()
         f:visible("kept.out", 3)
         assert.are.same({ "a1", "b1", "b2" }, sorted "kept.out")
         flow.stopped(d)
      end)
   end)

   it("behind a log that ends in markers is no gap when retention takes all (F69); without R2's offsets it would be one", function()
      f:topics { ["end.in"] = 1, ["end.good"] = 1, ["end.bad"] = 1 }
      w:send("end.in", { "a", "b" }, { transaction = "commit", id = "end" })
      w:send("end.in", { "no", "no" }, { transaction = "abort", id = "end" })
      local high = w:ends({ topic = "end.in" }).partitions[1].high
      assert.are.equal(6, high) -- 2 records, marker, 2 aborted ones, marker
      local good = f:run("end-good", { from = "end.in", to = "end.good" })
      local bad = f:run("end-bad", { from = "end.in", to = "end.bad", daemon = { guard_off = "eof-offsets" } })
      f:through("end-good", "end.in")
      f:through("end-bad", "end.in")
      wait.till("the end is committed", 20, function() return w:offset("end-good", "end.in") == high end)
      flow.stopped(good)
      flow.stopped(bad)
      assert.are.equal(2, (f:offset("end-bad", "end.in")))
      w:delete_records { topic = "end.in", partition = 0, before = high }
      good:start()
      bad:start()
      assert.are.equal(65, bad:wait(20))
      assert.is_truthy(bad:tail():find("gap in end.in[0]: offsets 2 to 5 are gone", 1, true))
      w:send("end.in", { "c" })
      f:through("end-good", "end.in")
      assert.are.same({ "a", "b", "c" }, w:values "end.good")
      assert.are.equal(0, good:count "gap")
      flow.stopped(good)
   end)

   it("waits while a transaction is open on the group's offsets, says so, and goes on when it has ended", function()
      f:topics { ["unstable.in"] = 1, ["unstable.out"] = 1 }
      w:send("unstable.in", { "a", "b", "c" })
      w:commit_offset { group = "unstable", topic = "unstable.in", partition = 0, offset = 1 }
      w:commit_offset { group = "unstable", topic = "unstable.in", partition = 0, offset = 2, transactional = true, how = "open" }
      local d = f:run("unstable", { from = "unstable.in", to = "unstable.out" })
      d:wait_log "waiting: group unstable: its coordinator answers, but not with offsets: it loads, or a transaction is open on them"
      assert.are.same({}, w:values "unstable.out")
      w:end_transaction { id = "witness.offsets", how = "commit" }
      f:through("unstable", "unstable.in")
      assert.are.same({ "c" }, w:values "unstable.out")
      flow.stopped(d)
   end)

   it("after a stop behind markers is their end at once", function()
      f:topics { ["mark.in"] = 1, ["mark.out"] = 1 }
      w:send("mark.in", { "a", "b" }, { transaction = "commit", id = "mark" })
      local d = f:run("mark", { from = "mark.in", to = "mark.out" })
      f:visible("mark.out", 2)
      wait.sleep(2000) -- the consumer learns of the log's end with its next fetch (500 ms); alone it would be committed after 5 s
      flow.stopped(d)
      w:delete_records { topic = "mark.in", partition = 0, before = 3 }
      d:start()
      w:send("mark.in", { "c" })
      f:through("mark", "mark.in")
      assert.are.same({ "a", "b", "c" }, w:values "mark.out")
      flow.stopped(d)
   end)
end)
