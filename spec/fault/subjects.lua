-- SPDX-License-Identifier: MIT
-- Another program under the same faults, where the rig otherwise has a daemon of onced's: one of the peers that spec/bench/run compares onced
-- with (PEERS, PEERS_BUILD as there), or onced by the same door. None of them has a supervisor; this is theirs.
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local subjects = {}
local Subject = {}
Subject.__index = Subject

local BUILD = os.getenv "PEERS_BUILD" or "build/peers"
local DELAY_MS = 1000 -- until what has ended is started again
local KILL = 9

local function directory_of(name)
   return process.absolute(name == "onced" and "spec/bench/onced" or (os.getenv "PEERS" or "../shared/peers") .. "/" .. name)
end

-- Why that one can't be run; nil when it can.
function subjects.why_not(name)
   local dir = directory_of(name)
   if not dir then return "no such peer: PEERS=DIR names their directory (default ../shared/peers)" end
   if name ~= "onced" and not process.absolute(BUILD .. "/" .. name) then return "not built: " .. dir .. "/build" end
end

-- what: {group, input, output, bootstrap, wrap}; of the bootstrap addresses it gets one, since franz-go's peer takes no more. Its log is in
-- the stage's folder, and it ends with the stage.
function subjects.start(stage, name, what)
   local dir = ("%s/%s"):format(process.absolute(stage.dir), what.group)
   process.run { "mkdir", "-p", dir, BUILD .. "/onced" } -- spec/bench/onced works there
   local args = { unpack(what.wrap) }
   args[#args + 1] = directory_of(name) .. "/run"
   local self = setmetatable({ args = args, dir = dir, log_path = dir .. "/log", ended = 0, env = {
      BROKERS = (what.bootstrap or stage.bootstrap):match "[^,]+", IN = what.input, OUT = what.output, GROUP = what.group, TXID = what.group, COMMIT_MS = 50,
      WORK = "pass", PEERS_BUILD = process.absolute(BUILD), ONCED = process.absolute(stage.dir .. "/onced.binary"),
   } }, Subject)
   stage.daemons[#stage.daemons + 1] = self
   return self:start()
end

function Subject:start()
   self.child = process.spawn(self.args, { env = self.env, cwd = self.dir, stdout = self.log_path, stderr = self.log_path })
   self.due = nil
   return self
end

-- What a supervisor does: called while it isn't running, starts it again after a while. What wasn't killed has `ended` by itself.
function Subject:revive()
   if not self.due then
      self.due = wait.now() + DELAY_MS
      local _, signal = self.child:wait(0)
      if signal ~= KILL then self.ended = self.ended + 1 end
   elseif wait.now() >= self.due then
      self:start()
   end
end

function Subject:running() return self.child:running() end
function Subject:workers() return self.child:running() and { self.child.pid } or {} end
function Subject:signal(name) self.child:signal(name) end
function Subject:kill() self.child:kill() end

-- SIGTERM; how it ends is its own affair, when it does within half a minute.
function Subject:stop()
   self.child:signal "TERM"
   if not pcall(self.child.wait, self.child, 30) then self:kill() end
   return 0
end

return subjects
