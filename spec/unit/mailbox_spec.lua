-- SPDX-License-Identifier: MIT
-- The mailbox's states from one thread; threads_spec.lua hammers it from two.
local ffi = require "ffi"
local lib = require "spec.unit.onced_lib"
local process = require "spec.support.process"
lib.declare { "err", "mailbox" }
local C = lib.load()

local BATCH = ffi.cast("struct batch *", 0x1000) -- never looked into
local OTHER = ffi.cast("struct batch *", 0x2000)

describe("mailbox", function()
   local m, e, stop, sent, result
   before_each(function()
      m, e, stop, sent, result = C.mailbox_new(), ffi.new "struct err", ffi.new "int[1]", ffi.new "int32_t[1]", ffi.new "enum mailbox_result[1]"
   end)
   after_each(function() C.mailbox_free(ffi.new("struct mailbox *[1]", m)) end)

   local function put(batch, count, failure) C.mailbox_put(m, batch, count or 0, failure) end
   local function take() return C.mailbox_take(m, 0, stop) end
   local function settle(how, text)
      e.verdict = 0
      ffi.copy(e.text, text or "")
      C.mailbox_settle(m, how, e)
   end
   local function collect()
      ffi.fill(e, ffi.sizeof "struct err")
      local batch = C.mailbox_collect(m, 0, result, e)
      if batch ~= nil then return batch, tonumber(result[0]), ffi.string(e.text) end
   end

   it("passes a batch over and back, with what became of it", function()
      assert.equal(1, C.mailbox_is_free(m))
      assert.is_true(take() == nil and stop[0] == 0)
      put(BATCH)
      assert.equal(0, C.mailbox_is_free(m))
      assert.is_nil(collect())
      assert.is_true(take() == BATCH)
      assert.is_true(take() == nil) -- once
      assert.is_nil(collect())
      settle(C.MAILBOX_HALTED, "the reason")
      assert.equal(0, C.mailbox_is_free(m))
      local batch, how, text = collect()
      assert.is_true(batch == BATCH)
      assert.same({ tonumber(C.MAILBOX_HALTED), "the reason" }, { how, text })
      assert.equal(1, C.mailbox_is_free(m))
      assert.is_nil(collect())
   end)

   it("a drop is final: what back calls committed comes back dropped", function()
      put(BATCH)
      take()
      assert.equal(0, C.mailbox_is_dropped(m))
      C.mailbox_drop(m)
      assert.equal(1, C.mailbox_is_dropped(m))
      settle(C.MAILBOX_COMMITTED)
      assert.equal(tonumber(C.MAILBOX_DROPPED), (select(2, collect())))
      put(OTHER) -- and is over with the batch
      assert.equal(0, C.mailbox_is_dropped(m))
   end)

   it("a drop doesn't hide that the process is spent or a human is needed", function()
      for _, how in ipairs { C.MAILBOX_SPENT, C.MAILBOX_HALTED } do
         put(BATCH)
         take()
         C.mailbox_drop(m)
         settle(how)
         assert.equal(tonumber(how), (select(2, collect())))
      end
   end)

   it("lends the sink with a batch that is still being filled, until it is closed", function()
      C.mailbox_open(m, BATCH)
      assert.equal(0, C.mailbox_is_lent(m, 0)) -- nothing is begun
      assert.is_true(take() == BATCH)
      assert.equal(0, C.mailbox_wait_closed(m, 0, sent, e))
      assert.equal(0, C.mailbox_is_lent(m, 0))
      C.mailbox_lend(m)
      assert.equal(1, C.mailbox_is_lent(m, 0))
      assert.equal(0, C.mailbox_wait_closed(m, 0, sent, e))
      local failure = ffi.new "struct err"
      failure.verdict = C.RESEND
      ffi.copy(failure.text, "the third one")
      put(BATCH, 3, failure)
      assert.equal(0, C.mailbox_is_lent(m, 0))
      assert.equal(1, C.mailbox_wait_closed(m, 0, sent, e))
      assert.same({ 3, tonumber(C.RESEND), "the third one" }, { sent[0], tonumber(e.verdict), ffi.string(e.text) })
      C.mailbox_lend(m) -- too late
      assert.equal(0, C.mailbox_is_lent(m, 0))
      settle(C.MAILBOX_COMMITTED)
      assert.is_true(collect() == BATCH)
      put(OTHER) -- what came to the last one is over with it
      take()
      assert.equal(1, C.mailbox_wait_closed(m, 0, sent, e))
      assert.same({ 0, tonumber(C.OK) }, { sent[0], tonumber(e.verdict) })
   end)

   it("has the sink back at once when the batch is dropped", function()
      C.mailbox_open(m, BATCH)
      take()
      C.mailbox_lend(m)
      C.mailbox_drop(m)
      assert.equal(0, C.mailbox_is_lent(m, 0))
      C.mailbox_lend(m)
      assert.equal(0, C.mailbox_is_lent(m, 0))
      assert.equal(0, C.mailbox_wait_closed(m, 10000, sent, e)) -- at once
   end)

   it("says that back is stuck only while it is, and for metadata that isn't newer", function()
      put(BATCH)
      take()
      assert.equal(0, C.mailbox_is_stuck(m, 3))
      C.mailbox_pause(m, 1, 1, 3)
      assert.equal(0, C.mailbox_is_stuck(m, 3)) -- the pause is over
   end)

   it("is ready when the producer is and back has no batch", function()
      assert.equal(0, C.mailbox_wait_ready(m, 1))
      C.mailbox_ready(m, 1)
      assert.equal(1, C.mailbox_wait_ready(m, 1))
      put(BATCH)
      assert.equal(0, C.mailbox_wait_ready(m, 1))
      take()
      assert.equal(0, C.mailbox_wait_ready(m, 1))
      settle(C.MAILBOX_COMMITTED)
      assert.equal(1, C.mailbox_wait_ready(m, 1))
      C.mailbox_ready(m, 0)
      assert.equal(0, C.mailbox_wait_ready(m, 1))
   end)

   it("lets back have what was given before it stops", function()
      put(BATCH)
      C.mailbox_stop(m)
      assert.is_true(take() == BATCH)
      assert.equal(0, stop[0])
      settle(C.MAILBOX_COMMITTED)
      assert.is_true(take() == nil)
      assert.equal(1, stop[0])
   end)

   for name, misuse in pairs {
      ["a second batch"] = "put(B) put(f.cast('struct batch *', 2))",
      ["the same batch twice"] = "put(B) put(B)",
      ["settling what wasn't taken"] = "put(B) C.mailbox_settle(m, 0, f.new 'struct err')",
      ["lending what wasn't taken"] = "C.mailbox_open(m, B) C.mailbox_lend(m)",
      ["having sent without being lent to"] = "C.mailbox_open(m, B) put(B, 1)",
      ["a batch after the stop"] = "C.mailbox_stop(m) put(B)",
   } do
      it("ends the process at " .. name, function()
         local code, out = process.run({ "sh", "-c", 'exec luajit -e "$0" 2>&1', [[
            package.path = "./?.lua;" .. package.path
            local f, lib = require "ffi", require "spec.unit.onced_lib"
            lib.declare { "err", "mailbox" }
            local C = lib.load()
            local m, B = C.mailbox_new(), f.cast("struct batch *", 1)
            local function put(batch, sent) C.mailbox_put(m, batch, sent or 0, nil) end
            ]] .. misuse .. " print 'survived'" }, { env = { LD_PRELOAD = os.getenv "ONCED_RUNTIME" or false } })
         assert.is_nil(code, out) -- a signal
         assert.matches("broken invariant: ", out, 1, true)
      end)
   end
end)
