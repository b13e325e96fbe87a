-- SPDX-License-Identifier: MIT
-- Runs the hooks of one script. C calls `run` for each slice; the loop here stays compiled (spec/unit/lua_jit_spec.lua), with one
-- protected call around the whole of it: an error ends the loop, is answered, and the loop goes on behind the record. That is
-- cheaper than a protected call a record, and as exact, since the turn says which record it was and where its outputs began.
local ffi = require "ffi"
local border = require "onced.border"
local data = require "onced.data"
local document = require "onced.document"
local outcome = require "onced.outcome"
local output = require "onced.output"
local params = require "onced.params"
local record = require "onced.record"
local sandbox = require "onced.sandbox"
local log = require "onced.log"
local suggest = require "onced.suggest"
local traces = require "onced.traces"
local uuid = require "onced.uuid"

local C, turn, host = border.C, border.turn, border.host
local View = record.View
local istype, type, getmetatable, xpcall, tostring = ffi.istype, type, getmetatable, xpcall, tostring
local getinfo = debug.getinfo
local reasons = outcome.reasons
local runner = {}

-- LuaJIT's own limits throw all code away again and again once a script has many paths.
require("jit.opt").start("maxtrace=8000", "maxmcode=16384")

local process, process_batch, close, out, returned, ctx, user
local hook_place = host.script_name -- script:line of the hook, for what has no line of its own

local FRAMES = 10

