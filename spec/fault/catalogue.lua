-- SPDX-License-Identifier: MIT
-- Every scenario there is, by id; the files of the themes have them. A scenario:
--   title     one line
--   lacking   why it can't be run; then there is nothing else
--   spec      spec files that play it by themselves, deterministic; then there is nothing else
--   hurts     client, broker or network: it may be part of a composite run, beside one that hurts something else
--   rounds    {short, long}: how often the fault is made
--   setting   what differs from rig.lua's
--   fault     function(rig, k): makes the k-th fault and ends it; the rig then waits for every partition's next commit, unless this called
--             rig:resume() itself
--   course    function(rig, options): the whole run, instead of rounds and fault
--   halts     a pattern: onced may halt with such a message, and why that is right; then the verdict is "halted"
local cluster = require "spec.support.cluster"

local catalogue = {}

for _, theme in ipairs { "clients", "brokers", "network", "scripts", "topics", "limits", "composite" } do
   for id, scenario in pairs(require("spec.fault." .. theme)) do
      assert(not catalogue[id], id)
      scenario.id = id
      catalogue[id] = scenario
   end
end

local list = {}
for _, scenario in pairs(catalogue) do list[#list + 1] = scenario end
table.sort(list, function(a, b) return a.id < b.id end)

-- Why a scenario can't be run, or isn't run by this rig; nil when it can be.
local function why_not(scenario)
   if scenario.lacking then return "not run: " .. scenario.lacking end
   if scenario.spec then return "in " .. scenario.spec end
   local lacks = scenario.setting and scenario.setting.cluster and scenario.setting.cluster.namespaces and cluster.lacks()
   return lacks and "not run here, where there is no " .. lacks:gsub("\n", "; ") or nil
end

return { list = list, of = function(id) return catalogue[id] end, why_not = why_not }
