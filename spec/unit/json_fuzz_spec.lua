-- SPDX-License-Identifier: MIT
-- A short run of json_texts.c under ASan and UBSan, the same each time. The long one: spec/fuzz by hand.
describe("documents", function()
  it("agree with an independent parser about random texts, values and edits", function()
    local pipe = assert(io.popen "env -u LD_PRELOAD spec/fuzz 30000 2>&1; echo status $?")
    local text = pipe:read "*a"
    pipe:close()
    local accepted, refused = text:match "\n30000 executions: (%d+) accepted and edited, (%d+) refused, %d+ apart\nstatus 0\n$"
    assert(accepted, text)
    assert.is_true(tonumber(accepted) > 7500 and tonumber(refused) > 7500, text)
  end)
end)
