-- Every example of pipelines/ through the real daemon and a real broker, all at once. What onced.testing says of the same records offline
-- is what Kafka's own client must then read: the two are one transform.
local daemon = require "spec.support.daemon"
local flow = require "spec.kafka.flow"
local testing = require "onced.testing"

local ORDER = '{"id":%d,"lines":[{"sku":"a","n":1},{"sku":"b","n":9007199254740993}]}'

-- outputs: topics and their partitions. records: what is sent; generate: as many stamped ones more, which the oracle then counts.
local EXAMPLES = {
   pass = { outputs = { ["pass-out"] = 2 }, generate = 500, records = {
      { key = "k\0", value = "any\255bytes", headers = { { "h", "1" }, { "h", nil } } }, { key = "gone" }, { value = "" } } },
   map = { outputs = { ["map-out"] = 2, ["map-dlq"] = 1 }, generate = 500, records = {
      { key = "k", value = "a", headers = { { "h", "1" } } }, { key = "gone" }, { key = "k", value = "" } } },
   ["fan-out"] = { input = "fan-in", generate = 300, outputs = { ["fan-out"] = 2, ["fan-eu"] = 1, ["fan-us"] = 1, ["fan-other"] = 1, ["fan-audit"] = 1 },
      copies = { ["fan-eu"] = false, ["fan-us"] = false, ["fan-other"] = {}, ["fan-audit"] = { crc = false } },
      records = { { key = "k", value = "eu:1" }, { value = "us:2" }, { value = "mars:3" } } },
   filter = { outputs = { ["filter-out"] = 2 }, records = {
      { key = "1", value = '{ "total": 100.0 }' }, { key = "2", value = '{"total":99}' }, { key = "3", value = '{"total":"x"}' },
      { key = "4", value = '{"total":1e3}', headers = { { "h", "1" } } } } },
   split = { outputs = { ["split-out"] = 2 }, records = {
      { value = ORDER:format(1) }, { value = '{"id":2,"lines":[]}' }, { value = ORDER:format(3) } } },
   route = { outputs = { ["route-eu"] = 1, ["route-us"] = 1, ["route-rest"] = 1 }, records = {
      { key = "1", value = "a", headers = { { "region", "eu" } } }, { key = "2", value = "b", headers = { { "region", "us" } } },
      { key = "3", value = "c", headers = { { "region", "mars" }, { "why", "x" } } }, { key = "4", value = "d" } } },
   ["dead-letter"] = { outputs = { ["dead-letter-out"] = 2, ["dead-letter-dlq"] = 1 }, records = {
      { key = "1", value = '{ "age": 17 }' }, { key = "2", value = '{"age":-1}' }, { key = "3", value = "{}", headers = { { "h", "1" } } },
      { key = "4", value = "?" }, { key = "5", value = '{"age":"18"}' }, { key = "6" } } },
   ["enrich-json"] = { outputs = { ["enrich-json-out"] = 2, ["enrich-json-dlq"] = 1 }, records = {
      { key = "1", value = '{ "id": 12345678901234567890, "country": "ie" }' }, { key = "2", value = '{"country":"xx"}' } } },
   batch = { outputs = { ["batch-out"] = 2 }, slices = true, records = {
      { key = "a", value = "a1" }, { key = "b", value = "b1" }, { key = "a", value = "a2" }, { key = "c" }, { key = "a", value = "a3" }, { value = "x" } } },
}

local function input_of(name) return EXAMPLES[name].input or name .. "-in" end

-- A record in one line, to compare and to read; a dead letter's time is that of its making.
local function line(r, topic)
   local parts = { tostring(r.key), tostring(r.value), topic:find "%-dlq$" and "" or ("%d"):format(r.timestamp) }
   for _, h in ipairs(r.headers) do parts[#parts + 1] = h[1] .. "=" .. (type(h[2]) == "string" and h[2] or "null") end
   return table.concat(parts, " ")
end

-- {topic = sorted lines}: what the daemon should have made of what is in the input topic.
local function expected(w, name)
   local records, topics = w:read(input_of(name)), {}
   for _, r in ipairs(records) do
      r.headers = next(r.headers) and r.headers or nil
      for _, h in ipairs(r.headers or {}) do h[2] = h[2] or require("onced").null end
      r.topic = nil
   end
   for topic in pairs(EXAMPLES[name].outputs) do topics[topic] = {} end
   local result = testing.load("pipelines/" .. name .. ".yaml"):run(records)
   assert.is_nil(result.halt)
   local lists = { result.dead_letters }
   for _, list in pairs(result.sent) do lists[#lists + 1] = list end
   for _, list in ipairs(lists) do
      for _, r in ipairs(list) do table.insert(topics[r.topic], line(r, r.topic)) end
   end
   for _, lines in pairs(topics) do table.sort(lines) end
   return topics
end

local function found(w, name)
   local topics = {}
   for topic in pairs(EXAMPLES[name].outputs) do
      topics[topic] = {}
      for i, r in ipairs(w:read(topic)) do topics[topic][i] = line(r, topic) end
      table.sort(topics[topic])
   end
   return topics
end

-- Key by key the last record, and all without key: what doesn't depend on where slices end.
local function state(records)
   local kept = {}
   for _, r in ipairs(records) do kept[r.key or #kept + 1] = r.value or "(null)" end
   return kept
end

describe("the examples", function()
   local f, w, d
   setup(function()
      f = flow.open()
      w = f.witness
      local files, names = {}, {}
      for name in pairs(EXAMPLES) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
         local example = EXAMPLES[name]
         f:topics { [input_of(name)] = 2 }
         f:topics(example.outputs)
         if example.generate then w:produce { topic = input_of(name), count = example.generate, size = 100 } end
         for i, r in ipairs(example.records) do
            r.partition, r.timestamp = i % 2, 1700000000000 + i
            if r.key then r.partition = 0 end -- a key's records are of one partition
         end
         w:send(input_of(name), example.records)
         files[#files + 1] = "pipelines/" .. name .. ".yaml"
      end
      d = daemon.start { bootstrap = f.kafka.bootstrap, files = files, env = { MAP_PREFIX = false } }
      table.insert(f.daemons, d)
   end)
   teardown(function() if f then f:close() end end)

   it("are all here", function()
      local names = {}
      local pipe = io.popen "ls pipelines/*.yaml"
      for path in pipe:lines() do names[path:match "([^/]+)%.yaml$"] = true end
      pipe:close()
      for name in pairs(EXAMPLES) do assert.is_true(names[name], name) end
      for name in pairs(names) do assert.truthy(EXAMPLES[name], name) end
   end)

   for name, example in pairs(EXAMPLES) do
      it(name .. " makes of its input what its spec says offline", function()
         f:through(name, input_of(name), 60)
         if example.slices then
            for topic in pairs(example.outputs) do assert.same(state(w:read(input_of(name))), state(w:read(topic))) end
         else
            assert.same(expected(w, name), found(w, name))
         end
      end)

      if example.generate then
         it(name .. " loses and repeats nothing, says the oracle", function()
            f:through(name, input_of(name), 60)
            local outputs = {}
            for topic in pairs(example.outputs) do
               local copies = (example.copies or {})[topic]
               if copies ~= false and not topic:find "%-dlq$" then
                  copies = copies or {}
                  copies.topic = topic
                  outputs[#outputs + 1] = copies
               end
            end
            local v = w:verify { group = name, inputs = { input_of(name) }, outputs = outputs, allow_unstamped = true }
            assert.is_true(v.ok, table.concat(v.examples, "\n"))
         end)
      end
   end

   it("end when they are told to", function()
      flow.stopped(d)
   end)
end)
