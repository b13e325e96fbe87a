-- SPDX-License-Identifier: MIT
-- Every negative control there has to be has its test, and every guard of the test build one that shows what happens without it.
local tree = require "spec.house.tree"

local RULES, LATE, CONTROLS = "spec/kafka/rules_spec.lua", "spec/fault/late_requests_spec.lua", "spec/fault/controls_spec.lua"

-- The defect; where its control is, and text of the test's title (or of the entry in the list from which it is made).
local DEFECTS = {
   ["offsets committed outside the transaction"] = { CONTROLS, "offsets beside the transaction" },
   ["no rewind after an abort"] = { CONTROLS, "going on after an abort without sending again" },
   ["a rewind of revoked partitions only"] = { RULES, "would be lost if only the revoked ones were read again" },
   ["input read uncommitted"] = { CONTROLS, "input read with what was aborted" },
   ["an idempotent producer that isn't transactional"] = { CONTROLS, "an idempotent producer without transactions" },
   ["metadata with generation -1"] = { CONTROLS, "offsets without generation and member" },
   ["going on after fencing"] = { CONTROLS, "going on after it was fenced" },
   ["acknowledged before it is delivered"] = { CONTROLS, "offsets that don't wait for the records" },
   ["success reported for an unknown EndTxn"] = { CONTROLS, "success reported for an unknown EndTxn" },
   ["F42, c_offs_abort"] = { LATE, 'f42 = "c_offs_abort"' },
   ["F42, a_offs_commit"] = { LATE, 'f42 = "a_offs_commit"' },
   ["F42, o_after"] = { LATE, 'f42 = "o_after"' },
   ["F42, q_late"] = { LATE, 'f42 = "q_late"' },
   ["F42b, m_resend1"] = { LATE, 'f42 = "m_resend1"' },
   ["F42b, m_20"] = { LATE, 'f42 = "m_20"' },
}

-- The test that runs with the guard off.
local GUARDS = {
   taint = { LATE, 'f42 = "c_offs_abort", guards = { "taint" }' },
   maybe = { LATE, 'f42 = "m_20", guards = { "maybe", "abort" }' },
   abort = { LATE, 'f42 = "m_20", guards = { "maybe", "abort" }' },
   predecessor = { LATE, "passed over without predecessor" },
   markers = { LATE, "passed over without markers" },
   seen = { RULES, "what the group's offsets deny would be there twice" },
   member = { RULES, "would repeat what others have done meanwhile" },
   ["snapshot-revoke"] = { RULES, "loses the batch to its old generation" },
   ["assignment-number"] = { RULES, "without either it would be committed" },
   settle = { RULES, "without either it would be committed" },
   ["drop-successor"] = { RULES, "a successor that stays would be out of order" },
   rewind = { RULES, "would be lost if only the revoked ones were read again" },
   flush = { RULES, "offsets that don't wait go beside records" },
   resend = { CONTROLS, "going on after an abort without sending again" },
   outcome = { CONTROLS, "success reported for an unknown EndTxn" },
   fenced = { CONTROLS, "going on after it was fenced" },
   membership = { CONTROLS, "offsets without generation and member" },
   ["offset-guard"] = { CONTROLS, "messages of before a start that aren't dropped" },
   ["eof-offsets"] = { "spec/kafka/start_spec.lua", "without R2's offsets it would be one" },
   ["static-check"] = { "spec/kafka/start_spec.lua", "would still include topics taken out of the file" },
   quarantine = { "spec/kafka/hostile_spec.lua", "would loop for ever without the quarantine" },
   boundary = { "spec/kafka/reload_spec.lua", "would change over within one (negative control)" },
}

-- The guards that the test build knows.
local function known()
   local out = {}
   for name in tree.read("daemon/failpoint.c"):match("guards%[%] = {(.-)\n};"):gmatch '"([^"]+)"' do out[name] = true end
   return out
end

describe("negative controls", function()
   it("are there for each defect", function()
      for defect, control in pairs(DEFECTS) do assert.is_truthy(tree.read(control[1]):find(control[2], 1, true), defect) end
   end)

   it("are there for each guard, and switch it off", function()
      local guards = known()
      for guard in pairs(guards) do assert.is_truthy(GUARDS[guard], guard .. " has no negative control") end
      for guard, control in pairs(GUARDS) do
         local text = tree.read(control[1])
         assert.is_true(guards[guard], guard .. " is no guard")
         assert.is_truthy(text:find(control[2], 1, true), guard)
         assert.is_truthy(text:find('["%,]' .. guard:gsub("%-", "%%-") .. '["%,]'), guard .. " isn't switched off in " .. control[1])
      end
   end)
end)
