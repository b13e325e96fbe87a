-- What a sound configuration becomes, and the rules between its parts.
local driver = require "spec.unit.config_driver"
local ffi = require "ffi"
local C = driver.C
local str = ffi.string

local function properties(list)
   local found = {}
   for i = 0, list.count - 1 do
      assert.is_nil(found[str(list.items[i].name)])
      found[str(list.items[i].name)] = str(list.items[i].value)
   end
   return found
end

local service = "version: 1\nclusters:\n  main: {brokers: [localhost:9092]}\n"

local function serve(extra, pipeline, request)
   request = request or {}
   local paths = driver.write { ["service.yaml"] = (request.service_text or service) .. extra }
   request.service = paths["service.yaml"]
   request.pipelines = { driver.pipeline(pipeline) }
   return driver.load(request)
end

describe("a pipeline", function()
   teardown(driver.clean)

   it("has the documented defaults", function()
      local report, _, config = driver.try()
      assert.equal("", report)
      local p = config.pipelines[0]
      assert.same({ "good", "good", 1, 0 }, { str(p.name), str(p.group), p.workers, p.allow_loop })
      assert.same({ C.START_EARLIEST, 15000, 0 }, { p.input.start, tonumber(p.input.session_timeout_ms), p.input.gap_continue })
      assert.same({ "{}", "[]", 64 * 2 ^ 20, 5000, 1000 }, { str(p.transform.params_json), str(p.transform.allow_json),
         tonumber(p.transform.memory_bytes), tonumber(p.transform.record_time_ms), tonumber(p.transform.outputs_per_record) })
      assert.same({ 100, 250000, 128 * 2 ^ 20, 10000 }, { tonumber(p.transaction.commit_every_ms), tonumber(p.transaction.max_records),
         tonumber(p.transaction.max_bytes), tonumber(p.transaction.timeout_ms) })
      assert.same({ C.POLICY_STOP, C.POLICY_STOP, -1 }, { p.on_error, p.on_reject, p.dlq_topic })
      assert.same({ "enriched", "none", 0 }, { str(p.topics[0].name), str(p.topics[0].compression), p.topics[0].create_partitions })
      assert.same({ 30000, 1, 6 }, { tonumber(config.drain_timeout_ms), config.leave_on_stop, config.log_level })
      assert.matches("/good.lua$", str(p.transform.script))
   end)

   it("is what its file says", function()
      local report, _, config = driver.try([[
name: orders-enrich
workers: 3
group: g.1
allow_loop: true
errors: {on_error: dlq, on_reject: skip, dlq: {topic: letters, max_ratio: 0.05, min: 7, per: 2m, create: {partitions: 2}}}
transaction: {commit_every: 0, max_records: 10, max_bytes: 1MiB, timeout: 20s}
]], { good = [[
version: 1
input: {topics: [orders, "^orders-[a-z]+$"], start: 2026-01-31T10:00:00Z, session_timeout: 20s, on_gap: continue}
transform:
  script: good.lua
  params: {tax: 0.19, hex: 0x1F, big: 123456789012345678901234567890, half: .5, "no": no, none: ~, on: true, list: [1, "1", {a: "q\"\n"}]}
  allow: [io]
  limits: {memory: 8MiB, outputs_per_record: 5}
outputs:
  default: {topic: enriched, compression: zstd, headers: {source: onced, empty: ""}}
  regional: {topic: "r-{region}-x", region: [eu, us], create: {partitions: 4}}
]] })
      assert.equal("", report)
      local p = config.pipelines[0]
      assert.same({ "orders-enrich", "g.1", 3, 1 }, { str(p.name), str(p.group), p.workers, p.allow_loop })
      assert.same({ C.START_TIME, 1769853600000, 20000, 1 },
         { p.input.start, tonumber(p.input.start_ms), tonumber(p.input.session_timeout_ms), p.input.gap_continue })
      assert.same({ 2, "orders", "^orders-[a-z]+$" }, { p.input.topic_count, str(p.input.topics[0]), str(p.input.topics[1]) })
      assert.equal('{"tax":0.19,"hex":31,"big":123456789012345678901234567890,"half":0.5,"no":"no","none":null,"on":true,'
         .. '"list":[1,"1",{"a":"q\\"\\n"}]}', str(p.transform.params_json))
      assert.equal('["io"]', str(p.transform.allow_json))
      assert.same({ C.POLICY_DLQ, C.POLICY_SKIP, 3, 4 }, { p.on_error, p.on_reject, p.dlq_topic, p.topic_count })
      assert.same({ 0.05, 7, 120000 }, { p.dlq_max_ratio, tonumber(p.dlq_min), tonumber(p.dlq_per_ms) })
      local topics = {}
      for i = 0, 3 do topics[i + 1] = str(p.topics[i].name) .. ":" .. str(p.topics[i].compression) .. ":" .. p.topics[i].create_partitions end
      assert.same({ "enriched:zstd:0", "r-eu-x:none:4", "r-us-x:none:4", "letters:none:2" }, topics)
      local output = p.outputs[1]
      assert.same({ "regional", "region", "us", 2, 1 },
         { str(output.name), str(output.variable), str(output.values[1]), output.value_count, output.first_topic })
      assert.same({ "source", "onced", "empty", "" }, { str(p.outputs[0].headers[0].name), str(p.outputs[0].headers[0].value),
         str(p.outputs[0].headers[1].name), str(p.outputs[0].headers[1].value) })
      assert.same({ 0, 10, 2 ^ 20, 20000 }, { tonumber(p.transaction.commit_every_ms), tonumber(p.transaction.max_records),
         tonumber(p.transaction.max_bytes), tonumber(p.transaction.timeout_ms) })
   end)

   it("of the repository is right", function()
      local report = driver.load { pipelines = { "pipelines/pass.yaml", "pipelines/map.yaml", "pipelines/fan-out.yaml" }, brokers = "b:1", instance = "i" }
      assert.equal("", report)
   end)

   it("warns of what has no effect", function()
      local report, errors = serve("", "", { service_text = "version: 1\nhttp: {listen: '127.0.0.1:1'}\nclusters: {main: {brokers: b:1}}\n" })
      assert.equal(0, errors)
      assert.matches("warning: http.listen has no effect in this version", report)
   end)
end)

