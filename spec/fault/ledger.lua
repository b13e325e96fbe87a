-- SPDX-License-Identifier: MIT
-- The ledger: a line for every run, whatever came out of it. onced's is ledger.csv; that of other programs, peers.csv, has more columns: a
-- file's first line tells which.
local process = require "spec.support.process"

local ledger = {}
local HEADER = "date,onced,librdkafka,kafka,scenario,seed,records,faults,lost,repeated,disordered,hanging,verdict,resume_p99_ms,resume_max_ms,"
   .. "aborted_copies"

local function output(...)
   local code, text = process.run({ ... }, { stderr = "null" })
   return code == 0 and text or nil
end

-- The commit that is run, with a + where something of it is changed, and the versions of what it stands on.
function ledger.versions()
   local commit = output("git", "rev-parse", "--short=8", "HEAD") or "unknown"
   local changed = output("git", "status", "--porcelain", "--", ".", ":!spec/fault/*.csv")
   local pom = assert(io.open "spec/support/pom.xml"):read "*a"
   return {
      onced = commit .. (changed ~= "" and "+" or ""),
      librdkafka = assert(output("build/onced", "version")):match "librdkafka ([%d.]+)",
      kafka = os.getenv "ONCED_KAFKA_VERSION" or pom:match "<kafka.version>(.-)</kafka.version>",
   }
end

local function cells_of(line)
   local out = {}
   for cell in (line .. ","):gmatch "([^,]*)," do out[#out + 1] = cell end
   return out
end

-- One that isn't there yet will be a ledger of onced's.
local function columns(path)
   local file = io.open(path)
   local first = file and file:read "*l" or ""
   if file then file:close() end
   return cells_of(first:find "^date," and first or HEADER)
end

function ledger.append(path, entry)
   local cells = {}
   entry.date = os.date "!%Y-%m-%dT%H:%M:%SZ"
   for i, name in ipairs(columns(path)) do cells[i] = tostring(entry[name] or "") end
   local file = assert(io.open(path, "a"))
   if file:seek "end" == 0 then file:write(HEADER, "\n") end
   file:write(table.concat(cells, ","), "\n")
   file:close()
end

-- All lines, as tables; the header apart. None of a file that isn't there yet.
function ledger.entries(path)
   local out, names, file = {}, columns(path), io.open(path)
   for line in file and file:lines() or function() end do
      local entry = {}
      for i, cell in ipairs(cells_of(line)) do entry[names[i]] = cell end
      if entry.date ~= "date" then out[#out + 1] = entry end
   end
   if file then file:close() end
   return out
end

return ledger
