-- SPDX-License-Identifier: MIT
-- What happens to topics and offsets.
local rig = require "spec.fault.rig"

return {
   F17 = { title = "an output topic is missing, deleted, forbidden", spec = "spec/kafka/output_spec.lua" },
   F18 = {
      title = "output topics get more partitions under load",
      rounds = { 3, 10 },
      fault = function(r, k)
         local p = rig.pick(r.pipelines)
         for _, o in ipairs(p.outputs) do r.witness:add_partitions { topic = o.topic, partitions = r.setting.partitions + k } end
      end,
   },
   F19 = {
      title = "input topics get more partitions under load",
      rounds = { 3, 10 },
      fault = function(r)
         r:pause()
         r.setting.partitions = r.setting.partitions + 1
         for _, topic in ipairs(r.inputs) do r.witness:add_partitions { topic = topic, partitions = r.setting.partitions } end
         r:feed()
      end,
   },
   F20 = { title = "an input topic is deleted and made anew", spec = "spec/kafka/start_spec.lua" },
   F21 = { title = "retention overtakes the group", spec = "spec/kafka/start_spec.lua" },
   F22 = { title = "the committed offset is gone", spec = "spec/kafka/start_spec.lua" },
   F67 = { title = "a static member comes back after topics or partitions have changed", spec = "spec/kafka/start_spec.lua" },
   F69 = { title = "a log ends in markers, and retention takes all", spec = "spec/kafka/start_spec.lua" },
}
