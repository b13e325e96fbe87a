-- The command line of the real binary: what it answers, and with which exit code.
local driver = require "spec.unit.config_driver"
local lib = require "spec.unit.onced_lib"
local process = require "spec.support.process"

local onced = driver.onced

local yaml = [[
version: 1
input: {topics: [orders]}
transform: {script: t.lua}
outputs: {default: {topic: enriched}}
]]

local function check(lua, more, arguments)
   local paths = driver.write { ["t.yaml"] = yaml .. (more or ""), ["t.lua"] = lua }
   local code, out, err = onced("check " .. (arguments or "") .. " " .. paths["t.yaml"])
   return code, out:gsub(paths["t.yaml"]:gsub("t.yaml", ""):gsub("%p", "%%%0"), ""), err
end

describe("the command line", function()
   teardown(driver.clean)

   it("helps", function()
      for _, arguments in ipairs { "--help", "-h", "help" } do
         local code, out, err = onced(arguments)
         assert.same({ 0, "" }, { code, err })
         for _, command in ipairs { "run", "check", "test", "version" } do assert.matches("\n  " .. command .. " ", out) end
      end
      for _, command in ipairs { "run", "check", "test", "version" } do
         for _, arguments in ipairs { command .. " --help", command .. " -h", command .. " nosuch.yaml -h", "help " .. command } do
            local code, out, err = onced(arguments)
            assert.same({ 0, "" }, { code, err })
            assert.matches("^onced " .. command, out)
         end
      end
   end)

   it("knows what was meant", function()
      local function usage(arguments)
         local code, out, err = onced(arguments)
         assert.same({ 64, "" }, { code, out })
         return err
      end
      assert.matches('no command "rnu"; did you mean "run"?', usage "rnu", 1, true)
      assert.matches('no command "zzzzz"\n', usage "zzzzz", 1, true)
      assert.matches("which command", usage "")
      assert.matches('run has no option --broker; did you mean "--brokers"?', usage "run --broker x", 1, true)
      assert.matches('check has no option --fromat; did you mean "--format"?', usage "check --fromat=json", 1, true)
      assert.matches('run has no option --hepl; did you mean "--help"?', usage "run --hepl", 1, true)
      assert.matches("version has no option %-x", usage "version -x")
      assert.matches("version takes no arguments", usage "version now")
      assert.matches("%-c needs a value", usage "run -c")
      assert.matches('%-%-format must be one of text, json, github, not "xml"\n', usage "check --format=xml")
      assert.matches('%-%-format must be one of text, json, github, not "jsno"; did you mean "json"%?\n', usage "check --format=jsno")
      assert.matches("option that comes before", usage "--brokers run")
   end)

   it("names versions", function()
      for _, arguments in ipairs { "version", "--version" } do
         local code, out = onced(arguments)
         assert.equal(0, code)
         assert.matches("^onced %S+\nlibrdkafka %d+%.%d+%.%d+[^\n]*\nLuaJIT 2%.[^\n]*\n$", out)
      end
   end)

   it("says which file isn't there", function()
      for _, arguments in ipairs { "run nosuch.yaml", "check nosuch.yaml", "check -c nosuch.yaml" } do
         local code, out, err = onced(arguments)
         assert.same({ 66, "" }, { code, out })
         assert.matches("nosuch.yaml can't be read", err)
      end
   end)

   it("runs nothing with a broken configuration", function()
      local paths = driver.write { ["t.yaml"] = yaml .. "nmae: x\n", ["t.lua"] = "return function(r) return r end" }
      local code, out, err = onced("run --brokers localhost:1 " .. paths["t.yaml"])
      assert.same({ 78, "" }, { code, out })
      assert.matches('t.yaml:5:1: error: unknown key "nmae"; did you mean "name"?\n    5 | nmae: x\n      | ^~~~\n', err, 1, true)
      code, out, err = onced("run " .. driver.pipeline())
      assert.same({ 78, "" }, { code, out })
      assert.matches("no brokers: give %-%-brokers", err)
      code, out, err = onced("run " .. driver.pipeline(), "ONCED_BROKERS=kafka:1 ONCED_INSTANCE=localhost")
      assert.same({ 78, "" }, { code, out })
      assert.matches("ONCED_INSTANCE is \"localhost\"", err)
   end)
end)

