-- The pages' command lines and outputs, run as a reader would: their console blocks in one shell, in a folder that looks like a fresh clone;
-- then what stands between backquotes in the text, and the blocks of YAML and Lua. In an output … stands for anything: alone on its line
-- for any lines, in a line for any text. A command line or a block that this file doesn't know is a failure.
local process = require "spec.support.process"
local tree = require "spec.house.tree"

local PAGES = { "README.md", "pipelines/README.md", "lua/README.md", "conf/reference.md" }

-- What isn't run here, and where it is.
local ELSEWHERE = {
   ["make demo"] = "a minute; its two halves, kills and the oracle's verdict, are spec/kafka/crash_spec.lua",
   ["make test"] = "runs this file",
   ["make soak"] = "minutes; spec/kafka/soak_spec.lua runs a short one",
   ["make bench"] = "needs the peers' directory, and figures need a quiet machine",
   ["spec/bench/run -p floor-eos,onced -w pass100,pass1k -r 5 --warmup 1"] = "the same",
   ["make install"] = "spec/system/install_spec.lua, into a folder",
   ["systemd-sysusers"] = "spec/system/service_spec.lua, in a machine of its own",
   ["systemctl daemon-reload"] = "spec/system/service_spec.lua",
   ["systemctl enable --now onced"] = "spec/system/service_spec.lua",
   ["systemctl reload onced"] = "spec/system/service_spec.lua",
   ["systemctl edit onced"] = "opens an editor; credentials are spec/unit/config_spec.lua's",
   ["systemd-analyze security onced"] = "spec/system/install_spec.lua, with the unit's file",
   ["ONCED_KAFKA_VERSION=3.9.1 make demo"] = "another Kafka's jars: by hand, as spec/compat",
   ["spec/compat"] = "roots of other suites: by hand",
   ["spec/compat trixie forky kafka-3.9.2 -- unit kafka fault"] = "the same",
   ["spec/bench/latency"] = "minutes; figures need a quiet machine",
   ["spec/fuzz"] = "hours; spec/unit/json_fuzz_spec.lua is a short run",
}

-- How a command line of the text is run, behind the console blocks. %s is the text itself.
local INLINE = {
   ["onced check"] = "%s orders.yaml",
   ["onced check --online"] = '%s --brokers "$BROKERS" orders.yaml | grep "group orders: . of 4 partitions have a committed offset"',
   ["onced config --show-origin"] = "%s orders.yaml | grep 'orders.yaml:5'",
   ["onced run"] = '(timeout --foreground --preserve-status 5 %s --brokers "$BROKERS" orders.yaml)', -- else TERM comes twice
   ["onced run -c conf/onced.yaml"] = "%s 2>&1 | grep conf/onced.yaml", -- its pipelines aren't there
   ["onced reload --wait"] = "%s; [ $? = 69 ]", -- with a daemon: in the console blocks
   ["onced status"] = "%s; [ $? = 69 ]",
   ["onced test"] = "%s",
   ["build/onced test"] = "%s",
   ["onced schema --format=markdown"] = "diff <(%s) conf/reference.md",
   ['eval "$(onced completion bash)"'] = "%s && complete -p onced",
   ["busted --lua=luajit pipelines/map_spec.lua"] = "%s",
   ["spec/fuzz --help"] = "%s",
   ["spec/support/kafka"] = "%s status build/mine",
}

-- --- the pages -----------------------------------------------------------------------------------------------------------------------

