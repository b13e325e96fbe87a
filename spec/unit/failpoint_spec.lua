-- The faults of the test build, in a process each.
local driver = require "spec.unit.supervisor_driver"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local function run(args, env)
   return process.run({ driver.binary(), unpack(args) }, { env = env, stderr = "/dev/null", timeout = 20 })
end

local function hit(env, passes) return run({ "hit", "after-lua", passes or 3 }, { ONCED_FAILPOINT = env }) end

describe("failpoint", function()
   it("does nothing unless asked", function()
      local code, out = hit(nil)
      assert.same({ 0, "1\n2\n3" }, { code, out })
      assert.equal(0, (hit "after-poll=kill"))
   end)

   it("kills at the pass that was named", function()
      local env = { ONCED_FAILPOINT = "after-poll=kill,after-lua=kill:2" }
      local child = process.spawn({ driver.binary(), "hit", "after-lua", 3 }, { env = env, stdout = "pipe" })
      assert.equal("1", child:line(10))
      assert.is_nil(child:line(10))
      assert.same({ n = 2, nil, 9 }, { n = select("#", child:wait()), child:wait() })
   end)

   it("stops, and goes on at SIGCONT", function()
      local child = process.spawn({ driver.binary(), "hit", "after-lua", 2 }, { env = { ONCED_FAILPOINT = "after-lua=stop:2" }, stdout = "pipe" })
      assert.equal("1", child:line(10))
      wait.till("it is stopped", 10, function()
         local file = assert(io.open(("/proc/%d/stat"):format(child.pid)))
         local state = file:read("*a"):match "%) (%a)"
         file:close()
         return state == "T"
      end)
      child:signal "CONT"
      assert.equal("2", child:line(10))
      assert.equal(0, child:wait())
   end)

   it("delays every pass", function()
      local before = wait.now()
      assert.equal(0, (hit("after-lua=sleep:100", 3)))
      assert.is_true(wait.now() - before >= 300) -- a least time, not speed
   end)

   it("holds while the file exists and says which pass it is", function()
      local file = os.tmpname()
      local child = process.spawn({ driver.binary(), "hit", "after-lua", 2 }, { env = { ONCED_FAILPOINT = "after-lua=hold:" .. file }, stdout = "pipe" })
      local function reached()
         local note = io.open(file .. ".reached")
         local text = note and note:read "*a"
         if note then note:close() end
         return text
      end
      wait.till("it is held", 10, reached)
      assert.equal("1\n", reached())
      assert.is_true(child:running())
      assert.is_false(pcall(child.line, child, 0.2))
      os.remove(file)
      assert.equal("1", child:line(10))
      assert.equal("2", child:line(10))
      assert.equal(0, child:wait())
      assert.equal("2\n", reached())
      os.remove(file .. ".reached")
   end)

   it("switches single guards off", function()
      local env = { ONCED_GUARD_OFF = "taint,flush" }
      assert.same({ 0, 1, 0 }, { (run({ "guard", "taint" }, env)), (run({ "guard", "abort" }, env)), (run({ "guard", "flush" }, env)) })
      assert.equal(1, (run { "guard", "taint" }))
   end)

   it("ends at once for what it doesn't know: a misspelt fault must not make a spec green", function()
      for _, wrong in ipairs { "after-lau=kill", "after-lua", "after-lua=kil", "after-lua=kill:x", "after-lua=sleep", "after-lua=hold", "after-lua=kill," } do
         assert.equal(64, (hit(wrong)), wrong)
      end
      assert.equal(64, (run({ "guard", "taint" }, { ONCED_GUARD_OFF = "tainted" })))
   end)
end)
