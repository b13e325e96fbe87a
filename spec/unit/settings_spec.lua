-- Generated from the settings tables: whatever key is added there is misspelt, given a wrong type and its own default here.
local driver = require "spec.unit.config_driver"
local ffi = require "ffi"
local C = driver.C

local services = [[
clusters:
  main:
    brokers: [localhost:9092]
]]

local function rows(table)
   local found, i = {}, 0
   while table[i].path ~= nil do
      local row, parts = table[i], {}
      for part in ffi.string(row.path):gmatch "[^.]+" do parts[#parts + 1] = part end
      found[#found + 1] = {
         path = ffi.string(row.path), parts = parts, kind = tonumber(row.kind), flags = row.flags, doc = ffi.string(row.doc),
         fallback = row.fallback ~= nil and ffi.string(row.fallback) or nil,
         choices = row.choices ~= nil and ffi.string(row.choices) or nil, least = row.least, most = row.most,
      }
      i = i + 1
   end
   return found
end

local function kind_of(table, parts, depth)
   local row = C.setting_find(table, depth == 0 and "" or require "table".concat(parts, ".", 1, depth))
   return row ~= nil and tonumber(row.kind) or nil
end

-- A file with nothing but this key, and where key and value stand.
local function document(row, key, value)
   local text, shown = "version: 1\n", {}
   if row.path == "version" then text = "" end
   for depth = 1, #row.parts do
      local part = depth == #row.parts and key or row.parts[depth] == "*" and "x" or row.parts[depth]
      if depth == #row.parts and row.parts[depth] == "*" then part = "x" end
      shown[depth] = part
      text = text .. ("  "):rep(depth - 1) .. part .. ":" .. (depth == #row.parts and " " .. value or "") .. "\n"
   end
   local _, newlines = text:gsub("\n", "")
   local column = 2 * (#row.parts - 1) + 1
   return text, newlines, column, column + #shown[#shown] + 2, table.concat(shown, ".")
end

local function load(name, text)
   local paths = driver.write { ["row.yaml"] = text, ["good.lua"] = "return function(rec) return rec end\n" }
   local report = name == "service" and driver.load { service = paths["row.yaml"], pipelines = { "spec/unit/broken/ok/good.yaml" } }
      or driver.load { pipelines = { paths["row.yaml"] }, brokers = "localhost:9092" }
   return driver.parse(report), report
end

-- The same file as a user has it checked: exit code, and what is printed at this place.
local function check(name, text, line, column)
   local paths = driver.write { ["row.yaml"] = text, ["good.lua"] = "return function(rec) return rec end\n" }
   local code, out, err = driver.onced("check " .. (name == "service" and "-c " or "") .. paths["row.yaml"])
   assert.equal("", err)
   return code, out:match(("row.yaml:%d:%d: error: ([^\n]*)"):format(line, column))
end

-- Values beyond both ends of a setting's range, where it has one.
local function beyond(row)
   local function quantity(value)
      return ("%.0f%s"):format(value, row.kind == C.SETTING_DURATION and "ms" or row.kind == C.SETTING_SIZE and "B" or "")
   end
   local found = {}
   if row.most > 0 and row.kind ~= C.SETTING_NAME then
      if row.least > 0 then found[1] = quantity(row.least - 1) end
      found[#found + 1] = quantity(row.most + 1)
   end
   if row.kind == C.SETTING_NAME then found[1] = ("a"):rep(row.most + 1) end
   return found
end

local function find(reports, line, column, pattern)
   for _, e in ipairs(reports) do
      if e.line == line and e.column == column and e.message:find(pattern, 1, true) then return e end
   end
end

for name, table in pairs { pipeline = C.settings_pipeline, service = C.settings_service } do
   describe("settings of the " .. name .. " file", function()
      teardown(driver.clean)
      local all = rows(table)

      it("are all there", function()
         assert.is_true(#all > 25)
         local seen = {}
         for _, row in ipairs(all) do
            assert.is_nil(seen[row.path], row.path)
            seen[row.path] = true
            assert.is_true(#row.doc > 1, row.path)
         end
      end)

      for _, row in ipairs(all) do
         local last = row.parts[#row.parts]
         local is_free = last == "*" or kind_of(table, row.parts, #row.parts - 1) == C.SETTING_PROPERTIES
         if not is_free and row.kind ~= C.SETTING_REFUSED then
            it("are suggested: " .. row.path, function()
               local slip = last .. last:sub(-1)
               local text, line, column = document(row, slip, "1")
               local reports, report = load(name, text)
               assert.is_not_nil(find(reports, line, column, ('unknown key "%s"'):format(slip)), report)
               assert.is_not_nil(find(reports, line, column, ('did you mean "%s"?'):format(last)), report)
               local code, said = check(name, text, line, column)
               assert.equal(78, code)
               assert.matches(('did you mean "%s"?'):format(last), said, 1, true)
            end)
         end

         it("refuse a wrong type: " .. row.path, function()
            local is_map = row.kind <= C.SETTING_TEXTS
            local text, line, column, value_column, shown = document(row, last, is_map and "7" or "{a: {b: 1}}")
            local at_key = row.kind == C.SETTING_REFUSED
            local reports, report = load(name, text)
            assert.is_not_nil(find(reports, line, at_key and column or value_column, shown), report)
            local code, said = check(name, text, line, at_key and column or value_column)
            assert.equal(78, code)
            assert.matches(shown, said, 1, true)
         end)

         for _, value in ipairs(beyond(row)) do
            it("refuse " .. row.path .. ": " .. value:sub(1, 20), function()
               local text, line, _, value_column, shown = document(row, last, value)
               local code, said = check(name, text, line, value_column)
               assert.equal(78, code)
               assert.is_truthy(said and said:find(shown, 1, true) and (said:find "must be" or said:find "longer than"), said)
            end)
         end

         if row.choices then
            it("know what was meant: " .. row.path, function()
               for word in row.choices:gmatch "[^|]+" do
                  local slip, is_list = word .. word:sub(-1), row.kind == C.SETTING_LIST
                  local text, line, _, value_column = document(row, last, is_list and "[" .. slip .. "]" or slip)
                  local code, said = check(name, text, line, value_column + (is_list and 1 or 0))
                  assert.equal(78, code)
                  assert.matches(('did you mean "%s"?'):format(word), said, 1, true)
               end
            end)
         end

         if row.fallback then
            it("take their own default: " .. row.path, function()
               local text, line, column, value_column = document(row, last, row.fallback)
               local reports, report = load(name, text)
               for _, e in ipairs(reports) do
                  assert.is_false(e.kind == "error" and e.line == line and (e.column == column or e.column == value_column), report)
               end
            end)
         end
      end
   end)
end

describe("conf/onced.yaml", function()
   local file = assert(io.open "conf/onced.yaml")
   local text = file:read "*a"
   file:close()
   teardown(driver.clean)

   for _, row in ipairs(rows(C.settings_service)) do
      local last = row.parts[#row.parts]
      if last ~= "*" then
         it("shows " .. row.path, function() assert.matches("%f[%w_]" .. last .. ":", text) end)
      end
   end

   it("is right, also with every comment of a key taken away", function()
      local paths = driver.write { ["onced.yaml"] = text:gsub("/etc/onced/pipelines.d/%*.yaml", "good.yaml"), ["good.lua"] = "return 1\n" }
      driver.pipeline()
      local report, errors = driver.load { service = paths["onced.yaml"] }
      assert.equal("", report)
      assert.equal(0, errors)
      local open = text:gsub("\n( *)# ( *[%w_.]+: *[^\n]*)", "\n%1%2"):gsub("/etc/onced/pipelines.d/%*.yaml", "good.yaml")
      paths = driver.write { ["onced.yaml"] = open, ["ca.pem"] = "" }
      report = driver.load { service = paths["onced.yaml"], env = { CREDENTIALS_DIRECTORY = "build" } }
      assert.is_nil(report:find "unknown key", report)
      assert.is_nil(report:find "not YAML", report)
   end)

   for _, row in ipairs(rows(C.settings_service)) do
      if row.fallback then
         it("shows the default of " .. row.path, function()
            assert.matches("%f[%w_]" .. row.parts[#row.parts] .. ": " .. row.fallback:gsub("%p", "%%%0") .. "%f[%W]", text)
         end)
      end
   end
end)

describe("settings that aren't", function()
   it("are no rows", function()
      assert.is_true(C.setting_find(C.settings_pipeline, "nosuch") == nil)
      assert.is_true(C.setting_find(C.settings_service, services) == nil)
   end)
end)
