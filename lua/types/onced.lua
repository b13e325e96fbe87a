---@meta onced
-- SPDX-License-Identifier: MIT
-- What a transform gets from require "onced", for editors: completion, and checks while you type. Nothing loads this file; .luarc.json
-- points at it. spec/unit/types_spec.lua holds it against the modules. Give the table of hooks its type, and the rest follows:
--
--   ---@type onced.Transform
--   local M = {}
--   function M.process(rec, out, ctx) ... end

---Null: a tombstone, a null header, JSON's null. It isn't nil.
---@alias onced.Null lightuserdata

---What a hook may return: a record, a list of them, or an outcome; nothing only after something was sent.
---@alias onced.Result onced.Record|onced.NewRecord|(onced.Record|onced.NewRecord)[]|onced.Outcome|nil

---@class (exact) onced.Outcome

---@class (exact) onced.Transform
---@field params? table<string, onced.Param> What the pipeline file may give in transform.params.
---@field init? fun(ctx: onced.Context) Runs once, before the first record. An error keeps the pipeline from starting.
---@field process? fun(rec: onced.Record, out: table<string, onced.Output>, ctx: onced.Context): onced.Result For each record.
---@field process_batch? fun(recs: onced.Record[], out: table<string, onced.Output>, ctx: onced.Context): onced.Result For a slice of one partition.
---@field close? fun(ctx: onced.Context) Runs at the end.
---@field [string] any

---@class (exact) onced.Param
---@field type? "number"|"integer"|"string"|"boolean"|"list"|"map"
---@field min? number
---@field max? number
---@field required? boolean

---@class (exact) onced.Context
---@field params table<string, any> transform.params of the pipeline file.
---@field data table<string, any> The files of transform.data, by name; read-only.
---@field pipeline string The pipeline's name.
---@field worker integer This worker's number, from 0.
---@field now fun(): integer The present time in milliseconds since 1970; fixed in tests.

---A record that was read. It belongs to its batch: keep its fields, not the record.
---@class (exact) onced.Record
---@field key string|nil Bytes; nil: none.
---@field value string|nil Bytes; nil: null, a tombstone.
---@field topic string
---@field partition integer
---@field offset integer
---@field timestamp integer Milliseconds since 1970.
local Record = {}

---The last header of that name; nil: there is none.
---@param name string
---@return string|onced.Null|nil
function Record:header(name) end

---All headers, in order, duplicates kept.
---@return { [1]: string, [2]: string|onced.Null }[]
function Record:headers() end

---The whole value, decoded.
---@return any
function Record:json() end

---The value at a JSON Pointer; nil: there is none.
---@param pointer string Such as "/lines/0/sku".
---@return any
function Record:get(pointer) end

---Changes the record's JSON there; all other bytes stay as they came. "/list/-" appends.
---@param pointer string
---@param value any
---@return onced.Record
function Record:set(pointer, value) end

---Takes what is there out of the record's JSON.
---@param pointer string
---@return onced.Record
function Record:remove(pointer) end

---A copy with changes.
---@param changes onced.Changes
---@return onced.Record
function Record:derive(changes) end

---@class (exact) onced.Changes
---@field key? string|onced.Null
---@field value? string|onced.Null
---@field headers? onced.Headers
---@field timestamp? integer
---@field partition? integer

---A record of your own. The timestamp is inherited, key and headers aren't.
---@class (exact) onced.NewRecord
---@field value string|onced.Null
---@field key? string|onced.Null
---@field headers? onced.Headers
---@field timestamp? integer
---@field partition? integer

---{name = value}, or {{name, value}, ...} where order and duplicates matter.
---@alias onced.Headers table<string, string|onced.Null>|{ [1]: string, [2]: string|onced.Null }[]

---@class (exact) onced.Output
local Output = {}

---Sends to this output; variables where its topic has one: {region = "eu"}.
---@param what onced.Record|onced.NewRecord
---@param vars? table<string, string>
function Output:send(what, vars) end

---@class (exact) onced
---@field null onced.Null
local onced = {}

---Leaves the record out on purpose; counted by reason.
---@param reason string
---@return onced.Outcome
function onced.drop(reason) end

---The record can't be used: errors.on_reject says what becomes of it.
---@param reason string
---@return onced.Outcome
function onced.reject(reason) end

---A UUID drawn from the record's place: a recomputation gives the same.
---@param rec? onced.Record In process_batch: for which record.
---@return string
function onced.uuid(rec) end

---In hexadecimal; with a key HMAC-SHA-256.
---@param bytes string
---@param key? string
---@return string
function onced.sha256(bytes, key) end

---{[value] = row} of a list of maps, by what each has in a column. A value that is missing or there twice is an error.
---@param list table
---@param column string|integer
---@return table<string|number, any>
function onced.index(list, column) end

---What is in ctx.data, as tables of your own.
---@param value any
---@return table
function onced.copy(value) end

---@class (exact) onced.Counter
local Counter = {}

---@param amount? number Default: 1.
function Counter:add(amount) end

onced.metric = {}
---A counter of your own, counted when the record's transaction is committed.
---@param name string
---@param labels? table<string, string|number|boolean>
---@return onced.Counter
function onced.metric.counter(name, labels) end

onced.log = {}
---@param message any
---@param fields? table<string, any>
function onced.log.debug(message, fields) end
---@param message any
---@param fields? table<string, any>
function onced.log.info(message, fields) end
---@param message any
---@param fields? table<string, any>
function onced.log.warn(message, fields) end
---@param message any
---@param fields? table<string, any>
function onced.log.error(message, fields) end

onced.json = {}
---@type onced.Null
onced.json.null = nil
---@param text string
---@return any
function onced.json.decode(text) end
---@param value any
---@return string
function onced.json.encode(value) end
---Marks a table, or an empty one, as an array: [] and not {}.
---@param list? table
---@return table
function onced.json.array(list) end
---Marks a table as a map.
---@param map? table
---@return table
function onced.json.map(map) end
---@param text string
---@param pointer string
---@return any
function onced.json.get(text, pointer) end
---@param text string
---@param pointer string
---@param value any
---@return string
function onced.json.set(text, pointer, value) end
---@param text string
---@param pointer string
---@return string
function onced.json.remove(text, pointer) end

onced.time = {}
---RFC 3339 to milliseconds since 1970.
---@param text string
---@return integer
function onced.time.parse(text) end
---@param ms integer
---@return string
function onced.time.format(ms) end

onced.base64 = {}
---@param bytes string
---@return string
function onced.base64.encode(bytes) end
---@param text string
---@return string
function onced.base64.decode(text) end
---@param bytes string
---@return string
function onced.base64.encode_url(bytes) end
---@param text string
---@return string
function onced.base64.decode_url(text) end

onced.hex = {}
---@param bytes string
---@return string
function onced.hex.encode(bytes) end
---@param text string
---@return string
function onced.hex.decode(text) end

return onced
