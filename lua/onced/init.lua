-- SPDX-License-Identifier: MIT
-- What a script gets from require "onced". The runner itself relies on none of it: a script may change its copy.
local border = require "onced.border"
local json = require "onced.json"
local outcome = require "onced.outcome"
local log = require "onced.log"

return {
  null = border.null,
  drop = outcome.drop,
  reject = outcome.reject,
  log = log,
  json = { decode = json.decode, encode = json.encode, array = json.array, map = json.map },
}
