-- SPDX-License-Identifier: MIT
-- One scenario of the catalogue, played: input flows through pipelines of one or more instances, fault after fault is made, after each
-- the time to the next commit is taken, and in the end (and whenever a scenario asks) Kafka's own client judges. Scenarios say what
-- hurts and nothing else; all that they share is here. `setting` below is what they may change.
local pipelines = require "spec.fault.pipelines"
local subjects = require "spec.fault.subjects"
local wait = require "spec.support.wait"

local rig = {}
local Rig = {}
Rig.__index = Rig

local SETTING = {
   cluster = {},            -- options of cluster.start; three brokers unless it says otherwise
   partitions = 6,          -- of every topic
   transactional = true,    -- there is a transactional input beside the plain one
   rate = 600,              -- records a second of the plain input; the transactional one has a third of it, of which a third is aborted on top
   size = 200,              -- bytes of a value
   instances = { "a", "b" },
   workers = 1,             -- of each pipeline in each instance
   pipelines = { "map", "fan" },
   failpoints = false,      -- the test build, with a gate at each failpoint
   transaction = "commit_every: 50ms, timeout: 10s",
   input = "session_timeout: 6s",
   kafka = { "{}" },        -- librdkafka's properties; of several, one by the seed
   env = function() end,    -- more environment of an instance
   rest = { 500, 3000 },    -- milliseconds of load between two faults
   resume = 90,             -- seconds until each partition must have a commit again
   drain = 180,             -- seconds until all is through when the input has ended
}

-- Of a run of another program (subjects.lua): one input, passed on. Their sessions and transactions have the time-outs of their clients, 45 s
-- and 60 s, and what one that was killed has left open goes on for as long.
local SUBJECT = { transactional = false, instances = { "a" }, pipelines = { "pass" }, failpoints = false, resume = 150 }

local POINTS = { "after-poll", "after-lua", "after-begin", "after-produce", "before-offsets", "after-offsets", "before-endtxn", "after-endtxn" }

