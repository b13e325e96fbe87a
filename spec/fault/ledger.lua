-- SPDX-License-Identifier: MIT
-- The ledger (ledger.csv): a line for every run, whatever came out of it.
local process = require "spec.support.process"

local ledger = {}
local COLUMNS = { "date", "onced", "librdkafka", "kafka", "scenario", "seed", "records", "faults", "lost", "repeated", "disordered", "hanging", "verdict",
   "resume_p99_ms", "resume_max_ms", "aborted_copies" }
ledger.header = table.concat(COLUMNS, ",")

local function output(...)
   local code, text = process.run({ ... }, { stderr = "null" })
   return code == 0 and text or nil
end

-- The commit that is run, with a + where something of it is changed, and the versions of what it stands on.
function ledger.versions()
   local commit = output("git", "rev-parse", "--short=8", "HEAD") or "unknown"
   local changed = output("git", "status", "--porcelain", "--", ".", ":!spec/fault/ledger.csv")
   local pom = assert(io.open "spec/support/pom.xml"):read "*a"
   return {
      onced = commit .. (changed ~= "" and "+" or ""),
      librdkafka = assert(output("build/onced", "version")):match "librdkafka ([%d.]+)",
      kafka = os.getenv "ONCED_KAFKA_VERSION" or pom:match "<kafka.version>(.-)</kafka.version>",
   }
end

function ledger.append(path, entry)
   local cells = {}
   entry.date = os.date "!%Y-%m-%dT%H:%M:%SZ"
   for i, name in ipairs(COLUMNS) do cells[i] = tostring(entry[name] or "") end
   local file = assert(io.open(path, "a"))
   if file:seek "end" == 0 then file:write(ledger.header, "\n") end
   file:write(table.concat(cells, ","), "\n")
   file:close()
end

-- All lines, as tables; the header apart. None of a file that isn't there yet.
function ledger.entries(path)
   local out, file = {}, io.open(path)
   for line in file and file:lines() or function() end do
      local entry, i = {}, 0
      for cell in (line .. ","):gmatch "([^,]*)," do
         i = i + 1
         entry[COLUMNS[i]] = cell
      end
      if line ~= ledger.header then out[#out + 1] = entry end
   end
   if file then file:close() end
   return out
end

return ledger
