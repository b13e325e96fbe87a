-- SPDX-License-Identifier: MIT
-- Negative controls: what onced does is left out, or onced is made into what other programs are (defects.c), and a short fault is played.
-- The oracle must find the damage, and of the kind that is due: a control that stays green fails here, since an oracle that doesn't see
-- what is known to be wrong proves nothing. The very same fault leaves no trace with all in place. spec/house/controls_spec.lua lists all
-- negative controls and guards, those of other files too.
local gate = require "spec.support.gate"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scene = require "spec.kafka.scene"
local wait = require "spec.support.wait"

local GROUP_DENIED = 30
local DEFECTS = ("build/spec/defects-%d.so"):format(process.self())

describe("negative control", function()
   local s, px
   setup(function()
      assert.equal(0, process.shell(("mkdir -p build/spec && %s -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -fPIC -shared -o %s " ..
         "spec/fault/defects.c -lrdkafka -ldl"):format(os.getenv "CC" or "cc", DEFECTS)))
      s = scene.start { proxied = true }
      px = proxy.start(s.kafka)
   end)
   teardown(function()
      if px then px:stop() end
      if s then s:stop() end
      os.remove(DEFECTS)
   end)
   after_each(function()
      s:clear()
      px:drop()
      px:refuse(false)
   end)

   local number = 0

   -- A case with a gate at each failpoint named in `points`. `without`: guards that are off; `defect`: one of defects.c.
   local function case(name, how, options)
      number = number + 1
      local self = s:case(("%s-%d"):format(name, number), options)
      self.how, self.gates = how, {}
      return self
   end

   local function daemon(c, points, options)
      local hold = {}
      for i, point in ipairs(points) do
         local g = gate.new(("build/spec/%d-%s-%s"):format(process.self(), c.name, point))
         c.gates[point], hold[i] = g, point .. "=hold:" .. g.path
      end
      local o = { failpoints = hold[1] and table.concat(hold, ",") or true, guard_off = c.how.without,
         env = c.how.defect and { LD_PRELOAD = "./" .. DEFECTS, ONCED_DEFECT = c.how.defect } }
      for k, v in pairs(options or {}) do o[k] = v end
      return c:daemon(o)
   end

   -- Twenty records are through, and the batch of the next twenty stands at this failpoint. -> its gate
   local function stands_at(c, point)
      local g = c.gates[point]
      c:produce(20)
      c:through()
      g:close()
      c:produce(20)
      g:reached()
      return g
   end

   -- The worker dies at this failpoint with a batch of 20 records; its successor ends the work. What the library collects for so long before
   -- it sends (linger.ms) is sent at once by a flush.
   local function dies_at(point)
      return function(name, how)
         local c = case(name, how, { lines = "kafka: {producer: {linger.ms: 50000}}", transaction = "commit_every: 20ms, timeout: 60s" })
         local d = daemon(c, { point })
         local g = stands_at(c, point)
         d:signal_worker(1, "KILL")
         g:open()
         c:produce(20)
         c:through()
         assert.are.equal(0, d:stop())
         return c
      end
   end

   -- The group's coordinator refuses the offsets of a transaction once.
   local function aborted(name, how)
      local c = case(name, how)
      local d = daemon(c, {}, { bootstrap = px.bootstrap })
      c:produce(20)
      c:through()
      px:mangle(proxy.TXN_OFFSET_COMMIT, GROUP_DENIED)
      c:produce(20)
      d:wait_log("producer replaced: aborted a transaction", 30)
      c:produce(20)
      c:through()
      assert.are.equal(0, d:stop())
      return c
   end

   -- The brokers are away when a transaction is to end, until it has timed out.
   local function unanswered(name, how)
      local c = case(name, how, { input = "session_timeout: 30s", transaction = "commit_every: 20ms, timeout: 3s" })
      local d = daemon(c, { "before-endtxn" }, { bootstrap = px.bootstrap })
      local ending = stands_at(c, "before-endtxn")
      px:refuse(true)
      ending:open()
      d:wait_log("producer replaced: spent", 30)
      wait.till("the broker has aborted it", 30, function()
         return #s.witness:transactions({ prefix = "onced." .. c.name .. "." }).transactions == 0
      end, 100)
      px:refuse(false)
      c:produce(20)
      c:through()
      assert.are.equal(0, d:stop())
      return c
   end

   -- Somebody else takes the worker's name while its transaction is to end.
   local function fenced(name, how)
      local c = case(name, how)
      local d = daemon(c, { "before-endtxn" }, { instance = "a" })
      local ending = stands_at(c, "before-endtxn")
      s.witness:fence { id = ("onced.%s.a.0"):format(c.name) }
      ending:open()
      d:wait_log(how.without and "producer replaced" or "starting anew", 30)
      c:produce(20)
      c:through()
      assert.are.equal(0, d:stop())
      return c
   end

   -- A worker sleeps with a batch before its offsets until another has made it; when it wakes, its offsets go out before it hears of that.
   local function zombie(name, how)
      local c = case(name, how, { input = "session_timeout: 6s", transaction = "commit_every: 20ms, timeout: 60s" })
      local a = daemon(c, { "before-offsets", "in-revoke" }, { instance = "a" })
      local offsets, revoke = stands_at(c, "before-offsets"), c.gates["in-revoke"]
      revoke:close()
      local pid = a:signal_worker(1, "STOP")
      local b = c:daemon { instance = "b" }
      b:wait_log("assigned partitions=4", 30)
      c:produce(20)
      c:through()
      local watch = s.witness:watch_offsets({ group = c.name }).job
      local function looked()
         local before = s.witness:progress(watch).samples
         wait.till("two more looks at the offsets", 30, function() return s.witness:progress(watch).samples >= before + 2 end)
      end
      looked()
      process.signal(pid, "CONT")
      revoke:reached()
      offsets:open()
      wait.till("the end of its transaction", 30, function()
         return #s.witness:transactions({ prefix = ("onced.%s.a."):format(c.name) }).transactions == 0
      end, 50)
      looked()
      c.set_back = #s.witness:halt(watch).decreased
      revoke:open()
      c:produce(20)
      c:through()
      assert.are.equal(0, a:stop())
      assert.are.equal(0, b:stop())
      return c
   end

   -- Half of the input's transactions are aborted.
   local function aborted_input(name, how)
      local c = case(name, how)
      local d = daemon(c, {})
      s.witness:produce { topic = c.input, count = 200, transaction = 10, abort_every = 2 }
      c:through()
      assert.are.equal(0, d:stop())
      return c
   end

   -- A worker goes on where another left off.
   local function goes_on(name, how)
      local c = case(name, how)
      local d = daemon(c, {})
      c:produce(40)
      c:through()
      assert.are.equal(0, d:stop())
      d:start()
      c:produce(40)
      c:through()
      assert.are.equal(0, d:stop())
      return c
   end

   -- Each of these kinds must be among what the oracle found. (Repeated records may be out of order, too.)
   local function finds(kinds, c)
      local v = c:verify()
      v["set back"] = c.set_back
      assert.is_false(v.ok, "the oracle sees nothing")
      for _, kind in ipairs(kinds) do assert.is_true(v[kind] > 0, ("nothing %s: %s"):format(kind, table.concat(v.examples, "\n"))) end
   end

   local controls = {
      { "outside", "offsets beside the transaction", { defect = "offsets-outside" }, { "lost" }, dies_at "before-endtxn" },
      { "plain", "an idempotent producer without transactions", { defect = "not-transactional" }, { "repeated" }, dies_at "before-offsets" },
      { "acks", "offsets that don't wait for the records", { defect = "not-acknowledged" }, { "lost" }, dies_at "after-offsets" },
      { "uncommitted", "input read with what was aborted", { defect = "read-uncommitted" }, { "aborted" }, aborted_input },
      { "resend", "going on after an abort without sending again", { without = "resend" }, { "lost" }, aborted },
      { "outcome", "success reported for an unknown EndTxn", { without = "outcome" }, { "lost" }, unanswered },
      { "fenced", "going on after it was fenced", { without = "fenced,outcome" }, { "lost" }, fenced },
      { "zombie", "offsets without generation and member", { without = "membership" }, { "repeated", "set back" }, zombie },
      { "stale", "messages of before a start that aren't dropped", { defect = "stale", without = "offset-guard" }, { "repeated" }, goes_on },
   }

   for _, control in ipairs(controls) do
      local name, what, how, kinds, play = unpack(control)
      it(what .. ": " .. table.concat(kinds, ", "), function() finds(kinds, play(name, how)) end)
      it(what .. ": not so in onced", function()
         local c = play(name, { defect = how.without and how.defect })
         c:clean()
         assert.are.equal(0, c.set_back or 0)
      end)
   end
end)
