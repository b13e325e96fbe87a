-- SPDX-License-Identifier: MIT
-- Tells the author of a script which line LuaJIT can't compile: off the compiler a record costs a hundred times as much. The compiler calls
-- `watch` for each trace that it begins, ends or gives up; a warmed-up script makes none, so this costs records nothing.
local border = require "onced.border"
local log = require "onced.log"

local C, turn = border.C, border.turn
local util = require "jit.util"
local type, pcall, tostring = type, pcall, tostring
local traces = { owns = function() return false end }

local TOLD_AT, LINES_MOST = 3, 20 -- a first abort is often a detour: the compiler finds another way
local aborts, told = {}, 0

local function place_of(func, pc)
  local info = util.funcinfo(func, pc)
  if not info.source or not traces.owns(info.source) then return nil end
  return ("%s:%d"):format(info.source:sub(2), info.currentline or info.linedefined)
end

-- jit.vmdef belongs to the LuaJIT that is installed; without it the reason is a number.
local function reason_of(code, detail)
  local ok, vmdef = pcall(require, "jit.vmdef")
  if not ok then return "reason " .. tostring(code) end
  local text = vmdef.traceerr[code] or tostring(code)
  if text:find "bytecode" and type(detail) == "number" then detail = vmdef.bcnames:sub(detail * 6 + 1, detail * 6 + 6):gsub(" ", "") end
  if type(detail) == "function" then detail = util.funcinfo(detail).loc or vmdef.ffnames[util.funcinfo(detail).ffid] or "a C function" end
  return text:find "%%" and text:gsub("%%[ds]", (tostring(detail):gsub("%%", "%%%%"))) or text
end

local function tell(place, code, detail)
  aborts[place] = (aborts[place] or 0) + 1
  if aborts[place] ~= TOLD_AT or told >= LINES_MOST then return end
  told = told + 1
  log.warn(("%s isn't compiled: %s%s"):format(place, reason_of(code, detail),
    told == LINES_MOST and " (the last line that is told)" or ""))
end

local function watch(what, _, func, pc, code, detail)
  if what ~= "abort" then return end
  local place = place_of(func, pc)
  if not place then return end
  C.onced_trace_aborted(turn)
  tell(place, code, detail)
end

-- `owns` says whether a chunk is the script's.
function traces.open(owns)
  traces.owns = owns
  jit.attach(watch, "trace")
end

jit.off(watch, true)

return traces
