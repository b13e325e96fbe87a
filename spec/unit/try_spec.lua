-- onced try on lines of text: what it shows, with which exit code, and how that looks on a terminal.
local driver = require "spec.unit.config_driver"
local process = require "spec.support.process"

local binary = require("spec.unit.onced_lib").binary

local YAML = [[
version: 1
name: orders
input: {topics: [orders, more]}
transform: {script: t.lua}
outputs: {default: {topic: enriched}, audit: {topic: audited}}
errors: {on_error: dlq, on_reject: skip, dlq: {topic: dead}}
]]

local LUA = [[
local onced = require "onced"
return function(rec, out)
  if rec.value == "plain" then return rec end
  if rec.value == nil then return onced.drop "no value" end
  local total = rec:get "/total"
  if total == 0 then return onced.reject "nothing to pay" end
  if total == 1 then onced.log.info("one", { id = rec:get "/id" }) end
  out.audit:send { key = rec.key, value = "\27[2J\194\155\255seen", partition = 3, headers = { by = "me" } }
  rec:remove "/old"
  rec:set("/list/1", "b")
  return rec:set("/gross", total * 2)
end
]]

local function try(lines, arguments, change)
   local paths = driver.write { ["t.yaml"] = change and change(YAML) or YAML, ["t.lua"] = LUA, lines = lines }
   local code, out, err = driver.onced(("try %s --from %s %s"):format(paths["t.yaml"], paths.lines, arguments or ""))
   return code, out, err
end

