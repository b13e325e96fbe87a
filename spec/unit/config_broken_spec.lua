-- Every file of spec/unit/broken says in its last lines what must be said of it: position, text and suggestion, all of it and no more.
local driver = require "spec.unit.config_driver"

local function read(path)
   local file = assert(io.open(path))
   local text = file:read "*a"
   file:close()
   return text
end

local function load(path, format)
   local is_service = path:match "/service%-"
   local sound = is_service and not read(path):find "\npipelines:" and { "spec/unit/broken/ok/good.yaml" } or nil
   return driver.load(is_service and { service = path, pipelines = sound, format = format }
      or { pipelines = { path }, brokers = "localhost:9092", format = format })
end

describe("broken files", function()
   local paths = {}
   for path in io.popen("ls spec/unit/broken/*.yaml"):lines() do paths[#paths + 1] = path end
   teardown(driver.clean)

   it("are many", function() assert.is_true(#paths >= 60, #paths .. " files") end)

   for _, path in ipairs(paths) do
      it("are answered: " .. path:match "[^/]+$", function()
         local text = read(path)
         local expected, found = {}, {}
         for line in text:gmatch "# expect: ([^\n]*)" do expected[#expected + 1] = line end
         local report, errors, config = load(path)
         for _, e in ipairs(driver.parse(report)) do
            found[#found + 1] = (e.line and e.line .. ":" .. e.column or "-") .. ": " .. e.kind .. ": " .. e.message
         end
         assert.is_true(#expected > 0)
         assert.same(expected, found)
         assert.is_nil(config)
         assert.is_true(errors > 0)
      end)

      it("are quoted with a marker: " .. path:match "[^/]+$", function()
         local lines = {}
         for line in read(path):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
         for _, e in ipairs(driver.parse((load(path)))) do
            if e.line then
               assert.equal(e.line, e.source_line)
               assert.equal(e.column, (e.marker:find "%^"))
               assert.matches("^%s*%^~*$", e.marker)
               assert.equal(#lines[e.line], #e.source)
               local key = e.message:match '^unknown key "([^"]+)"'
               if key then assert.equal(key, e.source:sub(e.marker:find "%^", #e.marker)) end
            end
         end
      end)
   end

   it("are told to machines: JSON", function()
      local report = load("spec/unit/broken/unknown-key.yaml", "json")
      assert.equal('{"severity":"error","file":"spec/unit/broken/unknown-key.yaml","line":7,"column":13,"end_column":19,'
         .. '"message":"unknown key \\"topcis\\" in outputs.default","suggestion":"topic"}\n', report)
   end)

   it("are told to machines: GitHub", function()
      local report = load("spec/unit/broken/unknown-key.yaml", "github")
      assert.equal('::error file=spec/unit/broken/unknown-key.yaml,line=7,col=13,endColumn=19::unknown key "topcis" in outputs.default; '
         .. 'did you mean "topic"?\n', report)
   end)

   it("are told to people", function()
      local report = load "spec/unit/broken/unknown-key-block.yaml"
      assert.equal([[
spec/unit/broken/unknown-key-block.yaml:8:5: error: unknown key "topcis" in outputs.audit; did you mean "topic"?
    8 |     topcis: orders-audit
      |     ^~~~~~
]], report)
   end)

   it("keep their secrets", function()
      for _, format in ipairs { "text", "json", "github" } do
         local report = load("spec/unit/broken/service-secret.yaml", format)
         assert.is_nil(report:find "hunter2")
      end
   end)
end)
