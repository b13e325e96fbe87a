---@meta onced.testing
-- SPDX-License-Identifier: MIT
-- What a spec gets from require "onced.testing", for editors.

---@class (exact) onced.testing.Options
---@field params? table<string, any> Instead of the file's of the same name.
---@field data? table<string, any> Instead of the file's data of the same name.
---@field now? string|integer Where the clock stands: RFC 3339, or milliseconds since 1970.
---@field env? table<string, string|false> What ${env:NAME} sees; false: not set.
---@field service? string A service file, for its lua_path.
---@field topics? table<string, { partitions?: integer, max_message_bytes?: integer }> What brokers would say of an output's topic.

---@class (exact) onced.testing.Input
---@field key? string|onced.Null
---@field value? string|onced.Null
---@field headers? onced.Headers
---@field timestamp? integer Default: now.
---@field partition? integer Default: 0.
---@field offset? integer Default: the partition's next.
---@field topic? string Default: the first of input.topics.

---@class (exact) onced.testing.Record
---@field key string|nil
---@field value string|nil
---@field headers { [1]: string, [2]: string|onced.Null }[]
---@field timestamp integer
---@field partition integer|nil nil: the partitioner's to choose.
---@field topic string
---@field source integer Which record of the run it came from.
local Record = {}

---@param pointer string
---@return any
function Record:get(pointer) end

---@return any
function Record:json() end

---@param name string
---@return string|onced.Null|nil
function Record:header(name) end

---@class (exact) onced.testing.Drop
---@field record integer Which record of the run.
---@field what string
---@field reason string

---@class (exact) onced.testing.Reject
---@field record integer
---@field what string
---@field reason string
---@field place string script:line
---@field policy "stop"|"skip"|"dlq"

---@class (exact) onced.testing.Error
---@field record integer
---@field what string
---@field message string
---@field kind string
---@field place string script:line
---@field policy "stop"|"skip"|"dlq"

---What isn't there is an error that says why: no entry is nil.
---@class onced.testing.Records
---@field [integer] onced.testing.Record

---@class onced.testing.Drops
---@field [integer] onced.testing.Drop

---@class onced.testing.Rejects
---@field [integer] onced.testing.Reject

---@class onced.testing.Errors
---@field [integer] onced.testing.Error

---@class (exact) onced.testing.Result
---@field sent table<string, onced.testing.Records> By output.
---@field dead_letters onced.testing.Records
---@field drops onced.testing.Drops
---@field rejects onced.testing.Rejects
---@field errors onced.testing.Errors
---@field log string[] What the script said.
---@field metrics table<string, number> What the script's counters counted: "name{label=\"value\"}".
---@field halt string|nil Why the pipeline has halted.

---@class (exact) onced.testing.Pipeline
local Pipeline = {}

---Runs a record, or a list of them, as one batch.
---@param records onced.testing.Input|onced.testing.Input[]
---@return onced.testing.Result
function Pipeline:run(records) end

---Sets the clock.
---@param now string|integer
---@return onced.testing.Pipeline
function Pipeline:at(now) end

---Loads the script anew.
---@return onced.testing.Pipeline
function Pipeline:restart() end

---Runs the script's close and lets go of everything.
function Pipeline:close() end

---@class (exact) onced.testing
local testing = {}

---@param path string Of the pipeline file, relative to the current directory or to the spec.
---@param options? onced.testing.Options
---@return onced.testing.Pipeline
function testing.load(path, options) end

return testing
