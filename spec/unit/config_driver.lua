-- SPDX-License-Identifier: MIT
-- Loads configurations through libonced.so as the command line does, and takes the reports apart. The C declarations are the headers'
-- own text: no second copy of a declaration.
local ffi = require "ffi"
local lib = require "spec.unit.onced_lib"
local process = require "spec.support.process"

local driver = {}

lib.declare { "err", "settings", "config", "scalar", "spelling", "cli" }
ffi.cdef [[
FILE *fopen(const char *path, const char *mode);
int fclose(FILE *file);
int setenv(const char *name, const char *value, int overwrite);
int unsetenv(const char *name);
int getpid(void);
]]

driver.C = lib.load()

local folder = "build/spec/config-" .. ffi.C.getpid()

-- Writes {name = text}; the paths come back by name.
function driver.write(files)
   assert(os.execute("mkdir -p " .. folder))
   local paths = {}
   for name, text in pairs(files) do
      paths[name] = folder .. "/" .. name
      local file = assert(io.open(paths[name], "w"))
      file:write(text)
      file:close()
   end
   return paths
end

function driver.clean() os.execute("rm -rf " .. folder) end

local formats = { text = "CONFIG_TEXT", json = "CONFIG_JSON", github = "CONFIG_GITHUB" }

-- request: pipelines = {path}, service, brokers, yield, optional, instance, format, env = {NAME = text or false}.
-- Returns the report's text, the number of errors, and the config (freed when it is collected), nil with errors.
function driver.load(request)
   for name, value in pairs(request.env or {}) do
      if value then ffi.C.setenv(name, value, 1) else ffi.C.unsetenv(name) end
   end
   assert(os.execute("mkdir -p " .. folder))
   local path, errors, paths = folder .. "/report", ffi.new "int[1]", request.pipelines or {}
   local names = ffi.new("const char *[?]", #paths + 1, paths)
   local out = ffi.C.fopen(path, "w")
   local config = driver.C.config_load(ffi.new("struct config_request", {
      service_file = request.service, pipelines = names, pipeline_count = #paths, brokers = request.brokers,
      brokers_yield = request.yield and 1 or 0, brokers_optional = request.optional and 1 or 0, instance = request.instance,
   }), formats[request.format or "text"], out, errors)
   ffi.C.fclose(out)
   local file = assert(io.open(path))
   local text = file:read "*a"
   file:close()
   for name in pairs(request.env or {}) do ffi.C.unsetenv(name) end
   if config == nil then return text, errors[0] end
   ffi.gc(config, function(c) driver.C.config_free(ffi.new("struct config *[1]", c)) end)
   return text, errors[0], config
end

-- The reports in a text: {place, line, column, kind, message, source, marker}, in order.
function driver.parse(text)
   local found = {}
   for line in text:gmatch "[^\n]+" do
      local last = found[#found]
      local number, source = line:match "^ *(%d+) | (.*)$"
      local marker = line:match "^      | (.*)$"
      if number then
         last.source_line, last.source = tonumber(number), source
      elseif marker then
         last.marker = marker
      else
         local place, kind, message = line:match "^(.-):? ?(%l+): (.*)$"
         for _, k in ipairs { "error", "warning" } do
            local at = line:find(k .. ": ", 1, true)
            if at then
               place, kind, message = line:sub(1, at - 1):gsub(":? $", ""), k, line:sub(at + #k + 2)
               break
            end
         end
         local l, c = place:match ":(%d+):(%d+)$"
         found[#found + 1] = { place = place, line = tonumber(l), column = tonumber(c), kind = kind, message = message }
      end
   end
   return found
end

-- What `onced test` needs before it: the luajit that it becomes isn't sanitized.
driver.preloaded = os.getenv "ONCED_RUNTIME" and "LD_PRELOAD=" .. os.getenv "ONCED_RUNTIME" or nil

-- Runs the binary with a shell's words after its name, and variables before it. Returns the exit code, standard output and error.
function driver.onced(arguments, environment)
   local paths = driver.write { out = "", err = "" }
   local code = process.shell(("env -u ONCED_BROKERS -u ONCED_INSTANCE %s timeout 120 %s %s >%s 2>%s </dev/null")
      :format(environment or "", lib.binary, arguments, paths.out, paths.err))
   local function read(path)
      local file = assert(io.open(path))
      local text = file:read "*a"
      file:close()
      return text
   end
   return code, read(paths.out), read(paths.err)
end

-- A sound pipeline file, with lines of one's own after it; `change` is {pattern, replacement} pairs.
driver.good = [[
version: 1
input:
  topics: [orders]
transform:
  script: good.lua
outputs:
  default: {topic: enriched}
]]

function driver.pipeline(extra, name, good)
   name = name or "good.yaml"
   local paths = driver.write { [name] = (good or driver.good) .. (extra or ""), ["good.lua"] = "return function(rec) return rec end\n" }
   return paths[name]
end

-- One pipeline of `extra` lines against brokers on this host.
function driver.try(extra, request)
   request = request or {}
   request.pipelines = { driver.pipeline(extra, request.name, request.good) }
   request.brokers = request.brokers or "localhost:9092"
   return driver.load(request)
end

return driver
