-- SPDX-License-Identifier: MIT
-- Scripts that can't be loaded, as `onced check` answers them: exit 78, file and line (Lua knows no column), and what is wrong. Line 0: the
-- script as a whole.
local driver = require "spec.unit.config_driver"

local PASS = "return function(rec) return rec end\n"

local SCRIPTS = {
   { "local M = {}\nfunction M.process(rec)\n  return rec\n\nreturn M\n", 5, "'end' expected (to close 'function' at line 2) near 'return'" },
   { "return function(rec)\n  return { value = \"open }\nend\n", 2, "unfinished string" },
   { "--[[ never closed\n" .. PASS, 3, "unfinished long comment" },
   { "local x = 1\nx += 1\n" .. PASS, 2, "'=' expected near '+'" },
   { "return function(rec)\n  goto nowhere\n  return rec\nend\n", 2, "undefined label 'nowhere'" },
   { "return function(rec)\n  return ...\nend\n", 2, "cannot use '...' outside a vararg function" },
   { "local rate = 0x1g\n" .. PASS, 1, "malformed number near '0x1g'" },
   { "local s = \"\\400\"\n" .. PASS, 1, "invalid escape sequence" },
   { "\27LJ\1\2\n", 0, "bytecode can't be loaded, only source" },
   { "", 0, "a transform must return a function or a table of hooks, not nothing" },
   { "local M = { process = print }\n", 0, "a transform must return a function or a table of hooks, not nothing" },
   { "return 42\n", 0, "a transform must return a function or a table of hooks, not a number" },
   { "return \"process\"\n", 0, "a transform must return a function or a table of hooks, not a string" },
   { "return { init = print }\n", 0, "there is no hook process or process_batch" },
   { "return { process = \"rec\" }\n", 0, "process must be a function" },
   { "return { process = print, init = 1 }\n", 0, "init must be a function" },
   { "return { process = print, process_batch = print }\n", 0, "process and process_batch can't both be there" },
   { "local M = {}\ncount = 0\nreturn M\n", 2, "assigning the global 'count': declare it with local" },
   { "\nlocal s = tostrng(1)\n" .. PASS, 2, "reading the global 'tostrng', which isn't there; did you mean \"tostring\"?" },
   { "local M = {}\nM.tax = rate\nfunction M.process(rec) return rec end\nreturn M\n", 2, "reading the global 'rate', which isn't there" },
   { "local M = {}\n\nfunction M.process_bach(recs) return recs end\nreturn M\n", 3, 'unknown hook "process_bach"; did you mean "process_batch"?' },
   { "return {\n  process = print,\n  Init = function() end,\n}\n", 3, 'unknown hook "Init"; did you mean "init"?' },
   { "return { process = print,\nclsoe = function() end }\n", 2, 'unknown hook "clsoe"; did you mean "close"?' },
   { "return { process = print, Params = {} }\n", 0, 'unknown hook "Params"; did you mean "params"?' },
   { "local onced = require \"onced\"\nonced.jsn.encode {}\n" .. PASS, 2, "attempt to index field 'jsn' (a nil value)" },
   { "local t\nlocal x = t.field\n" .. PASS, 2, "attempt to index local 't' (a nil value)" },
   { "\n\nerror \"no such luck\"\n", 3, "no such luck" },
   { "\nerror { code = 1 }\n", 2, "error object: table" },
   { "\nerror(nil)\n", 2, "error object: nil" },
   { "error((\"long \"):rep(100000))\n", 1, "long long long" },
   { "error \"a\\27[31mb\\nc\"\n", 1, "a?[31mb c" },
   { "local x = require \"no.such.module\"\n" .. PASS, 1, "module 'no.such.module' not found" },
   { "local x = require \"../nothing\"\n" .. PASS, 1, "module '../nothing' not found" },
   { "local x = require(nil)\n" .. PASS, 1, "require needs a module's name" },
   { "local ffi = require \"ffi\"\n" .. PASS, 1, "module 'ffi' isn't there for transforms: side effects can't be exactly once" },
   { "local file = io.open \"/etc/passwd\"\n" .. PASS, 1, "attempt to index global 'io' (a nil value)" },
   { "os.execute \"true\"\n" .. PASS, 1, "attempt to call field 'execute' (a nil value)" },
   { "local function deeper(n) return 1 + deeper(n + 1) end\ndeeper(1)\n" .. PASS, 1, "stack overflow" },
   { "local t = {}\nfor i = 1, 1e9 do t[i] = { i } end\n" .. PASS, 0, "not enough memory" },
   { "local s = (\"x\"):rep(1e9)\n" .. PASS, 0, "not enough memory" },
   { "coroutine.yield(1)\n" .. PASS, 1, "attempt to yield across C-call boundary" },
   { "return { process = print, init = function(ctx)\n  error \"not today\"\nend }\n", 2, "not today (in init)" },
   { "return { process = print, init = function(ctx)\n  return 1 + ctx.params.rate\nend }\n", 2, "attempt to perform arithmetic on field 'rate'" },
   { "return { process = print, init = function(ctx)\n  ctx.out.default:send { value = \"x\" }\nend }\n", 2, "attempt to index field 'out'" },
   { "return { process = print, init = function() return nil, \"not today\" end }\n", 0, "not today (in init)" },
   { "return { process = print, params = 1 }\n", 0, "the script's params must be a table" },
   { "return { process = print, params = { rate = \"number\" } }\n", 0, 'the script\'s params.rate must be a table such as {type = "number"}' },
   { "return { process = print, params = { rate = { type = \"float\" } } }\n", 0, 'the script\'s params.rate: unknown type "float"' },
   { "return { process = print, params = { rate = { type = \"number\", minimum = 1 } } }\n", 0, 'the script\'s params.rate: unknown "minimum"' },
   { "local onced = require \"onced\"\nonced.metric.counter(1)\n" .. PASS, 2, "onced.metric.counter: \"1\" can't be a name" },
}

