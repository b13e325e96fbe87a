-- What the specs of data and policies share: one broker with a witness a file, and pipelines put together from the parts a case is about.
local cluster = require "spec.support.cluster"
local daemon = require "spec.support.daemon"
local wait = require "spec.support.wait"
local witness = require "spec.support.witness"

local flow = {}
local Flow = {}
Flow.__index = Flow

flow.PASS = "return function(r) return r end"

function flow.open(options)
   local self = setmetatable({ daemons = {} }, Flow)
   self.kafka = cluster.start(options)
   self.witness = witness.start(self.kafka.bootstrap)
   return self
end

-- after_each: a failed case leaves nothing behind for the next one.
function Flow:clear()
   for _, d in ipairs(self.daemons) do
      if d.child:running() then d:kill() end
   end
   self.daemons = {}
end

function Flow:close()
   self:clear()
   if self.witness then self.witness:stop() end
   self.kafka:stop()
end

-- {topic = partitions or {partitions, configs}}
function Flow:topics(list)
   for topic, how in pairs(list) do
      if type(how) == "number" then how = { how } end
      self.witness:make(topic, how[1], how[2])
   end
end

-- The pipeline file. `from`: a topic or a list; `to`: the default output's topic, or the text of the `outputs` map; the rest are the
-- contents of flow-style maps, or more lines at the top level.
function flow.yaml(name, p)
   local from = type(p.from) == "table" and p.from or { p.from }
   local topics = {}
   for i, t in ipairs(from) do topics[i] = ('"%s"'):format(t) end
   local lines = {
      "version: 1",
      ("input: {topics: [%s], %s}"):format(table.concat(topics, ", "), p.input or "start: earliest"),
      ("transform: {script: %s.lua%s}"):format(name, p.params and ", params: {" .. p.params .. "}" or ""),
      p.to and ("outputs: {default: {topic: %s}}"):format(p.to) or "outputs: {" .. p.outputs .. "}",
      p.errors and "errors: {" .. p.errors .. "}" or "",
      ("transaction: {%s}"):format(p.transaction or "commit_every: 20ms, timeout: 5s"),
      p.lines or "",
   }
   return table.concat(lines, "\n") .. "\n"
end

-- Starts a pipeline of that name; `p.daemon` are more options of daemon.start.
function Flow:run(name, p)
   local options = { bootstrap = self.kafka.bootstrap, pipelines = { [name] = { yaml = flow.yaml(name, p), lua = p.lua or flow.PASS } } }
   for k, v in pairs(p.daemon or {}) do options[k] = v end
   local d = daemon.start(options)
   table.insert(self.daemons, d)
   return d
end

-- Writes pipeline and script of a daemon that has ended anew; d:start() takes them.
function flow.rewrite(d, name, p)
   for ending, text in pairs { yaml = flow.yaml(name, p), lua = p.lua or flow.PASS } do
      local file = assert(io.open(("%s/%s.%s"):format(d.dir, name, ending), "w"))
      file:write(text)
      file:close()
   end
end

-- Waits until the group has committed all that is in these topics.
function Flow:through(group, topics, seconds)
   if type(topics) == "string" then topics = { topics } end
   wait.till(group .. ": all is through", seconds or 30, function()
      local pending = self.witness:pending(group, topics)
      return pending == 0, pending .. " records pending"
   end, 50)
end

-- The committed offset of a partition that has one: right after a commit the broker may not tell it yet (its marker is still to come).
function Flow:offset(group, topic, partition)
   local offset, metadata
   wait.till(("%s has an offset on %s"):format(group, topic), 30, function()
      offset, metadata = self.witness:offset(group, topic, partition)
      return offset
   end, 20)
   return offset, metadata
end

-- Waits until exactly `count` records are visible; more are an error at once.
function Flow:visible(topic, count, seconds)
   local found
   wait.till(("%d records in %s"):format(count, topic), seconds or 30, function()
      found = self.witness:read(topic)
      return #found >= count, #found .. " are there"
   end, 50)
   if #found > count then error(("%d records in %s instead of %d"):format(#found, topic, count), 2) end
   return found
end

-- Ends onced and wants 0.
function flow.stopped(d)
   local code, signal = d:stop()
   if code ~= 0 then error(("onced ended with %s, signal %s\n%s"):format(tostring(code), tostring(signal), d:log():sub(-2000)), 2) end
end

function flow.header(record, name)
   for _, h in ipairs(record.headers) do
      if h[1] == name then return h[2] end
   end
end

return flow
