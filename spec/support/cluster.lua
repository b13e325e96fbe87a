-- SPDX-License-Identifier: MIT
-- A Kafka cluster of a spec file, through the tool spec/support/kafka. Start it in setup(), stop it in teardown(): one a file at most,
-- since two cores bear no more. If the spec is killed, the tool's watchdog ends the brokers.
local process = require "spec.support.process"

local cluster = {}
local Cluster = {}
Cluster.__index = Cluster

local KAFKA, NETWORK = "spec/support/kafka", "spec/support/network"
local number = 0

local function tool(args, env)
   local code, out = process.run(args, { env = env })
   if code ~= 0 then error(("%s failed (%s); see above"):format(table.concat(args, " "), tostring(code)), 3) end
   return out
end

local function run(...) return tool { KAFKA, ... } end

-- options: brokers = 1|3, controller = true (a node of its own), namespaces = true, proxied = true, bench = true,
-- listeners = {NAME = "SASL_SSL"}, properties = {["k"] = v}, dir
function cluster.start(options)
   options = options or {}
   number = number + 1
   local dir = options.dir or ("build/kafka/spec-%d-%d"):format(process.self(), number)
   local args = { "start", dir, "--parent", process.self(), "--brokers", options.brokers or 1, options.bench and "--bench" or "--fast" }
   for _, flag in ipairs { "proxied", "controller", "namespaces" } do
      if options[flag] then args[#args + 1] = "--" .. flag end
   end
   for name, protocol in pairs(options.listeners or {}) do
      args[#args + 1] = "--listener"
      args[#args + 1] = name .. "=" .. protocol
   end
   for k, v in pairs(options.properties or {}) do
      args[#args + 1] = "--property"
      args[#args + 1] = k .. "=" .. tostring(v)
   end
   run(unpack(args))
   local self = setmetatable({ dir = dir, brokers = options.brokers or 1, foreign = os.getenv("ONCED_BROKERS") ~= nil }, Cluster)
   self.bootstrap = run("bootstrap", dir)
   if options.namespaces then self.network = "onced-" .. process.self() end
   return self
end

-- What a machine lacks for namespaces = true: a line each, or nil.
function cluster.lacks()
   local code, out = process.run { NETWORK, "lacks" }
   return code ~= 0 and out or nil
end

-- What to put before a command to run it on a host of the network (a, b, c, hub); nothing where there is no network.
function Cluster:host(name) return self.network and { "nsenter", "--net=/run/netns/" .. self.network .. "-" .. name } or {} end

-- A command of spec/support/network: net("cut", "a", 2, "in"), net("heal"), ...
function Cluster:net(command, ...) tool { NETWORK, command, self.network, ... } end

-- host:port list of one of `listeners`.
function Cluster:listener(name) return run("bootstrap", self.dir, name) end

function Cluster:stop() run("stop", self.dir) end
function Cluster:kill(n, signal) run("kill", self.dir, n, signal or "KILL") end -- STOP and CONT too
-- env: more environment of it.
function Cluster:restart(n, signal, env) tool({ KAFKA, "restart", self.dir, n, signal or "KILL" }, env) end
function Cluster:pid(n) return tonumber(run("pid", self.dir, n)) end

-- start_node(1, 2, 3) starts all three before it waits: a lone broker of three has no quorum and never answers.
function Cluster:start_node(...) run("start-node", self.dir, ...) end
function Cluster:start_node_only(...) run("start-node", self.dir, "--no-wait", ...) end

-- Of each broker: {listen = where the proxy listens, to = the broker's port behind it}; for proxy.start().
function Cluster:proxy_ports()
   local out = {}
   for _, to, listen in run("ports", self.dir):gmatch("(%d+) %d+ (%d+) (%d+)") do
      out[#out + 1] = { listen = tonumber(listen), to = tonumber(to) }
   end
   if #out == 0 then error("the cluster was started without proxied = true", 2) end
   return out
end

return cluster
