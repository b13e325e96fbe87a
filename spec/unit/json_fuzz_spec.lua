-- SPDX-License-Identifier: MIT
-- A short run of json_fuzz.c under ASan and UBSan, the same each time. The long one: ONCED_FUZZ=10000000 (executions) and, for other
-- texts, ONCED_FUZZ_SEED; it is built without sanitizers when ONCED_FUZZ_FAST is set.

local function run(command)
  local pipe = assert(io.popen("env -u LD_PRELOAD " .. command .. " 2>&1; echo status $?"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

describe("documents", function()
  it("agree with an independent parser about random texts, values and edits", function()
    local flags = os.getenv "ONCED_FUZZ_FAST" and "-O2" or "-O1 -fsanitize=address,undefined -fno-omit-frame-pointer"
    local built = run("gcc -std=gnu11 -D_GNU_SOURCE -g -Wall -Wextra -Werror -pthread -Idaemon " .. flags ..
      " -o build/json-fuzz spec/unit/json_fuzz.c daemon/json_*.c daemon/err.c -ljansson")
    assert.equal("status 0\n", built)
    local count = os.getenv "ONCED_FUZZ" or "30000"
    local text = run(("env ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 build/json-fuzz %s %s"):format(
      count, os.getenv "ONCED_FUZZ_SEED" or "1"))
    local executions, accepted, refused = text:match "^(%d+) executions: (%d+) accepted and edited, (%d+) refused, %d+ apart\nstatus 0\n$"
    assert(executions == count, text)
    assert.is_true(tonumber(accepted) > tonumber(count) / 4 and tonumber(refused) > tonumber(count) / 4, text)
  end)
end)
