-- SPDX-License-Identifier: MIT
-- onced.base64, onced.hex, onced.sha256: the work is C's (codec.c), the buffers are here. Decoding is strict, and an error names the byte.
local ffi = require "ffi"
local border = require "onced.border"

local C, raise, failure = border.C, border.raise, border.failure
local text_of, tonumber, type, max = ffi.string, tonumber, type, math.max
local codec = { base64 = {}, hex = {} }

local KEEP = 2 ^ 20
local Bytes = ffi.typeof "char[?]"
local buffer, room = Bytes(4096), 4096
local place = ffi.new "int64_t[1]"

-- For one result; a large one isn't kept.
local function space(size)
  if size <= room then return buffer end
  local bytes = Bytes(size)
  if size <= KEEP then buffer, room = bytes, size end
  return bytes
end

local function check(what, call)
  if type(what) ~= "string" then raise("error", ("onced.%s needs a string, got a %s"):format(call, type(what))) end
end

local function decoded(to, size, what)
  if size < 0 then
    raise("error", ("invalid %s at byte %d: %s"):format(what, tonumber(place[0]) + 1, text_of(failure[0])))
  end
  local bytes = text_of(to, size)
  return bytes
end

local function encoder(call, url)
  return function(bytes)
    check(bytes, call)
    local to = space(#bytes * 2 + 4)
    local text = text_of(to, C.onced_base64_encode(bytes, #bytes, url, to))
    return text
  end
end

local function decoder(call, url)
  return function(text)
    check(text, call)
    local to = space(max(#text, 1))
    local bytes = decoded(to, tonumber(C.onced_base64_decode(text, #text, url, to, failure, place)), "base64")
    return bytes
  end
end

codec.base64.encode, codec.base64.decode = encoder("base64.encode", 0), decoder("base64.decode", 0)
codec.base64.encode_url, codec.base64.decode_url = encoder("base64.encode_url", 1), decoder("base64.decode_url", 1)

function codec.hex.encode(bytes)
  check(bytes, "hex.encode")
  local to = space(#bytes * 2)
  C.onced_hex_encode(bytes, #bytes, to)
  local text = text_of(to, #bytes * 2)
  return text
end

function codec.hex.decode(text)
  check(text, "hex.decode")
  local to = space(max(#text, 1))
  local bytes = decoded(to, tonumber(C.onced_hex_decode(text, #text, to, failure, place)), "hex")
  return bytes
end

local digest, digits = Bytes(32), Bytes(64)

-- In hexadecimal. With a key it is HMAC-SHA-256: what masks a name that could be guessed.
function codec.sha256(bytes, key)
  check(bytes, "sha256")
  if key == nil then
    C.onced_sha256(nil, 0, bytes, #bytes, digest)
  else
    if type(key) ~= "string" then raise("error", "onced.sha256: the key must be a string, is a " .. type(key)) end
    C.onced_sha256(key, #key, bytes, #bytes, digest)
  end
  C.onced_hex_encode(digest, 32, digits)
  local text = text_of(digits, 64)
  return text
end

return codec