describe("clusters", function()
   teardown(driver.clean)

   it("become properties", function()
      driver.write { ["ca.pem"] = "" }
      local report, _, config = serve([[
    tls: {ca: ca.pem}
    sasl: {mechanism: SCRAM-SHA-512, username: me, password: "pa$$word"}
    kafka: {client.id: c, linger.ms: 1, consumer: {fetch.min.bytes: 1, linger.ms: 7}}
]], "kafka: {linger.ms: 2, producer: {client.id: p}}\n", { service_text = "version: 1\nclusters:\n  main:\n    brokers: \"localhost:1,localhost:2\"\n" })
      assert.equal("", report)
      local p = config.pipelines[0]
      local both = properties(p.both)
      assert.matches("/ca.pem$", both["ssl.ca.location"])
      both["ssl.ca.location"] = nil
      assert.same({ ["bootstrap.servers"] = "localhost:1,localhost:2", ["security.protocol"] = "SASL_SSL", ["sasl.mechanism"] = "SCRAM-SHA-512",
         ["sasl.username"] = "me", ["sasl.password"] = "pa$word", ["client.id"] = "c", ["linger.ms"] = "2" }, both)
      assert.same({ ["fetch.min.bytes"] = "1" }, properties(p.consumer)) -- the pipeline's linger.ms beats the cluster's consumer
      assert.same({ ["client.id"] = "p" }, properties(p.producer))
      assert.same({ ["fetch.min.bytes"] = "1", ["linger.ms"] = "7" }, properties(p.cluster.consumer)) -- the cluster's own stay
      for i = 0, p.both.count - 1 do
         assert.equal(str(p.both.items[i].name) == "sasl.password" and 1 or 0, p.both.items[i].secret)
      end
   end)

   it("are chosen by name", function()
      local two = "version: 1\nclusters:\n  a: {brokers: [localhost:1]}\n  main: {brokers: [localhost:2]}\n"
      local function brokers(extra)
         local report, _, config = serve("", extra, { service_text = two })
         return config and properties(config.pipelines[0].both)["bootstrap.servers"], report
      end
      assert.equal("localhost:2", (brokers ""))
      assert.equal("localhost:1", (brokers "cluster: a\n"))
      local _, report = brokers "cluster: mian\n"
      assert.matches('8:10: error: the service file has no cluster "mian"; did you mean "main"?', report, 1, true)
   end)

   it("are replaced by --brokers, and not by ONCED_BROKERS", function()
      local _, _, config = serve("", "", { brokers = "localhost:5" })
      assert.equal("localhost:5", properties(config.pipelines[0].both)["bootstrap.servers"])
      _, _, config = serve("", "", { brokers = "localhost:5", yield = true })
      assert.equal("localhost:9092", properties(config.pipelines[0].both)["bootstrap.servers"])
      _, _, config = serve("", "cluster: any\n", { brokers = "localhost:5", yield = true, service_text = "version: 1\n" })
      assert.equal("localhost:5", properties(config.pipelines[0].both)["bootstrap.servers"])
   end)

   it("must be known to run, not to check", function()
      local path = driver.pipeline()
      assert.matches("no brokers: give %-%-brokers", (driver.load { pipelines = { path } }))
      assert.equal("", (driver.load { pipelines = { path }, optional = true }))
   end)
end)

