-- SPDX-License-Identifier: MIT
-- Transforms that nobody had in mind when the interface was made, written with lua/README.md and nothing else.
local driver = require "spec.unit.transform_driver"

local function run(script, records, options)
  local found, halt, tally = driver.run(script, records, options)
  assert.is_nil(halt)
  local values = {}
  for i, o in ipairs(found) do values[i] = o.topic .. ":" .. tostring(o.value) end
  return values, tally, found
end

describe("a stranger", function()
  it("makes sessions of clicks, a slice at a time", function()
    local values = run([[
      local onced = require "onced"
      local GAP = 30 * 60 * 1000
      return { process_batch = function(recs, out)
        local sessions, open = {}, {}
        for _, rec in ipairs(recs) do
          local user, at = rec.key, onced.time.parse(rec:get "/at")
          local session = open[user]
          if not session or at - session.last > GAP then
            session = { first = at, clicks = 0, user = user, id = onced.uuid(rec) }
            open[user], sessions[#sessions + 1] = session, session
          end
          session.last, session.clicks = at, session.clicks + 1
        end
        for _, s in ipairs(sessions) do
          out.default:send { key = s.user, timestamp = s.first, value = onced.json.encode {
            user = s.user, clicks = s.clicks, from = onced.time.format(s.first), to = onced.time.format(s.last) } }
        end
      end }]], {
      { key = "ann", value = '{"at":"2026-01-31T10:00:00Z"}' }, { key = "bob", value = '{"at":"2026-01-31T10:01:00Z"}' },
      { key = "ann", value = '{"at":"2026-01-31T11:10:00+01:00"}' }, { key = "ann", value = '{"at":"2026-01-31T12:00:00Z"}' } })
    assert.same({
      'plain:{"clicks":2,"from":"2026-01-31T10:00:00.000Z","to":"2026-01-31T10:10:00.000Z","user":"ann"}',
      'plain:{"clicks":1,"from":"2026-01-31T10:01:00.000Z","to":"2026-01-31T10:01:00.000Z","user":"bob"}',
      'plain:{"clicks":1,"from":"2026-01-31T12:00:00.000Z","to":"2026-01-31T12:00:00.000Z","user":"ann"}' }, values)
  end)

  it("drops what a header says was there before, within a slice", function()
    local records = {}
    for i, id in ipairs { "a", "b", "a", "c", "b" } do records[i] = { value = tostring(i), headers = { { "id", id } } } end
    records[6] = { value = "6" }
    records[7] = { value = "7", headers = { { "id", nil } } }
    local values, tally = run([[
      local onced = require "onced"
      local repeated = onced.metric.counter "repeated_total"
      return { process_batch = function(recs)
        local seen, fresh = {}, {}
        for _, rec in ipairs(recs) do
          local id = rec:header "id"
          if id == nil or id == onced.null or not seen[id] then
            fresh[#fresh + 1] = rec
            if id then seen[id] = true end
          else
            repeated:add()
          end
        end
        return #fresh > 0 and fresh or onced.drop "all repeated"
      end }]], records)
    assert.same({ "plain:1", "plain:2", "plain:4", "plain:6", "plain:7" }, values)
    assert.same({ repeated_total = 2 }, tally.counts.counted)
  end)

  it("masks what names a person", function()
    local values = run([[
      local onced = require "onced"
      local M = { params = { secret = { type = "string", required = true } } }
      function M.init(ctx) M.secret = ctx.params.secret end
      function M.process(rec)
        for _, pointer in ipairs { "/email", "/customer/name" } do
          local value = rec:get(pointer)
          if type(value) == "string" then rec:set(pointer, onced.sha256(value:lower(), M.secret):sub(1, 16)) end
        end
        return rec:remove "/customer/phone"
      end
      return M]], { { value = '{"id": 12345678901234567890, "email": "Ann@x.org", "customer": {"name": null, "phone": "1"}}' },
      { value = '{"email":7}' } }, { params = '{"secret": "s"}' })
    local mask = "2890c28062882e7d" -- printf ann@x.org | openssl dgst -sha256 -hmac s
    assert.same({ 'plain:{"id": 12345678901234567890, "email": "' .. mask .. '", "customer": {"name": null}}', 'plain:{"email":7}' }, values)
  end)

  it("makes JSON of CSV", function()
    local values = run([[
      local onced = require "onced"
      local columns = { "id", "name", "total" }
      return function(rec, out)
        local fields, rest = {}, rec.value .. ","
        while rest ~= "" do
          local quoted, behind = rest:match '^"([^"]*)",(.*)$'
          local plain, after = rest:match "^([^,]*),(.*)$"
          fields[#fields + 1], rest = quoted or plain, behind or after
        end
        if #fields ~= #columns then return onced.reject("a row needs " .. #columns .. " fields") end
        local row = onced.json.map {}
        for i, column in ipairs(columns) do row[column] = fields[i] ~= "" and fields[i] or onced.null end
        row.total = tonumber(row.total) or onced.null
        return rec:derive { value = onced.json.encode(row) }
      end]], { { value = '1,"Smith, Ann",9.50' }, { value = "2,,x" }, { value = "3" } }, { on_reject = "dlq" })
    assert.same({ 'plain:{"id":"1","name":"Smith, Ann","total":9.5}', 'plain:{"id":"2","name":null,"total":null}', "dead:3" }, values)
  end)

  it("routes by a hash of its own", function()
    local records = {}
    for i = 1, 64 do records[i] = { key = "customer-" .. i, value = tostring(i) } end
    local values, _, found = run([[
      local onced = require "onced"
      local regions = { "eu", "us" }
      return function(rec, out)
        local hash = tonumber(onced.sha256(rec.key):sub(1, 8), 16)
        out.regional:send(rec:derive { partition = hash % 4, headers = { region = regions[hash % 2 + 1] } }, { region = regions[hash % 2 + 1] })
      end]], records)
    local topics = {}
    for i, o in ipairs(found) do
      topics[o.topic] = (topics[o.topic] or 0) + 1
      assert.equal("orders-" .. o.headers[1][2], o.topic)
      assert.equal("customer-" .. i, o.key)
      assert.equal(o.topic == "orders-eu" and 0 or 1, o.partition % 2)
    end
    assert.equal(64, #values)
    assert.is_true(topics["orders-eu"] > 15 and topics["orders-us"] > 15)
  end)
end)
