-- One daemon with a service file: pipelines on several clusters, with what a file may say of outputs, seen from the other side.
local cluster = require "spec.support.cluster"
local daemon = require "spec.support.daemon"
local flow = require "spec.kafka.flow"
local wait = require "spec.support.wait"
local witness = require "spec.support.witness"

-- The codec of the first batch that a topic's partition 0 keeps on disk (record batch v2: the attributes' lowest bits).
local function codec(kafka, topic)
   local file = assert(io.open(("%s/1/data/%s-0/00000000000000000000.log"):format(kafka.dir, topic), "rb"))
   local head = file:read(23)
   file:close()
   local names = { [0] = "none", "gzip", "snappy", "lz4", "zstd" }
   return names[head:byte(23) % 8]
end

local CONFIG = [[
version: 1
instance: both
clusters:
  near: {brokers: "%s"}
  far: {brokers: ["%s"]}
  locked:
    brokers: "%s"
    sasl: {mechanism: PLAIN, username: spec, password: hunter2}
    kafka: {debug: "conf,security"}
log: {level: debug}
]]

describe("several clusters", function()
   local f, far, witness_far
   setup(function()
      f = flow.open()
      far = cluster.start()
      witness_far = witness.start(far.bootstrap)
   end)
   teardown(function()
      if f then f:close() end
      if witness_far then witness_far:stop() end
      if far then far:stop() end
   end)

   it("are read and written by one daemon; one that can't be reached leaves the others running, and no password is logged", function()
      f:topics { ["region-a"] = 1, ["region-b"] = 1, ["region-3"] = 1, ["sum"] = 1, ["to-eu"] = 1, ["to-us"] = 1, ["plain"] = 1 }
      witness_far:make("far-in", 1)
      f.witness:send("region-a", { { value = ("eu"):rep(200), headers = { { "source", "theirs" }, { "kept", "1" } } } })
      f.witness:send("region-b", { ("us"):rep(200) })
      f.witness:send("region-3", { "no letter" })
      witness_far:send("far-in", { "1", "2" })
      local d = daemon.start { bootstrap = false, config = CONFIG:format(f.kafka.bootstrap, far.bootstrap, far.bootstrap), pipelines = {
         near = { yaml = flow.yaml("near", { from = "^region-[a-z]+$", lines = "cluster: near", outputs =
            'default: {topic: sum, compression: zstd, headers: {source: ours}}, plain: {topic: plain}, to: {topic: "to-{region}", region: [eu, us]}' }),
            lua = [[return function(r, out)
               out.plain:send { value = r.value }
               out.to:send({ value = "to" }, { region = r.value:sub(1, 2) })
               return r
            end]] },
         far = { yaml = flow.yaml("far", { from = "far-in", lines = "cluster: far", outputs = "default: {topic: far-out, create: {partitions: 3}}" }),
            lua = flow.PASS },
         locked = { yaml = flow.yaml("locked", { from = "far-in", lines = "cluster: locked", to = "locked-out" }), lua = flow.PASS },
      } }
      f.daemons[1] = d
      f:through("near", { "region-a", "region-b" })
      wait.till("far is through", 30, function() return witness_far:pending("far", { "far-in" }) == 0 end)

      local sum = f:visible("sum", 2)
      table.sort(sum, function(a, b) return a.value < b.value end)
      assert.are.same({ { "kept", "1" }, { "source", "ours" } }, sum[1].headers)
      assert.are.same({ { "source", "ours" } }, sum[2].headers)
      assert.are.same({ 1, 1 }, { #f.witness:values "to-eu", #f.witness:values "to-us" })
      assert.are.equal(1, f.witness:pending("near", { "region-a", "region-b", "region-3" })) -- the regex doesn't take it
      assert.are.same({ "1", "2" }, witness_far:values "far-out")
      assert.are.equal(3, #witness_far:topic({ topic = "far-out" }).partitions)
      if not f.kafka.foreign then
         assert.are.same({ "zstd", "none" }, { codec(f.kafka, "sum"), codec(f.kafka, "plain") })
         assert.is_false((pcall(f.witness.topic, f.witness, { topic = "far-out" })))
      end

      d:wait_log "locked"
      wait.till("librdkafka has told of its settings", 30, function() return d:count "sasl.mechanism" > 0 end)
      assert.is_nil(d:log():find("hunter2", 1, true))
      assert.is_true(d:running())
      flow.stopped(d)
   end)
end)
