-- SPDX-License-Identifier: MIT
-- The independent witness (Witness.java, Kafka's own client) from Lua. Every command is a method: witness:create { topic = "t" }
-- sends {"cmd":"create","topic":"t"} and returns the answer as a table; an error it reports is raised. The shorthands below take care
-- of base64 and of nulls; README.md lists all commands.
local json = require "cjson.safe"
local process = require "spec.support.process"

local witness = {}
local Witness = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local VALUE = {}
for i = 1, 64 do VALUE[ALPHABET:byte(i)] = i - 1 end

local function encode(text)
   if text == nil or text == json.null then return json.null end
   local out = {}
   for i = 1, #text, 3 do
      local a, b, c = text:byte(i, i + 2)
      local n = a * 65536 + (b or 0) * 256 + (c or 0)
      for shift = 18, 0, -6 do
         local at = math.floor(n / 2 ^ shift) % 64 + 1
         out[#out + 1] = ((shift == 6 and not b) or (shift == 0 and not c)) and "=" or ALPHABET:sub(at, at)
      end
   end
   return table.concat(out)
end

local function decode(text)
   if text == nil or text == json.null then return nil end
   local out, n, bits = {}, 0, 0
   for i = 1, #text do
      local v = VALUE[text:byte(i)]
      if v then
         n, bits = (n * 64 + v) % 16777216, bits + 6
         if bits >= 8 then
            bits = bits - 8
            out[#out + 1] = string.char(math.floor(n / 2 ^ bits) % 256)
         end
      end
   end
   return table.concat(out)
end

witness.encode, witness.decode, witness.null = encode, decode, json.null

-- before: what runs it on another host of a network (cluster:host).
function witness.start(bootstrap, before)
   process.build "build/witness/Witness.class"
   local args = { unpack(before or {}) }
   args[#args + 1] = "spec/support/witness"
   args[#args + 1] = bootstrap
   local child = process.spawn(args, { stdin = "pipe", stdout = "pipe" })
   return setmetatable({ child = child }, Witness)
end

-- request.timeout: seconds to wait for the answer (default 300).
local function call(self, cmd, request)
   request = request or {}
   local timeout = request.timeout or 300
   request.timeout, request.cmd = nil, cmd
   self.child:write(assert(json.encode(request)) .. "\n")
   local line = self.child:line(timeout)
   if not line then error("the witness has ended; see its trace above", 3) end
   local answer = assert(json.decode(line))
   if answer.error then error(("witness: %s: %s"):format(cmd, answer.error), 3) end
   return answer
end

local methods = {}

function methods.stop(self)
   self.child:close_stdin()
   self.child:wait(30)
end

-- topic(name, partitions, configs): creates it and returns the name.
function methods.make(self, topic, partitions, configs, rf)
   call(self, "create", { topic = topic, partitions = partitions or 1, configs = configs, rf = rf })
   return topic
end

-- records: list of strings (values) or {key, value, headers = {{name, value}, ...}, timestamp, partition}; nil or witness.null is null.
-- options: transaction = "commit" | "abort" | "open", id, timeout_ms, compression. Returns {{partition, offset}, ...}.
function methods.send(self, topic, records, options)
   local request = { topic = topic, records = {} }
   for k, v in pairs(options or {}) do request[k] = v end
   for i, r in ipairs(records) do
      if type(r) == "string" then r = { value = r } end
      local headers = {}
      for j, h in ipairs(r.headers or {}) do headers[j] = { h[1], encode(h[2]) } end
      request.records[i] = { key = encode(r.key), value = encode(r.value), partition = r.partition, timestamp = r.timestamp,
         headers = #headers > 0 and headers or nil }
   end
   return call(self, "send", request).offsets
end

-- All records, by partition and offset: {partition, offset, timestamp, key, value, headers}; null key or value: nil.
function methods.read(self, topic, level)
   local records = call(self, "read", { topic = topic, level = level }).records
   for _, r in ipairs(records) do
      r.key, r.value = decode(r.key), decode(r.value)
      for _, h in ipairs(r.headers) do h[2] = decode(h[2]) end
   end
   table.sort(records, function(a, b)
      if a.partition ~= b.partition then return a.partition < b.partition end
      return a.offset < b.offset
   end)
   return records
end

-- The values alone, in that order; level "read_uncommitted" shows what was aborted too.
function methods.values(self, topic, level)
   local out = {}
   for i, r in ipairs(self:read(topic, level)) do out[i] = r.value or witness.null end
   return out
end

-- Committed offset of one partition (stable; nil: none) and its metadata.
function methods.offset(self, group, topic, partition)
   for _, o in ipairs(call(self, "committed", { group = group }).offsets) do
      if o.topic == topic and o.partition == (partition or 0) then return o.offset, o.metadata end
   end
end

-- Records of these topics that the group hasn't committed.
function methods.pending(self, group, topics)
   return call(self, "pending", { group = group, topics = topics }).pending
end

-- A background job (produce {background = true}, follow, watch_offsets).
function methods.progress(self, job) return call(self, "job", { job = job }) end
function methods.finish(self, job) return call(self, "job", { job = job, how = "wait", timeout = 310 }) end
function methods.halt(self, job) return call(self, "job", { job = job, how = "stop", timeout = 310 }) end -- what was sent is waited for

Witness.__index = function(_, name)
   return methods[name] or function(self, request) return call(self, name, request) end
end

return witness
