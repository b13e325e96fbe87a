-- Reloads under load: what changed is seen in the outputs, nothing is lost, repeated or out of order, whoever needn't start anew doesn't,
-- and a bad configuration changes nothing. The script puts its version before each record, and, once, into a topic of its own.
local daemon = require "spec.support.daemon"
local flow = require "spec.kafka.flow"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local SCRIPT = [[
local tag = require "tag"
local M = { params = { mark = { type = "string" } } }
local version, told
function M.init(ctx) version = "%s " .. tag .. " " .. (ctx.params.mark or "-") end
function M.process(r, out)
   if r.value == "poison" then error "poison" end
   if not told then out.version:send { value = version } end
   told = true
   return r:derive { value = version .. " " .. r.value }
end
return M]]

local function script(letter) return (SCRIPT:format(letter)) end
local function version_of(record) return record.value:match "^(.-) @" end

-- What one transaction writes to a partition lies side by side, its marker behind it: records of two versions without an offset between
-- them were committed together.
local function torn(records)
   local examples = {}
   for i = 2, #records do
      local one, next_one = records[i - 1], records[i]
      if one.partition == next_one.partition and one.offset + 1 == next_one.offset and version_of(one) ~= version_of(next_one) then
         examples[#examples + 1] = ("%d@%d: %s, %s"):format(one.partition, one.offset, version_of(one), version_of(next_one))
      end
   end
   return examples
end

-- In each partition, the versions come in the order of the reloads.
local function ordered(records, versions)
   local place = {}
   for i, version in ipairs(versions) do place[version] = i end
   for i = 2, #records do
      local one, next_one = records[i - 1], records[i]
      if one.partition == next_one.partition and place[version_of(one)] > place[version_of(next_one)] then return false end
   end
   return true
end

describe("reload under load", function()
   local f, d, job
   setup(function() f = flow.open() end)
   teardown(function() if f then f:close() end end)
   after_each(function()
      if job then pcall(f.witness.halt, f.witness, job) end
      job = nil
      f:clear()
   end)

   local function new(options)
      options.bootstrap, options.config = f.kafka.bootstrap, "" -- pipelines() writes it
      d = daemon.new(options)
      table.insert(f.daemons, d)
   end

   local function write(name, text)
      local file = assert(io.open(d.dir .. "/" .. name, "w"))
      file:write(text)
      file:close()
   end

   local function pipelines(...) write("onced.yaml", "version: 1\npipelines: [" .. table.concat({ ... }, ", ") .. "]\n") end

   local function begin(topic, rate) job = f.witness:produce({ topic = topic, count = 1000000, rate = rate, size = 100, background = true }).job end

   local function finish()
      f.witness:halt(job)
      job = nil
   end

   local function call(...)
      local args, problems = { "build/onced", ... }, d.dir .. "/problems"
      os.remove(problems)
      args[#args + 1] = "--socket"
      args[#args + 1] = d.dir .. "/run/control"
      local code, said = process.run(args, { stderr = problems })
      local file = assert(io.open(problems))
      said = said .. file:read "*a"
      file:close()
      return code, said
   end

   local function taken(expected) assert.are.same({ 0, expected }, { call("reload", "--wait") }) end

   -- The answer and the log say why.
   local function refused(pattern)
      d:mark()
      local code, said = call("reload", "--wait")
      assert.are.equal(78, code, said)
      assert.matches(pattern, said)
      d:wait_log("reload: [^\n]*" .. pattern)
   end

   local function pid(pipeline)
      local code, said = call("status", pipeline)
      assert.are.equal(0, code, said)
      return (assert(said:match "pid=(%d+)", said))
   end

   local versions, told -- that have to be told, in order; a reader of them, which costs less than reading anew
   local function seen(version)
      versions[#versions + 1] = version
      wait.till(("version %q"):format(version), 30, function()
         local count = f.witness:progress(told).records
         return count >= #versions, count .. " are told"
      end, 20)
   end

   local function clean(group)
      local v = f.witness:verify { group = group, inputs = { "live.in" }, outputs = { { topic = group .. ".out" } },
         transactions = "onced." .. group .. ".", allow_unstamped = true }
      assert.is_true(v.ok, group .. ": " .. table.concat(v.examples, "\n"))
   end

   it("loses, repeats and reorders nothing, and keeps no record waiting", function()
      f:topics { ["live.in"] = 4, ["live.out"] = 4, ["live.version"] = 1, ["live.more"] = 1, ["other.out"] = 4, ["extra.out"] = 4 }
      local live = { from = "live.in", outputs = "default: {topic: live.out}, version: {topic: live.version}",
         transaction = "commit_every: 50ms, timeout: 5s" }
      local function live_again(changes)
         for k, v in pairs(changes or {}) do live[k] = v end
         write("live.yaml", flow.yaml("live", live))
      end
      versions, told = {}, f.witness:follow({ topic = "live.version" }).job
      new {}
      live_again()
      write("live.lua", script "a")
      write("tag.lua", "return 'one'")
      for _, name in ipairs { "other", "extra" } do
         write(name .. ".yaml", flow.yaml(name, { from = "live.in", to = name .. ".out" }))
         write(name .. ".lua", flow.PASS)
      end
      pipelines("live.yaml", "other.yaml")
      d:start()
      d:wait_log "ready: every worker is in its group"
      begin("live.in", 2000)
      seen "a one -"
      local worker, other = pid "live", pid "other"
      local warming = f.witness:follow({ topics = { "live.out", "other.out" } }).job
      wait.till("all is warm", 60, function() return f.witness:progress(warming).records > 20000 end, 50)
      f.witness:halt(warming)
      local followed = f.witness:follow({ topic = "live.out", from = "end" }).job
      local beside = f.witness:follow({ topic = "other.out", from = "end" }).job

      local function in_place(version)
         taken "live: taken over in place"
         seen(version)
      end
      write("live.lua", script "b")
      in_place "b one -"
      write("tag.lua", "return 'two'")
      in_place "b two -"
      live_again { params = "mark: x" }
      in_place "b two x"
      live_again { errors = "on_error: skip" }
      in_place "b two x"
      local partition, offset = unpack(f.witness:send("live.in", { "poison" })[1])
      wait.till("the record is skipped", 30, function() return (f.witness:offset("live", "live.in", partition) or 0) > offset end, 50)

      live_again { lines = "outputs: {" }
      refused "live%.yaml:%d+:%d+: error: "
      live_again { lines = "" }
      write("live.lua", script "not" .. "\nreturn return")
      refused "live%.lua:%d+: "
      write("live.lua", (script "not":gsub("function M.init%(ctx%)", "%0 error 'not today'")))
      refused "live%.lua:4: .*not today"
      assert.is_truthy(select(2, call "status"):find("not today", 1, true))

      live_again { transaction = "commit_every: 20ms, timeout: 5s" }
      write("live.lua", script "c")
      in_place "c two x"
      write("live.lua", script "d")
      in_place "d two x"
      assert.are.equal(worker, pid "live")
      local stall, without = f.witness:halt(followed), f.witness:halt(beside)
      print(("\nFrom sending a record to reading its output, at most: %d ms through 6 reloads in place, %d ms in the pipeline beside it")
         :format(stall.max_ms, without.max_ms))
      assert.is_true(stall.consistent)
      assert.is_true(stall.max_ms < 10000)

      local function anew()
         taken "live: input, outputs or Kafka settings changed, its workers start anew"
         seen "d two x"
         assert.are_not.equal(worker, pid "live")
         worker = pid "live"
      end
      live_again { input = "start: earliest, session_timeout: 20s" }
      anew()
      live_again { outputs = live.outputs .. ", more: {topic: live.more}" }
      anew()
      live_again { lines = "kafka: {producer: {linger.ms: 1}}" }
      anew()
      pipelines("live.yaml", "other.yaml", "extra.yaml")
      taken "extra: added"
      wait.till("records in extra.out", 30, function() return #f.witness:read "extra.out" > 0 end, 200)
      pipelines("live.yaml", "other.yaml")
      taken "extra: removed"
      assert.are.same({ worker, other }, { pid "live", pid "other" })

      finish()
      f.witness:halt(told)
      f:through("live", "live.in", 60)
      f:through("other", "live.in", 60)
      flow.stopped(d)
      clean "live"
      clean "other"
      assert.are.same(versions, f.witness:values "live.version")
      local records = f.witness:read "live.out"
      assert.are.same({}, torn(records))
      assert.is_true(ordered(records, versions))
   end)

   -- Transactions are seconds long, so that reloads come in the middle of one.
   local function reloaded_within(name, options)
      local input, output = name .. ".in", name .. ".out"
      f:topics { [input] = 1, [output] = 1, ["version." .. name] = 1 }
      new(options)
      pipelines(name .. ".yaml")
      write(name .. ".yaml", flow.yaml(name, { from = input, transaction = "commit_every: 2s, timeout: 10s",
         outputs = ("default: {topic: %s}, version: {topic: version.%s}"):format(output, name) }))
      write("tag.lua", "return 'one'")
      write(name .. ".lua", script "a")
      begin(input, 500)
      d:start()
      local function begun(letter)
         wait.till("version " .. letter, 30, function()
            local found = f.witness:values("version." .. name)
            return #found > 0 and found[#found]:sub(1, 1) == letter
         end, 50)
      end
      begun "a"
      for _, letter in ipairs { "b", "c", "d" } do -- one of them might come between two transactions
         write(name .. ".lua", script(letter))
         taken(name .. ": taken over in place")
      end
      begun "d"
      finish()
      f:through(name, input)
      flow.stopped(d)
      return torn(f.witness:read(output))
   end

   it("changes over between two transactions", function() assert.are.same({}, reloaded_within("whole", {})) end)

   it("would change over within one (negative control)", function()
      local examples = reloaded_within("torn", { guard_off = "boundary" })
      assert.matches("^0@%d+: %a one %-, %a one %-$", examples[1])
   end)
end)
