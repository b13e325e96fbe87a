-- What is generated from the settings tables and checked in: the JSON Schemas and the reference page. The schemas are held against
-- examples and broken files by an independent validator.
local driver = require "spec.unit.config_driver"
local process = require "spec.support.process"

local function read(path)
   local file = assert(io.open(path))
   local text = file:read "*a"
   file:close()
   return text
end

local function files(pattern, without)
   local found = {}
   for path in io.popen("ls " .. pattern):lines() do
      if not (without and path:find(without)) then found[#found + 1] = path end
   end
   return found
end

-- Path -> "ok" or what is wrong.
local function validate(kind, paths)
   local command = { "python3", "spec/unit/schema_validate.py", "conf/schema/" .. kind .. ".schema.json", unpack(paths) }
   local code, out = process.run(command)
   assert.equal(0, code)
   local found = {}
   for path, verdict in (out .. "\n"):gmatch "(%S+): ([^\n]*)\n" do found[path] = verdict end
   return found
end

describe("what is generated", function()
   teardown(driver.clean)
   local outputs = {
      ["conf/schema/pipeline.schema.json"] = "schema pipeline",
      ["conf/schema/service.schema.json"] = "schema service",
      ["conf/reference.md"] = "schema --format=markdown",
   }
   for path, arguments in pairs(outputs) do
      it("is current: " .. path, function()
         local code, out, err = driver.onced(arguments)
         assert.same({ 0, "" }, { code, err })
         assert.is_true(out == read(path), path .. " differs from the settings tables; make reference writes it anew")
      end)
   end

   it("is of the pipeline unless the service file is asked for", function()
      local _, out = driver.onced "schema"
      assert.equal(read "conf/schema/pipeline.schema.json", out)
   end)
end)

describe("the schema", function()
   teardown(driver.clean)

   it("takes every file that is right", function()
      local examples = files "pipelines/*.yaml spec/unit/broken/ok/*.yaml"
      assert.is_true(#examples >= 4)
      for path, verdict in pairs(validate("pipeline", examples)) do assert.equal("ok", verdict, path) end
      assert.same({ ["conf/onced.yaml"] = "ok" }, validate("service", { "conf/onced.yaml" }))
   end)

   -- Sentences about the file alone, which a schema can say too.
   local tells = { "unknown key", "must be one of", "must be text, not", "must be a list", "must be a map", "must be a whole number",
      "must be a number", "must be true or false", "must have a single value", "the property %S+ is fixed" }
   local beyond = { ["template-slip.yaml"] = "any key may be a variable where the topic has one" }

   for kind, paths in pairs { pipeline = files("spec/unit/broken/*.yaml", "/service%-"), service = files "spec/unit/broken/service-*.yaml" } do
      it("refuses what is broken as far as it can tell: " .. kind, function()
         local verdicts, judged = validate(kind, paths), 0
         for _, path in ipairs(paths) do
            for line in read(path):gmatch "# expect: %S+ error: ([^\n]*)" do
               for _, pattern in ipairs(tells) do
                  if line:find(pattern) and not beyond[path:match "[^/]+$"] then
                     judged = judged + 1
                     assert.is_true(verdicts[path] ~= "ok", path .. ": " .. line)
                  end
               end
            end
         end
         assert.is_true(judged >= 5, judged .. " sentences")
      end)
   end

   it("has a variable's list beside its topic, and nowhere else", function()
      local function try(output, extra)
         local path = driver.pipeline(extra, nil, (driver.good:gsub("{topic: enriched}", output)))
         return validate("pipeline", { path })[path] == "ok"
      end
      assert.is_true(try "{topic: 'o-{region}', region: [eu, us]}")
      assert.is_false(try "{topic: 'o-{region}', region: eu}")
      assert.is_false(try "{topic: 'o', region: [eu, us]}")
      assert.is_true(try "{topic: '${env:OUT}'}")
      assert.is_true(try("{topic: o}", "workers: ${env:N}\ntransaction: {commit_every: 0, max_bytes: 1 MiB}\n"))
      assert.is_false(try("{topic: o}", "transaction: {timeout: 0}\n"))
      assert.is_false(try("{topic: o}", "kafka: {acks: 1}\n"))
   end)
end)
