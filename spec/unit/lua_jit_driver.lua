-- SPDX-License-Identifier: MIT
-- Runs a script over one batch a few times and prints what LuaJIT's compiler did: `loop FUNCTION`, `abort ROUND PLACE: REASON`. A process
-- of its own, since busted's environment gets in the compiler's way. The Lua half runs here, in the state that is watched; the C side
-- is a real transform whose turn it borrows. usage: luajit spec/unit/lua_jit_driver.lua SCRIPT_TEXT
package.path = "./?.lua;" .. package.path
local ffi = require "ffi"
jit.off(true) -- this chunk; what it calls is compiled
local util, vmdef = require "jit.util", require "jit.vmdef"
local driver = require "spec.unit.transform_driver"
local C, COUNT, ROUNDS = driver.C, 3000, 4

local pipeline, folder = driver.pipeline(arg[1])
local e = ffi.new "struct err"
local t = C.transform_new(pipeline, 0, nil, e)
assert(t ~= nil, ffi.string(e.text))

local outputs = {}
for i = 0, pipeline.output_count - 1 do
  local o = pipeline.outputs[i]
  outputs[i + 1] = {
    name = ffi.string(o.name), first_topic = o.first_topic, header_count = 0, headers = nil,
    variable = o.variable ~= nil and ffi.string(o.variable) or nil, values = {},
  }
end
ffi.cdef "struct texts *texts_new(const char *bytes, size_t size);"
package.loaded["onced.bridge"] = "" -- declared already, by the driver
package.loaded["onced.host"] = {
  version = C.ONCED_BRIDGE_VERSION, overhead = 100, turn = t, null = newproxy(), script = folder .. "/orders.lua",
  script_name = "orders.lua", script_folder = folder, params_json = "{}", data = "{}", data_size = 2, allow_json = "[]", lua_path = {}, pipeline = "shop",
  worker = 0, outputs = outputs, texts = C.texts_new(nil, 0),
}
local runner = require "onced.runner"
local failure = runner.load()
os.execute("rm -rf " .. folder)
assert(not failure, failure)

local batch = driver.batch()
for i = 1, COUNT do
  driver.add(batch, { key = "k" .. i % 7, value = '{"n":' .. i .. "}", partition = i > COUNT / 2 and 1 or 0, headers = { { "h", "1" } } })
end

local events, starts, round = {}, {}, 0
local function place(func, pc)
  local info = util.funcinfo(func, pc)
  return info.loc or tostring(info.addr)
end

jit.attach(function(what, trace, func, pc, code, reason)
  if what == "start" then
    starts[trace] = place(func, pc)
  elseif what == "stop" then
    local info = util.traceinfo(trace)
    if info.linktype == "loop" then events[#events + 1] = "loop " .. starts[trace] end
  elseif what == "abort" then
    local text = vmdef.traceerr[code] or tostring(code)
    if type(reason) == "function" then reason = place(reason) end
    events[#events + 1] = ("abort %d %s: %s"):format(round, place(func, pc), text:find "%%" and text:format(reason) or text)
  end
end, "trace")

local turn = ffi.cast("struct onced_turn *", t)
for r = 1, ROUNDS do
  round = r
  batch.lent.output_count, batch.lent.bytes = 0, 0
  turn.batch, turn.generation, turn.first, turn.last, turn.topic = batch.lent, 1, 0, COUNT, -1
  runner.run()
  assert(turn.current == COUNT, "stopped at record " .. turn.current)
end
jit.attach(function() end)
jit.off()
for _, event in ipairs(events) do print(event) end
print("outputs " .. batch.lent.output_count)