describe("check", function()
   teardown(driver.clean)

   it("says what is well, a line a file", function()
      local code, out, err = onced "check pipelines/pass.yaml pipelines/fan-out.yaml"
      assert.same({ 0, "" }, { code, err })
      assert.equal("pipelines/pass.yaml: ok (pipeline pass, group pass)\npipelines/fan-out.yaml: ok (pipeline fan-out, group fan-out)\n", out)
      code, out = onced "check --format=json pipelines/pass.yaml"
      assert.same({ 0, '{"severity":"ok","file":"pipelines/pass.yaml"}\n' }, { code, out })
   end)

   it("learns how its children end where their parent's parent doesn't care", function()
      local paths = driver.write { ["t.yaml"] = (yaml:gsub("%[orders%]", '["^orders-.*"]')), ["t.lua"] = "return function(r) return r end" }
      assert.equal(0, process.shell(("env --ignore-signal=CHLD %s check %s >%s.out 2>&1"):format(lib.binary, paths["t.yaml"], paths["t.yaml"])))
   end)

   it("takes folders, and a service file by its name", function()
      local paths = driver.write { ["t.lua"] = "return function(r) return r end", ["onced.yaml"] = "version: 1\nleave_on_stop: false\npipelines: [t.yaml]\n",
         ["t.yaml"] = yaml }
      local code, out = onced("check " .. paths["onced.yaml"])
      assert.equal(0, code)
      assert.matches("t.yaml: ok .*onced.yaml: ok\n$", out)
      os.remove(paths["onced.yaml"])
      code, out = onced("check " .. paths["t.yaml"]:gsub("t.yaml", ""))
      assert.equal(0, code)
      assert.matches("t.yaml: ok", out)
   end)

   local broken = {
      { "return function(", "t.lua:2: error: " },
      { "\n\nerror 'boom'", "t.lua:3: error: .*boom.*\n    3 | error 'boom'\n" },
      { "return {process = function() end, init = function()\n error 'no' end}", "t.lua:2: error: .*no" },
      { "return 5", "t.lua: error: .*function or a table" },
      { "return {}", "t.lua: error: .*process" },
      { "while true do end", "t.lua: error: loading and init took longer than 10 s" },
      { "local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end", "t.lua: error: .*memory" },
   }
   for _, case in ipairs(broken) do
      it("loads the script in a child: " .. case[1]:gsub("\n", " "), function()
         local code, out, err = check(case[1] .. "\n")
         assert.equal(78, code)
         assert.equal("", err)
         assert.matches(case[2], out)
      end)
   end

   it("reports scripts to machines too", function()
      local code, out = check("\nerror 'boom'\n", "", "--format=github")
      assert.equal(78, code)
      assert.matches("^::error file=.*t.lua,line=2,.*boom", out)
      code, out = check("\nerror 'boom'\n", "", "--format=json")
      assert.equal(78, code)
      assert.matches('^{"severity":"error","file":"[^"]*t.lua","line":2,', out)
   end)

   it("asks librdkafka which properties there are", function()
      local code, out = check("return function(r) return r end\n", "kafka:\n  consumer: {fetch.min.byts: 1}\n")
      assert.equal(78, code)
      assert.matches("t.yaml:6:14: error: .*fetch.min.byts.*\n    6 |   consumer: {fetch.min.byts: 1}\n      |              ^~~~~~~~~~~~~~\n", out)
   end)

   it("leaves no process behind", function()
      check "while true do end\n"
      -- [o]: the shell that runs pgrep has the pattern in its own command line
      assert.equal("", io.popen("pgrep -f '[o]nced check .*config-" .. require "ffi".C.getpid() .. "/' | head -1"):read "*a")
   end)

   describe("test", function()
      local function write(expected)
         return driver.write { ["t.yaml"] = yaml, ["t.lua"] = "return function(r) return r end", ["t_spec.lua"] = ([[
            describe("t", function()
               it("passes", function()
                  assert.equal("%s", require("onced.testing").load("t.yaml"):run({ value = "a" }).sent.default[1].value)
               end)
               it("is left out", function() end)
            end)]]):format(expected) }
      end

      it("runs the specs of a folder, of a pipeline, or those it is given", function()
         local paths = write "a"
         for _, path in ipairs { paths["t.yaml"]:match "^(.*)/", paths["t.yaml"], paths["t_spec.lua"] } do
            local code, out, err = onced("test " .. path, driver.preloaded)
            assert.same({ 0, "" }, { code, err })
            assert.matches("2 successes / 0 failures / 0 errors", out, 1, true)
         end
         local _, out = onced("test --filter=passes " .. paths["t.yaml"], driver.preloaded)
         assert.matches("1 success / 0 failures", out, 1, true)
      end)

      it("fails when a spec fails", function()
         local code, out = onced("test " .. write("b")["t.yaml"], driver.preloaded)
         assert.equal(1, code)
         assert.matches("1 success / 1 failure / 0 errors", out, 1, true)
      end)

      it("says what isn't there", function()
         local paths = driver.write { ["u.yaml"] = yaml }
         for path, text in pairs { [paths["u.yaml"]] = "there is no spec " .. paths["u.yaml"]:gsub("%.yaml", "_spec.lua"),
            ["build/spec/nosuch"] = "there is no build/spec/nosuch", ["daemon"] = "there is no spec (NAME_spec.lua) in daemon" } do
            local code, _, err = onced("test " .. path)
            assert.same({ 66, "onced: " .. text .. "\n" }, { code, err })
         end
      end)

      it("prints the line that installs busted", function()
         local path = driver.write { luajit = "", timeout = "" }.luajit:match "^(.*)/"
         os.execute(("ln -sf $(command -v timeout) $(command -v luajit) %s/"):format(path))
         local code, out, err = onced("test " .. write("a")["t.yaml"], "PATH=" .. path)
         assert.same({ 69, "" }, { code, out })
         assert.matches("\n  apt-get install lua-busted luajit\n", err, 1, true)
      end)
   end)
end)
