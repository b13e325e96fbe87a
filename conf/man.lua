-- Writes a man page: luajit conf/man.lua PAGE ONCED, from the repository's root. onced.1 is what `onced --help` and the help of each
-- command say, onced.yaml.5 and onced-pipeline.5 what `onced schema` says of the keys: a page can't say what the program doesn't know.
local function output_of(command)
   local pipe = assert(io.popen(command))
   local text = pipe:read "*a"
   pipe:close()
   return text
end

-- Text that roff takes for nothing else: no requests, no escapes, dashes that can be pasted into a shell.
local function plain(text)
   return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("^([.'])", "\\&%1"):gsub("\n([.'])", "\n\\&%1"))
end

local function verbatim(text) return ".nf\n" .. plain(text):gsub("\n*$", "\n") .. ".fi\n" end

local function page(name, section, summary, parts)
   local out = { (".TH %s %d \"\" onced\n.SH NAME\n%s \\- %s\n"):format(name:upper(), section, plain(name), plain(summary)) }
   for _, part in ipairs(parts) do out[#out + 1] = ".SH " .. part[1] .. "\n" .. part[2] end
   return table.concat(out)
end

local function see_also(...) return { "SEE ALSO", table.concat({ ... }, ", ") .. "\n" } end

-- --- onced.1 ----------------------------------------------------------------------------------------------------------------------
local function commands(onced)
   local synopsis, described = {}, {}
   local help = output_of(onced .. " --help")
   for name in help:match("Commands:\n(.-)\n\n"):gmatch "  (%S+) [^\n]*" do
      local usage, rest = output_of(onced .. " " .. name .. " --help"):match "^([^\n]*)\n(.*)$"
      synopsis[#synopsis + 1] = plain(usage) .. "\n.br\n"
      described[#described + 1] = ".SS " .. name .. "\n" .. verbatim(rest)
   end
   return page("onced", 1, help:match "^onced: ([^\n]*)", {
      { "SYNOPSIS", table.concat(synopsis) },
      { "COMMANDS", table.concat(described) },
      { "FILES", ".TP\n/etc/onced/onced.yaml\nthe service file\n.TP\n/etc/onced/pipelines.d/\npipelines, unless the service file says otherwise\n" },
      see_also("\\fBonced.yaml\\fP(5)", "\\fBonced\\-pipeline\\fP(5)"),
   })
end

-- --- the files --------------------------------------------------------------------------------------------------------------------
-- A row is: | `key` | value | default | meaning |, with code in backticks and bars behind a backslash.
local function cells(row)
   local out = {}
   for cell in row:gsub("\\|", "\1"):gmatch "| ([^|]*)" do out[#out + 1] = cell:gsub("\1", "|"):gsub("`", ""):gsub("%s+$", "") end
   return out
end

local function keys(onced, title)
   local out = {}
   for row in output_of(onced .. " schema --format=markdown"):match("## " .. title .. "\n(.-)\n\n##"):gmatch "\n(| `[^\n]*)" do
      local key, value, fallback, meaning = unpack(cells(row))
      if fallback ~= "" then value = value .. (fallback == "required" and ", required" or ", default: " .. fallback) end
      out[#out + 1] = (".TP\n\\fB%s\\fP\n%s\n.br\n%s\n"):format(plain(key), plain(meaning), plain(value))
   end
   return table.concat(out)
end

local function read(path)
   local file = assert(io.open(path))
   local text = file:read "*a"
   file:close()
   return text
end

local function file_page(onced, name, summary, title, example)
   return page(name, 5, summary, {
      { "DESCRIPTION", "YAML. A key below another is written with a dot, and NAME stands for a name of yours. Text may contain "
         .. plain "${env:NAME}, ${env:NAME:-default}, ${file:/path} and ${cred:name}" .. " (systemd's LoadCredential=); $$ is a dollar sign.\n"
         .. "\\fBonced check\\fP says what is wrong with a file, with line and column.\n" },
      { "KEYS", keys(onced, title) },
      { "EXAMPLE", verbatim(read(example)) },
      see_also("\\fBonced\\fP(1)", name == "onced.yaml" and "\\fBonced\\-pipeline\\fP(5)" or "\\fBonced.yaml\\fP(5)"),
   })
end

local PAGES = {
   ["onced.1"] = commands,
   ["onced.yaml.5"] = function(onced) return file_page(onced, "onced.yaml", "onced's service file", "The service file", "conf/onced.yaml") end,
   ["onced-pipeline.5"] = function(onced)
      return file_page(onced, "onced-pipeline", "a pipeline of onced", "A pipeline file", "pipelines/map.yaml")
   end,
}

io.write(PAGES[arg[1]](arg[2]))
