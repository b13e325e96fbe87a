-- The campaign's pages agree: the catalogue, its table in spec/fault/README.md, the spec files it points to, and the ledger's form.
local catalogue = require "spec.fault.catalogue"
local tree = require "spec.house.tree"

local HEADER = "date,onced,librdkafka,kafka,scenario,seed,records,faults,lost,repeated,disordered,hanging,verdict,resume_p99_ms,resume_max_ms,"
   .. "aborted_copies"

local PEERS_HEADER = HEADER .. ",subject,set_back,stood_still,ended"

-- What is wrong with the text of a ledger.
local function flaws(text, header)
   local out, number = {}, 0
   local _, columns = header:gsub(",", "")
   for line in text:gmatch "([^\n]*)\n" do
      number = number + 1
      local _, commas = line:gsub(",", "")
      if number == 1 and line ~= header then out[#out + 1] = "the header is another"
      elseif commas ~= columns or not (number == 1 or line:find "^%d%d%d%d%-%d%d%-%d%dT[%d:]+Z,") then
         out[#out + 1] = ("line %d isn't a run"):format(number)
      end
   end
   return out
end

describe("the campaign", function()
   it("has every scenario on its page, in order and by its title", function()
      local page, list = {}, {}
      for id, title in tree.read("spec/fault/README.md"):gmatch "\n| (%w+) | ([^|\n]-) |" do
         if id:find "^F%d" or id == "composite" then page[#page + 1] = id .. " " .. title end
      end
      for i, s in ipairs(catalogue.list) do list[i] = s.id .. " " .. s.title end
      assert.same(list, page)
   end)

   it("points to specs that are there", function()
      for _, s in ipairs(catalogue.list) do
         for path in (s.spec or ""):gmatch "[^, ]+" do assert.is_true(#tree.read(path) > 0) end
         assert.is_true((s.lacking or s.spec or s.rounds and s.fault or s.course) ~= nil, s.id)
      end
   end)

   it("keeps ledgers of their form", function()
      assert.same({}, flaws(tree.read "spec/fault/ledger.csv", HEADER))
      assert.same({}, flaws(tree.read "spec/fault/peers.csv", PEERS_HEADER))
      assert.same({ "the header is another", "line 2 isn't a run" }, flaws(HEADER .. "x\n" .. "a,b\n", HEADER))
   end)
end)
