-- The rules of membership and of dropped batches (R3, R8, R14; F65, F66), each on the real broker and each with its guard switched off:
-- the spec has to see the difference, or it proves nothing.
local gate = require "spec.support.gate"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scene = require "spec.kafka.scene"
local wait = require "spec.support.wait"

describe("rules", function()
   local s, p
   setup(function()
      s = scene.start { proxied = true }
      p = proxy.start(s.kafka)
   end)
   teardown(function()
      if p then p:stop() end
      if s then s:stop() end
   end)
   after_each(function()
      s:clear()
      p:drop()
      p:refuse(false)
   end)

   -- What is off where brokers are cut off, besides: a question to the coordinator that the cut meets can end librdkafka in an assertion
   -- (source_scout_group.c), and the worker, which starts anew, with it.
   local function off(guards) return guards and "static-check," .. guards or "static-check" end

   local function hold(name) return gate.new(("build/spec/%d-%s.hold"):format(process.self(), name)) end

   -- --- F65 ------------------------------------------------------------------------------------------------------------------------
   -- A second member joins a cooperative group while the first one's batch stands before its offsets. Returns the first one's log up to
   -- the end of the revoke, and the witness's verdict.
   local function revoked_with_a_batch_underway(name, guard_off, point, count)
      local case = s:case(name, { lines = "kafka: {consumer: {partition.assignment.strategy: cooperative-sticky}}",
         transaction = "commit_every: 20ms, timeout: 10s" })
      case:produce(400)
      local offsets, revoke = hold(name .. "-offsets"), hold(name .. "-revoke")
      local a = case:daemon { instance = "a", guard_off = guard_off,
         failpoints = ("%s=hold:%s,in-revoke=hold:%s"):format(point or "before-offsets", offsets.path, revoke.path) }
      case:through()
      offsets:close()
      if count then case:produce(count) else case:load(1000) end
      offsets:reached()
      revoke:close()
      local b = case:daemon { instance = "b" }
      revoke:reached()
      revoke:open()
      offsets:open()
      b:wait_log("assigned partitions=2", 30)
      a:wait_log("revoked partitions=2 left=2", 30)
      if not count then case:finish() end
      case:through()
      assert.are.equal(0, a:stop())
      assert.are.equal(0, b:stop())
      return a:log():match "^(.-)revoked partitions=2 left=2", case:verify() -- what comes later isn't the batch that was underway
   end

   local function clean(v) assert.is_true(v.ok, table.concat(v.examples, "\n")) end

   it("a cooperative revoke lets the batch underway end under the group's new generation (F65)", function()
      local log, v = revoked_with_a_batch_underway "revoke"
      clean(v)
      assert.is_nil(log:match "ILLEGAL_GENERATION")
      assert.is_nil(log:match "dropped")
   end)

   it("a cooperative revoke lets a batch end that is being sent and filled at once", function()
      local log, v = revoked_with_a_batch_underway("revoke-open", nil, "after-begin", 20000)
      clean(v)
      assert.is_nil(log:match "ILLEGAL_GENERATION")
      assert.is_nil(log:match "dropped")
   end)

   it("a cooperative revoke with the snapshot of the assignment loses the batch to its old generation", function()
      local log, v = revoked_with_a_batch_underway("revoke-old", "snapshot-revoke")
      assert.is_truthy(log:match "ILLEGAL_GENERATION")
      assert.is_truthy(log:match "a batch was dropped")
      clean(v)
   end)

   it("a dropped batch whose partitions stay would be lost if only the revoked ones were read again", function()
      local log, v = revoked_with_a_batch_underway("revoke-only", "snapshot-revoke,rewind,member") -- a worker that starts anew reads all again
      assert.is_truthy(log:match "a batch was dropped")
      assert.is_true(v.lost > 0)
   end)

   -- --- R3, thrown out -------------------------------------------------------------------------------------------------------------
   -- a's session ends while it stands in a revoke, out of the brokers' reach, and b is given all. a is told so by the answer to its next
   -- JoinGroup alone, and comes back as a new member with what it had kept. Returns the witness's verdict, and a's log up to its stop.
   local function thrown_out(name, guard_off)
      local case = s:case(name, { lines = "kafka: {consumer: {partition.assignment.strategy: cooperative-sticky}}",
         input = "session_timeout: 6s", transaction = "commit_every: 20ms, timeout: 60s" })
      local revoke = hold(name .. "-revoke")
      case:produce(400)
      local a = case:daemon { instance = "a", bootstrap = p.bootstrap, guard_off = off(guard_off), failpoints = "in-revoke=hold:" .. revoke.path }
      case:through()
      revoke:close()
      local b = case:daemon { instance = "b" }
      revoke:reached()
      case:load(1000)
      p:refuse(true)
      b:wait_log("assigned partitions=4", 30)
      local before = case:committed()
      wait.till("b's commits", 20, function() return case:committed() > before + 2000 end)
      p:refuse(false)
      a:mark()
      revoke:open()
      a:wait_log("revoked partitions=2 left=2", 40)
      a:wait_log("assigned partitions=2", 40)
      case:finish()
      case:through()
      assert.are.equal(0, a:stop())
      assert.are.equal(0, b:stop())
      return case:verify(), a:log():match "^(.-)onced: SIGTERM"
   end

   it("a member that was thrown out of a cooperative group doesn't go on with what it had kept", function()
      local v, log = thrown_out "thrown-out"
      clean(v)
      -- Mostly the former; the latter where a heartbeat is answered before JoinGroup is.
      assert.is_truthy(log:match "starting anew: the group threw this member out" or log:match "left=0\n", log)
   end)

   it("a member that was thrown out and goes on would repeat what others have done meanwhile", function()
      local repeated = 0
      for i = 1, 3 do -- not where a heartbeat is answered first
         if repeated == 0 then repeated = thrown_out("thrown-out-on-" .. i, "member,predecessor").repeated end
      end
      assert.is_true(repeated > 0)
   end)

   -- --- F66 ------------------------------------------------------------------------------------------------------------------------
   -- a's brokers are out of reach until its session has ended, with a batch before its offsets. Then it is given back what it had; if
   -- `between`, another member had it meanwhile. Returns the witness's verdict.
   local function lost_and_given_back(name, between, guard_off, point, count)
      local case = s:case(name, { input = "session_timeout: 6s", transaction = "commit_every: 50ms, timeout: 60s" })
      local offsets, lost = hold(name .. "-offsets"), hold(name .. "-lost")
      case:produce(400)
      local a = case:daemon { instance = "a", bootstrap = p.bootstrap, guard_off = off(guard_off),
         failpoints = ("%s=hold:%s,in-revoke=hold:%s"):format(point or "before-offsets", offsets.path, lost.path) }
      case:through()
      local b
      if between then
         b = case:daemon { instance = "b" }
         b:wait_log("assigned partitions=2", 20)
         a:wait_log("assigned partitions=2", 20)
         os.remove(lost.path .. ".reached")
      end
      offsets:close()
      case:produce(count or 400)
      offsets:reached()
      a:mark()
      p:refuse(true)
      lost:reached(20)
      if b then
         b:wait_log("assigned partitions=4", 20)
         case:produce(400)
         wait.till("b's commits", 20, function() return case:committed() > 800 end)
         assert.are.equal(0, b:stop())
      end
      local waits = not (guard_off or ""):match "settle"
      if not waits then a:wait_log("lost partitions", 20) end
      p:refuse(false)
      if waits then offsets:open() end
      a:wait_log("assigned partitions=4", 30)
      if not waits then
         case:produce(100) -- front is at work again
         wait.sleep(500)
         offsets:open()
      end
      case:through()
      assert.are.equal(0, a:stop())
      return case:verify(), a, case
   end

   for _, between in ipairs { false, true } do
      local who = between and ", another member in between" or ""
      local suffix = between and "-between" or ""

      it("a batch whose partitions were lost and given back is dropped (F66)" .. who, function()
         local v, a, case = lost_and_given_back("lost" .. suffix, between)
         clean(v)
         assert.is_truthy(a:log():match "a batch was dropped")
         assert.is_true(v.outputs[case.output].aborted_copies > 0)
      end)

      it("the number of the assignment alone would drop it" .. who, function()
         local v, a = lost_and_given_back("number" .. suffix, between, "settle")
         clean(v)
         assert.is_truthy(a:log():match "a batch was dropped")
      end)

      it("without either it would be committed, and its records again" .. who, function()
         local v = lost_and_given_back("neither" .. suffix, between, "settle,assignment-number")
         assert.is_false(v.ok)
         assert.is_true(v.repeated > 0)
      end)
   end

   it("a batch that is being sent and filled at once is dropped when its partitions are lost", function()
      local v, a = lost_and_given_back("lost-open", false, nil, "after-begin", 20000)
      clean(v)
      assert.is_truthy(a:log():match "a batch was dropped")
   end)

   -- --- R8 -------------------------------------------------------------------------------------------------------------------------
   -- A batch is dropped because the group's offsets have moved while its outcome was in doubt (somebody set partition 1 on from 11 to
   -- 15), and its successor is already transformed. Returns the values in partition 0 of the output, which nobody has touched.
   local function dropped_with_a_successor(name, guard_off)
      local case = s:case(name, { partitions = 2, transaction = "commit_every: 2s, timeout: 3s" })
      local ending = hold(name)
      local function send(partition, from, to)
         local records = {}
         for i = from, to do records[#records + 1] = { value = tostring(i), partition = partition } end
         s.witness:send(case.input, records)
      end
      send(0, 1, 10)
      send(1, 1, 10)
      local d = case:daemon { guard_off = guard_off, failpoints = "before-endtxn=hold:" .. ending.path }
      case:through()
      send(1, 11, 11) -- two seconds from here on are gathered into one batch
      case:through()
      ending:close()
      s.witness:send(case.input, { { value = "11", partition = 0 }, { value = "12", partition = 1 } }, { transaction = "commit" })
      ending:reached()
      send(0, 12, 20)
      send(1, 13, 20)
      wait.till("the broker has aborted it", 20, function()
         return #s.witness:transactions({ prefix = "onced." .. name .. "." }).transactions == 0
      end, 100)
      s.witness:commit_offset { group = name, topic = case.input, partition = 1, offset = 15, transactional = true }
      wait.till("partition 1 to be set on", 20, function() return s.witness:offset(name, case.input, 1) == 15 end, 20)
      d:mark()
      ending:open()
      d:wait_log("the group has moved, dropped", 20)
      d:wait_log("whether its %d+ records are in isn.t known here", 20)
      case:through()
      assert.are.equal(0, d:stop())
      local values = {}
      for _, r in ipairs(s.witness:read(case.output)) do
         if r.partition == 0 then values[#values + 1] = tonumber(r.value) end
      end
      return values
   end

   local function numbers(n)
      local out = {}
      for i = 1, n do out[i] = i end
      return out
   end

   it("a dropped batch takes its successor with it (R8)", function()
      assert.are.same(numbers(20), dropped_with_a_successor "successor")
   end)

   it("a successor that stays would be out of order and repeated", function()
      assert.are_not.same(numbers(20), dropped_with_a_successor("successor-stays", "drop-successor")) -- 11 behind 20, or not yet there
   end)

   -- --- R4 -------------------------------------------------------------------------------------------------------------------------
   -- The answers to a commit are lost, which was done, from two partitions to two. Before the worker asks what became of it, its offsets
   -- are set back to those before the batch: the brokers had acknowledged them, and don't know of them any more. Ends with what is said.
   local function denied(name, says, guard_off, meanwhile)
      local case = s:case(name, { partitions = 2, input = "session_timeout: 30s", transaction = "commit_every: 1s, timeout: 6s" })
      local d = case:daemon { bootstrap = p.bootstrap, guard_off = guard_off }
      local function offset(partition) return s.witness:offset(name, case.input, partition) or 0 end
      local function send() s.witness:produce { topic = case.input, count = 100, size = 100, transaction = 100 } end
      local before = { [0] = 0, 0 }
      local function moved() return offset(0) > before[0] and offset(1) > before[1] end
      send()
      case:through()
      wait.till("the first commit", 20, moved, 20)
      before = { [0] = offset(0), offset(1) }
      for _ = 1, 8 do p:hold(proxy.END_TXN, "resp") end
      send() -- a second from the last commit on is gathered into one batch
      wait.till("the commit", 20, moved, 20)
      for i = 0, 1 do
         s.witness:commit_offset { group = name, topic = case.input, partition = i, offset = before[i], transactional = true }
      end
      if meanwhile then meanwhile(case) end
      d:wait_log(says, 40)
      p:drop()
      return case, d
   end

   it("what readers see isn't sent again, though the group's offsets deny it: they alone are committed again (R4)", function()
      local case, d = denied("denied", "in doubt.*: readers see it, but brokers have lost its offsets: they alone are committed again")
      case:through()
      assert.are.equal(0, d:stop())
      case:clean()
   end)

   it("what the group's offsets deny would be there twice", function()
      local case, d = denied("denied-on", "outcome was in doubt.*: not committed, sent again", "seen")
      case:through()
      assert.are.equal(0, d:stop())
      assert.are.equal(100, case:verify().repeated)
   end)

   it("halts when readers see a part of it only", function()
      local _, d = denied("denied-part", "halted: readers see a part of what a commit in doubt wrote", nil,
         function(case) s.witness:delete_records { topic = case.output, partition = 0, before = -1 } end)
      assert.are.equal(65, d:wait(30))
   end)

   it("halts when all of it was deleted: it may have been seen", function()
      local _, d = denied("denied-gone", "halted: readers see a part of what a commit in doubt wrote, or some of it was deleted", nil,
         function(case)
            for i = 0, 1 do s.witness:delete_records { topic = case.output, partition = i, before = -1 } end
         end)
      assert.are.equal(65, d:wait(30))
   end)

   -- --- R14 ------------------------------------------------------------------------------------------------------------------------
   -- Produce requests and answers seen between a transaction's offsets and its end.
   local function records_beside_offsets(name, guard_off)
      local case = s:case(name)
      case:produce(200)
      p:log()
      local d = case:daemon { bootstrap = p.bootstrap, guard_off = guard_off }
      case:through()
      local beside, offsets, ending = 0, 0, false
      for _, e in ipairs(p:log()) do
         if e.key == proxy.ADD_OFFSETS and e.ev == "req" then
            offsets, ending = offsets + 1, true
         elseif e.key == proxy.END_TXN and e.ev == "req" then
            ending = false
         elseif e.key == proxy.PRODUCE and ending then
            beside = beside + 1
         end
      end
      assert.are.equal(0, d:stop())
      case:clean()
      assert.is_true(offsets > 0)
      return beside
   end

   it("offsets wait for the answers of all records (R14)", function()
      assert.are.equal(0, records_beside_offsets "flush")
   end)

   it("offsets that don't wait go beside records", function()
      assert.is_true(records_beside_offsets("no-flush", "flush") > 0)
   end)
end)
