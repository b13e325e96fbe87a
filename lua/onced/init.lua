-- SPDX-License-Identifier: MIT
-- What a script gets from require "onced". The runner itself relies on none of it: a script may change its copy.
local border = require "onced.border"
local codec = require "onced.codec"
local data = require "onced.data"
local json = require "onced.json"
local log = require "onced.log"
local metric = require "onced.metric"
local outcome = require "onced.outcome"
local time = require "onced.time"
local uuid = require "onced.uuid"

return {
  null = border.null,
  drop = outcome.drop,
  reject = outcome.reject,
  log = { debug = log.debug, info = log.info, warn = log.warn, error = log.error },
  metric = metric,
  json = {
    null = border.null, decode = json.decode, encode = json.encode, array = json.array, map = json.map, get = json.get, set = json.set,
    remove = json.remove,
  },
  time = time,
  base64 = codec.base64,
  hex = codec.hex,
  sha256 = codec.sha256,
  uuid = uuid.draw,
  index = data.index,
  copy = data.copy,
}
