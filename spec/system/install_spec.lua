-- What `make install` puts where, what it leaves alone, and what systemd says of the unit.
local ffi = require "ffi"
local lib = require "spec.unit.onced_lib"
local process = require "spec.support.process"
local tree = require "spec.house.tree"

local function run(command)
   local pipe = assert(io.popen(command .. " 2>&1; echo $?"))
   local out, code = pipe:read "*a":match "^(.-)(%d+)\n$"
   pipe:close()
   return tonumber(code), out
end

describe("make install", function()
   local dest = ("build/system/install-%d"):format(process.self())

   local function make(target, prefix)
      local code, out = run(("make -s %s DESTDIR=%s PREFIX=%s"):format(target, dest, prefix))
      assert.equal(0, code, out)
   end

   local function installed()
      local out = {}
      local pipe = assert(io.popen("cd " .. dest .. " && find . -type f"))
      for line in pipe:lines() do out[line:sub(2)] = true end
      pipe:close()
      return out
   end

   setup(function() make("install", "/usr") end)
   teardown(function() run("rm -rf " .. dest) end)

   it("puts each file in its place", function()
      local there = installed()
      for _, path in ipairs { "/usr/bin/onced", "/usr/lib/onced/libonced.so", "/usr/lib/systemd/system/onced.service", "/usr/lib/sysusers.d/onced.conf",
         "/usr/share/man/man1/onced.1", "/usr/share/man/man5/onced.yaml.5", "/usr/share/man/man5/onced-pipeline.5",
         "/usr/share/onced/lua/onced/testing.lua", "/usr/share/onced/types/onced.lua", "/usr/share/onced/types/onced/testing.lua",
         "/usr/share/onced/schema/pipeline.schema.json", "/usr/share/onced/schema/service.schema.json",
         "/usr/share/bash-completion/completions/onced",
         "/usr/share/doc/onced/README.md", "/usr/share/doc/onced/examples/map.lua", "/etc/onced/onced.yaml" } do
         assert.is_true(there[path], path)
      end
      assert.matches("^onced ", select(2, run(dest .. "/usr/bin/onced version")))
      assert.same({ 0, "" }, { run(("bash -n %s/usr/share/bash-completion/completions/onced"):format(dest)) })
   end)

   it("runs the installed examples' specs with what is installed alone", function()
      -- From a folder where neither the sources nor the build are near, and without their places in the environment.
      local code, out = run(("cd %s/usr/share/doc/onced && env -u ONCED_LIB -u LUA_PATH -u LUA_CPATH ../../../bin/onced test examples"):format(dest))
      assert.equal(0, code, out)
      local specs = 0
      for path in pairs(installed()) do specs = specs + (path:find("/examples/[%w-]+_spec%.lua$") and 1 or 0) end
      assert.is_true(specs >= 9)
      assert.is_true(tonumber(out:match "(%d+) success") >= specs, out)
   end)

   it("keeps a configuration that is there, and uninstall leaves nothing else", function()
      tree.write(dest .. "/etc/onced/onced.yaml", "mine")
      make("install", "/usr")
      assert.equal("mine", tree.read(dest .. "/etc/onced/onced.yaml"))
      make("uninstall", "/usr")
      assert.same({ ["/etc/onced/onced.yaml"] = true }, installed())
      make("install", "/usr")
   end)

   it("names each command and each setting in a man page", function()
      local man = {}
      for _, page in ipairs { "man1/onced.1", "man5/onced.yaml.5", "man5/onced-pipeline.5" } do
         man[page] = tree.read(dest .. "/usr/share/man/" .. page):gsub("\\%-", "-")
         local code, out = run(("groff -man -Tutf8 -ww -z %s/usr/share/man/%s"):format(dest, page))
         assert.same({ 0, "" }, { code, out })
      end
      local commands = 0
      for name in select(2, run(lib.binary .. " --help")):match("Commands:\n(.-)\n\n"):gmatch "  (%S+) [^\n]*" do
         commands = commands + 1
         assert.is_truthy(man["man1/onced.1"]:find("\n.SS " .. name .. "\n", 1, true), name)
      end
      assert.is_true(commands >= 3)
      lib.declare { "settings" }
      for page, settings in pairs { ["man5/onced.yaml.5"] = "settings_service", ["man5/onced-pipeline.5"] = "settings_pipeline" } do
         local row = lib.load()[settings] + 0
         while row.path ~= nil do
            local key = ffi.string(row.path):gsub("%*", "NAME")
            if row.kind ~= "SETTING_REFUSED" then assert.is_truthy(man[page]:find("\\fB" .. key .. "\\fP", 1, true), key) end
            row = row + 1
         end
      end
   end)

   it("has a unit that systemd has nothing against, under any prefix", function()
      for _, prefix in ipairs { "/usr", "/opt/onced" } do
         make("install", prefix)
         local unit = dest .. prefix .. "/lib/systemd/system/onced.service"
         assert.is_truthy(tree.read(unit):find("\nExecStart=" .. prefix .. "/bin/onced run\n", 1, true))
         make("uninstall", prefix)
      end
      make("install", "/usr")
      -- Its own files alone are in there: neither targets that it names nor manual pages of a running system.
      local _, out = run(("systemd-analyze --root=%s --man=no --recursive-errors=no verify onced.service"):format(dest))
      assert.equal("", out)
   end)

   it("exposes little of the machine", function()
      local code, out = run("systemd-analyze security --no-pager --offline=true --threshold=15 conf/onced.service")
      assert.equal(0, code, out)
   end)
end)
