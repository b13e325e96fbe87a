-- onced config: what it prints is what onced runs with, readable by onced itself, and has no secret in it.
local driver = require "spec.unit.config_driver"

local function config(arguments, environment) return driver.onced("config " .. arguments, environment) end

local service = [[
version: 1
instance: i-1
clusters:
  main:
    brokers: [a:1, "b:2"]
    tls: {}
    sasl: {mechanism: PLAIN, username: u, password: hunter2}
    kafka: {client.id: x, ssl.key.password: hunter2, consumer: {fetch.min.bytes: 1}}
  other: {brokers: "c:1"}
pipelines: [t.yaml]
]]
local pipeline = [[
version: 1
name: orders
cluster: other
input: {topics: ["^o-[a-z]+$", "${env:CONFIG_SPEC_NONE:-o}"]}
transform:
  script: good.lua
  params: {a: "1", b: 1, c: [1, {x: null, y: "$$$${"}], d: ~, e: {}, f: {api_token: hunter2, s: "${file:SECRET}"}, "on": "no", g: "", h: 0x10}
outputs:
  default: {topic: enriched, headers: {empty: "", number: "7"}}
  regional: {topic: "to-{region}", region: [eu, "7"], create: {partitions: 3}}
transaction: {commit_every: 0}
]]

-- The documents of a printout, each under the name in its first line.
local function documents(text)
   local found = {}
   for part in (text .. "---\n"):gmatch "(.-)%-%-%-\n" do found[part:match "^# ([^\n]*)\n"] = part end
   return found
end

describe("onced config", function()
   local paths
   setup(function()
      paths = driver.write { secret = "hunter2\n", ["good.lua"] = "return function(rec) return rec end\n", ["onced.yaml"] = service }
      driver.write { ["t.yaml"] = (pipeline:gsub("SECRET", paths.secret)) }
      paths["t.yaml"] = paths["onced.yaml"]:gsub("onced.yaml", "t.yaml")
   end)
   teardown(driver.clean)

   it("prints what was written and what wasn't", function()
      local code, out, err = config("-c " .. paths["onced.yaml"])
      assert.equal(0, code)
      assert.equal("", (err:gsub("[^\n]*warning[^\n]*\n[^\n]*\n[^\n]*\n", "")))
      local own = documents(out)[paths["t.yaml"]]
      for _, line in ipairs { "name: orders", "cluster: other", "group: orders", "workers: 1", '  topics: ["^o-[a-z]+$", o]', "  start: earliest",
         '    a: "1"', "    b: 1", '    c: [1, {x: null, y: "$$$${"}]', "    d: null", "    e: {}", "    on: no", '    g: ""', "    h: 0x10",
         '      empty: ""', '      number: "7"', '    region: [eu, "7"]', "      partitions: 3", "  commit_every: 0", "  timeout: 10s" } do
         assert.is_truthy(own:find("\n" .. line .. "\n", 1, true), line .. " isn't in\n" .. own)
      end
      assert.is_nil(own:find "dlq") -- without a topic it would be wrong
   end)

   it("prints no secret", function()
      for _, option in ipairs { "-c ", "--show-origin " } do
         local _, out, err = config(option .. paths["onced.yaml"])
         assert.is_nil((out .. err):find "hunter2")
         local _, count = out:gsub("%(redacted%)", "")
         assert.equal(4, count)
      end
   end)

   it("prints what onced reads as the same", function()
      local _, out = config("-c " .. paths["onced.yaml"])
      local found = documents(out)
      local again = driver.write { ["again.yaml"] = found[paths["t.yaml"]], ["service.yaml"] = (found[paths["onced.yaml"]]:gsub("t.yaml", "again.yaml")) }
      local code, out2, err = config("-c " .. again["service.yaml"])
      assert.equal(0, code, err)
      assert.equal((found[paths["t.yaml"]]:gsub("^[^\n]*", "")), (documents(out2)[again["again.yaml"]]:gsub("^[^\n]*", "")))
   end)

   it("says where each value comes from", function()
      local code, out = config(("--show-origin -c %s --brokers=k:9 %s"):format(paths["onced.yaml"], paths["t.yaml"]))
      assert.equal(0, code)
      local function origin(line) return out:match("\n" .. line:gsub("%p", "%%%0") .. " +# ([^\n]*)") end
      local at = paths["onced.yaml"]
      assert.same({ at .. ":2", "--brokers", at .. ":9" }, { origin "instance: i-1", origin '    brokers: "k:9"', origin '    brokers: "c:1"' })
      assert.same({ "default", at .. ":7" }, { origin "drain_timeout: 30s", origin '      password: "(redacted)"' })
      at = paths["t.yaml"]
      assert.same({ at .. ":2", "default", at .. ":7", at .. ":10", at .. ":11" },
         { origin "name: orders", origin "group: orders", origin "    b: 1", origin '    region: [eu, "7"]', origin "  commit_every: 0" })
      for line in out:gmatch "[^\n]+" do -- a value or the beginning of a map
         assert.is_truthy(line:find " # " or line:find ":$" or line:find "^#" or line == "---", line)
      end
   end)

   it("needs no service file, and takes the environment", function()
      local code, out = config("--show-origin pipelines/map.yaml", "ONCED_INSTANCE=i-9 ONCED_BROKERS=k:9")
      assert.equal(0, code)
      assert.matches("^# no service file\n", out)
      assert.matches("\ninstance: i%-9 +# ONCED_INSTANCE\n", out)
      assert.matches('\n    brokers: "k:9" +# ONCED_BROKERS\n', out)
      assert.matches("\n  on_reject: dlq +# pipelines/map.yaml:%d+\n", out)
   end)

   it("tells errors instead", function()
      local path = driver.pipeline "wrokers: 2\n"
      local code, out, err = config(path)
      assert.same({ 78, "" }, { code, out })
      assert.matches('did you mean "workers"', err)
   end)
end)
