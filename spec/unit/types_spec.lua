-- lua/types, which editors read, names exactly what scripts and specs get: no more, no less. What there is is asked of the modules
-- themselves: tables by their keys, records and checks by the list in their own messages.
local onced = require "onced.testing" and require "onced"
local testing = require "onced.testing"
local tree = require "spec.house.tree"

local folder = "build/spec/types-" .. require("spec.support.process").self()

local function sorted(list)
   table.sort(list)
   return list
end

local function keys(t)
   local list = {}
   for key in pairs(t) do list[#list + 1] = key end
   return sorted(list)
end

-- "... (there is a, b, c)".
local function listed(message)
   local list = {}
   for name in assert(message:match "%(there is ([^)]*)%)", message):gmatch "[%w_]+" do list[#list + 1] = name end
   return sorted(list)
end

local function refusal(work)
   local ok, message = pcall(work)
   assert.is_false(ok)
   return listed(message)
end

-- The fields of a class and the methods of its local table `Name`.
local function class(text, name)
   local list = {}
   local body = assert(text:match("%-%-%-@class %(exact%) " .. name:gsub("%.", "%%.") .. "\n(.-)\n\n") or text:match(name .. "\n(.-)\n\n"), name)
   for field in (body .. "\n"):gmatch "%-%-%-@field ([%w_]+)" do list[#list + 1] = field end
   local object = body:match "local (%w+) = {}"
   for method in text:gmatch("\nfunction " .. (object or " ") .. "[:.]([%w_]+)%(") do list[#list + 1] = method end
   return sorted(list)
end

-- Dotted names under the module's table `name`: functions, tables and fields.
local function module_names(text, name, class_name)
   local list = {}
   for found in text:gmatch("\nfunction " .. name .. "%.([%w_.]+)%(") do list[#list + 1] = found end
   for found in text:gmatch("\n" .. name .. "%.([%w_.]+) = nil") do list[#list + 1] = found end
   for found in assert(text:match("%-%-%-@class %(exact%) " .. class_name .. "\n(.-)\n\n")):gmatch "%-%-%-@field ([%w_]+)" do list[#list + 1] = found end
   return sorted(list)
end

local function exported(t, prefix, list)
   for key, value in pairs(t) do
      if type(value) == "table" then exported(value, prefix .. key .. ".", list) else list[#list + 1] = prefix .. key end
   end
   return sorted(list)
end

local ASK = [[
local onced = require "onced"
local M = { params = %s }
local function message(work) return (select(2, pcall(work))) end
local function keys(t) local list = onced.json.array {} for key in pairs(t) do list[#list + 1] = key end return list end
function M.process(rec, out, ctx)
  return { value = onced.json.encode { ctx = keys(ctx), output = keys(out.default),
    counter = message(function() return onced.metric.counter("x").zzzzzzzzz end),
    record = message(function() return rec.zzzzzzzzz end), changes = message(function() rec:derive { zzzzzzzzz = 1 } end) } }
end
return M]]

describe("the types for editors", function()
   local text, testing_text = tree.read "lua/types/onced.lua", tree.read "lua/types/onced/testing.lua"

   local function write(params)
      assert(os.execute("mkdir -p " .. folder))
      tree.write(folder .. "/ask.lua", ASK:format(params))
      tree.write(folder .. "/ask.yaml", "version: 1\ninput: {topics: [a]}\ntransform: {script: ask.lua}\noutputs: {default: {topic: b}}\n")
      return folder .. "/ask.yaml"
   end
   teardown(function() os.execute("rm -rf " .. folder) end)

   it("name what require \"onced\" gives", function() assert.same(exported(onced, "", {}), module_names(text, "onced", "onced")) end)

   it("name what hooks are given and may return", function()
      local told = testing.load(write "nil"):run({ value = "" }).sent.default[1]:json()
      assert.same(sorted(told.ctx), class(text, "onced.Context"))
      assert.same(listed(told.record), class(text, "onced.Record"))
      assert.same(listed(told.counter), class(text, "onced.Counter"))
      assert.same(sorted(told.output), class(text, "onced.Output"))
      assert.same(listed(told.changes), class(text, "onced.Changes"))
      assert.same(listed(told.changes), class(text, "onced.NewRecord"))
   end)

   it("name what params may say", function()
      assert.same(refusal(function() testing.load(write "{ a = { zzzzzzzzz = 1 } }") end), class(text, "onced.Param"))
      local types = {}
      for name in text:match "@field type%? ([^\n]*)":gmatch '"(%w+)"' do types[#types + 1] = name end
      assert.same(refusal(function() testing.load(write "{ a = { type = 'zzzzzzzzz' } }") end), sorted(types))
   end)

   it("name what onced.testing has", function()
      local path = write "nil"
      local p = testing.load(path)
      local r = p:run { value = "" }
      assert.same(exported(testing, "", {}), module_names(testing_text, "testing", "onced.testing"))
      local methods = class(testing_text, "onced.testing.Pipeline")
      table.insert(methods, 1, "__index")
      assert.same(keys(getmetatable(p)), methods)
      assert.same(refusal(function() testing.load(path, { zzzzzzzzz = 1 }) end), class(testing_text, "onced.testing.Options"))
      assert.same(refusal(function() p:run { zzzzzzzzz = 1 } end), class(testing_text, "onced.testing.Input"))
      assert.same(refusal(function() return r.zzzzzzzzz end), class(testing_text, "onced.testing.Result"))
      assert.same(refusal(function() return r.sent.default[1].zzzzzzzzz end), class(testing_text, "onced.testing.Record"))
   end)
end)
