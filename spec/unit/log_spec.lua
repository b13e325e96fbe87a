-- Log lines as an operator or journald gets them.
local driver = require "spec.unit.supervisor_driver"
local process = require "spec.support.process"

-- What `driver log` writes to stderr; through a shell, so that stderr can be stdout.
local function logged(level, text, shell)
   local _, out = process.run({ "sh", "-c", (shell or "") .. ' exec "$0" log "$1" "$2" 2>&1', driver.binary(), level, text },
      { env = { JOURNAL_STREAM = false } })
   return out
end

describe("log", function()
   it("writes who speaks and the text", function() assert.equal("orders#0: committed records=5", logged(6, "committed records=5")) end)

   it("drops what is above the level", function() assert.equal("", logged(7, "detail")) end)

   it("gives journald priorities, only where journald reads", function()
      local journal = 'exec 3>&1; export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/3);'
      assert.equal("<3>orders#0: gone", logged(3, "gone", journal))
      assert.equal("orders#0: gone", logged(3, "gone", "export JOURNAL_STREAM=1:2;"))
   end)

   it("lets no text forge a line or steer a terminal", function()
      assert.equal("orders#0: a b ?[31mc \xc3\xa4", logged(4, "a\nb\t\27[31mc \xc3\xa4"))
   end)

   it("cuts long lines, visibly, and ends them", function()
      local out = logged(4, ("x"):rep(5000))
      assert.equal(2047, #out) -- and the line feed
      assert.equal("x [cut]", out:sub(-7))
   end)
end)
