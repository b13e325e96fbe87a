-- SPDX-License-Identifier: MIT
-- What user code can reach: Lua's own library without files, processes, native code and the means to look behind the daemon's back.
-- Every chunk of the script gets one environment; reading or assigning a global that isn't there is an error.
local suggest = require "onced.suggest"
local sandbox = {}

local SAFE = {
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawset", "select", "setmetatable",
  "tonumber", "tostring", "type", "unpack", "xpcall", "_VERSION",
}
local LIBRARIES = { "string", "table", "math", "bit", "coroutine" }
local ALLOWED = {
  ["io"] = true, ["os.execute"] = true, ["os.getenv"] = true, ["os.remove"] = true, ["os.rename"] = true, ["os.tmpname"] = true,
  ["loadlib"] = true,
}

-- Standard names that transforms don't have. Modules ask whether they are there (`if setfenv then`), so they may be read, as nil.
local ABSENT = {}
for _, name in ipairs {
  "_ENV", "_TEST", "arg", "bit32", "debug", "dofile", "gcinfo", "getfenv", "io", "jit", "loadfile", "module", "newproxy", "ngx", "package", "rawlen",
  "setfenv", "utf8", "warn",
} do
  ABSENT[name] = true
end

local function copy(t)
  local c = {}
  for k, v in pairs(t) do c[k] = v end
  return c
end

local function allow(env, name)
  if not ALLOWED[name] then
    local names = {}
    for known in pairs(ALLOWED) do names[#names + 1] = known end
    error(('transform.allow: "%s" can\'t be allowed%s'):format(name, suggest(name, names)), 0)
  end
  if name == "io" then
    rawset(env, "io", copy(io))
  elseif name == "loadlib" then
    rawset(env, "package", { loadlib = package.loadlib })
  else
    env.os[name:sub(4)] = os[name:sub(4)]
  end
end

-- The daemon's own Lua uses the same strings: a script must neither reach their methods nor dump a function by one.
getmetatable("").__metatable = "string"
rawset(string, "dump", nil)

-- LuaJIT doesn't count what nests on the stack of C: coroutines, and gsub with its buffer of 8 KiB, would run off its end.
local NEST_MOST = 100
local nested = 0

local function leave(ok, ...)
  nested = nested - 1
  return ok, ...
end

-- `call` is pcall or coroutine.resume: an error comes back here.
local function nest(call, ...)
  if nested >= NEST_MOST then error("stack overflow: coroutines or gsub in one another", 0) end
  nested = nested + 1
  return leave(call(...))
end

local function thrown_on(ok, ...)
  if ok then return ... end
  error(..., 0)
end

local gsub, resume, create = string.gsub, coroutine.resume, coroutine.create

rawset(string, "gsub", function(s, pattern, by, count)
  if type(by) ~= "function" and type(by) ~= "table" then return gsub(s, pattern, by, count) end
  return thrown_on(nest(pcall, gsub, s, pattern, by, count))
end)

local function nested_coroutines(copied)
  function copied.resume(co, ...) return nest(resume, co, ...) end
  function copied.wrap(f)
    local co = create(f)
    return function(...) return thrown_on(nest(resume, co, ...)) end
  end
  return copied
end

local Sandbox = {}
Sandbox.__index = Sandbox

-- Compiles user code in the environment; bytecode is refused, it isn't verified by LuaJIT.
function Sandbox:compile(text, chunk)
  if text:sub(1, 1) == "\27" then return nil, chunk:sub(2) .. ": bytecode can't be loaded, only source" end
  self.sources[chunk] = true
  return load(text, chunk, "t", self.env)
end

function Sandbox:file(path, name)
  local text = self.read(path)
  if not text then return nil, path .. ": can't be read" end
  return self:compile(text:gsub("^#[^\n]*", ""), "@" .. name)
end

-- True for a chunk of the user's, whose lines errors are reported with.
function Sandbox:owns(source) return self.sources[source] == true end

local function templates(path)
  if path:find("?", 1, true) then return { path } end
  return { path .. "/?.lua", path .. "/?/init.lua" }
end

function Sandbox:find(name)
  local tried = {}
  for _, folder in ipairs(self.path) do
    for _, template in ipairs(templates(folder)) do
      local path = template:gsub("%?", (name:gsub("%.", "/"):gsub("%%", "%%%%")))
      local code, message = nil, nil
      if self.read(path) then code, message = self:file(path, path:sub(1, #folder + 1) == folder .. "/" and path:sub(#folder + 2) or path) end
      if code then return code end
      if message then error(message, 0) end
      tried[#tried + 1] = "\n\tno file '" .. path .. "'"
    end
  end
  error(("module '%s' not found:%s"):format(name, table.concat(tried)), 0)
end

local DENIED = { ffi = true, io = true, debug = true, jit = true, package = true, _G = true }

function Sandbox:require(name)
  if type(name) ~= "string" then error("require needs a module's name", 0) end
  if name:find "%c" then error(('"%s" isn\'t a module\'s name'):format(name:gsub("%c", "?")), 0) end
  local loaded = self.loaded[name]
  if loaded ~= nil then return loaded end
  if DENIED[name] then error(("module '%s' isn't there for transforms: side effects can't be exactly once"):format(name), 0) end
  local code = self:find(name)
  self.loaded[name] = true -- a circle of modules ends here
  local ok, result = pcall(code, name)
  if not ok then
    self.loaded[name] = nil
    error(result, 0)
  end
  if result ~= nil then self.loaded[name] = result end
  return self.loaded[name]
end

local function environment(print)
  local env = { print = print, os = { time = os.time, date = os.date, clock = os.clock, difftime = os.difftime } }
  for _, name in ipairs(SAFE) do env[name] = _G[name] end
  for _, name in ipairs(LIBRARIES) do env[name] = copy(_G[name]) end
  nested_coroutines(env.coroutine)
  env._G = env
  function env.collectgarbage(what) -- not stop, not setpause: the cap relies on the collector
    if what == nil or what == "collect" or what == "count" or what == "step" then return collectgarbage(what) end
    error(('collectgarbage "%s" isn\'t there for transforms'):format(tostring(what)), 0)
  end
  return setmetatable(env, {
    __metatable = "globals",
    __index = function(_, name)
      if ABSENT[name] then return nil end
      local names = {}
      for known in pairs(env) do names[#names + 1] = tostring(known) end
      local hint = suggest(tostring(name), names):match "^; did you mean.*" or ": declare it with local"
      error(("reading the global '%s', which isn't there%s"):format(tostring(name), hint), 2)
    end,
    __newindex = function(_, name)
      error(("assigning the global '%s': declare it with local"):format(tostring(name)), 2) -- with the line: it may come through a require
    end,
  })
end

-- options: path (folders or templates for require), read (a file's text by its path, or nil), print, allow (names),
-- modules (name -> value)
function sandbox.new(options)
  local self = setmetatable({ sources = {}, loaded = {}, path = options.path, read = options.read }, Sandbox)
  local env = environment(options.print)
  self.env = env
  for _, name in ipairs(options.allow) do allow(env, name) end
  rawset(env, "require", function(name) return self:require(name) end)
  rawset(env, "loadstring", function(text, chunk)
    if type(text) ~= "string" then error("loadstring needs a string", 0) end
    return self:compile(text, chunk or "=loaded")
  end)
  rawset(env, "load", env.loadstring)
  for _, name in ipairs(LIBRARIES) do self.loaded[name] = env[name] end
  self.loaded.os, self.loaded.io = env.os, rawget(env, "io")
  for name, value in pairs(options.modules) do self.loaded[name] = value end
  return self
end

return sandbox
