-- Include only downward (design, section 6), and a library's header only where that library is known.
local tree = require "spec.house.tree"

-- From the top; nouns of one row don't know each other. A noun stands for NAME.[ch] and NAME_*.[ch].
local ROWS = {
   { "main" },
   { "cli" },
   { "command" }, -- one file each, command_NAME
   { "supervisor" },
   { "status" },
   { "roster" }, -- all crews
   { "reload" },
   { "crew" }, -- the workers of a pipeline, and
   { "child" }, -- one of them, as the master sees them
   { "lock", "notify", "backoff", "control" },
   { "worker", "check", "rehearsal" },
   { "pipeline" },
   { "exchange" },
   { "transaction" }, -- its back half
   { "source", "sink", "transform", "mailbox" },
   { "failure", "partitions", "observer" },
   { "batch", "kafka", "recipe" },
   { "config" },
   { "interpolate", "settings", "codec" },
   { "yaml_tree" },
   { "report" },
   { "json" },
   { "bridge", "stats", "state_note", "audit" },
   { "allocator", "log", "arena", "pool", "texts", "scalar", "spelling", "digest", "suspects" },
   { "err" },
   { "clock", "failpoint" },
}
local ALSO = { params = "config" } -- belongs to a noun whose name it doesn't carry
local LIBRARIES = {
   { "^librdkafka/", { kafka = true, source = true, sink = true, batch = true } },
   { "^lua", { transform = true } }, -- luajit.h, lualib.h ...
   { "^lauxlib", { transform = true } },
   { "^yaml%.h$", { yaml_tree = true } },
}

local floor = {}
for row, nouns in ipairs(ROWS) do
   for _, noun in ipairs(nouns) do floor[noun] = #ROWS - row end
end

local function noun_of(path)
   local name = path:match "([^/]+)%.[ch]$"
   while name and not floor[name] do
      if ALSO[name] then return ALSO[name] end
      name = name:match "^(.+)_[^_]*$"
   end
   return name
end

local function violations(folder)
   local out = {}
   local function bad(path, ...) out[#out + 1] = path:match "[^/]+$" .. ": " .. string.format(...) end
   for _, path in ipairs(tree.files(folder, ".c", ".h")) do
      local text, noun = "\n" .. tree.read(path), noun_of(path)
      if not noun then bad(path, "is on no floor; give it one in spec/house/floors_spec.lua") end
      for included in text:gmatch '\n%s*#%s*include%s*"([^"]+)"' do
         local below = noun_of(included)
         if noun and not (below and (below == noun or floor[below] < floor[noun])) then bad(path, 'includes "%s"', included) end
      end
      for included in text:gmatch "\n%s*#%s*include%s*<([^>]+)>" do
         for _, library in ipairs(LIBRARIES) do
            if included:find(library[1]) and not library[2][noun] then bad(path, "includes <%s>", included) end
         end
      end
   end
   return out
end

describe("floors", function()
   it("are only ever looked down from", function() assert.same({}, violations "daemon") end)

   it("are guarded: planted includes are found", function()
      tree.with_copy("daemon", function(copy)
         local before = #violations(copy)
         local function plant(file, line) tree.write(copy .. "/" .. file, line .. "\n" .. tree.read(copy .. "/" .. file)) end
         plant("arena.c", '#include "kafka.h"') -- upward
         plant("sink.c", '#include "source.h"') -- a neighbour
         plant("log.h", "#include <librdkafka/rdkafka.h>")
         plant("worker.c", "#  include <lua.h>")
         plant("config.c", "#include <yaml.h>")
         tree.write(copy .. "/helper.c", "")
         local found = table.concat(violations(copy), "\n")
         assert.equal(before + 6, #violations(copy))
         for _, one in ipairs { 'arena.c: includes "kafka.h"', 'sink.c: includes "source.h"', "log.h: includes <librdkafka/rdkafka.h>",
            "worker.c: includes <lua.h>", "config.c: includes <yaml.h>", "helper.c: is on no floor" } do
            assert.matches(one, found, 1, true)
         end
      end)
   end)
end)
