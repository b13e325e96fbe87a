-- onced.testing: a pipeline on tables. What runs is the daemon's own code, so here it's about what goes in and what is told.
local ffi = require "ffi"
local lib = require "spec.unit.onced_lib"
local testing = require "onced.testing"
local onced = require "onced"

local folder = "build/spec/testing-" .. require("spec.support.process").self()
local number = 0

-- A pipeline of this script; options are testing.load's, and `yaml` (more lines), `input`, `outputs`, `files` ({name = text}).
local function load(script, options)
   options = options or {}
   number = number + 1
   local dir = ("%s/%d"):format(folder, number)
   assert(os.execute("mkdir -p " .. dir))
   local files = { ["shop.lua"] = script, ["shop.yaml"] = ("version: 1\ninput: {topics: %s}\ntransform: {script: shop.lua%s}\noutputs: {%s}\n%s\n")
      :format(options.input or "[orders]", options.transform or "", options.outputs or "default: {topic: plain}", options.yaml or "") }
   for name, text in pairs(options.files or {}) do files[name] = text end
   for name, text in pairs(files) do
      local file = assert(io.open(dir .. "/" .. name, "wb"))
      file:write(text)
      file:close()
   end
   return testing.load(dir .. "/shop.yaml", { params = options.params, data = options.data, now = options.now, env = options.env, topics = options.topics,
      service = options.service and dir .. "/" .. options.service })
end

local function message(work)
   local ok, text = pcall(work)
   assert.is_false(ok)
   return text
end

local DLQ = "errors: {on_error: dlq, on_reject: dlq, dlq: {topic: dead}}"
local NOW, NOW_MS = "2026-01-31T10:00:00Z", 1769853600000

-- Fails, rejects or drops by the value.
local MIXED = [[
local onced = require "onced"
return function(rec, out)
  out.audit:send(rec)
  if rec.value == "bad" then error "is bad" end
  if rec.value == "no" then return onced.reject "no good" end
  if rec.value == "drop" then return onced.drop "not wanted" end
  return rec
end]]
local AUDIT = "default: {topic: plain}, audit: {topic: audit}"