describe("broken scripts", function()
   teardown(driver.clean)

   for i, script in ipairs(SCRIPTS) do
      local text, line, message = unpack(script)
      it(("are answered: %d, %s"):format(i, message), function()
         local path = driver.pipeline("", "broken.yaml")
         driver.write { ["good.lua"] = text }
         local code, out, err = driver.onced("check " .. path)
         local found = driver.parse(out .. err)
         assert.equal(78, code, out .. err)
         assert.equal(1, #found)
         assert.equal("error", found[1].kind)
         assert.is_truthy(found[1].message:find(message, 1, true), found[1].message)
         local name = path:gsub("broken.yaml", "good.lua")
         assert.equal(line > 0 and ("%s:%d"):format(name, line) or name, found[1].place)
      end)
   end

   it("are named by the module's file, too", function()
      local path = driver.pipeline("", "broken.yaml")
      local paths = driver.write { ["good.lua"] = "return require 'module'\n", ["module.lua"] = "\nlocal x = rate\n" }
      local code, out, err = driver.onced("check " .. path)
      local found = driver.parse(out .. err)
      assert.same({ 78, paths["module.lua"] .. ":2", "local x = rate" }, { code, found[1].place, found[1].source })
   end)

   -- The script, what `params` says, where in the file it is marked, and how.
   local PARAMS = {
      { "{ rate = { type = 'number', required = true } }", "", "2:12", '"rate" is required by the script', "^" },
      { "{ rate = { required = true } }", "{region: eu}", "2:40", 'the script knows no "region"', "^~~~~~" },
      { "{ rate = { required = true }, region = {} }", "{region: eu}", "2:39", '"rate" is required by the script', "^" },
      { "{ rate = { type = 'number' }, rates = {} }", "{rates: 1, rate: x}", "2:50", '"rate" must be a number, is x', "^~~~" },
      { "{ rate = { max = 1 } }", '{"rate": 2}', "2:40", '"rate" must be at most 1, is 2', "^~~~" },
   }
   for _, case in ipairs(PARAMS) do
      it("with params that they don't take have those named in the pipeline's file: " .. case[4], function()
         local transform = "transform: {script: good.lua" .. (case[2] ~= "" and ", params: " .. case[2] or "") .. "}\n"
         local path = driver.pipeline("", "params.yaml",
            "version: 1\n" .. transform .. "input: {topics: [orders]}\noutputs: {default: {topic: out}}\n")
         driver.write { ["good.lua"] = "return { process = print, params = " .. case[1] .. " }\n" }
         local code, out, err = driver.onced("check " .. path)
         local found = driver.parse(out .. err)
         assert.equal(78, code, out .. err)
         assert.equal(path .. ":" .. case[3], found[1].place)
         assert.is_truthy(found[1].message:find(case[4], 1, true), found[1].message)
         assert.equal(case[5], (found[1].marker:match "^ *(.-)$"))
      end)
   end
end)
