-- Scripts that don't end, or let the process crash, on a real broker: it hurts their worker only, and the record that did it is answered
-- by errors.on_error in the transaction of the rest. The independent witness judges.
local daemon = require "spec.support.daemon"
local flow = require "spec.kafka.flow"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local function yaml(name, p)
   return ([[
version: 1
input: {topics: [%s.in]}
transform: {script: %s.lua, limits: {record_time: 500ms, memory: 32MiB}, allow: [%s]}
outputs: {default: {topic: %s.out}}
errors: {%s}
transaction: {commit_every: 50ms, timeout: 5s}
%s
]]):format(name, name, p.allow or "", name, p.errors or "on_error: stop", p.lines or "")
end

-- The numbers 0 to 99, but for those of `without`; or only those.
local function residues(without)
   local rest, out = {}, {}
   for i = 0, 99 do rest[i] = true end
   for _, i in ipairs(without) do rest[i] = nil end
   for i = 0, 99 do out[#out + 1] = rest[i] and i or nil end
   return out
end

describe("a hostile script", function()
   local f, w
   setup(function()
      f = flow.open()
      w = f.witness
   end)
   teardown(function() if f then f:close() end end)
   after_each(function() f:clear() end)

   local function run(pipelines, more)
      local options = { bootstrap = f.kafka.bootstrap, pipelines = {} }
      for name, p in pairs(pipelines) do
         options.pipelines[name] = { yaml = yaml(name, p), lua = p.lua or flow.PASS }
         f:topics { [name .. ".in"] = p.partitions or 1, [name .. ".out"] = p.partitions or 1 }
      end
      for k, v in pairs(more or {}) do options[k] = v end
      local d = daemon.new(options)
      table.insert(f.daemons, d)
      return d
   end

   local function judged(name, outputs)
      local v = w:verify { group = name, inputs = { name .. ".in" }, outputs = outputs, transactions = "onced." .. name .. "." }
      assert.is_true(v.ok, table.concat(v.examples, "\n"))
      return v
   end

   it("costs a dead letter for each of its records; a pipeline beside it isn't disturbed", function()
      local d = run({
         wild = { partitions = 2, errors = "on_error: dlq, dlq: {topic: wild.dlq}", lua = [[
            return function(r)
               local p, s = r.value:match "^@%-?%d+,(%d+),(%d+)"
               local n = tonumber(s) % 100
               if n == 50 and p == "0" then while true do end end
               if n == 50 then return (("a"):rep(40)):find(("a?"):rep(40) .. ("a"):rep(40) .. "b") end
               if n == 25 then return ("x"):rep(1e9) end
               return r
            end]] },
         calm = { partitions = 2 },
      })
      f:topics { ["wild.dlq"] = 1 }
      w:produce { topic = "wild.in", count = 400, size = 100 }
      local load = w:produce({ topic = "calm.in", count = 1000000, rate = 500, size = 100, background = true }).job
      d:start()
      local calm = tonumber(d:wait_log("calm#0: started, pid (%d+)", 20))
      f:through("wild", "wild.in", 120)
      assert.is_true(process.alive(calm))
      w:halt(load)
      f:through("calm", "calm.in")
      local log = d:log()
      assert.are.equal(1, select(2, log:gsub("calm#0: started", "")))
      for partition = 0, 1 do
         for _, offset in ipairs { 50, 150 } do
            local place = ("while transforming wild.in/%d offset %d"):format(partition, offset)
            assert.is_true(select(2, log:gsub("record_time %(500 ms%) is over " .. place:gsub("[%-%.]", "%%%0"), "")) >= 2, place)
         end
      end
      judged("calm", { { topic = "calm.out" } })
      judged("wild", { { topic = "wild.out", of = 100, take = residues { 25, 50 } },
         { topic = "wild.dlq", of = 100, take = { 25, 50 } } })
      local kinds = {}
      for _, letter in ipairs(w:read "wild.dlq") do
         local kind = flow.header(letter, "__onced.error.kind")
         kinds[kind] = (kinds[kind] or 0) + 1
      end
      assert.are.same({ killed = 4, memory = 4 }, kinds)
      flow.stopped(d)
   end)

   it("stops its pipeline when nothing else is said, and a mended one goes on exactly there", function()
      local p = { lua = [[
         return { process_batch = function(recs)
            for _, r in ipairs(recs) do
               if r.value == "157" then while true do end end
            end
            return recs
         end }]] }
      local d = run { endless = p }
      local list = {}
      for i = 1, 300 do list[i] = tostring(i - 1) end
      w:send("endless.in", list)
      d:start()
      assert.are.equal(65, d:wait(60))
      assert.is_truthy(d:log():find("endless.lua: ended its worker 2 times, at last because transform.limits.record_time was over "
         .. "(topic endless.in, partition 0, offset 157)", 1, true), d:log())
      assert.is_truthy(d:log():find("these records are run one by one now", 1, true))
      assert.are.equal(157, (f:offset("endless", "endless.in")))
      assert.are.same({ unpack(list, 1, 157) }, w:values "endless.out")
      local file = assert(io.open(d.dir .. "/endless.lua", "w"))
      file:write(flow.PASS)
      file:close()
      d:start()
      f:through("endless", "endless.in")
      assert.are.same(list, w:values "endless.out")
      flow.stopped(d)
   end)

   it("is skipped where it crashes", function()
      local d = run { crash = { allow = "loadlib", errors = "on_error: skip" } }
      local source, library = d.dir .. "/crash.c", d.dir .. "/crash.so"
      local function write(path, text)
         local file = assert(io.open(path, "w"))
         file:write(text)
         file:close()
      end
      write(source, "int crash(void *L)\n{\n    (void)L;\n    return *(volatile int *)0;\n}\n")
      assert.are.equal(0, process.shell(("%s -shared -fPIC -o %s %s"):format(os.getenv "CC" or "cc", library, source)))
      write(d.dir .. "/crash.lua", ([[
         local crash = assert(package.loadlib("%s", "crash"))
         return function(r)
            if r.value == "30" or r.value == "31" then crash() end
            return r
         end]]):format(library))
      local list, kept = {}, {}
      for i = 1, 60 do
         list[i] = tostring(i - 1)
         if i ~= 31 and i ~= 32 then kept[#kept + 1] = list[i] end
      end
      w:send("crash.in", list)
      d:start()
      f:through("crash", "crash.in", 60)
      assert.are.same(kept, w:values "crash.out")
      assert.is_truthy(d:log():find("crash#0: died while transforming crash.in/0 offset 31: once more", 1, true), d:log())
      assert.are.equal(4, d:count("killed by signal 11"))
      flow.stopped(d)
   end)

   it("would loop for ever without the quarantine (negative control)", function()
      local d = run({ loop = { errors = "on_error: skip", lua = [[
         return function(r)
            while r.value == "2" do end
            return r
         end]] } }, { guard_off = "quarantine" })
      w:send("loop.in", { "0", "1", "2", "3" })
      d:start()
      wait.till("five deaths over one record", 60, function() return d:count("loop#0: died while transforming loop.in/0 offset 2") >= 5 end)
      for _, value in ipairs(w:values "loop.out") do assert.is_true(value < "2") end
      d:kill()
      d:start { guard_off = false }
      f:through("loop", "loop.in")
      assert.are.same({ "0", "1", "3" }, w:values "loop.out")
      flow.stopped(d)
   end)
end)
