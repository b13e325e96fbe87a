-- What the service manager hears, over sockets with a path and abstract ones.
local driver = require "spec.unit.supervisor_driver"
local process = require "spec.support.process"

-- A listening manager and a function that reads on until a message has `pattern`; returns all so far.
local function manager(address)
   local listener = process.spawn({ driver.binary(), "listen", address }, { stdout = "pipe" })
   assert.equal("listening", listener:line(10))
   local heard = {}
   return listener, function(pattern)
      local deadline = process.now() + 20000 -- also where other messages keep coming
      repeat
         assert.is_true(process.now() < deadline, pattern .. " wasn't heard")
         heard[#heard + 1] = assert(listener:line(20))
      until heard[#heard]:find(pattern)
      return heard
   end
end

describe("notify", function()
   local listener, hear, address
   local function start(pipelines, plan, watchdog)
      listener, hear = manager(address)
      return driver.start(pipelines, plan, { env = { NOTIFY_SOCKET = address, WATCHDOG_USEC = watchdog or false, WATCHDOG_PID = false } })
   end
   before_each(function()
      address = os.tmpname()
      os.remove(address)
   end)
   after_each(function()
      driver.finish()
      listener:kill()
      os.remove(address)
   end)

   it("says READY only when every worker is, and STOPPING at the end", function()
      local master = start({ "orders:2" }, { ["orders.0"] = { "await ready work" } })
      assert.matches("^STATUS=orders: [01]/2 ready, orders#0 is new", hear("^STATUS")[1])
      master:go()
      local heard = hear "^READY=1$"
      assert.equal("STATUS=orders: 2/2 ready", hear "2/2"[#heard])
      master:signal "TERM"
      hear "^STOPPING=1"
      assert.equal(0, master:wait())
   end)

   it("doesn't say READY while one worker isn't", function()
      local master = start({ "orders:2" }, { ["orders.0"] = { "work" }, ["orders.1"] = { "ready count:1 work" } })
      master:logged "committed records=1" -- the other one has been ready for a while
      master:signal "TERM"
      for _, line in ipairs(hear "^STOPPING=1") do assert.not_matches("READY", line, 1, true) end
      assert.equal(0, master:wait())
   end)

   it("reaches an abstract socket", function()
      address = "@onced-spec-" .. process.self()
      local master = start({ "orders:1" })
      hear "^READY=1$"
      master:signal "TERM"
      hear "^STOPPING=1"
      assert.equal(0, master:wait())
   end)

   it("feeds the watchdog, while stopping too", function()
      local master = start({ "orders:1" }, { ["orders.0"] = { "ready deaf" } }, "200000")
      hear "^READY=1$"
      hear "^WATCHDOG=1$"
      master:signal "TERM"
      hear "^STOPPING=1"
      hear "^WATCHDOG=1$"
      hear "^WATCHDOG=1$"
   end)

   it("doesn't feed a watchdog that is meant for another process", function()
      listener, hear = manager(address)
      local master = driver.start({ "orders:1" }, nil, { env = { NOTIFY_SOCKET = address, WATCHDOG_USEC = "1000", WATCHDOG_PID = "1" } })
      hear "^READY=1$"
      master:signal "TERM"
      for _, line in ipairs(hear "^STOPPING=1") do assert.not_matches("WATCHDOG", line) end
   end)

   it("tells a halted pipeline, is ready for the others, and says when all have halted", function()
      start({ "orders:1", "bills:1" }, { ["orders.0"] = { "reason:poison exit:65" }, ["bills.0"] = { "rest:300 ready rest:300 reason:full exit:65" } })
      hear "^READY=1$"
      hear "^STATUS=orders: halted: orders#0: poison; bills: 1/1 ready"
      hear "^STOPPING=1|STATUS=all pipelines have halted"
   end)
end)
