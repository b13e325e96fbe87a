-- SPDX-License-Identifier: MIT
-- What a script gets from require "onced". The runner itself relies on none of it: a script may change its copy.
local border = require "onced.border"
local outcome = require "onced.outcome"
local log = require "onced.log"

return {
  null = border.null,
  drop = outcome.drop,
  reject = outcome.reject,
  log = log,
}