-- {{page, line, language, lines}}: fenced ones, and what four spaces make one.
local function blocks(page, text)
   local list, block, number, blank = {}, nil, 0, true
   for line in (text .. "\n"):gmatch "(.-)\n" do
      number = number + 1
      local fence = line:match "^```(.*)$"
      if fence and not block then
         block = { page = page, line = number, language = fence, lines = {} }
         list[#list + 1] = block
      elseif fence then
         block = nil
      elseif block then
         block.lines[#block.lines + 1] = line
      elseif blank and line:match "^    %S" then
         list[#list + 1] = { page = page, line = number, language = "indented", lines = { line } }
      end
      blank = line == ""
   end
   return list
end

-- {{what, where, output = {lines}}} of a console block.
local function commands(block)
   local list = {}
   for i, line in ipairs(block.lines) do
      local last = list[#list]
      local command = line:match "^%$ (.*)$"
      if command then
         list[#list + 1] = { what = command, where = ("%s:%d"):format(block.page, block.line + i), output = {} }
      elseif last and #last.output == 0 and last.what:match "\\$" then
         last.what = last.what .. "\n" .. line
      else
         assert(last, block.page .. ": a console block begins with a command")
         last.output[#last.output + 1] = line
      end
   end
   for _, c in ipairs(list) do c.name = c.what:gsub("%s+#.*$", "") end
   return list
end

-- Command lines between backquotes: a program of ours, or one that a reader is told to run.
local PROGRAMS = { "^onced$", "^build/onced$", "^make$", "^spec/[%w/]+$", "^busted$", "^systemctl$", "^systemd%-%w+$", "^eval$", "^[%u_]+=%S+$" }
local function inline(page, text)
   local list = {}
   for span in text:gsub("```.-```", ""):gmatch "`([^`]+)`" do
      local name = span:gsub("%s+", " ")
      local program, rest = name:match "^(%S+) ?(.*)$"
      local known = false
      for _, pattern in ipairs(PROGRAMS) do known = known or (program and program:find(pattern) ~= nil) end
      if known and (rest ~= "" or program:find "^spec/") then
         list[#list + 1] = { name = name, where = page }
      end
   end
   return list
end

-- --- running -------------------------------------------------------------------------------------------------------------------------

local folder = "build/spec/readme-" .. process.self()

-- A clone as `make build` leaves it: links to what is here, but for the folders that are written to.
local function clone()
   assert(0 == process.shell(([[
      set -e; mkdir -p %s/build; root=$PWD; cd %s
      for path in "$root"/* "$root"/.[a-z]*; do
         case ${path##*/} in build|.git) ;; *) ln -s "$path" . ;; esac
      done
      for path in "$root"/build/* "$root"/build/.dir; do
         case ${path##*/} in spec|mine|compat) ;; *) ln -s "$path" build/ ;; esac
      done]]):format(folder, folder)))
end

-- Runs these in one shell, one after the other; gives each its exit code and what it wrote.
local function run(list)
   local script = { "exec 2>&1\nunset ONCED_BROKERS ONCED_INSTANCE\n" }
   for i, c in ipairs(list) do
      script[#script + 1] = ("echo '<<<%d'\n%s\ncode=$?; echo; echo \">>>%d $code\"\n"):format(i, c.run or c.what, i)
   end
   tree.write(folder .. "/session", table.concat(script))
   local _, out = process.run({ "timeout", "400", "bash", "session" }, { cwd = folder, timeout = 420 })
   for i, c in ipairs(list) do
      local text, code = (out .. "\n"):match(("<<<%d\n(.-)\n>>>%d (%%d+)\n"):format(i, i))
      c.wrote, c.code = (text or "nothing: the shell ended before"):gsub("\n$", ""), tonumber(code)
   end
end

local function pattern(line) return "^" .. line:gsub("…", "\1"):gsub("%p", "%%%0"):gsub("\1", ".*") .. "$" end

-- Do the lines fit what is shown, from `i` and `k` on?
local function fits(shown, lines, i, k)
   if i > #shown then return k > #lines end
   if shown[i] == "…" then
      for rest = k, #lines + 1 do
         if fits(shown, lines, i + 1, rest) then return true end
      end
      return false
   end
   return k <= #lines and lines[k]:match(pattern(shown[i])) ~= nil and fits(shown, lines, i + 1, k + 1)
end

-- What isn't as the page says. A command without an output may write what it likes.
local function differences(list)
   local out = {}
   for _, c in ipairs(list) do
      local lines = {}
      for line in (c.wrote == "" and "" or c.wrote .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
      if c.code ~= 0 then
         out[#out + 1] = ("%s: %s\nended with %s:\n%s"):format(c.where, c.what or c.name, tostring(c.code), c.wrote)
      elseif c.output and #c.output > 0 and not fits(c.output, lines, 1, 1) then
         out[#out + 1] = ("%s: %s\nwrote:\n%s\nand not:\n%s"):format(c.where, c.what, c.wrote, table.concat(c.output, "\n"))
      end
   end
   return table.concat(out, "\n")
end

-- --- YAML and Lua --------------------------------------------------------------------------------------------------------------------

local function bare(lines, comment)
   local out = {}
   for _, line in ipairs(lines) do
      line = line:gsub("%s*" .. comment .. ".*$", "")
      if line ~= "" then out[#out + 1] = line end
   end
   return table.concat(out, "\n") .. "\n"
end

local function lines_of(path)
   local out = {}
   for line in tree.read(path):gmatch "(.-)\n" do out[#out + 1] = line end
   return out
end

local function is(path) return function(b) assert.equal(bare(lines_of(path), "%f[^%s%z]#"), bare(b.lines, "%f[^%s%z]#")) end end

local function part_of(path)
   return function(b)
      local whole, part = bare(lines_of(path), "%-%-"), bare(b.lines, "%-%-")
      assert.is_truthy(whole:find(part, 1, true), path .. " hasn't:\n" .. part)
   end
end

local function onced(command, files)
   local there = folder .. "/block"
   os.execute("rm -rf " .. there .. " && mkdir " .. there)
   for name, text in pairs(files) do tree.write(there .. "/" .. name, text) end
   local _, out = process.run { "sh", "-c", ("cd %s && PATH=$OLDPWD/build:$PATH; %s 2>&1"):format(there, command) }
   return out
end

local function tried(b, record, result, more)
   local text = table.concat(b.lines, "\n") .. "\n"
   if not text:find("return M\n", 1, true) then text = 'local M = {}\nlocal onced = require "onced"\n' .. text .. "return M\n" end
   local out = onced(("echo '%s' | onced try t.yaml"):format(record), { ["t.lua"] = text, ["rates.csv"] = "currency,rate\nEUR,1.5\n",
      ["t.yaml"] = "version: 1\ninput: {topics: [a]}\ntransform: {script: t.lua, " .. more .. "}\noutputs: {default: {topic: b}}\n" })
   assert.is_truthy(out:find(result, 1, true), out)
end

local BLOCKS = {
   ["README.md"] = {
      is "pipelines/map.yaml", part_of "pipelines/map.lua", function(b)
         local out = onced("onced test map.yaml", { ["map_spec.lua"] = table.concat(b.lines, "\n"), ["map.yaml"] = tree.read "pipelines/map.yaml",
            ["map.lua"] = tree.read "pipelines/map.lua" })
         assert.matches("\n2 successes / 0 failures / 0 errors", out)
      end,
   },
   ["pipelines/README.md"] = { is "pipelines/dead-letter.yaml", part_of "pipelines/dead-letter.lua" },
   ["lua/README.md"] = {
      function(b) tried(b, '{"total": 100}', "+ /gross: 119", "params: {tax_rate: 0.19}") end,
      function(b) tried(b, '{"currency": "EUR"}', "+ /rate: 1.5", "data: {rates: rates.csv}") end,
   },
   ["conf/reference.md"] = {},
}

-- --- specs ---------------------------------------------------------------------------------------------------------------------------

describe("what the pages show:", function()
   local console, text_lines, others, unknown, told = {}, {}, {}, {}, {}

   setup(function()
      clone()
      for _, page in ipairs(PAGES) do
         local text = tree.read(page)
         for _, block in ipairs(blocks(page, text)) do
            if block.language == "console" then
               for _, c in ipairs(commands(block)) do
                  told[ELSEWHERE[c.name] and c.name or ""] = true
                  if not ELSEWHERE[c.name] then console[#console + 1] = c end
               end
            else
               others[#others + 1] = block
            end
         end
         for _, c in ipairs(inline(page, text)) do
            c.run = INLINE[c.name] and INLINE[c.name]:gsub("%%s", function() return c.name end)
            told[c.name] = true
            if c.run then
               text_lines[#text_lines + 1] = c
            elseif not ELSEWHERE[c.name] then
               unknown[#unknown + 1] = page .. ": " .. c.name
            end
         end
      end
      -- The text's command lines need the broker that the console blocks stop at their end.
      local all, stop = {}, table.remove(console)
      assert.equal("spec/support/kafka stop build/mine", stop.name)
      for _, list in ipairs { console, text_lines, { stop } } do
         for _, c in ipairs(list) do all[#all + 1] = c end
      end
      if not os.getenv "ONCED_KAFKA_VERSION" then run(all) end -- the pages name the classes of the pinned one
      console[#console + 1] = stop
   end)
   teardown(function()
      process.shell(("cd %s && spec/support/kafka stop build/mine >/dev/null 2>&1; cd - >/dev/null; rm -rf %s"):format(folder, folder))
   end)

   it("console blocks, commands and outputs", function()
      if os.getenv "ONCED_KAFKA_VERSION" then return pending "the pages are about the pinned Kafka" end
      assert.is_true(#console >= 15, #console .. " commands")
      assert.equal("", differences(console))
   end)

   it("command lines in the text", function()
      assert.same({}, unknown)
      if os.getenv "ONCED_KAFKA_VERSION" then return pending "the pages are about the pinned Kafka" end
      assert.equal("", differences(text_lines))
   end)

   it("what is listed here is on a page", function()
      local gone = {}
      for _, list in ipairs { ELSEWHERE, INLINE } do
         for name in pairs(list) do gone[#gone + 1] = not told[name] and name or nil end
      end
      assert.same({}, gone)
   end)

   it("blocks of YAML and Lua", function()
      local seen = {}
      for _, block in ipairs(others) do
         seen[block.page] = (seen[block.page] or 0) + 1
         local answer = BLOCKS[block.page][seen[block.page]]
         assert.is_truthy(answer, ("%s:%d: nothing is known of this block of %s"):format(block.page, block.line, block.language))
         answer(block)
      end
      for page, answers in pairs(BLOCKS) do assert.equal(#answers, seen[page] or 0, page) end
   end)

   it("an output that differs, an unknown block and a changed flag are found", function()
      local block = blocks("page", "```console\n$ echo a; echo b\na\nb\n$ echo c d\nc …\n```\n\n    make x\n\n`onced check\n--fast` and `onced.null`\n")
      assert.same({ "console", "indented" }, { block[1].language, block[2].language })
      local text = "`onced check\n--fast` and `onced.null`, `onced`, `spec/house/a_spec.lua`"
      assert.same({ { name = "onced check --fast", where = "page" } }, inline("page", text))
      local list = commands(block[1])
      list[1].wrote, list[1].code, list[2].wrote, list[2].code = "a\nb", 0, "c d", 0
      assert.equal("", differences(list))
      list[1].wrote = "a\nb\nc"
      assert.matches("^page:2: echo a; echo b\nwrote:\na\nb\nc\nand not:\na\nb$", differences(list))
      list[1].output = { "a", "…" }
      list[2].code = 1
      assert.matches("^page:5: echo c d\nended with 1:\nc d$", differences(list))
   end)
end)
