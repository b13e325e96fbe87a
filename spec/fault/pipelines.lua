-- SPDX-License-Identifier: MIT
-- What the pipelines under fault make of their input, and how they are declared; `of`, `take` and `copies` of an output as the oracle has
-- them (spec/support/witness). Dead letters are one output more, in the same transaction.
local pipelines = {}

local POISON = 7 -- of ten
local OTHERS = { 0, 1, 2, 3, 4, 5, 6, 8, 9 }
pipelines.kinds = {
   pass = { outputs = { { name = "default" } } },
   map = {
      lua = [[return function(r) return { key = r.key, value = "mapped:" .. r.value } end]],
      outputs = { { name = "default" } },
   },
   fan = {
      lua = ([[
return function(r, out)
   if r.value:match "^@%%d+,%%d+,%%d*(%%d)," == "%d" then error "poison" end
   out.audit:send { key = r.key, value = "audit:" .. r.value }
   return r
end]]):format(POISON),
      outputs = { { name = "default", of = 10, take = OTHERS }, { name = "audit", of = 10, take = OTHERS }, { name = "dlq", of = 10, take = { POISON } } },
   },
   random = {
      lua = [[return function(r) return { key = r.key, value = math.random() .. os.time() .. ":" .. r.value } end]],
      outputs = { { name = "default" } },
   },
   split = {
      lua = [[
local onced = require "onced"
return function(r, out)
   local s = tonumber(r.value:match "^@%d+,%d+,(%d+)") % 4
   if s == 0 then return onced.drop "none" end
   if s == 1 then return r end
   out.more:send(r)
   out.more:send { key = r.key, value = "again:" .. r.value }
   if s == 3 then return r end
end]],
      outputs = { { name = "default", of = 4, take = { 1, 3 } }, { name = "more", of = 4, take = { 2, 3 }, copies = 2 } },
   },
   sleepy = {
      lua = [[
return function(r)
   if r.value:match "^@%d+,%d+,%d*000," then
      local till = os.time() + 3
      repeat until os.time() >= till
   end
   return r
end]],
      outputs = { { name = "default" } },
   },
   slow = {
      lua = [[
return function(r)
   local till = os.clock() + 0.001
   repeat until os.clock() >= till
   return r
end]],
      outputs = { { name = "default" } },
   },
}

-- p: name and outputs, with their topics; s: the rig's setting. A dead-letter topic is no output of the script's.
function pipelines.yaml(p, inputs, s)
   local outputs, errors = {}, ""
   for _, o in ipairs(p.outputs) do
      if o.name == "dlq" then errors = ("errors: {on_error: dlq, dlq: {topic: %s}}\n"):format(o.topic)
      else outputs[#outputs + 1] = ("%s: {topic: %s}"):format(o.name, o.topic) end
   end
   return ([[
version: 1
workers: %d
kafka: %s
input: {topics: [%s], %s}
transform: {script: %s.lua}
outputs: {%s}
%stransaction: {%s}
]]):format(s.workers, s.kafka, table.concat(inputs, ", "), s.input, p.name, table.concat(outputs, ", "), errors, s.transaction)
end

return pipelines