describe("onced try", function()
   teardown(driver.clean)

   it("shows a record, what was sent, and what changed in its JSON", function()
      local code, out, err = try('{"total":100,"old":{"a":1},"list":["a","c"],"same":[1.0]}\nplain\n')
      assert.same({ 0, "" }, { code, err })
      assert.equal([[
orders[0] offset 0
     {"total":100,"old":{"a":1},"list":["a","c"],"same":[1.0]}
  -> audited (audit) partition=3
     \x1b[2J\xc2\x9b\xffseen
      header by=me
  -> enriched (default)
     {"total":100,"list":["a","b"],"same":[1.0],"gross":200}
      - /old: {"a":1}
      ~ /list/1: "c" -> "b"
      + /gross: 200
orders[0] offset 1
     plain
  -> enriched (default)
     the value as it came

2 records: 3 outputs, 0 dropped, 0 rejected, 0 failed; nothing was written to Kafka
]], out)
   end)

   it("reads JSON lines", function()
      local code, out, err = try([==[
{"value": {"total": 2, "list": [1,1]}, "key": "k\n", "headers": {"h": "1", "n": null}, "partition": 2, "topic": "more", "timestamp": 5}
{"value": null, "headers": [["a", "1"], ["a", "2"]]}
]==], "--format=json")
      assert.same({ 0, "" }, { code, err })
      assert.is_truthy(out:find('more[2] offset 0 key=k\\n\n     {"total": 2, "list": [1,1]}\n      header h=1\n      header n=null\n', 1, true), out)
      assert.is_truthy(out:find("  -> audited (audit) partition=3 key=k\\n\n", 1, true), out)
      assert.is_truthy(out:find("orders[0] offset 1\n     null\n      header a=1\n      header a=2\n  dropped no value\n", 1, true), out)
      assert.matches("2 records: 2 outputs, 1 dropped, 0 rejected, 0 failed", out)
   end)

   it("names the line that isn't a record", function()
      for line, problem in pairs {
         ["{"] = "invalid JSON", ["[]"] = "a record must be an object", ['{"payload":1}'] = 'there is no "payload" in a record',
         ['{"headers":1}'] = "headers must be", ['{"headers":[["a"]]}'] = "headers must be", ['{"headers":[["a","b","c"]]}'] = "headers must be",
         ['{"headers":[[]]}'] = "headers must be", ['{"headers":["a"]}'] = "headers must be", ['{"headers":[[1,"b"]]}'] = "headers must be",
         ['{"partition":1.5}'] = "partition must be a whole number", ['{"timestamp":"now"}'] = "timestamp must be", ['{"topic":null}'] = "topic must be",
      } do
         local code, _, err = try('{"value":"plain"}\n' .. line .. "\n", "--format=json")
         assert.equal(65, code)
         assert.is_truthy(err:find("lines:2: " .. problem, 1, true), err)
      end
      local code, _, err = try('{"topic":"others"}\n', "--format=json")
      assert.same({ 65, 'onced: topic "others": the topic is none of input.topics\n' }, { code, err })
   end)

   it("tells of policies, the log and a halt", function()
      local code, out = try '{"total":0}\n{"total":1,"id":7,"list":[0,0]}\n{"total":\n'
      assert.equal(0, code)
      assert.is_truthy(out:find("  rejected t.lua:2: nothing to pay (on_reject: skip)\n", 1, true), out)
      assert.matches("  said [^\n]*one[^\n]*id=7", out)
      assert.matches("  failed %(json%) t.lua:5: invalid JSON [^\n]* %(on_error: dlq%)\n  %-> dead %(dead letter%)\n     the value as it came\n", out)
      assert.matches("header __onced.error.kind=json\n", out)
      assert.matches("3 records: 2 outputs, 0 dropped, 1 rejected, 1 failed", out)

      local halted, halt_out = try("{\nplain\n", nil, function(yaml) return (yaml:gsub("on_error: dlq", "on_error: stop")) end)
      assert.equal(65, halted)
      assert.matches("  the pipeline halts: t.lua:5: invalid JSON[^\n]*topic orders, partition 0, offset 0", halt_out)
      assert.matches("\n1 record: 0 outputs, 0 dropped, 0 rejected, 1 failed", halt_out)
   end)

   it("ends over a record that takes too long, and over a script that is never loaded", function()
      local endless = LUA:gsub("return rec end", "while true do end end", 1)
      local paths = driver.write { ["t.yaml"] = YAML:gsub("t.lua", "t.lua, limits: {record_time: 100ms}"), ["t.lua"] = endless,
         lines = '{"total":2,"list":[1,1]}\nplain\n' }
      local code, out, err = driver.onced(("try %s --from %s"):format(paths["t.yaml"], paths.lines))
      assert.same({ 65, [[
onced: orders: transform.limits.record_time (100 ms) is over while transforming orders/0 offset 1
onced run would kill its worker for that; when the record does it again, errors.on_error decides
]] }, { code, err })
      assert.matches("^orders%[0%] offset 0\n", out)
      driver.write { ["t.lua"] = "while true do end" }
      code, out, err = driver.onced(("try %s --from %s"):format(paths["t.yaml"], paths.lines))
      assert.same({ 78, "", "onced: orders: " .. paths["t.yaml"]:gsub("yaml$", "lua") .. ": loading and init took longer than 10 s\n" }, { code, out, err })
   end)

   it("doesn't add up what the records of a batch take", function()
      local paths = driver.write { ["t.yaml"] = YAML:gsub("t.lua", "t.lua, limits: {record_time: 5s}"), ["t.lua"] = [[
return function(rec)
  local began = os.clock()
  while os.clock() - began < 0.1 or rec.value == "endless" do end
  return rec
end]], ["t_spec.lua"] = [[
local testing = require "onced.testing"
it("is slow", function()
  local records = {}
  for i = 1, 60 do records[i] = { value = "slow" } end
  local p = testing.load "t.yaml"
  assert.equal(60, #p:run(records).sent.default)
  print "all were sent"
  p:run { records[1], { value = "endless" } }
end)]] }
      local code, out, err = driver.onced("test " .. paths["t_spec.lua"], driver.preloaded)
      assert.is_not.equal(0, code)
      assert.is_truthy(out:find("all were sent", 1, true), out .. err)
      assert.matches("^onced: orders: transform.limits.record_time %(5000 ms%) is over while transforming orders/0 offset 61\n", err)
   end)

   it("takes standard input, as many records as wanted, and says what it lacks", function()
      local paths = driver.write { ["t.yaml"] = YAML, ["t.lua"] = LUA }
      local code, out = process.run { "sh", "-c", ("printf 'plain\\nplain\\nplain' | %s try %s --max=2"):format(binary, paths["t.yaml"]) }
      assert.equal(0, code)
      assert.matches("\n2 records: 2 outputs", out)
      for arguments, answer in pairs {
         ["--max=0"] = 64, ["--max=x"] = 64, ["--offset=3"] = 64, ["--topic=orders --from=x"] = 64, ["--from=nosuch"] = 66,
         ["--topic=orders"] = 78, -- no brokers
      } do
         assert.equal(answer, (driver.onced("try " .. arguments .. " " .. paths["t.yaml"])), arguments)
      end
      assert.equal(66, (driver.onced "try nosuch.yaml"))
      assert.equal(64, (driver.onced("try " .. paths["t.yaml"] .. " " .. paths["t.yaml"])))
      driver.write { ["t.lua"] = "return 1" }
      local broken, _, err = driver.onced("try " .. paths["t.yaml"])
      assert.equal(78, broken)
      assert.matches("t.lua", err)
   end)

   it("is coloured on a terminal, unless NO_COLOR is set", function()
      local paths = driver.write { ["t.yaml"] = YAML, ["t.lua"] = LUA, lines = '{"total":2,"list":[1,1]}\n' }
      local function on_terminal(environment)
         local command = ("%s %s try %s --from %s"):format(environment, binary, paths["t.yaml"], paths.lines)
         local code, out = process.run { "script", "-qec", command, "/dev/null" }
         assert.equal(0, code)
         return out
      end
      local coloured = on_terminal "env -u NO_COLOR"
      assert.is_truthy(coloured:find("\27[1morders[0] offset 0\27[0m", 1, true), coloured)
      assert.is_truthy(coloured:find("\27[32m      + /gross: 4\27[0m", 1, true), coloured)
      assert.is_nil(on_terminal("NO_COLOR=1"):find("\27", 1, true))
      local _, piped = try('{"total":2,"list":[1,1]}\n')
      assert.is_nil(piped:find("\27", 1, true))
   end)
end)
