-- onced new, as a user runs it: what it writes is checked and tested by the commands that it names.
local driver = require "spec.unit.config_driver"
local process = require "spec.support.process"

local onced = driver.onced

local function folder()
   local name = os.tmpname()
   os.remove(name)
   assert(os.execute("mkdir " .. name))
   return name
end

local function read(path)
   local file = assert(io.open(path))
   local text = file:read "*a"
   file:close()
   return text
end

describe("onced new", function()
   local here
   setup(function() here = folder() end)
   teardown(function()
      os.execute("rm -rf " .. here)
      driver.clean()
   end)

   for _, template in ipairs { "map", "filter", "route", "split" } do
      it("writes a " .. template .. " whose check, spec and first record pass", function()
         local base = ("%s/my-%s"):format(here, template)
         local code, out, err = onced(("new my-%s --template=%s --directory %s"):format(template, template, here))
         assert.same({ 0, "" }, { code, err })
         for _, ending in ipairs { ".yaml", ".lua", "_spec.lua" } do
            assert.is_truthy(out:find("wrote " .. base .. ending .. "\n", 1, true), out)
            local text = read(base .. ending)
            assert.is_nil(text:find("%f[%w_-]" .. template .. "%.[yl]"), "the example's own file is named")
            assert.is_nil(text:find("%f[%w_-]" .. template .. "%-%l"), "the example's own topic is named")
         end
         assert.same({ 0, ("%s.yaml: ok (pipeline my-%s, group my-%s)\n"):format(base, template, template), "" }, { onced("check " .. base .. ".yaml") })
         local test_code, test_out, test_err = onced("test " .. base .. ".yaml", driver.preloaded)
         assert.equal(0, test_code, test_out .. test_err)
         assert.matches("[1-9]%d* success", test_out)
         local sample = out:match "\n  (echo '[^\n]*' | %S*onced try [^\n]* %-%-from %-)\n"
         assert.equal(0, process.shell(sample .. " >/dev/null"))
      end)
   end

   it("writes over nothing, and then nothing at all", function()
      local lua = here .. "/mine.lua"
      assert(io.open(lua, "w")):close()
      local code, out, err = onced("new mine --directory=" .. here)
      assert.same({ 73, "", "onced: " .. lua .. ": is there already; nothing was written\n" }, { code, out, err })
      assert.equal("", read(lua))
      assert.is_nil(io.open(here .. "/mine.yaml"))
   end)

   it("takes names that a pipeline may have", function()
      for _, name in ipairs { "Orders", "a.b", "../x", "-x", "a_b" } do assert.equal(64, (onced("new -- " .. name))) end
      assert.equal(64, (onced "new"))
      assert.equal(64, (onced "new a --template=join"))
      assert.equal(73, (onced("new a --directory=" .. here .. "/nowhere")))
   end)
end)
