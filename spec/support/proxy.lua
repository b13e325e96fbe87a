-- SPDX-License-Identifier: MIT
-- The fault proxy (proxy.c) from Lua: between the client under test and the brokers of a cluster that was started with proxied = true.
-- Only the client under test bootstraps through it (proxy.bootstrap); readers and the witness go direct.
local json = require "cjson"
local process = require "spec.support.process"

local proxy = { PRODUCE = 0, OFFSET_FETCH = 9, FIND_COORDINATOR = 10, JOIN_GROUP = 11, HEARTBEAT = 12, SYNC_GROUP = 14,
   INIT_PRODUCER_ID = 22, ADD_PARTITIONS = 24, ADD_OFFSETS = 25, END_TXN = 26, TXN_OFFSET_COMMIT = 28 }
local Proxy = {}
Proxy.__index = Proxy

function proxy.start(cluster)
   process.build "build/proxy"
   local args, hosts = { "build/proxy" }, {}
   for i, p in ipairs(cluster:proxy_ports()) do
      args[i + 1] = p.listen .. ":" .. p.to
      hosts[i] = "127.0.0.1:" .. p.listen
   end
   local self = setmetatable({ child = process.spawn(args, { stdin = "pipe", stdout = "pipe" }), bootstrap = table.concat(hosts, ",") }, Proxy)
   if not self.child:line(10) then error("the proxy didn't start; see above", 2) end
   return self
end

-- A raw command line; the shorthands below are made of it.
function Proxy:command(...)
   self.child:write(table.concat({ ... }, " ") .. "\n")
   local line = self.child:line(20)
   if not line then error("the proxy has ended", 2) end
   local answer = json.decode(line)
   if answer.error then error("proxy: " .. answer.error, 3) end
   return answer
end

-- The nth request of this key from now on (that contains `text`, say a transactional id): how = "stall", "cut", "resp" or "respcut".
function Proxy:hold(key, how, nth, text) self:command("hold", key, nth or 1, how, text) end

-- Delivers what the i-th hold (from 0) keeps and returns the broker's answers: {{name, key, answer = code}, ...}.
function Proxy:release(i) return self:command("release", i or 0).out end
function Proxy:resume(i) self:command("resume", i or 0) end -- a slow link, not a lost one

-- Writes these codes into the next answers of this key, though the broker did the work; mangle(key) ends it.
function Proxy:mangle(key, ...) self:command("mangle", key, ...) end
function Proxy:delay(key, ms) self:command("delay", key, ms) end -- every request of this key, and what follows it
function Proxy:refuse(on, broker) self:command("refuse", on and 1 or 0, broker) end -- an outage; cuts what is there
function Proxy:cut(broker) self:command("cut", broker) end -- once; clients come back
function Proxy:stall(direction, broker) self:command("stall", direction, broker) end -- "up", "down", "both", "none"
function Proxy:drop() self:command("drop") end -- forgets rules, holds, codes and delays
function Proxy:log() return self:command("log").events end -- since the last call
function Proxy:state() return self:command("state") end
function Proxy:held() return #self:state().held end

function Proxy:stop() self.child:kill() end

return proxy
