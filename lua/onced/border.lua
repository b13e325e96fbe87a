-- SPDX-License-Identifier: MIT
-- The C side as the Lua half sees it: declarations (the embedded text of bridge.h), the turn, and how failures are raised.
-- Required first by every other module here. `onced.host` is put into package.loaded by transform.c.
local ffi = require "ffi"
local host = require "onced.host"

local VERSION = 1

ffi.cdef(require "onced.bridge")
if host.version ~= VERSION or ffi.C.ONCED_BRIDGE_VERSION ~= VERSION then
  error(("this Lua half speaks bridge version %d, the C half %d: they come from different builds"):format(VERSION, host.version))
end

local border = {
  C = ffi.C,
  turn = ffi.cast("struct onced_turn *", host.turn),
  host = host,
  null = host.null,
  failure = ffi.new "const char *[1]", -- the `error` of calls into C
}

-- A file's text, nil: it can't be read. Always the same in this state, whatever becomes of the file.
local texts, size = host.texts, ffi.new "int64_t[1]"
function border.read(path)
  local text = border.C.onced_file_read(texts, path, size)
  return text ~= nil and ffi.string(text, size[0]) or nil
end

-- A script may catch an error and go on, so the kind counts only for an error that carries the very message.
local raised = {}

-- Fails the present record. The line is found later, from the stack (runner.lua): a position here would be ours, not the script's.
function border.raise(kind, message)
  raised.kind, raised.message = kind, message
  error(message, 0)
end

function border.kind_of(message)
  if raised.message == message then return raised.kind end
  return message == "not enough memory" and "memory" or "error"
end

-- Turns the result of a call into C into a failure.
function border.check()
  border.raise("memory", ffi.string(border.failure[0]))
end

return border
