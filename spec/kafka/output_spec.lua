-- Output topics that are missing, go, come back, grow, or may not be written: onced says so, waits, and goes on by itself; nothing is
-- lost or repeated meanwhile.
local flow = require "spec.kafka.flow"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

describe("an output topic", function()
   local f, w
   setup(function()
      f = flow.open { properties = { ["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
         ["allow.everyone.if.no.acl.found"] = "true" } }
      w = f.witness
   end)
   teardown(function() if f then f:close() end end)
   after_each(function() f:clear() end)

   local function values(from, to)
      local list = {}
      for i = from, to do list[#list + 1] = tostring(i) end
      return list
   end

   local function gone(topic)
      w:delete_topic { topic = topic }
      wait.till(topic .. " is gone", 20, function()
         local ok = pcall(w.topic, w, { topic = topic })
         return not ok
      end, 50)
   end

   it("that is missing at the start is named; it starts by itself once the topic is there", function()
      f:topics { ["miss.in"] = 1 }
      w:send("miss.in", values(1, 10))
      local d = f:run("miss", { from = "miss.in", to = "miss.out" })
      d:wait_log "can't start yet: output topic miss.out doesn't exist; create it, or declare `create: {partitions: N}`"
      local state = w:group({ group = "miss" }).state
      assert.is_true(state == "Absent" or state == "Dead", state) -- as Kafka 3.9 says; who can't write doesn't take partitions from who can
      local pid = d:workers()[1]
      f:topics { ["miss.out"] = 1 }
      f:through("miss", "miss.in")
      assert.are.same(values(1, 10), w:values "miss.out")
      assert.are.equal(pid, d:workers()[1])
      flow.stopped(d)
   end)

   it("that is missing doesn't keep onced from stopping", function()
      f:topics { ["never.in"] = 1 }
      local d = f:run("never", { from = "never.in", to = "never.out" })
      d:wait_log "can't start yet: output topic never.out doesn't exist"
      flow.stopped(d)
   end)

   it("is created where the file says so, with its partitions", function()
      f:topics { ["make.in"] = 1 }
      w:send("make.in", values(1, 10))
      local d = f:run("make", { from = "make.in", errors = "on_error: dlq, dlq: {topic: make.dlq, create: {partitions: 2}}",
         outputs = "default: {topic: make.out, create: {partitions: 3}}, other: {topic: make.other, create: {partitions: 1}}",
         lua = "return function(r, out) if r.value == '7' then error 'seven' end out.other:send(r) return r end" })
      f:through("make", "make.in")
      assert.are.equal(9, #w:values "make.out")
      assert.are.equal(9, #w:values "make.other")
      assert.are.same({ "7" }, w:values "make.dlq")
      assert.are.equal(3, #w:topic({ topic = "make.out" }).partitions)
      assert.are.equal(2, #w:topic({ topic = "make.dlq" }).partitions)
      flow.stopped(d)
   end)

   it("that is deleted and made anew while it runs is written again; what wasn't committed comes once", function()
      f:topics { ["anew.in"] = 1, ["anew.out"] = 2 }
      local d = f:run("anew", { from = "anew.in", to = "anew.out" })
      w:send("anew.in", values(1, 10))
      f:through("anew", "anew.in")
      gone "anew.out"
      w:send("anew.in", values(11, 20))
      d:wait_log "output topic anew.out doesn't exist"
      local committed = f:offset("anew", "anew.in")
      f:topics { ["anew.out"] = 2 }
      f:through("anew", "anew.in", 60)
      assert.are.equal(10, committed)
      local got = w:values "anew.out"
      assert.are.same(values(11, 20), got)
      w:send("anew.in", values(21, 30))
      f:through("anew", "anew.in")
      assert.are.same(values(11, 30), w:values "anew.out")
      flow.stopped(d)
   end)

   local function acl(how, operation, topic)
      local class = (os.getenv "ONCED_KAFKA_VERSION" or ""):find "^3%." and "kafka.admin.AclCommand" or "org.apache.kafka.tools.AclCommand"
      assert.are.equal(0, (process.run { "spec/support/kafka", "java", f.kafka.dir, class, "--bootstrap-server", "@bootstrap", "--force", how,
         "--deny-principal", "User:ANONYMOUS", "--operation", operation, "--topic", topic }))
   end

   it("that may not be written is named; it goes on once it may", function()
      f:topics { ["deny.in"] = 1, ["deny.out"] = 1 }
      local d = f:run("deny", { from = "deny.in", to = "deny.out" })
      w:send("deny.in", values(1, 10))
      f:through("deny", "deny.in")
      acl("--add", "Write", "deny.out")
      d:mark()
      w:send("deny.in", values(11, 20))
      d:wait_log "deny.out.-[Aa]uthoriz"
      assert.are.equal(10, (f:offset("deny", "deny.in")))
      acl("--remove", "Write", "deny.out")
      f:through("deny", "deny.in", 60)
      local got = {}
      for i, r in ipairs(w:read "deny.out") do got[i] = r.value end
      assert.are.same(values(1, 20), got)
      flow.stopped(d)
   end)

   it("that may not be seen keeps it from starting, by name, until it may", function()
      f:topics { ["hide.in"] = 1, ["hide.out"] = 1 }
      w:send("hide.in", values(1, 10))
      acl("--add", "All", "hide.out")
      local d = f:run("hide", { from = "hide.in", to = "hide.out" })
      d:wait_log "can't start yet: [^\n]*hide.out[^\n]*[Aa]uthoriz"
      acl("--remove", "All", "hide.out")
      f:through("hide", "hide.in", 60)
      assert.are.same(values(1, 10), w:values "hide.out")
      flow.stopped(d)
   end)

   it("that gets more partitions while nothing is written takes a record for one of them at once", function()
      f:topics { ["grow.in"] = 1, ["grow.out"] = 1 }
      local d = f:run("grow", { from = "grow.in", to = "grow.out",
         lua = "return function(r) return r:derive { partition = tonumber(r.value) } end" })
      w:send("grow.in", { "0" })
      f:through("grow", "grow.in")
      w:add_partitions { topic = "grow.out", partitions = 4 }
      w:send("grow.in", { "3", "0", "1" })
      f:through("grow", "grow.in")
      local got = {}
      for _, r in ipairs(w:read "grow.out") do
         assert.are.equal(tonumber(r.value), r.partition)
         got[#got + 1] = r.value
      end
      table.sort(got)
      assert.are.same({ "0", "0", "1", "3" }, got)
      flow.stopped(d)
   end)

   it("that comes back with fewer partitions fails the records for one that is gone, and no others", function()
      f:topics { ["shrink.in"] = 1, ["shrink.out"] = 4 }
      local d = f:run("shrink", { from = "shrink.in", to = "shrink.out", errors = "on_error: skip",
         lua = "return function(r) return r:derive { partition = tonumber(r.value:sub(1, 1)) } end" })
      w:send("shrink.in", { "3a", "0a" })
      f:through("shrink", "shrink.in")
      gone "shrink.out"
      f:topics { ["shrink.out"] = 2 }
      w:send("shrink.in", { "0b", "3b", "1b", "0c" })
      f:through("shrink", "shrink.in", 60)
      local got = w:values "shrink.out"
      table.sort(got)
      assert.are.same({ "0b", "0c", "1b" }, got)
      assert.are.equal(1, d:count "skipped: ")
      flow.stopped(d)
   end)

   it("that gets more partitions while it runs is written to all of them, by key as Java would", function()
      f:topics { ["wide.in"] = 1, ["wide.out"] = 1, ["wide.java"] = 4 }
      local d = f:run("wide", { from = "wide.in", to = "wide.out" })
      w:send("wide.in", { { key = "k", value = "first" } })
      f:through("wide", "wide.in")
      w:add_partitions { topic = "wide.out", partitions = 4 }
      local round = 0
      local function send()
         round = round + 1
         local list = {}
         for i = 1, 40 do list[i] = { key = "k" .. i, value = round .. "-" .. i } end
         w:send("wide.in", list)
         f:through("wide", "wide.in")
      end
      wait.till("the count is noticed", 30, function() -- it looks every ten seconds while it writes
         send()
         return d:count "output topic wide.out: 4 partitions instead of 1 from here on" == 1
      end, 500)
      send()
      local java, where = {}, {}
      for i = 1, 40 do java[i] = { key = "k" .. i, value = round .. "-" .. i } end
      w:send("wide.java", java)
      for _, r in ipairs(w:read "wide.java") do where[r.value] = r.partition end
      local seen = 0
      for _, r in ipairs(w:read "wide.out") do
         if where[r.value] then
            assert.are.equal(where[r.value], r.partition)
            seen = seen + 1
         end
      end
      assert.are.equal(40, seen)
      flow.stopped(d)
   end)
end)