describe("onced.testing", function()
   teardown(function() os.execute("rm -rf " .. folder) end)

   it("tells what was sent, whole", function()
      local p = load([[return function(rec, out)
         out.audit:send { key = rec.key, value = rec.topic .. "/" .. rec.partition .. "/" .. rec.offset, timestamp = 5, partition = 2,
            headers = { { "a", "1" }, { "a", require("onced").null } } }
         return rec
      end]], { outputs = "default: {topic: plain, headers: {source: shop}}, audit: {topic: audit}" })
      local r = p:run { key = "k\0", value = '{"n":18446744073709551615}', headers = { { "h", "\255" }, { "source", "x" } }, timestamp = 77 }
      local passed, audit = r.sent.default[1], r.sent.audit[1]
      assert.same({ "k\0", '{"n":18446744073709551615}', 77, "plain", 1 },
         { passed.key, passed.value, passed.timestamp, passed.topic, passed.source })
      assert.is_nil(passed.partition)
      assert.same({ { "h", "\255" }, { "source", "shop" } }, passed.headers)
      assert.equal("\255", passed:header "h")
      assert.equal(18446744073709551615ULL, passed:get "/n")
      assert.equal(18446744073709551615ULL, passed:json().n)
      assert.is_nil(passed:get "/m")
      assert.same({ "orders/0/0", 5, 2 }, { audit.value, audit.timestamp, audit.partition })
      assert.same({ { "a", "1" }, { "a", onced.null } }, audit.headers)
      assert.equal(onced.null, audit:header "a")
      assert.is_nil(audit:header "b")
      assert.is_nil(r.halt)
   end)

   it("takes one record or a list, nulls, several topics and partitions, and counts their offsets", function()
      local p = load([[return function(rec)
         return { value = ("%s/%d/%d %s %s"):format(rec.topic, rec.partition, rec.offset, tostring(rec.key), tostring(rec.value)) }
      end]], { input = '[orders, "^returns-[a-z]+$"]' })
      local function values(records)
         local list = {}
         for i, record in ipairs(p:run(records).sent.default) do list[i] = record.value end
         return list
      end
      assert.same({ "orders/0/0 nil a" }, values { value = "a" })
      assert.same({ "orders/0/1 nil nil", "orders/3/0 k ", "orders/3/1 nil nil", "returns-eu/0/0 nil z", "orders/0/90 nil nil" },
         values { { value = onced.null }, { key = "k", value = "", partition = 3 }, { partition = 3, headers = {} },
            { topic = "returns-eu", value = "z" }, { offset = 90, timestamp = -1 } })
      assert.same({ "orders/0/91 nil nil" }, values { timestamp = 1 })
   end)

   it("tells a topic with a variable", function()
      local p = load("return function(rec, out) out.regional:send(rec, { region = rec.key }) end",
         { outputs = 'regional: {topic: "r-{region}", region: [eu, us]}', yaml = "errors: {on_error: skip}" })
      local r = p:run { { key = "us" }, { key = "eu" }, { key = "su" } }
      assert.same({ "r-us", "r-eu" }, { r.sent.regional[1].topic, r.sent.regional[2].topic })
      assert.equal(2, #r.sent.regional)
      assert.matches('shop.lua:1: outputs.regional: region "su" isn\'t listed; did you mean "eu"?', tostring(r), 1, true)
   end)

   it("answers by the pipeline's policies: dlq", function()
      local p = load(MIXED, { outputs = AUDIT, yaml = DLQ, now = NOW })
      local r = p:run { { value = "a" }, { key = "k", value = "bad", headers = { h = "1" } }, { value = "no" }, { value = "drop" }, { value = "b" } }
      assert.same({ 2, 2, 2 }, { #r.sent.default, #r.sent.audit, #r.dead_letters })
      assert.same({ { record = 2, what = "failed", kind = "error", message = "is bad", place = "shop.lua:4", policy = "dlq" } }, r.errors)
      assert.same({ { record = 3, what = "rejected", reason = "no good", place = "shop.lua:2", policy = "dlq" } }, r.rejects)
      assert.same({ { record = 4, what = "dropped", reason = "not wanted" } }, r.drops)
      local letter = r.dead_letters[1]
      assert.same({ "k", "bad", "dead", NOW_MS, 2 }, { letter.key, letter.value, letter.topic, letter.timestamp, letter.source })
      assert.same({ "1", "orders", "0", "1", "shop", "shop.lua:4", "error", "is bad" }, { letter:header "h", letter:header "__onced.error.topic",
         letter:header "__onced.error.partition", letter:header "__onced.error.offset", letter:header "__onced.error.pipeline",
         letter:header "__onced.error.script", letter:header "__onced.error.kind", letter:header "__onced.error.message" })
      assert.equal([[2 sent to audit, 2 sent to default
  record 2 failed: shop.lua:4: is bad (on_error: dlq)
  record 3 rejected: shop.lua:2: no good (on_reject: dlq)
  record 4 dropped: not wanted]], tostring(r))
   end)

   it("answers by the pipeline's policies: skip", function()
      local r = load(MIXED, { outputs = AUDIT, yaml = "errors: {on_error: skip, on_reject: skip}" }):run { { value = "bad" }, { value = "no" }, {} }
      assert.same({ 1, 0, "skip", "skip" }, { #r.sent.default, #r.dead_letters, r.errors[1].policy, r.rejects[1].policy })
   end)

   it("halts by the pipeline's policies; the next run starts anew", function()
      local p = load("local n = 0\n" .. MIXED:gsub("out.audit:send%(rec%)", "n = n + 1 out.audit:send { value = tostring(n) }"), { outputs = AUDIT })
      local r = p:run { { value = "a" }, { value = "bad" }, { value = "b" } }
      assert.equal("shop.lua:5: is bad (topic orders, partition 0, offset 1)", r.halt)
      assert.same({ 1, 1, "stop" }, { #r.sent.default, #r.sent.audit, r.errors[1].policy })
      assert.equal("1", p:run({ value = "c" }).sent.audit[1].value)
      assert.equal("2", p:run({ value = "c" }).sent.audit[1].value)
      assert.equal("1", p:restart():run({ value = "c" }).sent.audit[1].value)
      assert.matches("no good %(topic orders, partition 0, offset 6%)$", p:run({ value = "no" }).halt)
   end)

   it("halts at a flood of dead letters, and for a dead letter that is too large", function()
      local p = load(MIXED, { outputs = AUDIT, yaml = "errors: {on_error: dlq, dlq: {topic: dead, max_ratio: 0.5, min: 3}}" })
      local r = p:run { { value = "bad" }, { value = "bad" }, { value = "bad" }, { value = "a" } }
      assert.matches("3 of 3 records became dead letters", r.halt)
      assert.same({ 2, 0 }, { #r.dead_letters, #r.sent.default })
      p = load(MIXED, { outputs = AUDIT, yaml = DLQ, topics = { dead = { max_message_bytes = 200 } } })
      assert.matches("its dead letter of %d+ bytes doesn't fit topic dead", p:run({ value = "bad" }).halt)
   end)

   it("keeps the limits", function()
      local p = load([[return function(rec, out)
         if rec.key == "memory" then local t = {} for i = 1, 1e8 do t[i] = { i } end end
         for i = 1, 4 do out.default:send(rec, nil) end
         if rec.key == "table" then return { value = {} } end
         return { value = ("x"):rep(2000000) }
      end]], { transform = ", limits: {memory: 8MiB, outputs_per_record: 4}", yaml = "errors: {on_error: skip}" })
      local r = p:run { { key = "memory" }, {} }
      assert.same({ "memory", "limit" }, { r.errors[1].kind, r.errors[2].kind })
      assert.equal(0, #r.sent.default)
      p = load("return function(rec) return { value = ('x'):rep(2000000) } end", { yaml = "errors: {on_error: skip}" })
      assert.matches("doesn't fit topic plain %(max.message.bytes 1048588%)", p:run { {} }.errors[1].message)
      p = load("return function(rec) return { value = '', partition = 4 } end", { topics = { plain = { partitions = 4 } }, yaml = "errors: {on_error: skip}" })
      assert.same({ "partition", "there is no partition 4: topic plain has 4" }, { p:run { {} }.errors[1].kind, p:run { {} }.errors[1].message })
   end)

   it("has the sandbox", function()
      assert.matches("shop.lua:1: module 'ffi' isn't there for transforms", message(function() load 'require "ffi"' end))
      assert.matches("shop.lua:1: assigning the global 'n'", load("return function() n = 1 end"):run { {} }.halt)
      assert.matches("attempt to index global 'io'", load("return function() io.open 'x' end"):run { {} }.halt)
   end)

   it("runs process_batch, whose failing stretches are halved", function()
      local p = load([[return { process_batch = function(recs, out)
         if recs[1].partition == 1 then return require("onced").drop "all of it" end
         for _, rec in ipairs(recs) do if rec.value == "bad" then error "is bad" end end
         out.default:send { value = "of " .. #recs }
      end }]], { yaml = "errors: {on_error: skip}" })
      local r = p:run { { value = "a" }, { value = "b" }, { value = "bad" }, { value = "c" }, { partition = 1 }, { partition = 1 } }
      assert.same({ 3, "shop.lua:3" }, { r.errors[1].record, r.errors[1].place })
      assert.same({ { record = 5, what = "dropped", reason = "all of it" }, { record = 6, what = "dropped", reason = "all of it" } }, r.drops)
      assert.same({ "of 2", "of 1" }, { r.sent.default[1].value, r.sent.default[2].value })
   end)

   it("lets the clock stand still, for each pipeline its own", function()
      local CLOCK = "return function(rec, out, ctx) return { value = tostring(ctx.now()) .. ' ' .. rec.timestamp } end"
      local p, q = load(CLOCK, { now = NOW }), load(CLOCK, { now = 42 })
      local free = load(CLOCK)
      assert.equal(("%d %d"):format(NOW_MS, NOW_MS), p:run { {} }.sent.default[1].value)
      assert.equal("42 7", q:run({ timestamp = 7 }).sent.default[1].value)
      assert.equal(43, q:at(43):run({ timestamp = -1 }).sent.default[1].timestamp)
      assert.equal(("%d %d"):format(NOW_MS, NOW_MS), p:run { {} }.sent.default[1].value)
      assert.is_true(math.abs(free:run { {} }.sent.default[1].value:match "^%d+" / 1000 - os.time()) < 60)
      local file = assert(load("return { init = function(ctx) assert(ctx.now() == 42) end, process = function() end }", { now = 42 }))
      file:close()
      assert.matches("now is a time such as", message(function() load(CLOCK, { now = "yesterday" }) end))
   end)

   it("gives params instead of the file's, checked by the script", function()
      local PARAMS = [[local M = { params = { rate = { type = "number", max = 1, required = true }, list = { type = "list" } } }
      function M.init(ctx) M.text = require("onced").json.encode(ctx.params) end
      function M.process() return { value = M.text } end
      return M]]
      local transform = ', params: {rate: 0.5, list: [a, b]}'
      assert.equal('{"list":["a","b"],"rate":0.5}', load(PARAMS, { transform = transform }):run { {} }.sent.default[1].value)
      local p = load(PARAMS, { transform = transform, params = { rate = 0.25, list = onced.json.array {} } })
      assert.equal('{"list":[],"rate":0.25}', p:run { {} }.sent.default[1].value)
      assert.matches('"rate" must be at most 1', message(function() load(PARAMS, { transform = transform, params = { rate = 2 } }) end))
      assert.matches('knows no "rat/e~"', message(function() load(PARAMS, { transform = transform, params = { ["rat/e~"] = 2 } }) end), 1, true)
   end)

   it("gives data instead of the file's", function()
      local DATA = "return function(rec, out, ctx) return { value = ctx.data.names[rec.key] } end"
      local options = { transform = ", data: {names: names.json}", files = { ["names.json"] = '{"de":"Germany","fr":"France"}' } }
      local p = load(DATA, options)
      assert.equal("Germany", p:run({ key = "de" }).sent.default[1].value)
      options.data = { names = { de = "Deutschland" } }
      p = load(DATA, options)
      assert.equal("Deutschland", p:run({ key = "de" }).sent.default[1].value)
      assert.matches("neither value nor records", p:run({ key = "fr" }).halt)
      assert.equal("Deutschland", load(DATA, { data = options.data }):run({ key = "de" }).sent.default[1].value)
   end)

   it("tells what the script counted", function()
      local p = load([[local onced = require "onced"
         local all, odd = onced.metric.counter("all"), onced.metric.counter("odd", { kind = "x" })
         return function(rec) all:add() if rec.value == "bad" then odd:add(2) error "bad" end odd:add(0.5) return onced.drop "x" end]],
         { yaml = "errors: {on_error: skip}" })
      assert.same({ all = 2, ['odd{kind="x"}'] = 1 }, p:run({ { value = "a" }, { value = "bad" }, { value = "b" } }).metrics)
      assert.same({ all = 1, ['odd{kind="x"}'] = 0.5 }, p:run({ value = "a" }).metrics)
      onced.metric.counter("mine"):add(1) -- a script that a spec loads itself counts nothing, and doesn't fail
   end)

   it("gives an environment and a service file", function()
      local PASS = "return function() return { value = require('lib.name') } end"
      local p = load(PASS, { input = '["${env:ONCED_TEST_TOPIC}"]', env = { ONCED_TEST_TOPIC = "other" }, service = "service.yaml",
         files = { ["service.yaml"] = "version: 1\nlua_path: [more]\n", ["lib.name.lua"] = "" } })
      assert.matches("module 'lib.name' not found", p:run({ topic = "other" }).halt)
      assert.is_nil(os.getenv "ONCED_TEST_TOPIC")
      assert.matches("ONCED_TEST_TOPIC", message(function() load(PASS, { input = '["${env:ONCED_TEST_TOPIC}"]' }) end))
   end)

   it("keeps what the script says", function()
      local p = load("return function(rec) print('see', rec.value) require('onced').log.warn('odd', { n = 1 }) return rec end")
      local before, said = io.stderr, {}
      io.stderr = { write = function(_, ...) said[#said + 1] = table.concat { ... } end } -- luacheck: ignore
      local ok, r = pcall(p.run, p, { value = "a" })
      io.stderr = before -- luacheck: ignore
      assert.is_true(ok, r)
      assert.same({ "see\ta", "odd n=1" }, r.log)
      assert.same({ "shop: see\ta\n", "shop: odd n=1\n" }, said)
   end)

   it("says what is wrong at the line of the spec", function()
      local p = load("return function(rec) return rec end")
      local r = p:run { value = "a" }
      for text, work in pairs {
         ['there is no output "defautl"; did you mean "default"?'] = function() return r.sent.defautl end,
         ['a result has no field "reject"; did you mean "rejects"?'] = function() return r.reject end,
         ["sent.default has 1 entries, not 2"] = function() return r.sent.default[2] end,
         ["dead_letters has 0 entries, not 1"] = function() return r.dead_letters[1] end,
         ['a record has no field "vlaue"; did you mean "value"?'] = function() return r.sent.default[1].vlaue end,
         ['record 2: there is no "vlaue"; did you mean "value"?'] = function() p:run { {}, { vlaue = "a" } } end,
         ["record 1: value must be a string, is a table"] = function() p:run { value = {} } end,
         ["record 1: key must be a string, is a number"] = function() p:run { key = 1 } end,
         ['record 1: topic "oders": the topic is none of input.topics'] = function() p:run { topic = "oders" } end,
         ["run needs a record such as {value = ...}, or a list of them"] = function() p:run "a" end,
         ["an empty table is neither a record nor a list of them: {value = onced.null} is a record without key and value"] = function() p:run {} end,
         ['testing.load: there is no "param"; did you mean "params"?'] = function() testing.load("x.yaml", { param = {} }) end,
         ["nosuch.yaml isn't there, neither here nor beside the spec"] = function() testing.load "nosuch.yaml" end,
         ['topics: there is no "plan"; did you mean "plain"?'] = function() load("", { topics = { plan = {} } }) end,
      } do
         local told = message(work)
         assert.equal(text, (told:gsub("^[^ ]*testing_spec.lua:%d+: ", "", 1)))
         assert.matches("^[^ ]*testing_spec.lua:%d+: ", told)
      end
      p:close()
      assert.matches("the pipeline is closed", message(function() p:run { {} } end))
   end)

   it("says what is wrong with the files, as check does", function()
      local told = message(function() load("return 1", { yaml = "error: {on_error: skip}\nname: 'A B'" }) end)
      assert.matches('shop.yaml:5:1: error: unknown key "error"; did you mean "errors"?', told, 1, true)
      assert.matches("shop.yaml:6:7: error: ", told, 1, true)
      assert.matches("shop.yaml: shop.lua:2: ", message(function() load "return {\n" end), 1, true)
      told = message(function() load "return { init = function() error 'no rate' end, process = print }" end)
      assert.matches("shop.yaml: shop.lua:1: no rate (in init)", told, 1, true)
   end)

   it("tells why an entry isn't there", function()
      local p = load(MIXED, { outputs = AUDIT, yaml = DLQ })
      assert.matches("sent.default has 0 entries, not 1\n  record 1 failed: shop.lua:4: is bad (on_error: dlq)",
         message(function() return p:run({ value = "bad" }).sent.default[1].value end), 1, true)
      p = load(MIXED, { outputs = AUDIT })
      assert.matches("the pipeline has halted: shop.lua:4: is bad (topic orders, partition 0, offset 0)",
         message(function() return p:run({ value = "bad" }).sent.default[1].value end), 1, true)
   end)

   it("finds a pipeline file beside the spec", function()
      local dir = ("%s/beside"):format(folder)
      assert(os.execute("mkdir -p " .. dir))
      for name, text in pairs { ["a.yaml"] = "version: 1\ninput: {topics: [a]}\ntransform: {script: a.lua}\noutputs: {default: {topic: b}}\n",
         ["a.lua"] = "return function(rec) return rec end", ["ask.lua"] = 'local p = require("onced.testing").load("a.yaml") return p' } do
         local file = assert(io.open(dir .. "/" .. name, "w"))
         file:write(text)
         file:close()
      end
      assert.equal("v", dofile(dir .. "/ask.lua"):run({ value = "v" }).sent.default[1].value)
   end)

   it("keeps two pipelines apart, and what a script remembers from run to run", function()
      local COUNT = "local n = 0 return function(rec) n = n + 1 return { value = tostring(n) } end"
      local p, q = load(COUNT), load(COUNT)
      local first = p:run { {}, {} }
      assert.equal("1", q:run { {} }.sent.default[1].value)
      assert.equal("3", p:run { {} }.sent.default[1].value)
      assert.equal("2", first.sent.default[2].value) -- a result outlives the next run
   end)

   it("runs close", function()
      local p = load("return { process = print, close = function() local t = nil t.x = 1 end }")
      assert.equal("", message(function() p:close() error("", 0) end)) -- a close that fails is no failure of the spec
   end)

   if not os.getenv "ONCED_RUNTIME" then -- a sanitizer keeps what was freed
      it("gives memory back", function()
         lib.cdef("mallinfo2", [[struct mallinfo2 { size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost; };
            struct mallinfo2 mallinfo2(void);]])
         local function held()
            collectgarbage()
            collectgarbage()
            local m = ffi.C.mallinfo2()
            return tonumber(m.uordblks + m.hblkhd)
         end
         local p = load "return function(rec) local s = rec.value return { value = s .. s } end"
         local value = ("x"):rep(300000)
         local function round()
            p:restart():run { { value = value }, { value = value } }
            testing.load(folder .. "/" .. number .. "/shop.yaml"):run({ value = value })
         end
         for _ = 1, 5 do round() end
         local before = held()
         for _ = 1, 60 do round() end
         assert.is_true(held() - before < 8e6, ("%d bytes more"):format(held() - before)) -- 60 rounds that keep their records hold 36 MB
      end)
   end
end)
