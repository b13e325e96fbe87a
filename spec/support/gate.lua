-- SPDX-License-Identifier: MIT
-- A failpoint's gate (NAME=hold:PATH): closed, whoever gets to the point waits there until it is opened.
local wait = require "spec.support.wait"

local gate = {}
local Gate = {}
Gate.__index = Gate

-- Open.
function gate.new(path)
   local self = setmetatable({ path = path }, Gate)
   self:open()
   os.remove(path .. ".reached")
   return self
end

function Gate:close()
   os.remove(self.path .. ".reached")
   assert(io.open(self.path, "w")):close()
end

function Gate:open() os.remove(self.path) end

-- Waits until somebody has been there since it was closed.
function Gate:reached(seconds)
   wait.till(self.path .. " to be reached", seconds or 30, function()
      local file = io.open(self.path .. ".reached")
      return file and file:close()
   end, 5)
end

return gate
