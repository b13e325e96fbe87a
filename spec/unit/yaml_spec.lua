-- What YAML means here (1.2 core), where errors stand, and what a hostile file costs.
local driver = require "spec.unit.config_driver"
local ffi = require "ffi"
local C = driver.C

local function value(call, type, text)
   local out, problem = ffi.new(type .. "[1]"), ffi.new "const char *[1]"
   local code = call(text, out, problem)
   return code == 0 and tonumber(out[0]) or nil
end

describe("core types", function()
   local types = {
      [C.SCALAR_NULL] = { "", "~", "null", "Null", "NULL" },
      [C.SCALAR_BOOLEAN] = { "true", "False", "TRUE" },
      [C.SCALAR_INTEGER] = { "0", "-7", "+12", "0x1F", "0o17", "007" },
      [C.SCALAR_FLOAT] = { "1.5", ".5", "1.", "1e3", "-1.5E-3", ".inf", "-.INF", ".nan" },
      [C.SCALAR_STRING] = { "no", "yes", "on", "off", "y", "nUll", "12:30:45", "1_000", "0b1", "0x", "1e", ".", "-", "1.2.3", "2026-01-31" },
   }
   for type, texts in pairs(types) do
      for _, text in ipairs(texts) do
         it("read '" .. text .. "'", function() assert.equal(tonumber(type), tonumber(C.scalar_type(text))) end)
      end
   end
end)

describe("values with units", function()
   local function duration(text) return value(C.scalar_duration, "int64_t", text) end
   local function size(text) return value(C.scalar_size, "int64_t", text) end
   local function time(text) return value(C.scalar_time, "int64_t", text) end

   it("are durations", function()
      assert.same({ 100, 10000, 60000, 7200000, 0, 0 },
         { duration "100ms", duration "10s", duration "1m", duration "2h", duration "0", duration "0s" })
      for _, text in ipairs { "10", "", "s", "-1s", "1.5s", "1 day", "10S", "1s2", "99999999999999999999s", "9999999999999999h" } do
         assert.is_nil(duration(text), text)
      end
   end)

   it("are sizes", function()
      assert.same({ 5, 1024, 33554432, 2 ^ 30, 1000, 2e6, 0 },
         { size "5B", size "1KiB", size "32MiB", size "1GiB", size "1kB", size "2MB", size "0" })
      for _, text in ipairs { "64", "1mb", "1K", "1M", "-1B", "9999999999GiB" } do assert.is_nil(size(text), text) end
   end)

   it("are times", function()
      assert.equal(0, time "1970-01-01T00:00:00Z")
      assert.equal(1769853600250, time "2026-01-31T10:00:00.250Z")
      assert.equal(1769853600000, time "2026-01-31T11:30:00+01:30")
      assert.equal(951782400000, time "2000-02-29t00:00:00z")
      for _, text in ipairs { "2026-01-31", "2026-01-31T10:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-31T24:00:00Z",
         "2026-01-31T10:00:00.Z", "2026-01-31T10:00:00Zx", "2026-01-31T10:00:00+24:00", "26-01-31T10:00:00Z", "" } do
         assert.is_nil(time(text), text)
      end
   end)
end)

describe("spelling", function()
   it("counts slips", function()
      assert.equal(0, C.spelling_distance("topic", "topic"))
      assert.equal(1, C.spelling_distance("topci", "topic"))
      assert.equal(1, C.spelling_distance("max-records", "max_records"))
      assert.equal(1, C.spelling_distance("warn", "warning"))
      assert.equal(3, C.spelling_distance("abc", ""))
      assert.equal(64, C.spelling_distance(("a"):rep(64), "a"))
   end)
end)

describe("files", function()
   teardown(driver.clean)

   local function reports(text)
      local paths = driver.write { ["file.yaml"] = text }
      local report = driver.load { pipelines = { paths["file.yaml"] }, brokers = "localhost:9092" }
      return driver.parse(report), report
   end

   it("count columns in characters", function()
      local found = reports "version: 1\nkafka: {größe: 1, acks: 1}\n"
      local e = found[#found]
      assert.equal("2:19", e.line .. ":" .. e.column)
      assert.equal((" "):rep(18) .. "^~~~", e.marker)
   end)

   it("keep tabs in front of a marker", function()
      local found = reports "version: 1\nkafka: {\tacks: 1}\n"
      for _, e in ipairs(found) do
         if e.column == 10 then assert.equal("        \t^~~~", e.marker) return end
      end
      error "not found"
   end)

   it("are UTF-8", function()
      local found = reports "version: 1\nname: a\nkafka: {ab\255cd: 1}\n"
      assert.equal("3:11", found[1].line .. ":" .. found[1].column)
      assert.matches("not UTF%-8", found[1].message)
   end)

   it("are of bounded depth", function()
      local found = reports(("["):rep(5000))
      assert.equal(1, #found)
      assert.matches("nested deeper than 64", found[1].message)
      found = reports(("{a: "):rep(5000))
      assert.matches("nested deeper than 64", found[1].message)
   end)

   it("are of bounded size", function()
      local found = reports(("# x\n"):rep(300000))
      assert.matches("larger than 1 MiB", found[1].message)
   end)

   it("are whatever bytes somebody writes", function()
      math.randomseed(42)
      local sound = driver.good .. "kafka: {a: &x [1, *y]}\nerrors: {on_error: \"s\\x00\", dlq: !x {topic: |\n  a\n }}\n"
      for _ = 1, 400 do
         local bytes = {}
         for i = 1, #sound do bytes[i] = sound:sub(i, i) end
         for _ = 1, math.random(1, 6) do
            local sign = math.random(24)
            bytes[math.random(#bytes)] = math.random() < 0.5 and string.char(math.random(0, 255))
               or ("{}[]:,&*!|>'\"%@`-? \n\t${"):sub(sign, sign)
         end
         local paths = driver.write { ["file.yaml"] = table.concat(bytes) }
         local report, errors, config = driver.load { pipelines = { paths["file.yaml"] }, brokers = "localhost:9092" }
         assert.equal(errors == 0, config ~= nil)
         assert.equal(errors > 0, report:find "error: " ~= nil)
      end
   end)

   it("share what an alias names, and replace a $$ in it once", function()
      local report, _, config = driver.try [[
kafka:
  consumer: &both {client.id: "a$$b"}
  producer: *both
]]
      assert.equal("", report)
      assert.equal("a$b", ffi.string(config.pipelines[0].consumer.items[0].value))
      assert.equal("a$b", ffi.string(config.pipelines[0].producer.items[0].value))
   end)

   it("must exist", function()
      local report = driver.load { pipelines = { "build/spec/nosuch.yaml" }, brokers = "localhost:9092" }
      assert.matches("nosuch.yaml doesn't exist", report)
   end)
end)
