-- SPDX-License-Identifier: MIT
-- Every scenario there is, by id; the files of the themes have them. A scenario:
--   title     one line
--   lacking   why it can't be run here; then there is nothing else
--   rounds    {short, long}: how often the fault is made
--   setting   what differs from rig.lua's
--   fault     function(rig, k): makes the k-th fault and ends it; the rig then waits for every partition's next commit, unless this called
--             rig:resume() itself
--   halts     a pattern: onced may halt with such a message, and why that is right; then the verdict is "halted"
--   play      instead of rounds and fault: function(stage, options) -> {records, faults, ...} as rig:judge() has them, and a list of what's odd
local catalogue = {}

for _, theme in ipairs { "clients" } do
   for id, scenario in pairs(require("spec.fault." .. theme)) do
      assert(not catalogue[id], id)
      scenario.id = id
      catalogue[id] = scenario
   end
end

local list = {}
for _, scenario in pairs(catalogue) do list[#list + 1] = scenario end
table.sort(list, function(a, b) return a.id < b.id end)

return { list = list, of = function(id) return catalogue[id] end }