describe("the instance", function()
   teardown(driver.clean)

   it("is the host's name without dots", function()
      local _, _, config = driver.try()
      local host = io.open("/proc/sys/kernel/hostname"):read "*l":gsub("[^%w_-]", "-")
      assert.equal(host, str(config.instance))
      assert.equal(config.instance, config.pipelines[0].instance)
   end)

   it("is set by the service file, and by ONCED_INSTANCE before it", function()
      local _, _, config = serve("instance: a-1\n")
      assert.equal("a-1", str(config.instance))
      _, _, config = serve("instance: a-1\n", "", { instance = "b_2" })
      assert.equal("b_2", str(config.instance))
   end)

   it("has no dots and is no localhost among others", function()
      assert.matches('ONCED_INSTANCE "a.b" must be', (driver.try("", { instance = "a.b" })), 1, true)
      assert.matches("fence each other for ever", (driver.try("", { instance = "localhost", brokers = "kafka:9092" })))
      assert.equal("", (driver.try("", { instance = "localhost", brokers = "127.0.0.1:9092,[::1]:9092" })))
   end)
end)

describe("interpolation", function()
   teardown(driver.clean)

   local function group(text, env)
      local report, _, config = driver.try("group: " .. text .. "\n", { env = env })
      return config and str(config.pipelines[0].group) or report
   end

   it("reads the environment", function()
      assert.equal("x-eu", group("x-${env:REGION}", { REGION = "eu" }))
      assert.equal("dflt", group("${env:REGION:-dflt}", { REGION = false }))
      assert.equal("dflt", group("${env:REGION:-dflt}", { REGION = "" }))
      assert.equal("a${env:X}b$c", group "a$${env:X}b$c")
   end)

   it("reads an unquoted value again, a quoted one stays text", function()
      assert.equal("7", group('"${env:N}"', { N = "7" }))
      assert.matches("group must be text, not a whole number", group("${env:N}", { N = "7" }))
      local _, _, config = driver.try("workers: ${env:N}\n", { env = { N = "7" } })
      assert.equal(7, config.pipelines[0].workers)
      assert.matches("it is quoted", (driver.try('workers: "${env:N}"\n', { env = { N = "7" } })))
   end)

   it("can't change the structure", function()
      assert.equal("{a: 1}", group("${env:N}", { N = "{a: 1}" }))
      assert.equal("a\nworkers: 7", group("${env:N}", { N = "a\nworkers: 7" }))
   end)

   it("reads files and credentials, and never shows them", function()
      local paths = driver.write { secret = "hunter2\n" }
      local folder = paths.secret:match "^(.*)/"
      assert.equal("hunter2", group("${file:" .. paths.secret .. "}"))
      assert.equal("hunter2", group("${cred:secret}", { CREDENTIALS_DIRECTORY = folder }))
      local report = driver.try("input: {}\nworkers: ${cred:secret}\nerrors: {on_error: \"${cred:secret}\"}\n", { env = { CREDENTIALS_DIRECTORY = folder } })
      assert.matches("%(redacted%)", report)
      assert.is_nil(report:find "hunter2")
      assert.matches("not the name of a credential", (driver.try("group: ${cred:../x}\n", { env = { CREDENTIALS_DIRECTORY = folder } })))
   end)
end)

