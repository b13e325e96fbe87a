-- SPDX-License-Identifier: MIT
-- The hand-over between front and back under ThreadSanitizer, in a process of its own.
local process = require "spec.support.process"

local PARTS = { "mailbox", "partitions", "batch", "arena", "err" }

-- Builds the driver with the files that it hammers; returns the binary.
local function build(name, flags)
   local binary = ("build/spec/%s-%d"):format(name, process.self())
   local command = ("mkdir -p build/spec && %s -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -pthread -fsanitize=thread %s -Idaemon -o %s " ..
      "spec/unit/threads_driver.c"):format(os.getenv "CC" or "gcc", flags, binary)
   for _, part in ipairs(PARTS) do command = command .. " daemon/" .. part .. ".c" end
   assert(process.shell(command .. " -lrdkafka") == 0, "can't build " .. binary)
   return binary
end

-- Exit code and all that it wrote. setarch: gcc 12's runtime can't stand addresses as random as newer kernels make them.
local function run(binary, rounds)
   local code, out = process.run({ "sh", "-c", 'exec setarch -R "$0" "$1" 2>&1', "./" .. binary, rounds },
      { env = { TSAN_OPTIONS = "exitcode=66 halt_on_error=0" }, timeout = 120 })
   os.remove(binary)
   return code, out
end

describe("front and back", function()
   it("hand batches over without a data race, and each side finds what the other left", function()
      local code, out = run(build("threads", ""), 2000)
      assert.equal(0, code, out)
      assert.is_nil(out:find("ThreadSanitizer", 1, true), out)
      local committed, dropped, not_owned = out:match "rounds=2000 committed=(%d+) dropped=(%d+) not_owned=(%d+) settled=2000"
      assert.is_true(tonumber(committed) > 500 and tonumber(dropped) > 20 and tonumber(not_owned) > 0, out)
   end)

   it("a front that touches a batch after the hand-over is reported", function()
      local code, out = run(build("threads-planted", "-DPLANTED"), 200)
      assert.is_true(code ~= 0, out)
      assert.truthy(out:find("WARNING: ThreadSanitizer: data race", 1, true), out)
   end)
end)
