-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local C = require("spec.unit.transform_driver").C

describe("arena", function()
  local arena, next_, end_
  before_each(function()
    arena, next_, end_ = ffi.new "struct arena", ffi.new "char *[1]", ffi.new "char *[1]"
    C.arena_init(arena)
  end)
  after_each(function() C.arena_fini(arena) end)

  local function more(size)
    assert.equal(0, C.arena_more(arena, size, next_, end_))
    assert.is_true(end_[0] - next_[0] >= size)
    ffi.fill(next_[0], size, 7)
    return next_[0]
  end

  it("gives each borrower bytes of its own", function()
    local first = more(100)
    local second = more(1000000)
    ffi.fill(second, 1000000, 9)
    assert.equal(7, first[99])
    assert.equal(0, tonumber(ffi.cast("uintptr_t", second)) % 16)
  end)

  it("uses its chunks again after a reset, and lets go of what is above `keep`", function()
    for _ = 1, 8 do more(200000) end
    local held = arena.held
    C.arena_reset(arena, held)
    assert.equal(held, arena.held)
    for _ = 1, 8 do more(200000) end
    assert.equal(held, arena.held)
    C.arena_reset(arena, 600000)
    assert.is_true(arena.held > 0 and arena.held <= 600000)
    C.arena_reset(arena, 0)
    assert.equal(0, tonumber(arena.held))
  end)

  it("passes over a free chunk that is too small", function()
    more(10)
    more(10)
    local held = arena.held
    C.arena_reset(arena, held)
    more(3000000)
    assert.is_true(arena.held >= held + 3000000)
  end)

  it("says that memory is short", function()
    assert.equal(-1, C.arena_more(arena, ffi.cast("size_t", -1), next_, end_))
    assert.equal(0, tonumber(arena.held))
  end)
end)
