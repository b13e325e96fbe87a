-- onced completion bash, in the bash that is here: words of a command line in, what could stand at the last one out.
local driver = require "spec.unit.config_driver"
local process = require "spec.support.process"

local binary = require("spec.unit.onced_lib").binary

local SCRIPT = [[
set -u
eval "$("$0" completion bash)"
COMP_WORDS=("$0" "$@")
COMP_CWORD=$#
_onced onced "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s ' "${COMPREPLY[@]}"
]]

local function complete(...)
   local code, out = process.run { "bash", "-c", SCRIPT, binary, ... }
   assert.equal(0, code)
   return (out:gsub(" $", ""))
end

describe("completion in bash", function()
   teardown(driver.clean)

   it("knows every command that the help lists", function()
      local words = " " .. complete "" .. " "
      local _, help = process.run { binary, "--help" }
      local count = 0
      for command in help:gmatch "\n  (%l+)" do
         count = count + 1
         assert.is_truthy(words:find(" " .. command .. " ", 1, true), command)
         -- and every option that the command's help lists
         local _, own = process.run { binary, command, "--help" }
         local options = " " .. complete(command, "-") .. " "
         for option in own:gmatch "\n  (%-[%-%l]+)" do assert.is_truthy(options:find(" " .. option .. " ", 1, true), command .. " " .. option) end
      end
      assert.is_true(count >= 6)
      assert.equal("check", complete "che")
   end)

   it("knows options and their values", function()
      assert.equal("--format", complete("check", "--f"))
      assert.equal("text json github", complete("check", "--format", "="))
      assert.equal("json", complete("check", "--format", "=", "js"))
      assert.equal("json", complete("check", "--format", "js"))
      assert.equal("", complete("check", "--brokers", "x"))
      assert.equal("--brokers", complete("run", "-c", "conf/onced.yaml", "--b"))
   end)

   it("knows files and words", function()
      assert.equal("pipelines/map.yaml", complete("run", "pipelines/ma"))
      assert.equal("pipelines/map.yaml", complete("run", "--brokers", "x:1", "pipelines/ma"))
      assert.equal("conf/onced.yaml", complete("check", "-c", "conf/onced.y"))
      assert.equal("pipeline service", complete("schema", ""))
      assert.equal("", complete("schema", "pipeline", ""))
      assert.equal("bash", complete("completion", ""))
   end)

   it("knows the pipelines of the service file", function()
      driver.pipeline()
      local paths = driver.write { ["onced.yaml"] = "version: 1\npipelines: [good.yaml]\n" }
      local names = [[eval "$("$0" completion bash)"; COMP_WORDS=("$0" pause -c "$1" ""); COMP_CWORD=4; _onced_names]]
      local _, out = process.run { "bash", "-c", names, binary, paths["onced.yaml"] }
      assert.equal("good", out)
   end)
end)
