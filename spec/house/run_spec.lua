-- SPDX-License-Identifier: MIT
-- spec/run itself, in a folder with specs of its own: two lanes, one queue, and each file once.
local process = require "spec.support.process"

describe("spec/run without arguments", function()
   local dir
   setup(function()
      local _, made = process.run { "mktemp", "-d" }
      dir = made
      assert(os.execute(("mkdir -p %s/build %s/pipelines %s/spec && cp spec/run %s/spec && cd %s/spec && mkdir fault kafka unit house system pipelines"):format(
         dir, dir, dir, dir, dir)))
   end)
   teardown(function() os.execute("rm -rf " .. dir) end)

   local function spec(path, body)
      local file = assert(io.open(("%s/spec/%s_spec.lua"):format(dir, path), "w"))
      file:write(body)
      file:close()
   end

   it("runs each file once and adds up what two lanes found", function()
      spec("house/a", "it('is right', function() end)")
      spec("unit/b_fuzz", "it('is wrong', function() assert.is_true(false) end)")
      spec("unit/c_fuzz", "it('waits', function() pending 'for something' end)")
      spec("fault/d", "os.exit(3)")
      for i = 1, 6 do spec("kafka/k" .. i, "it('takes a moment', function() os.execute 'sleep 0.1' end)") end
      local code, out = process.run { dir .. "/spec/run" }
      assert.equal(1, code)
      for name in ("house/a unit/b_fuzz unit/c_fuzz fault/d kafka/k1 kafka/k2 kafka/k3 kafka/k4 kafka/k5 kafka/k6"):gmatch "%S+" do
         local _, named = ("\n" .. out):gsub("\n%-%-%- spec/" .. name .. "_spec%.lua\n", "\n")
         assert.equal(name:match "/[bd]" and 2 or 1, named, name .. "\n" .. out) -- what failed is named again at the end
      end
      -- Wrong are b, d, which ended without a summary, and the sanitized build, which isn't there: those that sanitizers have no use for
      -- are the only unit specs that run without.
      assert.matches("\n7 passed, 3 failed, 1 skipped$", out)
      assert.matches("spec/run: spec/fault/d_spec.lua ended without a summary %(status %d+%)", out)
      assert.matches("skipped: spec/unit/c_fuzz_spec.lua", out, 1, true)
   end)
end)
