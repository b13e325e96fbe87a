-- The commands that ask a broker and write nothing: check --online and try --topic.
local flow = require "spec.kafka.flow"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local FOLDER = "build/spec/online-" .. process.self()

local YAML = [[
version: 1
input: {topics: [%s]}
transform: {script: t.lua}
outputs: {default: {topic: %s}, made: {topic: online-made, create: {partitions: 2}}}
transaction: {timeout: %s}
]]

describe("asking the broker:", function()
   local f

   local function write(name, text)
      local file = assert(io.open(FOLDER .. "/" .. name, "w"))
      file:write(text)
      file:close()
      return FOLDER .. "/" .. name
   end

   local function onced(...)
      return process.run({ "sh", "-c", 'exec build/onced "$@" 2>&1', "onced", ... }, { env = { ONCED_BROKERS = f.kafka.bootstrap, ONCED_INSTANCE = "spec" } })
   end

   local function pipeline(input, output, timeout)
      write("t.lua", "return function(r) return r:set('/b', 2) end")
      return write("t.yaml", YAML:format(input, output, timeout))
   end

   setup(function()
      os.execute("mkdir -p " .. FOLDER)
      f = flow.open { properties = { ["transaction.max.timeout.ms"] = "7000" } }
      f:topics { ["online-in"] = 2, ["online-out"] = { 3, { ["cleanup.policy"] = "compact", ["unclean.leader.election.enable"] = "true" } } }
   end)
   teardown(function()
      if f then f:close() end
      os.execute("rm -rf " .. FOLDER)
   end)

   it("check --online prints what it found, warns of a single broker, and lists the ACLs", function()
      local path = pipeline("online-in", "online-out", "5s")
      local code, out = onced("check", "--online", path)
      assert.equal(0, code, out)
      for _, line in ipairs {
         "  input topic online-in: 2 partitions, 1 replica\n", "  output topic online-out: 3 partitions, 1 replica\n",
         "  output topic online-made doesn't exist yet: it will be created, 2 partitions\n",
         "  output topic online-out is compacted: ", "  group t: 0 of 2 partitions have a committed offset\n",
         path .. ": warning: output topic online-out has one replica: ",
         path .. ": warning: output topic online-out: min.insync.replicas=1: ",
         path .. ": warning: output topic online-out: unclean.leader.election.enable=true: ",
         path .. ": warning: offsets.topic.replication.factor=1: ", path .. ": warning: transaction.state.log.replication.factor=1: ",
         path .. ": warning: the brokers have min.insync.replicas=1, and __consumer_offsets ",
         "    --operation Read --operation Describe --topic 'online-in'\n",
         "    --operation Write --operation Describe --operation DescribeConfigs --topic online-out\n",
         "    --operation Write --operation Describe --operation DescribeConfigs --operation Create --topic online-made\n",
         "    --operation Read --operation Describe --group t\n",
         "    --operation Write --operation Describe --transactional-id onced.t.spec. --resource-pattern-type prefixed\n",
         "  Not proved, since it takes writing: ",
      } do
         assert.is_truthy(out:find(line, 1, true), line .. "\nisn't in\n" .. out)
      end
      assert.is_nil(out:find("error:", 1, true), out)
      assert.is_false((pcall(f.witness.topic, f.witness, { topic = "online-made" }))) -- nothing was written
   end)

   it("check --online refuses what can't run", function()
      local path = pipeline('online-absent, "^online-z.*"', "online-nowhere", "10s")
      local code, out = onced("check", "--online", path)
      assert.equal(78, code, out)
      for _, line in ipairs {
         path .. ": error: input topic online-absent doesn't exist", path .. ": warning: input ^online-z.* matches no topic",
         path .. ": error: output topic online-nowhere doesn't exist",
         path .. ": error: transaction.timeout is above the broker's transaction.max.timeout.ms=7000",
      } do
         assert.is_truthy(out:find(line, 1, true), line .. "\nisn't in\n" .. out)
      end
      local _, json = onced("check", "--online", "--format=json", path)
      for line in json:gmatch "[^\n]+" do assert.matches("^{.*}$", line) end
      for _, topic in ipairs { "online-absent", "online-nowhere" } do
         assert.is_false((pcall(f.witness.topic, f.witness, { topic = topic })), topic .. " was created")
      end
   end)

   it("check --online names a cluster that can't be reached", function()
      local code, out = onced("check", "--online", "--brokers", "127.0.0.1:1", pipeline("online-in", "online-out", "5s"))
      assert.equal(78, code)
      assert.matches("error: cluster main: the brokers don't answer at 127.0.0.1:", out, 1, true)
   end)

   it("try --topic shows committed records, and joins no group", function()
      local path = pipeline("online-in", "online-out", "5s")
      f.witness:send("online-in", { { key = "k0", value = '{"n":0}', partition = 1, headers = { { "h", "1" } } } })
      f.witness:send("online-in", { { value = '{"n":"aborted"}', partition = 1 } }, { transaction = "abort", id = "online", timeout_ms = 5000 })
      wait.till("its marker", 30, function() return #f.witness:transactions({ prefix = "online" }).transactions == 0 end, 50)
      for n = 1, 3 do f.witness:send("online-in", { { value = ('{"n":%d}'):format(n), partition = 1 } }) end
      local code, out = onced("try", path, "--topic=online-in", "--partition=1", "--offset=0", "--max=2")
      assert.equal(0, code, out)
      assert.is_truthy(out:find('online-in[1] offset 0 key=k0\n     {"n":0}\n      header h=1\n', 1, true), out)
      assert.is_truthy(out:find('  -> online-out (default) key=k0\n     {"n":0,"b":2}\n', 1, true), out)
      assert.matches('offset %d\n     {"n":1}\n', out) -- not the aborted one, if that was written at all
      assert.matches("\n2 records: 2 outputs", out)
      local _, last = onced("try", path, "--topic=online-in", "--partition=1", "--max=2")
      assert.matches('offset %d\n     {"n":2}\n.*offset %d\n     {"n":3}\n', last)
      assert.matches("\n2 records: 2 outputs", last)
      assert.matches("\n0 records: ", (select(2, onced("try", path, "--topic=online-in"))))

      local beyond, text = onced("try", path, "--topic=online-in", "--partition=1", "--offset=99")
      assert.equal(69, beyond)
      assert.matches("online%-in, partition 1 has offsets 0 to %d, not 99", text)
      assert.equal(69, (onced("try", path, "--topic=online-in", "--partition=7")))
      assert.equal(69, (onced("try", path, "--topic=online-absent")))
      assert.same({}, f.witness:values "online-out")
      assert.equal(4, f.witness:pending("t", { "online-in" }))
      assert.is_false((pcall(f.witness.topic, f.witness, { topic = "online-absent" })))
   end)
end)