describe("secrets", function()
   teardown(driver.clean)
   local files = {
      ["in a block"] = "    sasl:\n      mechanism: PLAN\n      password: hunter2, with words\n",
      ["in a wrong type"] = "    sasl: {mechanism: PLAIN, username: a, password: [hunter2]}\n",
      ["in a misspelt key"] = "    sasl: {mechanism: PLAIN, username: a, passwrod: hunter2}\n",
      ["over lines"] = "    sasl:\n      mechanism: PLAIN\n      password:\n        - hunter2\n        - hunter2\n",
      ["in a raw property"] = "    kafka: {sasl.password: [hunter2]}\n",
      ["in a file that is no YAML"] = "    sasl: {mechanism: PLAIN, password: \"hunter2, username: a}\n",
      ["unquoted number"] = "    sasl: {mechanism: PLAIN, username: a, password: 1234567}\n",
   }
   for name, text in pairs(files) do
      it("stay secret " .. name, function()
         for _, format in ipairs { "text", "json", "github" } do
            local report, errors = serve(text, "", { format = format, service_text = "version: 1\nclusters:\n  main:\n    brokers: [localhost:1]\n" })
            assert.is_true(errors > 0)
            assert.is_nil(report:find "hunter2", report)
            assert.is_nil(report:find "1234567", report)
         end
      end)
   end
end)

describe("pipelines side by side", function()
   teardown(driver.clean)

   local function file(name, input, output, extra)
      return (driver.good:gsub("orders", input):gsub("enriched", output)) .. (extra or ""), name
   end
   local function both(a, b)
      local paths = driver.write { ["a.yaml"] = a, ["b.yaml"] = b, ["good.lua"] = "return function(rec) return rec end\n" }
      return driver.load { pipelines = { paths["a.yaml"], paths["b.yaml"] }, brokers = "localhost:9092" }
   end

   it("run", function() assert.equal("", (both((file("a", "x", "y")), (file("b", "y", "z"))))) end)

   it("don't share a name or a group", function()
      assert.matches('b.yaml:8:7: error: the name "a" is also that of', (both((file("a", "x", "y")), (file("b", "x", "z", "name: a\n")))), 1, true)
      assert.matches('b.yaml:8:8: error: the group "a" is also that of', (both((file("a", "x", "y")), (file("b", "x", "z", "group: a\n")))), 1, true)
   end)

   it("make no loop, unless they may", function()
      local report = both((file("a", "x", "y")), (file("b", '"^y"', "x")))
      assert.matches("a.yaml:7:20: error: the topic y feeds an own input by way of b", report, 1, true)
      assert.equal(1, #driver.parse(report))
      assert.equal("", (both((file("a", "x", "y")), (file("b", '"^y"', "x", "allow_loop: true\n")))))
      assert.equal("", (driver.try("allow_loop: true\n", { good = driver.good:gsub("enriched", "orders") })))
   end)

   it("are found by folder and glob, each once", function()
      driver.write { ["good.lua"] = "return 1\n" }
      local paths = driver.write { ["p-1.yaml"] = driver.good, ["p-2.yaml"] = driver.good, ["service.yaml"] = service .. 'pipelines: ["p-*.yaml", p-1.yaml]\n' }
      local report, _, config = driver.load { service = paths["service.yaml"] }
      assert.equal("", report)
      assert.equal(2, config.pipeline_count)
      assert.equal("p-2", str(config.pipelines[1].name))
   end)
end)
