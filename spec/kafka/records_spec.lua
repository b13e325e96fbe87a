-- Records as they go through: what a script doesn't touch comes out as it went in, to the byte; what it makes comes out as it said.
-- Written and read by Kafka's own client.
local flow = require "spec.kafka.flow"
local process = require "spec.support.process"

local CODECS = { "none", "gzip", "snappy", "lz4", "zstd" } -- by their number in a batch's attributes

-- Strings with every byte, repeatable.
local function bytes(size, seed)
   local out, x = {}, seed
   for i = 1, size do
      x = (x * 1103515245 + 12345) % 2147483648
      out[i] = string.char(math.floor(x / 65536) % 256)
   end
   return table.concat(out)
end

describe("records", function()
   local f, w
   setup(function()
      f = flow.open()
      w = f.witness
   end)
   teardown(function() if f then f:close() end end)
   after_each(function() f:clear() end)

   -- All that makes a record but its offset.
   local function essence(r)
      return { partition = r.partition, key = r.key or "(null)", value = r.value or "(null)", headers = r.headers, timestamp = r.timestamp }
   end

   local VARIED = {
      { key = "k1", value = "plain", partition = 0, timestamp = 1700000000123 },
      { value = "null key", partition = 0, timestamp = 1700000000124 },
      { key = "k2", partition = 0, timestamp = 1 },                                            -- tombstone
      { partition = 0 },                                                                       -- null, null
      { key = "", value = "", partition = 0, timestamp = 86400000 },                           -- empty isn't null
      { key = "k3", value = "", partition = 0 },
      { key = "", partition = 0 },
      { key = bytes(300, 1), value = bytes(3000, 2), partition = 0, headers = { { "all bytes", bytes(700, 3) } } },
      { key = "k4", value = "dup", partition = 0,
         headers = { { "b", "1" }, { "a", "2" }, { "b", "3" }, { "b", nil }, { "", "nameless" }, { "b", "" }, { "a", "2" } } },
      { key = "k5", headers = { { "only", nil } }, partition = 0 },
      { key = "k6", value = "many", headers = {}, partition = 0 },
   }
   for i = 1, 100 do VARIED[#VARIED].headers[i] = { "h" .. i % 70, i % 9 > 0 and bytes(i % 50, i) or nil } end

   it("pass with key, value, headers and time as they came, to the byte and in order", function()
      f:topics { ["pass.in"] = 2, ["pass.out"] = 1 }
      w:send("pass.in", VARIED)
      local d = f:run("pass", { from = "pass.in", to = "pass.out" })
      f:through("pass", "pass.in")
      local before, after = w:read("pass.in"), w:read("pass.out")
      assert.are.equal(#VARIED, #before)
      assert.are.equal(#VARIED, #after)
      for i, r in ipairs(before) do assert.are.same(essence(r), essence(after[i])) end
      flow.stopped(d)
   end)

   it("are shown to the script as they are", function()
      f:topics { ["show.in"] = 2, ["show.out"] = 1 }
      w:send("show.in", {
         { key = "k", value = "v", partition = 1, timestamp = 1700000000123, headers = { { "h", "1" }, { "h", nil }, { "x", "" } } },
         { partition = 1, timestamp = 5 },
         { key = "", value = "", partition = 1, timestamp = 6 },
      })
      local d = f:run("show", { from = "show.in", to = "show.out", lua = [[
         local onced = require "onced"
         local function text(v) return v == nil and "nil" or v == onced.null and "null" or ("%q"):format(v) end
         return function(r)
            local heads = {}
            for i, h in ipairs(r:headers()) do heads[i] = h[1] .. "=" .. text(h[2]) end
            return { key = r.key, value = table.concat({ text(r.key), text(r.value), r.topic, r.partition, r.offset, r.timestamp,
               table.concat(heads, ","), text(r:header "h"), text(r:header "absent") }, " ") }
         end]] })
      f:through("show", "show.in")
      assert.are.same({
         '"k" "v" show.in 1 0 1700000000123 h="1",h=null,x="" null nil',
         'nil nil show.in 1 1 5  nil nil',
         '"" "" show.in 1 2 6  nil nil',
      }, w:values "show.out")
      flow.stopped(d)
   end)

   it("are mapped: what is derived keeps the rest, a table has what it says", function()
      f:topics { ["map.in"] = 1, ["map.out"] = 4 }
      for i = 1, 11 do
         w:send("map.in", { { key = "k" .. i, value = "v" .. i, timestamp = 1700000000000 + i, headers = { { "a", "1" }, { "a", "2" } } } })
      end
      local d = f:run("map", { from = "map.in", outputs = "default: {topic: map.out, headers: {fixed: yes}}", lua = [[
         local onced = require "onced"
         local how = {
            function(r) return r:derive { value = r.value .. "!" } end,
            function(r) return r:derive { key = onced.null, partition = 3 } end,
            function(r) return r:derive { headers = { { "b", onced.null }, { "b", "" } } } end,
            function(r) return r:derive { timestamp = 42, partition = 2 } end,
            function(r) return { value = "table", partition = 1 } end,
            function(r) return { value = onced.null, key = r.key, partition = 0 } end,
            function(r) return { value = "", key = "", headers = { z = "1", y = "2" }, timestamp = 7, partition = 3 } end,
            function(r) return { r, { value = "second", partition = 1 }, r:derive { value = "third", partition = 1 } } end,
            function(r) return r:derive { value = onced.null, partition = 2 } end,
            function(r) return r:derive { headers = { fixed = "mine" }, partition = 2 } end,
            function(r)
               local list = {}
               for i = 1, 100 do list[i] = { "n" .. i % 70, i % 9 > 0 and tostring(i) or onced.null } end
               return r:derive { headers = list }
            end,
         }
         return function(r) return how[tonumber(r.key:sub(2))](r) end]] })
      f:through("map", "map.in")
      local by = {}
      for _, r in ipairs(w:read "map.out") do
         local heads = {}
         for i, h in ipairs(r.headers) do heads[i] = h[1] .. "=" .. (h[2] or "null") end
         by[#by + 1] = ("%s|%s|%d|%s"):format(r.key or "null", r.value or "null", r.timestamp, table.concat(heads, ","))
         if r.key == nil and r.value == "v2" then assert.are.equal(3, r.partition) end
      end
      table.sort(by)
      local t = 1700000000000
      local expected = {
         ("k1|v1!|%d|a=1,a=2,fixed=yes"):format(t + 1),
         ("null|v2|%d|a=1,a=2,fixed=yes"):format(t + 2),
         ("k3|v3|%d|b=null,b=,fixed=yes"):format(t + 3),
         "k4|v4|42|a=1,a=2,fixed=yes",
         ("null|table|%d|fixed=yes"):format(t + 5),
         ("k6|null|%d|fixed=yes"):format(t + 6),
         "||7|y=2,z=1,fixed=yes",
         ("k8|v8|%d|a=1,a=2,fixed=yes"):format(t + 8),
         ("null|second|%d|fixed=yes"):format(t + 8),
         ("k8|third|%d|a=1,a=2,fixed=yes"):format(t + 8),
         ("k9|null|%d|a=1,a=2,fixed=yes"):format(t + 9),
         ("k10|v10|%d|fixed=yes"):format(t + 10),
      }
      local many = {}
      for i = 1, 100 do many[i] = ("n%d=%s"):format(i % 70, i % 9 > 0 and i or "null") end
      expected[#expected + 1] = ("k11|v11|%d|%s,fixed=yes"):format(t + 11, table.concat(many, ","))
      table.sort(expected)
      assert.are.same(expected, by)
      flow.stopped(d)
   end)

   it("go to several outputs and templates, are dropped, rejected and split; taken back is taken back", function()
      f:topics { ["fan.in"] = 2, ["fan.out"] = 2, ["fan.audit"] = 1, ["fan.to-eu"] = 1, ["fan.to-us"] = 1 }
      local sent = {}
      for i = 1, 600 do sent[i] = { key = "k" .. i % 7, value = tostring(i), partition = i % 2 } end
      w:send("fan.in", sent)
      local d = f:run("fan", { from = "fan.in", errors = "on_reject: skip, on_error: skip",
         outputs = [[default: {topic: fan.out}, audit: {topic: fan.audit}, regional: {topic: "fan.to-{region}", region: [eu, us]}]], lua = [[
         local onced = require "onced"
         return function(r, out)
            local n = tonumber(r.value)
            out.audit:send { value = r.value }
            if n % 6 == 0 then return onced.drop "six" end
            if n % 6 == 1 then return onced.reject "one" end
            if n % 6 == 2 then error "two" end
            if n % 6 == 3 then return { r, r:derive { value = r.value .. "b" } } end
            if n % 6 == 4 then out.regional:send(r, { region = n % 12 == 4 and "eu" or "us" }) return r end
            out.regional:send(r, { region = "eu" })
         end]] })
      f:through("fan", "fan.in")
      local want = { out = {}, audit = {}, eu = {}, us = {} }
      for i = 1, 600 do
         local function add(where, v) want[where][v] = (want[where][v] or 0) + 1 end
         if i % 6 >= 3 then add("audit", tostring(i)) end
         if i % 6 == 3 then add("out", tostring(i)) add("out", i .. "b") end
         if i % 6 == 4 then add("out", tostring(i)) add(i % 12 == 4 and "eu" or "us", tostring(i)) end
         if i % 6 == 5 then add("eu", tostring(i)) end
      end
      for where, topic in pairs { out = "fan.out", audit = "fan.audit", eu = "fan.to-eu", us = "fan.to-us" } do
         local got, last = {}, {}
         for _, r in ipairs(w:read(topic)) do
            got[r.value] = (got[r.value] or 0) + 1
            local n = tonumber((r.value:gsub("b", ""))) -- order of each pair of input and output partition
            local pair = n % 2 .. "-" .. r.partition
            assert.is_true(n >= (last[pair] or 0), topic .. ": " .. n .. " after " .. tostring(last[pair]))
            last[pair] = n
         end
         assert.are.same(want[where], got)
      end
      flow.stopped(d)
   end)

   it("keep their order where two outputs write one topic, each with its own headers", function()
      f:topics { ["both.in"] = 2, ["both.out"] = 2 }
      local sent = {}
      for i = 1, 500 do sent[i] = { key = "k" .. i % 2, value = tostring(i), partition = i % 2 } end
      w:send("both.in", sent)
      local d = f:run("both", { from = "both.in", outputs = [[default: {topic: both.out, headers: {by: one}, compression: lz4},
  other: {topic: both.out, headers: {by: two}, compression: lz4}]],
         lua = "return function(r, out) out.other:send(r) return r end" })
      f:through("both", "both.in")
      local list, last = w:read "both.out", {}
      assert.are.equal(1000, #list)
      for _, r in ipairs(list) do
         local at = 2 * tonumber(r.value) + (flow.header(r, "by") == "one" and 1 or 0)
         assert.is_true(at > (last[r.key] or 0), r.value)
         last[r.key] = at
      end
      flow.stopped(d)
   end)

   it("go to the partition that a script names; one that isn't there is a failed record", function()
      f:topics { ["named.in"] = 1, ["named.out"] = 3, ["named.dlq"] = 1 }
      w:send("named.in", { "0", "2", "3", "1", "2147483647", "4294967297", "-1", "0.5", "2" })
      local d = f:run("named", { from = "named.in", to = "named.out", errors = "on_error: dlq, dlq: {topic: named.dlq}",
         lua = "return function(r) return r:derive { partition = tonumber(r.value) } end" })
      f:through("named", "named.in")
      local got = {}
      for _, r in ipairs(w:read "named.out") do
         assert.are.equal(tonumber(r.value), r.partition)
         got[#got + 1] = r.value
      end
      table.sort(got)
      assert.are.same({ "0", "1", "2", "2" }, got)
      local letters = w:read "named.dlq"
      assert.are.equal("there is no partition 3: topic named.out has 3", flow.header(letters[1], "__onced.error.message"))
      for i, value in ipairs { "3", "2147483647", "4294967297", "-1", "0.5" } do assert.are.equal(value, letters[i].value) end
      assert.are.equal(5, #letters)
      flow.stopped(d)
   end)

   it("meet by key where Java's producer would put them, and without a key by the input's partition", function()
      f:topics { ["key.in"] = 5, ["key.java"] = 7, ["key.out"] = 7 }
      local list, java, n = {}, {}, 0
      for i = 1, 1200 do
         local key = i == 1 and "" or bytes(i % 61, i)
         list[i] = { key = key, value = "v" .. i, partition = i % 5 }
         java[i] = { key = key, value = "v" .. i }
      end
      for i = 1, 50 do list[1200 + i] = { value = "n" .. i, partition = i % 5 } end
      w:send("key.in", list)
      w:send("key.java", java)
      local d = f:run("key", { from = "key.in", to = "key.out" })
      f:through("key", "key.in")
      local where, used = {}, {}
      for _, r in ipairs(w:read "key.java") do where[r.value] = r.partition end
      for _, r in ipairs(w:read "key.out") do
         n = n + 1
         if r.key then
            assert.are.equal(where[r.value], r.partition, r.value)
            used[r.partition] = true
         else
            assert.are.equal(tonumber(r.value:sub(2)) % 5, r.partition, r.value)
         end
      end
      assert.are.equal(1250, n)
      for p = 0, 6 do assert.is_true(used[p]) end
      flow.stopped(d)
   end)

   -- The codecs that a partition's log really holds: bits of the batch headers' attributes.
   local function codecs_of(topic)
      local file = assert(io.open(("%s/1/data/%s-0/00000000000000000000.log"):format(f.kafka.dir, topic), "rb"))
      local log, at, found = file:read "*a", 1, {}
      file:close()
      while at + 61 <= #log do
         local a, b, c, e = log:byte(at + 8, at + 11)
         local attributes = log:byte(at + 22)
         if attributes % 64 < 32 then found[CODECS[attributes % 8 + 1]] = true end -- 32: a marker
         at = at + 12 + ((a * 256 + b) * 256 + c) * 256 + e
      end
      return found
   end

   it("come in every codec and go out in every codec", function()
      local outputs, sends = {}, {}
      f:topics { ["codec.in"] = 1 }
      for i, codec in ipairs(CODECS) do
         f:topics { ["codec.out-" .. codec] = 1 }
         outputs[i] = ("%s: {topic: codec.out-%s, compression: %s}"):format(codec, codec, codec)
         sends[i] = ("out.%s:send(r)"):format(codec)
         local list = {}
         for n = 1, 40 do list[n] = { key = "k" .. n, value = codec .. ("x"):rep(500) .. n, headers = { { "h", codec } } } end
         w:send("codec.in", list, { compression = codec })
      end
      local d = f:run("codec", { from = "codec.in", outputs = table.concat(outputs, ", "),
         lua = "return function(r, out) " .. table.concat(sends, " ") .. " end" })
      f:through("codec", "codec.in")
      local before = w:read "codec.in"
      assert.are.equal(200, #before)
      for _, codec in ipairs(CODECS) do
         local after = w:read("codec.out-" .. codec)
         assert.are.equal(200, #after)
         for i, r in ipairs(before) do assert.are.same(essence(r), essence(after[i])) end
         if not f.kafka.foreign then
            assert.is_true(codecs_of("codec.in")[codec])
            assert.are.same({ [codec] = true }, codecs_of("codec.out-" .. codec))
         end
      end
      flow.stopped(d)
   end)

   it("may be as large as the output topic takes them, to the byte", function()
      -- A batch of one record costs 72 bytes here; the witness's producer agrees that one more is too much for the topic.
      local limit = 1048588
      f:topics { ["large.in"] = 1, ["large.out"] = { 1, { ["max.message.bytes"] = limit } } }
      w:configure { topic = "large.in", configs = { ["max.message.bytes"] = limit } }
      for _, more in ipairs { -600, -72, 0 } do w:send("large.in", { ("x"):rep(limit - 72 + more) }, { compression = "none" }) end
      assert.has_error(function() w:send("large.in", { ("x"):rep(limit - 71) }) end)
      local d = f:run("large", { from = "large.in", to = "large.out" })
      f:through("large", "large.in")
      local after = w:read "large.out"
      assert.are.equal(3, #after)
      assert.are.equal(limit - 72, #after[3].value)
      flow.stopped(d)
   end)

   it("above a megabyte pass where the topics take them", function()
      local configs = { ["max.message.bytes"] = 12000000 }
      f:topics { ["huge.in"] = { 1, configs }, ["huge.out"] = { 1, configs }, ["huge.made"] = { 1, configs }, ["huge.small"] = 1 }
      local values = { bytes(1500000, 5), "small", bytes(5000001, 6), "y", ("z"):rep(11000000) }
      w:send("huge.in", values)
      local d = f:run("huge", { from = "huge.in", outputs = "default: {topic: huge.out}, made: {topic: huge.made}, small: {topic: huge.small}",
         lua = [[return function(r, out)
            out.small:send { value = tostring(#r.value) }
            out.made:send { value = r.value:sub(2) .. "!" }
            return r
         end]] })
      f:through("huge", "huge.in")
      local after, made = w:values "huge.out", w:values "huge.made"
      assert.are.equal(5, #after)
      for i = 1, 5 do
         assert.is_true(values[i] == after[i], "value " .. i)
         assert.is_true(values[i]:sub(2) .. "!" == made[i], "value made of " .. i)
      end
      assert.are.same({ "1500000", "5", "5000001", "1", "11000000" }, w:values "huge.small")
      flow.stopped(d)
   end)

   it("come to process_batch in slices of one partition, in order; a failing one alone is answered by the policy", function()
      f:topics { ["slice.in"] = 3, ["slice.out"] = 1 }
      local list = {}
      for i = 1, 900 do list[i] = { key = "k", value = tostring(i), partition = i % 3 } end
      w:send("slice.in", list)
      local d = f:run("slice", { from = "slice.in", to = "slice.out", errors = "on_error: skip", lua = [[
         return { process_batch = function(recs, out)
            local result = {}
            for i, r in ipairs(recs) do
               if r.partition ~= recs[1].partition or (i > 1 and r.offset <= recs[i - 1].offset) then return {} end
               if r.value == "450" then error "bad" end
               result[i] = r:derive { headers = { { "slice", tostring(#recs) } } }
            end
            return result
         end }]] })
      f:through("slice", "slice.in")
      local seen, last, most = {}, {}, 0
      for _, r in ipairs(w:read "slice.out") do
         local n = tonumber(r.value)
         assert.is_nil(seen[n])
         assert.is_true(n > (last[n % 3] or 0))
         seen[n], last[n % 3] = true, n
         most = math.max(most, tonumber(flow.header(r, "slice")))
      end
      for n = 1, 900 do assert.are.equal(n ~= 450 or nil, seen[n], n) end
      assert.is_true(most > 1, "slices of several records")
      assert.are.equal(1, d:count "skipped: slice.lua:5: bad %(topic slice.in, partition 0, offset 149%)")
      flow.stopped(d)
   end)

   it("keep the broker's time of a topic with LogAppendTime, and get the broker's in an output with it", function()
      local append = { 1, { ["message.timestamp.type"] = "LogAppendTime" } }
      f:topics { ["append.in"] = append, ["append.out"] = 1, ["append.too"] = append }
      w:send("append.in", { { value = "a", timestamp = 1000 } })
      local d = f:run("append", { from = "append.in", outputs = "default: {topic: append.out}, too: {topic: append.too}",
         lua = "return function(r, out) out.too:send(r) return r:derive { value = tostring(r.timestamp) } end" })
      f:through("append", "append.in")
      local given, kept, own = w:read("append.in")[1].timestamp, w:read("append.out")[1], w:read("append.too")[1].timestamp
      assert.is_true(given > 1700000000000)
      assert.are.equal(given, kept.timestamp)
      assert.are.equal(tostring(given), kept.value)
      assert.is_true(own >= given)
      flow.stopped(d)
   end)

   it("without a time get the present one; time 0 becomes 1, since librdkafka takes 0 for none", function()
      f:topics { ["time.in"] = 1, ["time.out"] = 1 }
      local before = os.time() * 1000
      if not f.kafka.foreign then
         local code = process.run { "spec/support/kafka", "java", f.kafka.dir, "spec/kafka/Untimed.java", "@bootstrap", "time.in", "untimed" }
         assert.are.equal(0, code)
         assert.are.equal(-1, w:read("time.in")[1].timestamp)
      end
      w:send("time.in", { { value = "zero", timestamp = 0 }, { value = "one", timestamp = 1 } })
      local d = f:run("time", { from = "time.in", to = "time.out" })
      f:through("time", "time.in")
      local time = {}
      for _, r in ipairs(w:read "time.out") do time[r.value] = r.timestamp end
      if time.untimed or not f.kafka.foreign then assert.is_true(time.untimed >= before) end
      assert.are.equal(1, time.one)
      assert.are.equal(1, time.zero)
      flow.stopped(d)
   end)

   it("of a transaction that was aborted, or is open, aren't read", function()
      f:topics { ["iso.in"] = 1, ["iso.out"] = 1 }
      w:send("iso.in", { "a" })
      w:send("iso.in", { "aborted" }, { transaction = "abort", id = "iso" })
      w:send("iso.in", { "b" }, { transaction = "commit", id = "iso" })
      w:send("iso.in", { "open" }, { transaction = "open", id = "iso" })
      w:send("iso.in", { "c" })
      local d = f:run("iso", { from = "iso.in", to = "iso.out" })
      f:visible("iso.out", 2)
      w:end_transaction { id = "iso", how = "commit" }
      f:visible("iso.out", 4)
      assert.are.same({ "a", "b", "open", "c" }, w:values "iso.out")
      flow.stopped(d)
   end)
end)
