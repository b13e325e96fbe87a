-- What happens to a record that can't be transformed or that a broker refuses: stop, skip, or a dead letter in the transaction of the rest.
local flow = require "spec.kafka.flow"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local SMALL = "max.message.bytes"

-- Fails on "boom", rejects "no".
local PICKY = [[
local onced = require "onced"
return function(r)
   if r.value == "no" then return onced.reject "not wanted" end
   if r.value == "boom" then error "boom" end
   return r
end]]

describe("policies", function()
   local f, w
   setup(function()
      f = flow.open()
      w = f.witness
   end)
   teardown(function() if f then f:close() end end)
   after_each(function() f:clear() end)

   -- count values "1".."count" but for those in `other`.
   local function values(count, other)
      local list = {}
      for i = 1, count do list[i] = (other or {})[i] or tostring(i) end
      return list
   end

   local function without(list, ...)
      local out = {}
      for _, v in ipairs(list) do
         local keep = true
         for i = 1, select("#", ...) do keep = keep and v ~= select(i, ...) end
         if keep then out[#out + 1] = v end
      end
      return out
   end

   describe("stop", function()
      it("commits all before the poison record, says where it is, and a repaired script goes on exactly there", function()
         f:topics { ["stop.in"] = 1, ["stop.out"] = 1 }
         local list = values(300, { [158] = "boom" })
         w:send("stop.in", list)
         local d = f:run("stop", { from = "stop.in", to = "stop.out", lua = PICKY })
         assert.are.equal(65, d:wait(20))
         assert.is_truthy(d:log():find("stop.lua:4: boom (topic stop.in, partition 0, offset 157)", 1, true), d:log())
         assert.is_truthy(d:log():find("stop: pipeline halted: ", 1, true))
         assert.are.equal(157, (f:offset("stop", "stop.in")))
         assert.are.same({ unpack(list, 1, 157) }, w:values "stop.out")
         assert.are.equal("Empty", w:group({ group = "stop" }).state)

         d:start() -- unchanged it stops there again, and leaves nothing behind
         assert.are.equal(65, d:wait(20))
         assert.are.equal(157, (f:offset("stop", "stop.in")))
         assert.are.equal(157, #w:values("stop.out", "read_uncommitted"))

         flow.rewrite(d, "stop", { from = "stop.in", to = "stop.out" })
         d:start()
         f:through("stop", "stop.in")
         assert.are.same(list, w:values "stop.out")
         flow.stopped(d)
      end)

      it("commits nothing behind the poison record though the end of the log was seen before Lua came to it", function()
         f:topics { ["slow.in"] = 1, ["slow.out"] = 1 }
         local list = values(400, { [390] = "boom" })
         w:send("slow.in", list, { transaction = "commit", id = "slow" })
         local p = { from = "slow.in", to = "slow.out", lua = [[
            return function(r)
               local till = os.clock() + 0.003
               while os.clock() < till do end
               if r.value == "boom" then error "boom" end
               return r
            end]] }
         local d = f:run("slow", p)
         assert.are.equal(65, d:wait(30))
         assert.are.equal(389, (f:offset("slow", "slow.in")))
         p.lua = nil
         flow.rewrite(d, "slow", p)
         d:start()
         f:through("slow", "slow.in")
         assert.are.same(list, w:values "slow.out")
         flow.stopped(d)
      end)

      it("of one pipeline leaves another running, and the exit code tells of it", function()
         f:topics { ["one.in"] = 1, ["one.out"] = 1, ["two.in"] = 1, ["two.out"] = 1 }
         w:send("one.in", { "boom" })
         local d = f:run("one", { from = "one.in", to = "one.out", lua = PICKY, daemon = { pipelines = {
            one = { yaml = flow.yaml("one", { from = "one.in", to = "one.out" }), lua = PICKY },
            two = { yaml = flow.yaml("two", { from = "two.in", to = "two.out" }), lua = PICKY } } } })
         d:wait_log "one: pipeline halted"
         w:send("two.in", { "a", "b" })
         f:through("two", "two.in")
         assert.are.same({ "a", "b" }, w:values "two.out")
         assert.is_true(d:running())
         assert.are.equal(65, d:stop())
      end)

      it("answers a rejected record when on_reject says so, apart from on_error", function()
         f:topics { ["apart.in"] = 1, ["apart.out"] = 1 }
         w:send("apart.in", { "a", "boom", "b", "no", "c" })
         local d = f:run("apart", { from = "apart.in", to = "apart.out", lua = PICKY, errors = "on_error: skip, on_reject: stop" })
         assert.are.equal(65, d:wait(20))
         assert.is_truthy(d:log():find("not wanted (topic apart.in, partition 0, offset 3)", 1, true))
         assert.are.same({ "a", "b" }, w:values "apart.out")
         assert.are.equal(3, (f:offset("apart", "apart.in")))
      end)
   end)

   it("skip leaves the record out, counts and names it", function()
      f:topics { ["skip.in"] = 1, ["skip.out"] = 1 }
      local list = values(100, { [1] = "boom", [50] = "no", [100] = "boom" })
      w:send("skip.in", list)
      local d = f:run("skip", { from = "skip.in", to = "skip.out", lua = PICKY, errors = "on_error: skip, on_reject: skip" })
      f:through("skip", "skip.in")
      assert.are.same(without(list, "boom", "no"), w:values "skip.out")
      assert.is_truthy(d:log():find("skipped: skip.lua:4: boom (topic skip.in, partition 0, offset 0)", 1, true), d:log())
      flow.stopped(d)
   end)

   describe("a dead letter", function()
      local DLQ = "on_error: dlq, on_reject: dlq, dlq: {topic: %s.dlq%s}"

      it("keeps key, value and headers, says what was wrong, and has the present time", function()
         f:topics { ["letter.in"] = 2, ["letter.out"] = 1, ["letter.dlq"] = 1 }
         local head = { { "a", "1" }, { "a", nil }, { "a", "" } }
         w:send("letter.in", { { key = "k", value = "boom", partition = 1, timestamp = 1234567890123, headers = head } })
         w:send("letter.in", { { value = "no", partition = 1, timestamp = 5 }, { key = "t", partition = 1 } })
         local d = f:run("letter", { from = "letter.in", to = "letter.out", errors = DLQ:format("letter", ""), lua = [[
            local onced = require "onced"
            return function(r, out)
               out.default:send { value = "taken back" }
               if r.value == "no" then return onced.reject "not wanted" end
               local t = r.value:upper()
               error("boom " .. t)
            end]] })
         f:through("letter", "letter.in")
         local now, got = os.time() * 1000, w:read "letter.dlq"
         assert.are.equal(3, #got)
         assert.are.same({ "k", "boom" }, { got[1].key, got[1].value })
         assert.are.same({ nil, "no" }, { got[2].key, got[2].value })
         assert.are.equal("t", got[3].key)
         assert.is_nil(got[3].value)
         local function error_headers(r, from)
            local out = {}
            for i = from, #r.headers do out[i - from + 1] = r.headers[i][1]:gsub("^__onced%.error%.", "") .. "=" .. r.headers[i][2] end
            return out
         end
         assert.are.same({ { "a", "1" }, { "a", nil }, { "a", "" } }, { got[1].headers[1], got[1].headers[2], got[1].headers[3] })
         assert.are.same({ "topic=letter.in", "partition=1", "offset=0", "timestamp=1234567890123", "pipeline=letter",
            "script=letter.lua:6", "kind=error", "message=boom BOOM" }, error_headers(got[1], 4))
         assert.are.same({ "topic=letter.in", "partition=1", "offset=1", "timestamp=5", "pipeline=letter",
            "script=letter.lua:2", "kind=reject", "message=not wanted" }, error_headers(got[2], 1))
         assert.are.equal("script=letter.lua:5", error_headers(got[3], 1)[6])
         for _, r in ipairs(got) do assert.is_true(math.abs(r.timestamp - now) < 60000) end
         assert.are.same({}, w:values("letter.out", "read_uncommitted"))
         flow.stopped(d)
      end)

      it("is in the transaction of the rest of its batch", function()
         f:topics { ["same.in"] = 1, ["same.out"] = 1, ["same.dlq"] = 1 }
         local list, hold = values(50, { [20] = "boom" }), "build/spec/hold-same-" .. process.self()
         finally(function() os.remove(hold) os.remove(hold .. ".reached") end)
         local d = f:run("same", { from = "same.in", to = "same.out", lua = PICKY, errors = DLQ:format("same", ""),
            transaction = "commit_every: 3s, timeout: 20s", daemon = { failpoints = "before-endtxn=hold:" .. hold } })
         w:send("same.in", { "first" }) -- committed at once; what comes in the three seconds after it is one batch
         f:visible("same.out", 1)
         os.remove(hold .. ".reached")
         local file = assert(io.open(hold, "w"))
         file:close()
         w:send("same.in", list)
         wait.till("the commit is held", 20, function()
            local reached = io.open(hold .. ".reached")
            return reached and reached:close()
         end)
         local open = w:transactions({ prefix = "onced.same." }).transactions
         assert.are.equal(1, #open)
         local parts = {}
         for _, p in ipairs(open[1].partitions) do parts[p:gsub("^__consumer_offsets%-%d+$", "offsets")] = true end
         assert.are.same({ offsets = true, ["same.out-0"] = true, ["same.dlq-0"] = true }, parts)
         assert.are.same({ "first" }, w:values "same.out")
         assert.are.same({}, w:values "same.dlq")
         assert.are.equal(50, #w:values("same.out", "read_uncommitted"))
         assert.are.same({ "boom" }, w:values("same.dlq", "read_uncommitted"))
         d:signal_worker(1, "KILL") -- and it is aborted with it
         os.remove(hold)
         f:through("same", "same.in")
         assert.are.same({ "first", unpack(without(list, "boom")) }, w:values "same.out")
         assert.are.same({ "boom" }, w:values "same.dlq")
         assert.are.equal(2, #w:values("same.dlq", "read_uncommitted"))
         flow.stopped(d)
      end)

      it("too many stop the pipeline: max_ratio, from min on", function()
         f:topics { ["ratio.in"] = 1, ["ratio.out"] = 1, ["ratio.dlq"] = 1 }
         local d = f:run("ratio", { from = "ratio.in", to = "ratio.out", lua = PICKY,
            errors = DLQ:format("ratio", ", max_ratio: 0.5, min: 10, per: 1h") })
         local few = {}
         for i = 1, 40 do few[i] = i % 5 == 0 and "boom" or "fine" end
         w:send("ratio.in", { "boom", "boom", "boom" }) -- below min the share doesn't count
         f:through("ratio", "ratio.in")
         w:send("ratio.in", few)
         f:through("ratio", "ratio.in")
         assert.are.equal(11, #w:values "ratio.dlq")
         local flood = {}
         for i = 1, 200 do flood[i] = "boom" end
         w:send("ratio.in", flood)
         assert.are.equal(65, d:wait(20))
         -- 43 records with 11 letters; n more letters are above half when 11 + n > (43 + n) / 2, that is with the 22nd, offset 64.
         assert.is_truthy(d:log():find("33 of 65 records became dead letters, above errors.dlq.max_ratio 0.5", 1, true), d:log())
         assert.are.equal(64, (f:offset("ratio", "ratio.in")))
         assert.are.equal(32, #w:values "ratio.dlq")
      end)

      it("that doesn't fit its topic halts the pipeline and names the record", function()
         f:topics { ["fit.in"] = 1, ["fit.out"] = 1, ["fit.dlq"] = { 1, { [SMALL] = 600 } } }
         w:send("fit.in", { "a", "boom", "b" })
         local d = f:run("fit", { from = "fit.in", to = "fit.out", errors = DLQ:format("fit", ""),
            lua = "return function(r) if r.value ~= 'b' and #r.value > 1 then error(('x'):rep(900)) end return r end" })
         assert.are.equal(65, d:wait(20))
         assert.is_truthy(d:log():match "its dead letter of %d+ bytes doesn't fit topic fit.dlq .-%(topic fit.in, partition 0, offset 1%)", d:log())
         assert.are.equal(1, (f:offset("fit", "fit.in")))
         assert.are.same({ "a" }, w:values "fit.out")
      end)
   end)

   describe("a record that the output topic refuses", function()
      -- 300 small ones; three of them make outputs that the topic won't take.
      local BAD = { [40] = "bad", [41] = "bad", [299] = "bad" }

      local function through_dlq(name, list)
         f:through(name, name .. ".in", 60)
         assert.are.same(without(list, "bad"), w:values(name .. ".out"))
         local letters, offsets = w:read(name .. ".dlq"), {}
         for i, r in ipairs(letters) do
            assert.are.equal("bad", r.value)
            offsets[i] = flow.header(r, "__onced.error.offset")
         end
         assert.are.same({ "39", "40", "298" }, offsets)
         return letters
      end

      it("for its size is judged before a transaction is begun", function()
         f:topics { ["size.in"] = 1, ["size.out"] = { 1, { [SMALL] = 2000 } }, ["size.dlq"] = 1 }
         local list = values(300, BAD)
         w:send("size.in", list)
         local d = f:run("size", { from = "size.in", to = "size.out", errors = "on_error: dlq, dlq: {topic: size.dlq}",
            lua = "return function(r) if r.value == 'bad' then return { value = ('x'):rep(2001) } end return { value = r.value } end" })
         local letters = through_dlq("size", list)
         assert.are.equal("too-large", flow.header(letters[1], "__onced.error.kind"))
         assert.are.equal("size.lua:1", flow.header(letters[1], "__onced.error.script"))
         assert.are.equal(0, d:count "aborted")
         assert.are.equal(297, #w:values("size.out", "read_uncommitted"))
         flow.stopped(d)
      end)

      local OLD = "return function(r) return { value = r.value, timestamp = r.value == 'bad' and 1000 or nil } end"

      for _, policy in ipairs { "dlq", "skip", "stop" } do
         it("for its time is found and answered by on_error: " .. policy, function()
            local name = "time-" .. policy
            f:topics { [name .. ".in"] = 1, [name .. ".out"] = { 1, { ["message.timestamp.before.max.ms"] = 86400000 } } }
            local list = values(300, BAD)
            w:send(name .. ".in", list)
            if policy == "dlq" then f:topics { [name .. ".dlq"] = 1 } end
            local d = f:run(name, { from = name .. ".in", to = name .. ".out", lua = OLD,
               errors = policy == "dlq" and ("on_error: dlq, dlq: {topic: %s.dlq}"):format(name) or "on_error: " .. policy })
            if policy == "dlq" then
               local letters = through_dlq(name, list)
               assert.are.equal("refused", flow.header(letters[1], "__onced.error.kind"))
               assert.is_truthy(flow.header(letters[1], "__onced.error.message"):match "INVALID_TIMESTAMP")
               flow.stopped(d)
            elseif policy == "skip" then
               f:through(name, name .. ".in", 60)
               assert.are.same(without(list, "bad"), w:values(name .. ".out"))
               assert.is_truthy(d:log():find(("(topic %s.in, partition 0, offset 39)"):format(name), 1, true), d:log())
               flow.stopped(d)
            else
               assert.are.equal(65, d:wait(30))
               assert.is_truthy(d:log():match(("INVALID_TIMESTAMP.-%%(topic %s.in, partition 0, offset 39%%)"):format(name:gsub("%-", "%%-"))),
                  d:log())
               -- Its batch is dropped whole (R8), so nothing after what was committed before is visible; repaired, it goes on there.
               local at = f:offset(name, name .. ".in")
               assert.are.equal(at, #w:values(name .. ".out"))
               flow.rewrite(d, name, { from = name .. ".in", to = name .. ".out", lua = "return function(r) return { value = r.value } end" })
               d:start()
               f:through(name, name .. ".in")
               assert.are.same(list, w:values(name .. ".out"))
               flow.stopped(d)
            end
         end)
      end

      it("for a limit that was lowered while onced ran is found; the small ones pass", function()
         f:topics { ["lower.in"] = 1, ["lower.out"] = 1, ["lower.dlq"] = 1 }
         local lua = "return function(r) return { value = r.value .. (r.value == 'bad' and ('x'):rep(3000) or '') } end"
         local d = f:run("lower", { from = "lower.in", to = "lower.out", lua = lua, errors = "on_error: dlq, dlq: {topic: lower.dlq}" })
         w:send("lower.in", { "bad" })
         assert.are.equal(3003, #f:visible("lower.out", 1)[1].value)
         w:configure { topic = "lower.out", configs = { [SMALL] = 1500 } }
         local list = values(300, BAD)
         w:send("lower.in", list)
         f:through("lower", "lower.in", 60)
         local got = w:values "lower.out"
         table.remove(got, 1)
         assert.are.same(without(list, "bad"), got)
         assert.are.equal(3, #w:values "lower.dlq")
         flow.stopped(d)
      end)

      it("as a dead letter halts the pipeline instead of going round", function()
         f:topics { ["round.in"] = 1, ["round.out"] = 1, ["round.dlq"] = { 1, { ["message.timestamp.after.max.ms"] = 1 } } }
         w:configure { topic = "round.dlq", configs = { ["message.timestamp.before.max.ms"] = 1 } } -- refuses even what is of now
         w:send("round.in", { "a", "boom", "b" })
         local d = f:run("round", { from = "round.in", to = "round.out", lua = PICKY, errors = "on_error: dlq, dlq: {topic: round.dlq}" })
         assert.are.equal(65, d:wait(30))
         assert.is_truthy(d:log():match "halted: .-%(topic round.in, partition 0, offset 1%)", d:log())
         assert.are.same({}, w:values "round.dlq")
      end)
   end)
end)
