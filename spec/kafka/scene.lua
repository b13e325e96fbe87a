-- What the specs of crashes, membership and rules share: one broker, one pass-through pipeline a case with topics and a group of its
-- own, and the witness's verdict in full.
local cluster = require "spec.support.cluster"
local daemon = require "spec.support.daemon"
local wait = require "spec.support.wait"
local witness = require "spec.support.witness"

local scene = {}
local Scene = {}
Scene.__index = Scene

local PASS = "return function(r) return r end"

function scene.start(options)
   local self = setmetatable({ daemons = {}, jobs = {} }, Scene)
   self.kafka = cluster.start(options)
   self.witness = witness.start(self.kafka.bootstrap)
   return self
end

function Scene:stop()
   self:clear()
   if self.witness then self.witness:stop() end
   self.kafka:stop()
end

-- after_each: nothing of a failed case goes on beside the next one.
function Scene:clear()
   for _, d in ipairs(self.daemons) do
      for _, pid in ipairs(d.child:running() and d:workers() or {}) do require("spec.support.process").signal(pid, "CONT") end
      if d.child:running() then d:kill() end
   end
   for job in pairs(self.jobs) do pcall(self.witness.halt, self.witness, job) end
   self.daemons, self.jobs = {}, {}
end

-- A case: topics NAME.in and NAME.out, group and pipeline NAME. `lines`: more YAML at the top level; `input`, `transaction`: flow-style
-- contents of those maps.
function Scene:case(name, options)
   options = options or {}
   local case = { name = name, input = name .. ".in", output = name .. ".out", scene = self }
   self.witness:make(case.input, options.partitions or 4)
   self.witness:make(case.output, options.partitions or 4)
   case.yaml = ([[
version: 1
%s
input: {topics: [%s], %s}
transform: {script: %s.lua}
outputs: {default: {topic: %s}}
transaction: {%s}
]]):format(options.lines or "", case.input, options.input or "session_timeout: 15s", name, case.output,
      options.transaction or "commit_every: 50ms, timeout: 5s")
   case.lua = options.lua or PASS
   return setmetatable(case, { __index = scene.Case })
end

local Case = {}
scene.Case = Case

-- options as daemon.start's, but for what the case knows.
function Case:daemon(options)
   local o = { bootstrap = self.scene.kafka.bootstrap, pipelines = { [self.name] = { yaml = self.yaml, lua = self.lua } }, failpoints = true }
   for k, v in pairs(options or {}) do o[k] = v end
   local d = daemon.start(o)
   table.insert(self.scene.daemons, d)
   return d
end

function Case:produce(count) return self.scene.witness:produce { topic = self.input, count = count, size = 100 } end

-- Records at this rate in the background, until finish().
function Case:load(rate, count)
   self.job = self.scene.witness:produce({ topic = self.input, count = count or 1000000, rate = rate, size = 100, background = true }).job
   self.scene.jobs[self.job] = true
end

function Case:finish()
   self.scene.jobs[self.job] = nil
   return self.scene.witness:halt(self.job)
end

function Case:visible(level) return #self.scene.witness:read(self.output, level) end

function Case:pending() return self.scene.witness:pending(self.name, { self.input }) end

-- Waits until everything is through.
function Case:through(seconds)
   wait.till(self.name .. ": all is through", seconds or 60, function()
      local pending = self:pending()
      return pending == 0, pending .. " records pending"
   end, 100)
end

function Case:verify(more)
   local request = { group = self.name, inputs = { self.input }, outputs = { { topic = self.output } },
      transactions = "onced." .. self.name .. "." }
   for k, v in pairs(more or {}) do request[k] = v end
   return self.scene.witness:verify(request)
end

-- The verdict, which must be clean. Returns it and the aborted copies: proof that a fault left something behind.
function Case:clean(more)
   local v = self:verify(more)
   if not v.ok then error(self.name .. ": " .. table.concat(v.examples, "\n") .. " open: " .. table.concat(v.open, " ")
      .. " unstable: " .. table.concat(v.unstable, " ") .. " pending: " .. v.pending, 2) end
   return v, v.outputs[self.output].aborted_copies
end

-- The number of the input's records below the group's committed offsets.
function Case:committed()
   local sum = 0
   for _, o in ipairs(self.scene.witness:committed({ group = self.name }).offsets) do
      if o.topic == self.input then sum = sum + o.offset end
   end
   return sum
end

return scene
