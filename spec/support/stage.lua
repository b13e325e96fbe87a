-- SPDX-License-Identifier: MIT
-- What demo, soak and benchmarks stand on: a cluster, a witness and some daemons in a folder of their own, all ended on every way out,
-- Ctrl-C included. Started by executables that have no busted around them:
--
--   stage.run("demo", function(s) local d = s:daemon { files = {...} }; ...; return verdict_is_clean end)
local cluster = require "spec.support.cluster"
local daemon = require "spec.support.daemon"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local witness = require "spec.support.witness"

local stage = {}
local Stage = {}
Stage.__index = Stage

-- options of cluster.start. The binaries are copied: a build meanwhile doesn't matter.
function Stage:open(options)
   process.build "support" -- everything at once: one wait, one place for what is missing
   if process.shell(("cp build/onced %s/onced.binary"):format(self.dir)) ~= 0 then error("build/onced isn't there: make build", 0) end
   process.shell(("cp build/failpoints/onced %s/onced.failpoints 2>/dev/null"):format(self.dir))
   options = options or {}
   options.dir = self.dir .. "/kafka"
   self.cluster = cluster.start(options)
   self.bootstrap, self.foreign = self.cluster.bootstrap, self.cluster.foreign
   self.witness = witness.start(options.namespaces and self.cluster:listener "ORACLE" or self.bootstrap, self.cluster:host "hub")
   self.witness:ping { timeout = 30 }
   self.proxy = options.proxied and proxy.start(self.cluster)
end

-- Topics are this stage's own: on a foreign cluster one that is there already is an error, and they are deleted in the end.
function Stage:topics(names, partitions)
   for _, name in ipairs(names) do
      self.witness:make(name, partitions)
      self.made[#self.made + 1] = name
   end
end

-- As daemon.start; its files and its log are in the stage's folder. `host`: where it runs in a cluster with namespaces.
function Stage:daemon(options)
   options.binary = self.dir .. ((options.failpoints or options.guard_off) and "/onced.failpoints" or "/onced.binary")
   if options.host then options.wrap = self.cluster:host(options.host) end
   options.bootstrap = options.bootstrap or self.bootstrap
   options.dir = self.dir .. "/" .. (options.instance or "onced")
   local d = daemon.new(options)
   self.daemons[#self.daemons + 1] = d
   return d:start()
end

function Stage:close()
   for _, d in ipairs(self.daemons) do pcall(d.kill, d) end
   if self.foreign and self.witness then
      for _, name in ipairs(self.made) do pcall(self.witness.delete_topic, self.witness, { topic = name }) end
   end
   if self.witness then pcall(self.witness.stop, self.witness) end
   if self.proxy then pcall(self.proxy.stop, self.proxy) end
   if self.cluster then pcall(self.cluster.stop, self.cluster) end
   self.daemons, self.made, self.witness, self.proxy, self.cluster = {}, {}, nil, nil, nil
end

-- Runs act(stage) and ends the process: 0 if it returned true, 1 if not, 70 after an error. Logs stay unless all was well.
function stage.run(name, act)
   jit.off() -- compiled loops don't see Ctrl-C
   local self = setmetatable({ dir = ("build/%s-%d"):format(name, process.self()), daemons = {}, made = {} }, Stage)
   os.execute("mkdir -p " .. self.dir)
   local ok, result = xpcall(act, function(e) return tostring(e):find "interrupted!" and "interrupted" or debug.traceback(e, 2) end, self)
   self:close()
   local clean, interrupted = ok and result == true, not ok and result == "interrupted"
   if not ok then io.stderr:write(tostring(result), "\n") end
   if clean or interrupted then os.execute("rm -rf " .. self.dir) else io.stderr:write("Logs are in ", self.dir, "\n") end
   os.exit(clean and 0 or ok and 1 or interrupted and 130 or 70)
end

-- Options of the command line: `known` is {name = default}; --name VALUE or --name=VALUE, and --name alone where the default is false.
-- Other words are a list, where known[1] says that there may be some. "help" prints the text and ends.
function stage.options(usage, known)
   local out, i = {}, 1
   for k, v in pairs(known) do out[k] = v end
   out[1] = nil
   while arg[i] do
      local name, value = arg[i]:match "^%-%-([%w-]+)=?(.*)$"
      local word = known[1] and not name and arg[i]
      if name == "help" or not word and known[name] == nil then
         (name == "help" and io.stdout or io.stderr):write(usage, "\n")
         os.exit(name == "help" and 0 or 64)
      end
      if word then
         name, value = #out + 1, word
      elseif known[name] == false then
         value = true
      elseif value == "" then
         i = i + 1
         value = arg[i]
      end
      if type(known[name]) == "number" then value = tonumber(value) end
      if value == nil then
         io.stderr:write("--", name, " needs a value\n", usage, "\n")
         os.exit(64)
      end
      out[name] = value
      i = i + 1
   end
   return out
end

-- 1234567 -> "1,234,567"
function stage.number(n)
   local text = ("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
   return (text:gsub("^,", ""))
end

return stage