-- The innermost line of the user's own code, and from where it was called: "orders.lua:12, orders.lua:30 in process". Errors raised by the
-- daemon's Lua on a script's behalf get the script's line too.
local function lines_of_script()
  local place, callers = nil, {}
  for level = 3, 200 do
    local info = getinfo(level, "Sln")
    if not info or #callers == FRAMES then break end
    if user:owns(info.source) and info.currentline > 0 then
      local line = ("%s:%d"):format(info.source:sub(2), info.currentline)
      if place then callers[#callers + 1] = info.name and line .. " in " .. info.name or line end
      place = place or line
    end
  end
  return place or hook_place, table.concat(callers, ", ") -- a tail call leaves no frame
end

local problem = {}

local function explain(thrown)
  problem.place, problem.stack = lines_of_script()
  local text = type(thrown) == "string" and thrown or (getmetatable(thrown) and tostring(thrown)) or "error object: " .. type(thrown)
  if type(text) ~= "string" then text = "error object: " .. type(thrown) end -- so said its __tostring
  problem.kind = border.kind_of(text)
  -- "orders.lua:12: text": the place is told apart.
  local place, rest = text:match "^([^:\n]+:%d+): (.*)$"
  if place and user:owns("@" .. place:match "^(.*):%d+$") then problem.place, text = place, rest end
  problem.message = text
  return problem
end

-- After an error; true: the pipeline halts. LuaJIT collects nothing when memory runs out, so without this every later record fails.
local function failed(thrown)
  local kind, place, message, stack = problem.kind, problem.place, problem.message, problem.stack
  if thrown ~= problem then -- out of memory skips the handler, and a handler may fail
    message = tostring(thrown)
    kind, place, stack = border.kind_of(message), hook_place, ""
  end
  outcome.made = false
  if kind == "memory" then collectgarbage() end
  return C.onced_record_failed(turn, kind, place, stack, message, #message) ~= 0
end

local function rejected(reason)
  return C.onced_record_failed(turn, "reject", hook_place, "", reason, #reason) ~= 0
end

local function send_list(list)
  local count = #list
  if count == 0 then border.raise("error", "the returned table has neither value nor records: {value = ...}, or a list of records") end
  for i = 1, count do returned(list[i]) end
end

-- A hook has made a mark, which counts only when it is what the hook returns.
local function check_mark(result)
  local made, returns = outcome.made, getmetatable(result)
  outcome.made = false
  if returns == "drop" or returns == "reject" then return end
  border.raise("error", ('onced.%s must be returned, "%s" has no effect: return onced.%s(reason)'):format(
    getmetatable(made), made.reason:sub(1, 100), getmetatable(made)))
end

-- What a hook returned. True: the pipeline halts.
local function settle(result, more)
  if outcome.made then check_mark(result) end
  if more ~= nil then border.raise("error", "a hook returns one thing: several records go into a list") end
  if istype(View, result) then
    returned(result)
  elseif result == nil then
    if turn.batch.output_count == turn.mark then
      border.raise("error", "nothing was returned and nothing sent: return the record, or onced.drop(reason)")
    end
  elseif type(result) == "table" then
    local mark = getmetatable(result)
    if mark == "drop" then
      local reason = result.reason
      C.onced_record_dropped(turn, reasons[reason] or outcome.drop_series(reason))
    elseif mark == "reject" then
      return rejected(result.reason)
    elseif mark ~= "record" and result.value == nil and (result[1] ~= nil or next(result) == nil) then
      send_list(result)
    else
      returned(result)
    end
  else
    border.raise("error", "a hook must return a record, a table, a list, onced.drop or onced.reject, not a " .. type(result))
  end
end

local function begin(i, last)
  local batch = turn.batch
  turn.current, turn.current_last = i, last
  turn.mark, turn.mark_bytes = batch.output_count, batch.bytes
  local r = batch.records + i
  if r.partition ~= turn.partition or r.topic_index ~= turn.topic then C.onced_note_move(turn, i) end
  turn.note_offset[0] = r.at
end

-- Ends early when the pipeline halts; the turn then still names the record.
local function each(first, last)
  local generation = turn.generation
  for i = first, last - 1 do
    begin(i, i + 1)
    if settle(process(View(i, generation), out, ctx)) then return end
  end
  turn.current = last
end

local function run_each(first, last)
  while first < last do
    local ok, thrown = xpcall(each, explain, first, last)
    if ok or failed(thrown) then return end
    first = turn.current_last
    turn.current = first
  end
end

-- The end of the stretch from `first` on that is of one partition.
local function stretch_end(first, last)
  local records = turn.batch.records
  local partition, topic = records[first].partition, records[first].topic_index
  for i = first + 1, last - 1 do
    if records[i].partition ~= partition or records[i].topic_index ~= topic then return i end
  end
  return last
end

local function stretch(first, last)
  local recs, generation = {}, turn.generation
  turn.partition = -1 -- each attempt at a stretch is noted anew
  begin(first, last)
  for i = first, last - 1 do recs[i - first + 1] = View(i, generation) end
  local result, more = process_batch(recs, out, ctx)
  if getmetatable(result) == "reject" and last - first > 1 then border.raise("reject", result.reason) end
  return settle(result, more)
end

local function take_back(first, last)
  C.onced_take_back(turn)
  outcome.made = false
  document.forget(first, last)
  uuid.forget(first, last)
end

-- True: the pipeline halts, and the turn names the record. A stretch that fails is run again in halves.
local function run_stretch(first, last)
  local ok, thrown = xpcall(stretch, explain, first, last)
  if ok then return thrown end
  if last - first == 1 then return failed(thrown) end
  if thrown ~= problem then collectgarbage() end -- as in failed()
  take_back(first, last)
  local middle = math.floor((first + last) / 2)
  return run_stretch(first, middle) or run_stretch(middle, last)
end

local function run_stretches(first, last)
  while first < last do
    local stop = stretch_end(first, last)
    if run_stretch(first, stop) then return end
    first = stop
    turn.current = first
  end
end

-- One slice: the turn's records [first, last). Called by C; turn.current tells how far it came.
function runner.run()
  outcome.made = false -- one may have been made when the script was loaded
  if process then
    run_each(turn.first, turn.last)
  else
    run_stretches(turn.first, turn.last)
  end
end

local function script_error(thrown)
  if thrown ~= problem then return host.script_name .. ": " .. tostring(thrown) end
  local callers = problem.stack ~= "" and " (called from " .. problem.stack .. ")" or ""
  if problem.message:find(problem.place, 1, true) == 1 then return problem.message .. callers end
  return problem.place .. ": " .. problem.message .. callers
end

-- Calls user code outside of slices. Returns the error's text, nil when all went well.
local function call(what, ...)
  local ok, result, message = xpcall(what, explain, ...)
  if not ok then return script_error(result) end
  return nil, result, message
end

-- script:line of a function of the user's.
local function place_of(hook)
  local info = getinfo(hook, "S")
  return user:owns(info.source) and ("%s:%d"):format(info.source:sub(2), info.linedefined) or host.script_name
end

-- For names that are short and have many neighbours (init, unit, close, clone): the same letters, in any order and case.
local function letters(name)
  local list = {}
  for letter in name:lower():gmatch "[^_-]" do list[#list + 1] = letter end
  table.sort(list)
  return table.concat(list)
end

-- What was meant for a hook would never run. Nil: nothing is.
local function misspelt(module)
  local wanted = { init = "function", close = "function", params = "table" }
  local names = module.process == nil and module.process_batch == nil and { "process", "process_batch" } or {}
  for name, value in pairs(module) do
    if type(name) == "string" and name:sub(1, 1) ~= "_" then -- the module's own affair
      local hint = type(value) == "function" and suggest(name, names):match "^; did.*"
      for hook, kind in pairs(wanted) do
        if module[hook] == nil and type(value) == kind and letters(name) == letters(hook) then hint = suggest(hook, { hook }) end
      end
      if hint then return ('unknown hook "%s"%s'):format(name, hint), type(value) == "function" and place_of(value) or nil end
    end
  end
end

-- Nil with an error's text and, where it has one, its place.
local function hooks_of(module)
  if type(module) == "function" then return { process = module } end
  if type(module) ~= "table" then
    return nil, "a transform must return a function or a table of hooks, not " .. (module == nil and "nothing" or "a " .. type(module))
  end
  for _, name in ipairs { "process", "process_batch", "init", "close" } do
    if module[name] ~= nil and type(module[name]) ~= "function" then return nil, name .. " must be a function" end
  end
  local unknown, place = misspelt(module)
  if unknown then return nil, unknown, place end
  if (module.process == nil) == (module.process_batch == nil) then
    return nil, module.process and "process and process_batch can't both be there" or "there is no hook process or process_batch"
  end
  return module
end

local function print_to_log(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  log.info(table.concat(parts, "\t"))
end

local function open_script()
  local path = { host.script_folder }
  for _, folder in ipairs(host.lua_path) do path[#path + 1] = folder end
  user = sandbox.new {
    path = path, read = border.read, print = print_to_log, allow = params.read(host.allow_json), modules = { onced = require "onced" },
  }
  local load_module = user.require
  function user:require(name) -- marks that a module keeps aren't the record's in the midst of which it is loaded
    local made = outcome.made
    local module = load_module(self, name)
    outcome.made = made
    return module
  end
  return user:file(host.script, host.script_name)
end

local function start(module)
  local values = params.read(host.params_json)
  local ok, message = pcall(params.check, values, type(module) == "table" and module.params or nil)
  if not ok then return host.script_name .. ": " .. message end
  ctx = {
    params = values, data = data.open(host.data, host.data_size), pipeline = host.pipeline, worker = host.worker,
    now = function() return tonumber(C.onced_now()) end,
  }
  if type(module) ~= "table" or not module.init then return end
  local failure, result, reason = call(module.init, ctx)
  if not failure and not result and reason ~= nil then failure = host.script_name .. ": " .. tostring(reason) end
  return failure and failure .. " (in init)"
end

-- Loads the script and runs its init. Returns the error's text, nil when all went well.
function runner.load()
  local code, message = open_script()
  if not code then return message end
  traces.open(function(source) return user:owns(source) end)
  local failure, module = call(code, host.script_name)
  if failure then return failure end
  local hooks, wrong, place = hooks_of(module)
  if not hooks then return (place or host.script_name) .. ": " .. wrong end
  process, process_batch, close = hooks.process, hooks.process_batch, hooks.close
  turn.stretches = process_batch and 1 or 0
  hook_place = place_of(process or process_batch)
  out, returned = output.open(host.outputs)
  return start(module)
end

-- Returns the error's text, nil when all went well.
function runner.close()
  return close and (call(close, ctx)) or nil
end

return runner
