-- SPDX-License-Identifier: MIT
-- Everything at once: one to three of the other scenarios' faults at the same time, of different kinds, every 5 to 20 seconds, for as long
-- as is asked for; and now and then a gap, in which all must get through and be judged.
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

-- One after the other in an order by chance, and again: each comes before any comes twice.
local function deal(deck)
   deck.next = (deck.next or #deck) % #deck + 1
   if deck.next == 1 then shuffled(deck) end
   return deck[deck.next]
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

-- options.faults: until so many were made, instead of for so many minutes.
local function course(r, options)
   local all, made, different = kinds(), {}, 0
   local till, judged = wait.now() + options.minutes * 60000, wait.now()
   local function is_over()
      if options.faults then return r.faults >= options.faults end
      return wait.now() >= till
   end
   while not is_over() and r:rest(math.random(5000, 20000)) do
      local faults = {}
      for i, hurts in ipairs(shuffled { "client", "broker", "network" }) do
         if i == 1 or math.random(2) == 1 then faults[#faults + 1] = deal(all[hurts]) end
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
      title = "one to three faults at the same time every 5 to 20 seconds, judged in gaps between; odd seeds: cooperative groups",
      setting = { cluster = { namespaces = true }, failpoints = true, workers = 2, resume = 180, drain = 300,
         kafka = { "{}", "{consumer: {partition.assignment.strategy: cooperative-sticky}}" } },
      course = course,
   },
}
