-- Writes a man page: luajit conf/man.lua PAGE ONCED LIBONCED, from the repository's root. onced.1 is what `onced --help` and the help of
-- each command say, onced.yaml.5 and onced-pipeline.5 the tables of daemon/settings.c: a page can't say what the program doesn't know.
local ffi = require "ffi"

local function read(path)
   local file = assert(io.open(path))
   local text = file:read "*a"
   file:close()
   return text
end

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
local UNITS = {
   SETTING_DURATION = { { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } },
   SETTING_SIZE = { { 2 ^ 30, "GiB" }, { 2 ^ 20, "MiB" }, { 2 ^ 10, "KiB" }, { 1, "B" } },
   SETTING_INTEGER = { { 1, "" } },
   SETTING_NUMBER = { { 1, "" } },
}

local function amount(units, number)
   for _, unit in ipairs(units) do
      if number ~= 0 and number % unit[1] == 0 or unit[1] == 1 then return ("%.14g%s"):format(number / unit[1], unit[2]) end
   end
end

local function range(row)
   for kind, units in pairs(UNITS) do
      if row.kind == kind and row.most > row.least then return ("%s to %s"):format(amount(units, row.least), amount(units, row.most)) end
   end
end

local function keys(lib, table_name)
   local out, row = {}, lib[table_name] + 0
   while row.path ~= nil do
      if row.kind ~= "SETTING_REFUSED" then
         local choices = row.choices ~= nil and ffi.string(row.choices):gsub("|", " | ")
         local facts = { choices or ffi.string(lib.setting_kind_name(row.kind)), range(row) }
         if bit.band(row.flags, lib.SETTING_REQUIRED) ~= 0 then facts[#facts + 1] = "required" end
         if row.fallback ~= nil then facts[#facts + 1] = "default: " .. ffi.string(row.fallback) end
         if bit.band(row.flags, lib.SETTING_LATER + lib.SETTING_NEVER) ~= 0 then facts[#facts + 1] = "not in this version" end
         out[#out + 1] = (".TP\n\\fB%s\\fP\n%s\n.br\n%s\n"):format(plain(ffi.string(row.path)), plain(ffi.string(row.doc)),
            plain(table.concat(facts, ", ")))
      end
      row = row + 1
   end
   return table.concat(out)
end

local function file_page(name, summary, table_name, example, libonced)
   ffi.cdef((("\n" .. read "daemon/settings.h"):gsub("\n#[^\n]*", "")))
   local lib = ffi.load(libonced)
   return page(name, 5, summary, {
      { "DESCRIPTION", "YAML. A key below another is written with a dot, and * stands for a name of yours. Text may contain "
         .. plain "${env:NAME}, ${env:NAME:-default}, ${file:/path} and ${cred:name}" .. " (systemd's LoadCredential=); $$ is a dollar sign.\n"
         .. "\\fBonced check\\fP says what is wrong with a file, with line and column.\n" },
      { "KEYS", keys(lib, table_name) },
      { "EXAMPLE", verbatim(read(example)) },
      see_also("\\fBonced\\fP(1)", name == "onced.yaml" and "\\fBonced\\-pipeline\\fP(5)" or "\\fBonced.yaml\\fP(5)"),
   })
end

local PAGES = {
   ["onced.1"] = commands,
   ["onced.yaml.5"] = function(_, lib) return file_page("onced.yaml", "onced's service file", "settings_service", "conf/onced.yaml", lib) end,
   ["onced-pipeline.5"] = function(_, lib)
      return file_page("onced-pipeline", "a pipeline of onced", "settings_pipeline", "pipelines/map.yaml", lib)
   end,
}

io.write(PAGES[arg[1]](arg[2], arg[3]))
