-- SPDX-License-Identifier: MIT
-- What scripts do, and what records are.
local process = require "spec.support.process"

local CODECS = { "none", "gzip", "snappy", "lz4", "zstd" }

return {
   F11 = { title = "a script raises, returns something wrong, or nothing", spec = "spec/kafka/policies_spec.lua" },
   F12 = { title = "a script never ends", spec = "spec/kafka/hostile_spec.lua" },
   F13 = { title = "a script eats memory", spec = "spec/kafka/hostile_spec.lua" },
   F14 = {
      title = "a transform that isn't deterministic, killed at random: one outcome an input",
      rounds = { 8, 100 },
      setting = { pipelines = { "random" } },
      fault = function(r) process.signal(r:worker(r:instance()), "KILL") end,
   },
   F15 = {
      title = "none, one or several outputs a record, to several topics, killed at random",
      rounds = { 8, 100 },
      setting = { pipelines = { "split" } },
      fault = function(r) process.signal(r:worker(r:instance()), "KILL") end,
   },
   F16 = { title = "an output that is too large", spec = "spec/kafka/policies_spec.lua" },
   F47 = {
      title = "records that take a script seconds, while workers are killed",
      rounds = { 4, 40 },
      setting = { pipelines = { "sleepy" }, rate = 300, drain = 400 },
      fault = function(r) process.signal(r:worker(r:instance()), "KILL") end,
   },
   F48 = {
      title = "a backlog that a slow script can't get through within a transaction's time-out",
      rounds = { 2, 20 },
      setting = { pipelines = { "slow" }, instances = { "a" }, rate = 150, transaction = "commit_every: 50ms, timeout: 3s", drain = 300 },
      fault = function(r)
         r:stop "a"
         r:rest(10000)
         r:launch "a"
      end,
   },
   F59 = {
      title = "hostile input: all codecs, null keys, a transaction in two aborted, while workers are killed",
      rounds = { 10, 100 },
      fault = function(r, k)
         r:pause()
         r:feed({ compression = CODECS[k % #CODECS + 1], keys = k % 2 == 0 and 0 or 8 }, { compression = CODECS[(k + 1) % #CODECS + 1], abort_every = 2 })
         process.signal(r:worker(r:instance()), "KILL")
      end,
   },
   F68 = { title = "outputs that the broker refuses", spec = "spec/kafka/policies_spec.lua" },
}
