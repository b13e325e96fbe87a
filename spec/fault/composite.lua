-- SPDX-License-Identifier: MIT
-- Everything at once: one to three of the other scenarios' faults at the same time, of different kinds, every 5 to 20 seconds, for as long
-- as is asked for; and now and then a gap, in which all must get through and be judged.
local rig = require "spec.fault.rig"
local wait = require "spec.support.wait"

local GAP_MS = 90000

-- Scenarios by what they hurt: two faults of one kind would be in each other's way.
local function kinds()
   local out = {}
   for _, s in ipairs(require("spec.fault.catalogue").list) do
      if s.hurts then
         out[s.hurts] = out[s.hurts] or {}
         table.insert(out[s.hurts], s)
      end
   end
   return out
end

local function shuffled(list)
   for i = #list, 2, -1 do
      local j = math.random(i)
      list[i], list[j] = list[j], list[i]
   end
   return list
end

-- Makes them all at the same time: each rests when it has something to wait for.
local function together(r, faults)
   local threads, names = {}, {}
   for i, s in ipairs(faults) do
      names[i] = s.id
      threads[i] = coroutine.create(function() s.fault(r, math.random(1000)) end)
   end
   r:tell(table.concat(names, " "))
   while threads[1] do
      for i = #threads, 1, -1 do
         local ok, why = coroutine.resume(threads[i])
         if not ok then error(debug.traceback(threads[i], why), 0) end
         if coroutine.status(threads[i]) == "dead" then table.remove(threads, i) end
      end
      wait.sleep(5)
   end
end

local function course(r, options)
   local all, made, different = kinds(), {}, 0
   local till, judged = wait.now() + options.minutes * 60000, wait.now()
   while wait.now() < till and r:rest(math.random(5000, 20000)) do
      local faults = {}
      for i, hurts in ipairs(shuffled { "client", "broker", "network" }) do
         if i == 1 or math.random(2) == 1 then faults[#faults + 1] = rig.pick(all[hurts]) end
      end
      together(r, faults)
      for _, s in ipairs(faults) do
         r.faults = r.faults + 1
         if not made[s.id] then made[s.id], different = true, different + 1 end
      end
      r:resume()
      if wait.now() - judged > GAP_MS then
         if r:drain() then r:judge() end
         r:feed()
         judged = wait.now()
      end
   end
   print(("  %d different faults"):format(different))
end

return {
   composite = {
      title = "one to three faults at the same time every 5 to 20 seconds, for --minutes N; judged in gaps between; odd seeds: cooperative groups",
      setting = { cluster = { namespaces = true }, failpoints = true, workers = 2, resume = 180, drain = 300,
         kafka = { "{}", "{consumer: {partition.assignment.strategy: cooperative-sticky}}" } },
      course = course,
   },
}
