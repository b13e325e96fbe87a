-- lua/README.md and the modules have the same names: what the page promises is there, and what is there is on the page.
local process = require "spec.support.process"
local tree = require "spec.house.tree"

-- Names of onced, of records and of ctx, told by a script that looks at what it was given.
local SCRIPT = [=[
local onced = require "onced"
local function names(prefix, t, found)
  for name, value in pairs(t) do
    if type(value) == "table" then names(prefix .. name .. ".", value, found) else found[#found + 1] = prefix .. name end
  end
end
return { init = function(ctx)
  local found = {}
  names("onced.", onced, found)
  for name in pairs(ctx) do found[#found + 1] = "ctx." .. name end
  onced.log.error("names: " .. table.concat(found, " "))
end, process = print }]=]

local function told()
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder)
  tree.write(folder .. "/a.lua", SCRIPT)
  tree.write(folder .. "/a.yaml", "version: 1\ninput: {topics: [a]}\ntransform: {script: a.lua}\noutputs: {default: {topic: b}}\n")
  local _, out = process.run { "sh", "-c", "build/onced check " .. folder .. "/a.yaml 2>&1" }
  os.execute("rm -rf " .. folder)
  return out
end

-- As the modules have them. Of records: the keys of the tables that look fields up.
local function modules(folder, output)
  local found = {}
  for name in assert(output:match "names: ([^\n]*)", output):gmatch "[%w_.]+" do found[name] = true end
  local record = tree.read(folder .. "/onced/record.lua")
  for name in record:gmatch "\nfunction fields%.([%w_]+)" do found["rec." .. name] = true end
  for name in record:gmatch "\nfunction methods%.([%w_]+)" do found["rec:" .. name] = true end
  for name in record:match "local GIVEN = (%b{})":gmatch "([%w_]+) =" do found["given " .. name] = true end
  for name in tree.read(folder .. "/onced/runner.lua"):match "in ipairs (%b{}) do\n    if module":gmatch '"([%w_]+)"' do found["hook " .. name] = true end
  for name in tree.read "daemon/failure.c":gmatch '"(__onced%.error%.%w+)"' do found[name] = true end
  for _, path in ipairs(tree.files(folder .. "/onced", ".lua")) do
    for kind in tree.read(path):gmatch 'raise%("([%w-]+)"' do found["kind " .. kind] = true end
  end
  return found
end

local function page(folder)
  local text = tree.read(folder .. "/README.md")
  local found = {}
  for row in text:gmatch "\n| ([^\n]*)" do
    local cell = row:match "^(.-) |"
    for code in cell:gmatch "`([^`]+)`" do
      local name = code:match "^(onced[%w_.]+)" or code:match "^(ctx%.[%w_]+)" or code:match "^(rec[.:][%w_]+)"
      if name then found[name] = true end
      local hook = code:match "^([%w_]+)%(.*ctx%)$"
      if hook then found["hook " .. hook] = true end
      if code:find "^%l[%l-]*$" and code ~= "params" then found["kind " .. code] = true end
    end
  end
  for name in text:match "\nA table has(.-)The timestamp is":gmatch "`(%l+)`" do found["given " .. name] = true end
  for name in text:gmatch "`(__onced%.error%.%w+)`" do found[name] = true end
  return found
end

-- Kinds that C gives, not Lua.
local OF_C = { ["kind reject"] = true, ["kind killed"] = true, ["kind refused"] = true, ["kind memory"] = true }

local function differences(folder, output)
  local there, on_page, out = modules(folder, output), page(folder), {}
  for name in pairs(there) do
    if not on_page[name] then out[#out + 1] = name .. " isn't on the page" end
  end
  for name in pairs(on_page) do
    if not there[name] and not OF_C[name] then out[#out + 1] = name .. " is on the page but not there" end
  end
  table.sort(out)
  return out
end

describe("lua/README.md", function()
  local output = told()

  it("has every name a script can say, and no other", function()
    assert.same({}, differences("lua", output))
    assert.is_true(output:find("onced.json.get", 1, true) ~= nil)
  end)

  it("is compared with what is there", function()
    tree.with_copy("lua", function(copy)
      local text = tree.read(copy .. "/README.md")
      tree.write(copy .. "/README.md", (text:gsub("| `rec:remove[^\n]*\n", ""):gsub("`onced.copy%(data%)`", "`onced.copied(data)`")))
      assert.same({ "onced.copied is on the page but not there", "onced.copy isn't on the page", "rec:remove isn't on the page" },
        differences(copy, output))
    end)
  end)
end)
