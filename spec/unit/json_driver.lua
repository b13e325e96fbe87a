-- SPDX-License-Identifier: MIT
-- The JSON half for specs: documents of C's by themselves, and the Lua module on top of them without a transform.
local ffi = require "ffi"
local lib = require "spec.unit.onced_lib"
local driver = {}

lib.declare { "bridge" }
local C = lib.load()
driver.C = C
driver.null = require "cjson".null

-- The module onced.json, in a host that has a turn and nothing else.
function driver.module()
  local turn = ffi.new "struct onced_turn"
  package.loaded["onced.bridge"] = "" -- declared already
  package.loaded["onced.host"] = { version = C.ONCED_BRIDGE_VERSION, overhead = 100, turn = turn, null = driver.null }
  for _, name in ipairs { "onced.border", "onced.json" } do package.loaded[name] = nil end
  local json = require "onced.json"
  package.loaded["onced.host"], package.loaded["onced.bridge"] = nil, nil
  return json
end

local kept = setmetatable({}, { __mode = "k" })

-- A text as bytes that end exactly where it ends: what reads on is seen by the sanitizers' build.
local function exact(text)
  ffi.cdef "void *malloc(size_t); void free(void *);"
  local bytes = ffi.gc(ffi.cast("char *", ffi.C.malloc(math.max(#text, 1))), ffi.C.free)
  ffi.copy(bytes, text, #text)
  return bytes
end

function driver.new()
  local doc = C.onced_json_new()
  assert(doc ~= nil)
  return ffi.gc(doc, C.onced_json_free)
end

-- The document, or nil, the error and the byte (from 0).
function driver.open(text, doc)
  doc = doc or driver.new()
  local bytes = exact(text)
  if C.onced_json_open(doc, bytes, #text) ~= 0 then return nil, ffi.string(doc.error), tonumber(doc.error_at) end
  kept[doc] = bytes
  return doc
end

function driver.composed(doc)
  local size = tonumber(doc.composed_size)
  local to = ffi.new("char[?]", size + 1)
  C.onced_json_compose(doc, to)
  return ffi.string(to, size)
end

-- `raw` is put as it is.
function driver.set(doc, pointer, raw)
  C.onced_json_put(doc, raw, #raw)
  if C.onced_json_set(doc, pointer, #pointer) == 0 then return true end
  return nil, ffi.string(doc.error)
end

function driver.remove(doc, pointer) return C.onced_json_remove(doc, pointer, #pointer) end

local KINDS = { [-1] = "failed", [0] = "missing", "null", "false", "true", "string", "array", "object", "key", "number", "int64", "uint64" }

-- The kind at a pointer, and a string's bytes, a number, an integer's digits or a container's text.
function driver.get(doc, pointer)
  local kind = KINDS[C.onced_json_get(doc, pointer, #pointer)]
  if kind == "string" then return kind, ffi.string(doc.data, doc.data_size) end
  if kind == "number" then return kind, doc.number end
  if kind == "int64" then return kind, (tostring(doc.integer):gsub("LL", "")) end
  if kind == "uint64" then return kind, (tostring(ffi.cast("uint64_t", doc.integer)):gsub("ULL", "")) end
  if kind == "array" or kind == "object" then
    local node = doc.nodes[doc.node]
    return kind, ffi.string(doc.text + node.at, node["end"] - node.at)
  end
  if kind == "failed" then return kind, ffi.string(doc.error), tonumber(doc.error_at) end
  return kind
end

return driver