-- Whether this is one of several faults at the same time. (With Lua 5.2's extensions the main thread is told of, too.)
local function in_turns()
   local thread, is_main = coroutine.running()
   return thread and not is_main
end
rig.POINTS = POINTS

-- --- building ---------------------------------------------------------------------------------------------------------------------
-- stage: with its cluster open; name: of this run, the prefix of all that it has in Kafka. A rate that a scenario sets is a part of it; else
-- it's options.load times the usual one. options.subject: who is under test, if not onced's daemons.
function rig.open(stage, name, setting, options)
   local subject = options.subject
   local self = setmetatable({ stage = stage, kafka = stage.cluster, witness = stage.witness, name = name, setting = {}, daemons = {}, up = {},
      resumes = {}, odd = {}, read = {}, faults = 0, guards_off = options.guards_off, proxy = stage.proxy, subject = subject }, Rig)
   for _, layer in ipairs { SETTING, { rate = SETTING.rate * (options.load or 1) }, setting or {}, subject and SUBJECT or {} } do
      for k, v in pairs(layer) do self.setting[k] = v end
   end
   local s = self.setting
   s.kafka = s.kafka[options.seed % #s.kafka + 1]
   self.inputs = { name .. "-in", s.transactional and name .. "-in-txn" or nil }
   stage:topics(self.inputs, s.partitions)
   self.pipelines = {}
   for i, kind in ipairs(s.pipelines) do
      local p = { name = name .. "-" .. kind, lua = pipelines.kinds[kind].lua, outputs = {} }
      for j, o in ipairs(pipelines.kinds[kind].outputs) do
         p.outputs[j] = { topic = p.name .. "-" .. o.name, name = o.name, of = o.of, take = o.take, copies = o.copies }
         stage:topics({ p.outputs[j].topic }, s.partitions)
      end
      p.yaml = not subject and pipelines.yaml(p, self.inputs, s)
      self.pipelines[i] = p
   end
   return self
end

-- Instances start where the cluster has namespaces on hosts of their names.
function Rig:launch(instance)
   local d = self.daemons[instance]
   if d then
      d:start()
   elseif self.subject then
      local p = self.pipelines[1]
      d = subjects.start(self.stage, self.subject, { group = p.name, input = self.inputs[1], output = p.outputs[1].topic,
         wrap = self.kafka:host(instance), bootstrap = self.proxy and self.proxy.bootstrap })
      self.daemons[instance] = d
   else
      local files, points = {}, {}
      for _, p in ipairs(self.pipelines) do files[p.name] = { yaml = p.yaml, lua = p.lua } end
      if self.setting.failpoints then
         for i, point in ipairs(POINTS) do points[i] = ("%s=hold:%s"):format(point, self:gate(instance, point)) end
      end
      d = self.stage:daemon { instance = instance, pipelines = files, env = self.setting.env(self, instance), guard_off = self.guards_off,
         host = self.kafka.network and instance, failpoints = points[1] and table.concat(points, ","), bootstrap = self.proxy and self.proxy.bootstrap }
      self.daemons[instance] = d
   end
   self.up[instance] = true
   return d
end

function Rig:begin()
   local w, topics = self.witness, {}
   for _, instance in ipairs(self.setting.instances) do self:launch(instance) end
   for _, d in pairs(self.subject and {} or self.daemons) do d:wait_log("ready:", 60) end
   if self.subject then self:ask("topic", { topic = "__consumer_offsets" }) end -- there when it has asked for its group
   for _, p in ipairs(self.pipelines) do
      p.watch = w:watch_offsets({ group = p.name, every_ms = 25 }).job
      for _, o in ipairs(p.outputs) do topics[#topics + 1] = o.topic end
   end
   self.reader = w:follow({ topics = topics }).job
   self:feed()
   self:resume()
   self.resumes = {}
end

-- --- load -------------------------------------------------------------------------------------------------------------------------
-- plain, transactional: what the two generators are to do differently.
function Rig:feed(plain, transactional)
   local s = self.setting
   local function start(request, change)
      request.size, request.background = s.size, true
      for k, v in pairs(change or {}) do request[k] = v end
      return self.witness:produce(request).job
   end
   self.generators = { start({ topic = self.inputs[1], rate = s.rate }, plain) }
   if s.transactional then
      self.generators[2] = start({ topic = self.inputs[2], rate = s.rate / 3, transaction = 25, abort_every = 3 }, transactional)
   end
end

-- Ends the input; all of it is in the brokers then.
function Rig:pause()
   for _, job in ipairs(self.generators) do
      local g = self.witness:halt(job)
      if g.error or g.failed > 0 then error("the generator: " .. tostring(g.error or g.failed .. " records weren't acknowledged")) end
   end
   self.generators = {}
end

-- Ends the input and waits until all of it is through; returns false, and notes why, when it isn't in time.
function Rig:drain()
   self:pause()
   local left
   local ok = self:till(self.setting.drain, 200, function()
      left = 0
      for _, p in ipairs(self.pipelines) do left = math.max(left, self.witness:pending(p.name, self.inputs)) end
      return left == 0
   end)
   if not ok then self:stood(("%d records aren't through %d s after the input's end"):format(left, self.setting.drain)) end
   return #self.odd == 0
end

-- --- watching ---------------------------------------------------------------------------------------------------------------------
-- For whoever looks into the stage's folder while it runs, or when it was kept.
function Rig:tell(text)
   self.diary = self.diary or assert(io.open(self.stage.dir .. "/" .. self.name .. ".diary", "w"))
   self.diary:write(("%s fault %d: %s\n"):format(os.date "!%H:%M:%S", self.faults, text))
   self.diary:flush()
end

function Rig:note(text) self.odd[#self.odd + 1] = text end

-- No progress, though brokers and network were well again.
function Rig:stood(text)
   self.stood_still = 1
   self:note(text)
end

-- What the log of an instance has had since the last look.
local function news(self, d)
   local file = assert(io.open(d.log_path, "rb"))
   file:seek("set", self.read[d] or 0)
   local text = file:read "*a"
   self.read[d] = file:seek()
   file:close()
   return text
end

-- A daemon that nobody ended is a finding, and so is a pipeline that has halted; nothing else will explain it better than its log. Another
-- program is started again.
function Rig:look()
   for instance, d in pairs(self.daemons) do
      local halted = news(self, d):match "pipeline halted: ([^\n]*)"
      self.halted = self.halted or halted
      if halted then self:note(("instance %s: a pipeline halted: %s"):format(instance, halted)) end
      if self.up[instance] and not d:running() then
         if self.subject then
            d:revive()
         else
            self.up[instance] = nil
            if not self.halted then self:note(("instance %s ended by itself: %s"):format(instance, d:log():sub(-2000))) end
         end
      end
   end
end

-- Load goes on for so long; returns false when something is odd, and there is nothing to wait for any more. Faults that are made at
-- the same time (course.lua) take turns here.
function Rig:rest(ms)
   local till = wait.now() + ms
   repeat
      self:look()
      if #self.odd > 0 then return false end
      if in_turns() then coroutine.yield() else wait.sleep(math.max(0, math.min(100, till - wait.now()))) end
   until wait.now() >= till
   return true
end

-- Whether the condition came true in time.
function Rig:till(seconds, pause_ms, condition)
   local deadline = wait.now() + seconds * 1000
   while not condition() do
      if wait.now() > deadline or not self:rest(pause_ms) then return false end
   end
   return true
end

-- Committed offsets of a group by partition, of a look that was begun after `samples` looks.
local function offsets(self, p, samples)
   local seen
   if not self:till(120, 5, function()
      seen = self.witness:progress(p.watch)
      return seen.samples > samples + 1
   end) then self:note("the group's offsets can't be seen: " .. p.name) end
   return seen.offsets
end

-- From here on: until every partition of the input has a commit of every group again. This is more than the next commit of the group,
-- which another instance may have made. Where several faults are made at once their end is the course's to tell.
function Rig:resume()
   if in_turns() then return self:rest(math.random(0, 5000)) end
   self.resumed = true
   local begun = wait.now()
   local before, missing = {}, nil
   for i, p in ipairs(self.pipelines) do before[i] = offsets(self, p, self.witness:progress(p.watch).samples) end
   local ok = self:till(self.setting.resume, 10, function()
      for i, p in ipairs(self.pipelines) do
         local now = self.witness:progress(p.watch).offsets
         for _, topic in ipairs(self.inputs) do
            for n = 0, self.setting.partitions - 1 do
               local key = topic .. "-" .. n
               missing = p.name .. " " .. key
               if (now[key] or -1) <= (before[i][key] or -1) then return false end
            end
         end
      end
      return true
   end)
   if not ok and #self.odd == 0 then self:stood(("no commit %d s after the fault: %s"):format(self.setting.resume, missing)) end
   self.resumes[#self.resumes + 1] = wait.now() - begun
   self:tell(("resumed after %d ms"):format(wait.now() - begun))
end

-- --- what scenarios do ------------------------------------------------------------------------------------------------------------
function rig.pick(list) return list[math.random(#list)] end


-- Instances that are up.
function Rig:instances()
   local names = {}
   for instance in pairs(self.up) do names[#names + 1] = instance end
   table.sort(names)
   return names
end

function Rig:instance() return rig.pick(self:instances()) end

-- A worker of that instance, at random: waits until there is one.
function Rig:worker(instance)
   local d = self.daemons[instance]
   return rig.pick(wait.till("a worker of " .. instance, 30, function()
      self:look()
      local pids = d:workers()
      return pids[1] and pids
   end))
end

-- SIGTERM, which must be obeyed in time and with exit code 0; `again`: a second one, after so many milliseconds, which may make it 1. While
-- brokers are hurt too, what is underway may rightly not be committed: 75.
function Rig:stop(instance, again)
   local d = self.daemons[instance]
   self.up[instance] = nil
   if again then
      d:signal "TERM"
      wait.sleep(again)
   end
   local ok, code, signal = pcall(d.stop, d)
   self.killed = self.killed or code ~= 0
   if code ~= 0 and not (again and code == 1) and not (in_turns() and code == 75) then
      self:note(("instance %s ended with %s"):format(instance, ok and tostring(code or signal) or code))
   end
end

-- SIGKILL for the whole instance, which is started again at once.
function Rig:kill_instance(instance)
   self.killed = true
   self.daemons[instance]:kill()
   self:launch(instance)
end

-- The file whose being there holds every worker of that instance at a failpoint; FILE.reached tells that one is there.
function Rig:gate(instance, point)
   local dir = ("%s/gates/%s"):format(self.stage.dir, instance)
   os.execute("mkdir -p " .. dir)
   return dir .. "/" .. point
end

local function exists(path)
   local file = io.open(path)
   return file and file:close()
end

function Rig:close_gate(instance, point)
   if not self.setting.failpoints then return end -- then it is any moment
   local path = self:gate(instance, point)
   os.remove(path .. ".reached")
   assert(io.open(path, "w")):close()
   if not self:till(120, 2, function() return exists(path .. ".reached") end) then self:note("nobody comes to " .. point) end
end

function Rig:open_gate(instance, point) os.remove(self:gate(instance, point)) end

-- Coordinators and leaders are brokers' numbers.
function Rig:group_coordinator(p) return self:ask("group", { group = (p or self.pipelines[1]).name }).coordinator end
function Rig:transaction_coordinator(p, instance)
   if self.subject then return self:open_transaction().coordinator end
   return self:ask("coordinator", { id = ("onced.%s.%s.0"):format((p or self.pipelines[1]).name, instance or self.setting.instances[1]) }).coordinator
end

-- Of another program, whose transactional id is its own affair: nobody else is on this cluster.
function Rig:open_transaction()
   return wait.till("an open transaction", 120, function()
      self:look()
      return self:ask("transactions", {}).transactions[1]
   end)
end

function Rig:leader(topic, partition) return self:ask("topic", { topic = topic }).partitions[partition + 1].leader end

-- A question that brokers which are hurt may not answer at once.
function Rig:ask(command, request)
   local ok, answer
   self:till(120, 200, function()
      local copy = {}
      for k, v in pairs(request) do copy[k] = v end
      ok, answer = pcall(self.witness[command], self.witness, copy)
      return ok
   end)
   if not ok then error(answer, 0) end
   return answer
end

-- All topics of the run, the internal ones too.
function Rig:topics()
   local out = { "__transaction_state", "__consumer_offsets", unpack(self.inputs) }
   for _, p in ipairs(self.pipelines) do
      for _, o in ipairs(p.outputs) do out[#out + 1] = o.topic end
   end
   return out
end

-- Waits until every partition has all its replicas in sync: else the next broker to go would take a partition with it.
function Rig:whole()
   local lacking
   local function is_whole()
      for _, topic in ipairs(self:topics()) do
         for _, p in ipairs(self:ask("topic", { topic = topic }).partitions) do
            lacking = ("%s-%d"):format(topic, p.partition)
            if #p.isr < 3 then return false end
         end
      end
      return true
   end
   if not self:till(120, 200, is_whole) then self:note(lacking .. " lacks a replica") end
end

-- --- judging ----------------------------------------------------------------------------------------------------------------------
local FINDINGS = { "lost", "repeated", "disorder", "ahead", "foreign", "aborted", "damaged", "torn", "unstamped", "twice_in_input", "miscounted" }

-- What onced says it has committed of a pipeline, in the reports of its ended instances. nil where it can't know or says that it doesn't: a
-- process ended otherwise than by a stop, or partitions went while a commit was underway.
local function claims(self, p)
   local sum = { records = 0, outputs = 0 }
   if self.subject or self.killed then return nil end
   for _, d in pairs(self.daemons) do
      for line in d:log():gmatch "[^\n]+" do
         if line:find(p.name .. ": committed records=", 1, true) then
            sum.records = sum.records + line:match " records=(%d+)"
            sum.outputs = sum.outputs + (line:match " produced=(%d+)" or 0)
         elseif line:find(p.name .. "#", 1, true) and (line:find("; restart ", 1, true) or line:find(" while stopping", 1, true)
            or line:find("they aren't counted", 1, true) or line:find("isn't known to be committed", 1, true)) then
            return nil
         end
      end
   end
   return sum
end

-- The oracle's verdict on every pipeline as it stands; what it finds is noted. Input must have ended, or `partial`; `ended`: onced has, too.
function Rig:judge(partial, ended)
   local sum = { records = 0, lost = 0, repeated = 0, disordered = 0, hanging = 0, aborted_copies = 0, accounted = 0 }
   for _, p in ipairs(self.pipelines) do
      local outputs = {}
      for i, o in ipairs(p.outputs) do outputs[i] = { topic = o.topic, of = o.of, take = o.take, copies = o.copies } end
      local claimed = ended and claims(self, p) or nil
      sum.accounted = sum.accounted + (claimed and 1 or 0)
      local v = self.witness:verify { group = p.name, inputs = self.inputs, outputs = outputs, partial = partial, claims = claimed, timeout = 600,
         transactions = self.subject and "" or "onced." .. p.name .. ".", settle_ms = self.subject and 75000 }
      sum.records = sum.records + v.inputs
      sum.lost, sum.repeated, sum.disordered = sum.lost + v.lost, sum.repeated + v.repeated, sum.disordered + v.disorder
      sum.hanging = sum.hanging + #v.open + #v.unstable
      for _, o in pairs(v.outputs) do sum.aborted_copies = sum.aborted_copies + o.aborted_copies end
      if not v.ok then
         local found = {}
         for _, f in ipairs(FINDINGS) do if v[f] > 0 then found[#found + 1] = f .. " " .. v[f] end end
         if v.pending > 0 and not partial then found[#found + 1] = "pending " .. v.pending end
         for _, list in ipairs { v.open, v.unstable, v.examples } do
            for _, text in ipairs(list) do found[#found + 1] = text end
         end
         self:note(p.name .. ": " .. table.concat(found, "\n    "))
      end
   end
   return sum
end

-- Ends daemons and watchers, and judges for the last time.
function Rig:finish()
   local whole, set_back = #self.odd == 0 and self:drain(), 0
   for _, instance in ipairs(self:instances()) do self:stop(instance) end
   for _, job in ipairs(self.generators) do self.witness:halt(job) end
   for _, p in ipairs(self.pipelines) do
      for _, text in ipairs(self.witness:halt(p.watch).decreased) do
         self:note("an offset went back: " .. text)
         set_back = set_back + 1
      end
   end
   local seen = self.witness:halt(self.reader)
   if seen.error or not seen.consistent then self:note("the reader beside it: " .. (seen.error or "saw what isn't there afterwards")) end
   local sum = self:judge(not whole, true)
   sum.set_back = set_back
   return sum
end

-- At a broken run's end: nothing of it goes on beside the next one.
function Rig:abandon()
   for _, d in pairs(self.daemons) do pcall(d.kill, d) end
   for _, job in ipairs(self.generators or {}) do pcall(self.witness.halt, self.witness, job) end
end

-- --- a run ------------------------------------------------------------------------------------------------------------------------
local function quantile(list, q)
   table.sort(list)
   return list[math.max(1, math.ceil(#list * q))] or 0
end

-- Fault after fault, with load in between. Each is seeded by itself: a run that is taken up makes those that were left.
local function rounds(r, scenario, options)
   for i = 1, options.faults do
      local k = options.first + i - 1
      math.randomseed(options.seed * 1000 + k)
      if not r:rest(math.random(unpack(r.setting.rest))) then return end
      r.resumed, r.faults = false, i
      scenario.fault(r, k)
      if not r.resumed then r:resume() end
   end
end

-- Plays it on the stage's cluster. options: seed, load, guards_off, subject; first and faults: the first one's number and how many, or
-- minutes of a course. Returns what came of it as the ledger has it, and a list of what was odd.
function rig.play(stage, scenario, options)
   math.randomseed(options.seed)
   local name = ("%s-%d-%d%s"):format(scenario.id:lower(), options.seed, options.first or 0, options.subject and "-" .. options.subject or "")
   local r = rig.open(stage, name, scenario.setting, options)
   local ok, sum = xpcall(function()
      r:begin()
      if scenario.course then scenario.course(r, options) else rounds(r, scenario, options) end
      return r:finish()
   end, function(e) return tostring(e):find "interrupted!" and "interrupted!" or debug.traceback(e, 2) end)
   if not ok then
      r:abandon()
      error(sum, 0)
   end
   sum.faults, sum.resume_p99_ms, sum.resume_max_ms = r.faults, quantile(r.resumes, 0.99), quantile(r.resumes, 1)
   local halted = scenario.halts and r.halted and r.halted:find(scenario.halts) and sum.lost + sum.repeated + sum.disordered == 0
   if options.subject then sum.subject, sum.ended, sum.stood_still = options.subject, r.daemons.a.ended, r.stood_still or 0 end
   sum.verdict = #r.odd == 0 and "clean" or halted and "halted" or "red"
   return sum, r.odd
end

return rig
