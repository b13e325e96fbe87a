-- Late requests and lost answers (R4, R5; the six negative controls of f42): what librdkafka lets a broker do to a later transaction of
-- the same producer, on a real broker, with onced behind a proxy that keeps single requests and delivers them when it hurts. Each
-- fault is played twice. With the guards named in `off` switched off the witness must find the damage that f42 describes - silent
-- every time: onced itself saw nothing but successes. With all guards on the very same fault leaves no trace, and what came late is
-- refused with 47 INVALID_PRODUCER_EPOCH.
local gate = require "spec.support.gate"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scene = require "spec.kafka.scene"
local wait = require "spec.support.wait"

local UNKNOWN_MEMBER, GROUP_DENIED, APPENDED_BUT = 25, 30, 20 -- APPENDED_BUT: NOT_ENOUGH_REPLICAS_AFTER_APPEND
local FENCED = 47

describe("late request", function()
   local s, px
   local number = 0
   setup(function()
      -- Kafka 3.x's group coordinator refuses a late TxnOffsetCommit too, but over it forgets the offset that the present transaction has
      -- sent, until it is loaded anew (3.9.1; its log is right). The coordinator of 4.0 doesn't; 3.9 has it behind this setting.
      local is_old = (os.getenv "ONCED_KAFKA_VERSION" or ""):find "^3%."
      s = scene.start { proxied = true, properties = is_old and { ["group.coordinator.rebalance.protocols"] = "classic,consumer" } or nil }
      px = proxy.start(s.kafka)
   end)
   teardown(function()
      if px then px:stop() end
      if s then s:stop() end
   end)
   after_each(function()
      s:clear()
      px:drop()
   end)

   -- --- a case: one partition, one record a transaction -------------------------------------------------------------------------
   local Case = {}

   -- What the library means to send again rests 8 s, so that an abort meets it waiting; a member that is thrown out learns of it within
   -- a third of a second.
   local function slow_retry()
      local _, version = process.run { "build/failpoints/onced", "version" }
      local major, minor = version:match "librdkafka (%d+)%.(%d+)"
      local most = tonumber(major) * 100 + tonumber(minor) >= 203 and ", retry.backoff.max.ms: 8000" or "" -- 2.3.0 caps it there
      return ("kafka: {producer: {retry.backoff.ms: 8000%s}, consumer: {heartbeat.interval.ms: 300}}"):format(most)
   end

   local function case(name, options)
      number = number + 1
      local self = s:case(("%s-%d"):format(name, number), {
         partitions = 1, lines = options.lines, lua = options.lua, transaction = "commit_every: 0ms, max_records: 1, timeout: 10s",
      })
      local dir = ("build/spec/late-%d-%d"):format(process.self(), number)
      assert(os.execute("mkdir -p " .. dir))
      self.before_offsets, self.after_offsets = gate.new(dir .. "/before-offsets"), gate.new(dir .. "/after-offsets")
      self.d = self:daemon {
         dir = dir, bootstrap = options.bootstrap or px.bootstrap, guard_off = options.off,
         failpoints = ("before-offsets=hold:%s/before-offsets,after-offsets=hold:%s/after-offsets"):format(dir, dir),
      }
      for k, v in pairs(Case) do self[k] = v end
      self:feed()
      self:through_to(1) -- connections, metadata and sequence numbers are there now
      px:log()
      return self
   end

   function Case:feed() self:produce(1) end

   function Case:last()
      local values = s.witness:values(self.output)
      return values[#values]
   end

   -- Not told while a transaction that changes it is open.
   function Case:offset()
      return wait.till(self.name .. ": a stable offset", 20, function() return s.witness:offset(self.name, self.input, 0) end)
   end

   function Case:through_to(offset)
      wait.till(("%s: offset %d committed"):format(self.name, offset), 30, function()
         return s.witness:offset(self.name, self.input, 0) == offset
      end)
   end

   -- The event of this kind in the proxy's log.
   local function happened(kind, name)
      return wait.till(kind .. " " .. name, 30, function()
         for _, e in ipairs(px:log()) do
            if e.ev == kind and e.name == name then return e end
         end
      end, 5)
   end

   -- The broker's answer to the one request that the i-th hold kept.
   local function late(i)
      local out = px:release(i)
      assert.are.equal(1, #out)
      return out[1].answer
   end

   -- The group throws the member out: its batch is dropped in mid-transaction, the worker joins again and reads the record again.
   function Case:thrown_out()
      px:mangle(proxy.HEARTBEAT, UNKNOWN_MEMBER)
      self.d:wait_log("a batch was dropped", 30)
   end

   -- Ends onced, which must never have noticed anything that ends it, and returns the verdict of the witness.
   function Case:verdict()
      assert.are.equal(0, self.d:stop())
      assert.are.equal(0, self.d:count "starting anew")
      return self:verify { partial = true }
   end

   local function only(v, finding, count)
      assert.is_false(v.ok, "the oracle sees nothing")
      assert.are.equal(count, v[finding], table.concat(v.examples, "\n"))
   end

   local function clean(v) assert.is_true(v.ok, table.concat(v.examples, "\n")) end

   -- --- the six controls --------------------------------------------------------------------------------------------------------
   -- play(c) makes the fault and returns the broker's answer to the late request, if there is one; red(c, v): the damage with all of
   -- `guards` off. Each of the guards alone must be enough. `copies`: aborted copies in the output, proof that the fault did bite.
   local controls = {
      {
         name = "commit-late", f42 = "c_offs_abort", guards = { "taint" }, copies = 1,
         -- EndTxn(commit) of transaction 1 is lost and sent again; its first copy comes when transaction 2 has produced B: B is committed.
         -- Transaction 2 goes on with its offsets (which open a third one), is aborted, and B is sent again.
         claim = "an EndTxn(commit) in the next transaction, which is then aborted: a record twice",
         play = function(c)
            px:hold(proxy.END_TXN, "cut")
            c:feed()
            c:through_to(2)
            c.before_offsets:close()
            c:feed()
            c.before_offsets:reached()
            local answer = late(0)
            px:mangle(proxy.TXN_OFFSET_COMMIT, GROUP_DENIED)
            c.before_offsets:open()
            c:through_to(3)
            return answer
         end,
         red = function(_, v) only(v, "repeated", 1) end,
      },
      {
         name = "abort-late", f42 = "a_offs_commit", guards = { "taint", "abort" }, copies = 1,
         -- EndTxn(abort) of transaction 1 is lost and sent again; its first copy comes when the batch has been produced again: it is
         -- aborted. Its offsets open a new transaction, and that one is committed without a record.
         claim = "an EndTxn(abort) in the transaction that sends the batch again: the batch lost, its offset committed",
         play = function(c)
            c.after_offsets:close()
            px:mangle(proxy.TXN_OFFSET_COMMIT, GROUP_DENIED)
            c:feed()
            c.after_offsets:reached()
            px:hold(proxy.END_TXN, "cut")
            c.before_offsets:close()
            c.after_offsets:open()
            c.before_offsets:reached()
            local answer = late(0)
            c.before_offsets:open()
            c:through_to(2)
            return answer
         end,
         red = function(_, v) only(v, "lost", 1) end,
      },
      {
         name = "offsets-late", f42 = "o_after", guards = { "taint" }, copies = 0,
         -- TxnOffsetCommit(2) of transaction 1 is lost and sent again; its first copy comes when transaction 2 has sent 3: the group goes
         -- back to 2, and the next to read from there would make the record again.
         claim = "a TxnOffsetCommit in the next transaction: offsets set back behind what is out",
         play = function(c)
            px:hold(proxy.TXN_OFFSET_COMMIT, "cut")
            c:feed()
            c:through_to(2)
            c.after_offsets:close()
            c:feed()
            c.after_offsets:reached()
            local answer = late(0)
            c.after_offsets:open()
            wait.till("its end", 30, function() return c:visible() == 3 end)
            return answer
         end,
         red = function(c, v)
            only(v, "ahead", 1)
            assert.are.equal(2, c:offset())
         end,
      },
      {
         name = "produce-late", f42 = "q_late", guards = { "taint", "maybe", "abort" }, copies = 0, slow = true,
         -- A Produce is on its way when its batch is dropped and its transaction aborted; it comes in the next transaction just before
         -- the record that got its sequence number. That one is taken for a duplicate, acknowledged and thrown away.
         claim = "a Produce of an aborted transaction in the next one: committed in place of the record that was due",
         -- Tells the attempts apart: #2 was dropped, #3 is what was made when the record had been read again.
         lua = "local n = 0 return function(r) n = n + 1 return { value = r.value .. '#' .. n } end",
         play = function(c)
            px:hold(proxy.PRODUCE, "cut")
            c:feed()
            happened("HELD", "Produce")
            px:hold(proxy.PRODUCE, "stall")
            c:thrown_out()
            happened("HELD", "Produce")
            local answer = late(0)
            px:resume(1)
            c:through_to(2)
            return answer
         end,
         red = function(c) assert.are.equal("2", c:last():match "#(%d+)$") end,
         green = function(c) assert.are.equal("3", c:last():match "#(%d+)$") end,
      },
      {
         name = "answer-lost", f42 = "m_resend1", guards = { "taint", "maybe", "abort" }, copies = 1, slow = true,
         -- No late request at all. A Produce is appended but its answer is lost; its transaction is aborted before the library has sent
         -- it again. Its sequence number goes to the next record, which the broker takes for a duplicate.
         claim = "the answer to a Produce lost before an abort: the next batch lost, its offset committed",
         play = function(c)
            px:hold(proxy.PRODUCE, "respcut")
            c:feed()
            happened("resp", "Produce")
            c:thrown_out()
            c:through_to(2)
         end,
         red = function(_, v) only(v, "lost", 1) end,
      },
      {
         name = "appended-but", f42 = "m_20", guards = { "maybe", "abort" }, copies = 1, slow = true,
         -- The same, but the Produce is answered with NOT_ENOUGH_REPLICAS_AFTER_APPEND: every request has its answer, so no count of
         -- requests can tell (taint stays on); only the delivery report says "possibly persisted".
         claim = "a Produce answered with an error after it was appended, then an abort: the next batch lost, its offset committed",
         play = function(c)
            px:mangle(proxy.PRODUCE, APPENDED_BUT)
            c:feed()
            happened("MANGLED", "Produce")
            c:thrown_out()
            c:through_to(2)
         end,
         red = function(_, v) only(v, "lost", 1) end,
      },
   }

   -- What the log says of the guard that had the producer replaced.
   local WHY = { taint = "[%u]%a+\n", maybe = "a failed record may be in the log\n", abort = "aborted a transaction\n" }

   -- All of `guards` but the one that stays on.
   local function without(guards, kept)
      local off = {}
      for _, g in ipairs(guards) do
         if g ~= kept then off[#off + 1] = g end
      end
      return off[1] and table.concat(off, ",") or nil
   end

   -- No fault, no new producer: what is answered, retries of answered requests too, mustn't cost one.
   it("isn't seen where there is none: 300 transactions, one producer", function()
      local c = case("clean", { bootstrap = s.kafka.bootstrap })
      c:produce(300)
      c:through_to(301)
      clean(c:verdict())
      local transactions = 0
      for n in c.d:log():gmatch "transactions=(%d+)" do transactions = transactions + n end -- since the line before
      assert.are.equal(301, transactions)
      assert.are.equal(0, c.d:count "producer replaced")
   end)

   -- What Kafka 4 does to a partition that has no leader: no marker is written, the transaction counts as complete, and what stands there
   -- ends as the producer's next transaction ends (README, Limits). Here the witness does it. First the committed record and its offset go
   -- with the next abort: the group is set back, unfenced.
   local function set_back(off)
      local c = case("set-back", { off = off })
      c:feed()
      c:through_to(2)
      c.before_offsets:close()
      c:feed()
      c.before_offsets:reached()
      s.witness:commit_offset { group = c.name, topic = c.input, partition = 0, offset = 1, transactional = true }
      px:mangle(proxy.TXN_OFFSET_COMMIT, GROUP_DENIED)
      c.before_offsets:open()
      return c
   end

   it("missing markers, a committed transaction goes with an abort: halted", function()
      local c = set_back()
      c.d:wait_log("halted: .*stand behind what was committed before", 30)
      assert.are.equal(65, c.d:wait(30))
      assert.are.equal(1, c:offset())
   end)

   it("missing markers, a committed transaction goes with an abort: passed over without predecessor", function()
      local c = set_back "predecessor"
      c:through_to(3)
      assert.are.equal(0, c.d:stop())
   end)

   -- Then something is open in the output when the batch is to be sent again.
   local function left_open(off)
      local c = case("left-open", { off = off })
      s.witness:send(c.output, { "open" }, { transaction = "open", id = c.name, timeout_ms = 600000 })
      px:mangle(proxy.TXN_OFFSET_COMMIT, GROUP_DENIED)
      c:feed()
      return c
   end

   it("missing markers, an aborted transaction stays open: waits, and says for what", function()
      local c = left_open()
      c.d:wait_log(c.output:gsub("%p", "%%%0") .. "%[0%] has an open transaction at offset 2", 30)
      assert.are.equal(1, c:offset())
      s.witness:end_transaction { id = c.name, how = "abort" }
      c:through_to(2)
      clean(c:verdict())
   end)

   it("missing markers, an aborted transaction stays open: passed over without markers", function()
      local c = left_open "markers"
      c:through_to(2)
      s.witness:end_transaction { id = c.name, how = "abort" }
      assert.are.equal(0, c.d:stop())
   end)

   for _, control in ipairs(controls) do
      local function play(off)
         local c = case(control.name, { off = off, lines = control.slow and slow_retry(), lua = control.lua })
         return c, control.play(c), c:verdict()
      end

      local function green(off, guard)
         local c, answer, v = play(off)
         clean(v)
         if answer then assert.are.equal(FENCED, answer) end
         if control.green then control.green(c) end
         assert.are.equal(c:visible(), c:offset())
         assert.are.equal(control.copies, v.outputs[c.output].aborted_copies)
         assert.is_true(c.d:count("producer replaced: " .. (guard and WHY[guard] or "")) > 0, c.d:log())
      end

      describe(("(%s) %s"):format(control.f42, control.claim), function()
         it("- red without " .. table.concat(control.guards, ", "), function()
            local c, answer, v = play(without(control.guards))
            control.red(c, v)
            if answer then assert.are.equal(0, answer) end
         end)

         it("- not with its guards on", function() green() end)

         for _, guard in ipairs(#control.guards > 1 and control.guards or {}) do
            it("- not with the guard " .. guard .. " alone", function() green(without(control.guards, guard), guard) end)
         end
      end)
   end
end)
