-- The ground the other specs stand on: the oracle goes red for each thing it is there to find, on records planted by the witness
-- itself, and the proxy makes a late request real. The oracle's invariants, and where each is broken on purpose:
--   no loss                        "a record that is lost", "hasn't been worked on"
--   no output twice                "a record that is there twice"
--   order by partition, by key     "two records that changed places", "a key's records that changed places"
--   offsets move with outputs      "outputs above the committed offset", "offsets that were committed without their outputs"
--   all of an input's outputs      "one of two outputs"
--   a reader beside it             "a reader says when what it saw is no more"
--   offsets never go back          "sees a committed offset go back", "a committed offset that is gone"
--   nothing is left open           "a transaction that is left open", "offsets that are left open"
--   output or dead letter          "a dead letter that is an output too, and one that is neither"
--   content                        "a payload that was changed", "aborted input that was passed on"
--   accounts                       "accounts that don't agree"
--   it goes on                     "how long nothing came"
local ffi = require "ffi"
local cluster = require "spec.support.cluster"
local daemon = require "spec.support.daemon"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local wait = require "spec.support.wait"
local witness = require "spec.support.witness"

describe("support", function()
   local kafka, w
   setup(function()
      kafka = cluster.start { proxied = true }
      w = witness.start(kafka.bootstrap)
   end)
   teardown(function()
      if w then w:stop() end
      if kafka then kafka:stop() end
   end)

   describe("the oracle", function()
      local number = 0
      local input, output, group, records, n

      -- 200 records in two partitions, written in transactions of 10; every third transaction is aborted and comes on top.
      local made, all
      setup(function()
         input = w:make("in", 2)
         made = w:produce { topic = input, count = 200, size = 120, transaction = 10, abort_every = 3 }
         all = w:read(input)
      end)

      before_each(function()
         number = number + 1
         output, group = w:make("out" .. number, 2), "g" .. number
         records, n = {}, #all
         for i, r in ipairs(all) do records[i] = r end
      end)

      it("has input to judge by", function()
         assert.are.equal(200, made.acked)
         assert.are.equal(90, made.aborted)
         assert.are.equal(200, n)
         assert.are.equal(290, #w:read(input, "read_uncommitted"))
      end)

      local function put(list, options)
         local out = {}
         for i, r in ipairs(list) do out[i] = { key = r.key, value = "mapped:" .. r.value, partition = r.partition } end
         if #out > 0 then w:send(output, out, options or { transaction = "commit" }) end
      end

      -- Offsets behind the last data record, as onced commits them: markers at the end stay uncounted.
      local function commit(less)
         local next_offset = {}
         for _, r in ipairs(records) do next_offset[r.partition] = r.offset + 1 end
         for p, o in pairs(next_offset) do
            w:commit_offset { group = group, topic = input, partition = p, offset = o - (p == 0 and less or 0), transactional = true }
         end
      end

      local function verdict(options)
         local request = { group = group, inputs = { input }, outputs = { { topic = output } } }
         for k, v in pairs(options or {}) do request[k] = v end
         return w:verify(request)
      end

      local function only(v, kind, count)
         assert.is_false(v.ok)
         for _, k in ipairs { "lost", "repeated", "disorder", "ahead", "foreign", "aborted", "damaged", "torn", "miscounted", "pending", "unstamped",
            "twice_in_input" } do
            assert.are.equal(k == kind and count or 0, v[k], k .. ": " .. table.concat(v.examples, "; "))
         end
      end

      it("is content with a clean copy, and counts what was aborted on the way", function()
         put({ records[1], records[2] }, { transaction = "abort" })
         put(records)
         commit(0)
         local v = verdict()
         assert.is_true(v.ok, table.concat(v.examples, "; "))
         assert.are.equal(n, v.inputs)
         assert.are.equal(n, v.outputs[output].visible)
         assert.are.equal(2, v.outputs[output].aborted_copies)
         assert.are.equal(0, w:pending(group, { input }))
      end)

      it("finds a record that is lost", function()
         table.remove(records, 7)
         put(records)
         commit(0)
         only(verdict(), "lost", 1)
      end)

      it("finds a record that is there twice", function()
         table.insert(records, 7, records[7])
         put(records)
         commit(0)
         only(verdict(), "repeated", 1)
      end)

      it("finds two records that changed places", function()
         records[7], records[8] = records[8], records[7]
         put(records)
         records[7], records[8] = records[8], records[7]
         commit(0)
         only(verdict(), "disorder", 1)
      end)

      it("finds a key's records that changed places", function()
         local at = records[n]
         local back = at.value:gsub("^(@%d+,%d+,%d+,[^,]*,)%d+", "%10")
         records[n] = { key = at.key, value = back, partition = at.partition, offset = at.offset }
         assert.are_not.equal(at.value, back)
         put(records)
         commit(0)
         only(verdict(), "disorder", 1)
      end)

      it("finds outputs above the committed offset", function()
         put(records)
         commit(1)
         local v = verdict { partial = true } -- the input above the offset may wait, its output may not be there
         assert.is_false(v.ok)
         assert.are.equal(1, v.ahead)
         assert.are.equal(1, v.pending)
         assert.are.equal(0, v.lost)
      end)

      it("finds offsets that were committed without their outputs", function()
         local half = {}
         for i = 1, 50 do half[i] = records[i] end -- partition 0 holds the first 100
         put(half)
         commit(0)
         only(verdict(), "lost", 150)
      end)

      it("finds input that hasn't been worked on, unless told that this is fine", function()
         local v = verdict()
         only(v, "pending", n)
         assert.is_true(verdict { partial = true }.ok)
      end)

      it("finds aborted input that was passed on", function()
         local aborted
         for _, r in ipairs(w:read(input, "read_uncommitted")) do if r.value:find("^@%-") then aborted = r end end
         put(records)
         put { aborted }
         commit(0)
         only(verdict(), "aborted", 1)
      end)

      it("finds a payload that was changed, and an output nobody asked for", function()
         local last = records[n]
         records[n] = { key = last.key, value = last.value:sub(1, -2) .. "#", partition = last.partition, offset = last.offset }
         put(records)
         commit(0)
         only(verdict(), "damaged", 1)
         only(verdict { outputs = { { topic = output, of = 2, take = { 0 } } }, crc = false }, "foreign", n / 2)
      end)

      it("knows outputs that take several copies, some records, or none", function()
         local second = w:make("second" .. number, 1)
         local twice, odd = {}, {}
         for _, r in ipairs(records) do
            twice[#twice + 1], twice[#twice + 2] = r, r
            if tonumber(r.value:match("^@%d+,%d+,(%d+)")) % 4 == 3 then odd[#odd + 1] = { key = r.key, value = r.value } end
         end
         put(twice)
         w:send(second, odd)
         commit(0)
         local v = verdict { outputs = { { topic = output, copies = 2 }, { topic = second, of = 4, take = { 3 } } } }
         assert.is_true(v.ok, table.concat(v.examples, "; "))
      end)

      it("finds one of two outputs, below the committed offset and above", function()
         local second = w:make("second" .. number, 1)
         put(records)
         local most = {}
         for i = 2, n - 1 do most[i - 1] = { value = records[i].value } end
         w:send(second, most)
         commit(0)
         local outputs = { { topic = output }, { topic = second } }
         local v = verdict { outputs = outputs }
         assert.is_false(v.ok)
         assert.are.same({ 2, 2 }, { v.torn, v.lost })
         w:send(second, { records[1].value })
         w:commit_offset { group = group, topic = input, partition = 1, offset = records[n].offset }
         v = verdict { outputs = outputs, partial = true }
         assert.are.same({ 1, 0, 1 }, { v.torn, v.lost, v.ahead }, table.concat(v.examples, "; "))
      end)

      it("finds a dead letter that is an output too, and one that is neither", function()
         local dead = w:make("dead" .. number, 1)
         local good, bad = {}, {}
         for _, r in ipairs(records) do
            local list = tonumber(r.value:match "^@%d+,%d+,(%d+)") % 4 == 3 and bad or good
            list[#list + 1] = r
         end
         good[#good + 1] = bad[#bad]
         local letters = {}
         for i = 2, #bad do letters[i - 1] = { value = bad[i].value } end
         put(good)
         w:send(dead, letters)
         commit(0)
         local v = verdict { outputs = { { topic = output, of = 4, take = { 0, 1, 2 } }, { topic = dead, of = 4, take = { 3 } } } }
         assert.is_false(v.ok)
         assert.are.same({ 1, 1 }, { v.foreign, v.lost }, table.concat(v.examples, "; "))
      end)

      it("finds accounts that don't agree", function()
         put(records)
         commit(0)
         assert.is_true(verdict({ claims = { records = n, outputs = n } }).ok)
         only(verdict { claims = { records = n - 1, outputs = n } }, "miscounted", 1)
         only(verdict { claims = { records = n - 1, outputs = n + 1 } }, "miscounted", 2)
      end)

      it("finds offsets that are left open", function()
         put(records)
         commit(0)
         w:commit_offset { group = group, topic = input, partition = 0, offset = 1, transactional = true, how = "open" }
         local v = verdict { settle_ms = 300 }
         assert.is_false(v.ok)
         assert.are.equal(1, #v.unstable)
         assert.matches("^__consumer_offsets%-%d", v.unstable[1])
         w:end_transaction { id = "witness.offsets", how = "abort" }
         assert.is_true(verdict().ok)
      end)

      it("finds a transaction that is left open", function()
         put(records)
         commit(0)
         w:send(output, { "x" }, { transaction = "open", id = "foreign" })
         local v = verdict { allow_unstamped = true, settle_ms = 300 }
         assert.is_false(v.ok)
         assert.are.same({ "foreign Ongoing" }, v.open)
         assert.are.equal(1, #v.unstable)
         w:end_transaction { id = "foreign", how = "abort" }
         assert.is_true(verdict().ok)
      end)
   end)

   describe("a job beside the spec", function()
      it("writes at a pace, and a reader says how late records came and that what it saw stayed", function()
         local topic = w:make("paced", 2)
         local reader = w:follow { topic = topic }.job
         local writer = w:produce({ topic = topic, count = 300, rate = 1000, background = true }).job
         local made = w:finish(writer)
         assert.are.equal(300, made.acked)
         assert.is_true(made.seconds >= 0.29)
         wait.till("the reader has all", 10, function() return w:progress(reader).records == 300 end)
         local seen = w:halt(reader)
         assert.is_true(seen.consistent)
         assert.is_true(seen.p50_ms > -1 and seen.p50_ms <= seen.p99_ms and seen.p99_ms <= seen.max_ms)
      end)

      it("a reader says when what it saw is no more", function()
         local topic = w:make("changed", 1)
         local reader = w:follow { topic = topic }.job
         w:send(topic, { "a", "b", "c" })
         wait.till("the reader has all", 30, function() return w:progress(reader).records == 3 end)
         w:delete_records { topic = topic, partition = 0, before = 2 }
         assert.is_false(w:halt(reader).consistent)
      end)

      it("a reader says how long nothing came", function()
         local topic = w:make("stalled", 1)
         local reader = w:follow { topic = topic }.job
         w:send(topic, { "a" })
         wait.till("the first record", 30, function() return w:progress(reader).records == 1 end)
         wait.sleep(1500)
         w:send(topic, { "b", "c" })
         wait.till("the others", 30, function() return w:progress(reader).records == 3 end)
         assert.is_true(w:halt(reader).stall_ms >= 1500) -- a least time, not speed
      end)

      local function sampled(job)
         local before = w:progress(job).samples
         wait.till("another look", 10, function() return w:progress(job).samples >= before + 2 end)
      end

      it("sees a committed offset go back, and a committed offset that is gone", function()
         local topic = w:make("back", 1)
         w:commit_offset { group = "back", topic = topic, partition = 0, offset = 9 }
         local job = w:watch_offsets({ group = "back" }).job
         sampled(job)
         w:commit_offset { group = "back", topic = topic, partition = 0, offset = 5 }
         sampled(job)
         w:delete_offsets { group = "back", topic = topic, partition = 0 }
         sampled(job)
         assert.are.same({ "back-0: 9 -> 5", "back-0: 5 -> none" }, w:halt(job).decreased)
      end)

      it("takes no offset for gone that a transaction is open on", function()
         local topic = w:make("held", 2)
         for p = 0, 1 do w:commit_offset { group = "held", topic = topic, partition = p, offset = 9 } end
         local job = w:watch_offsets({ group = "held" }).job
         sampled(job)
         w:commit_offset { group = "held", topic = topic, partition = 0, offset = 12, transactional = true, how = "open" }
         w:delete_offsets { group = "held", topic = topic, partition = 1 } -- from here on it asks for what is settled
         sampled(job)
         w:end_transaction { id = "witness.offsets" }
         sampled(job)
         assert.are.same({ "held-1: 9 -> none" }, w:halt(job).decreased)
      end)
   end)

   describe("a daemon", function()
      -- A stand-in with two workers: what is shown is the harness, not onced.
      local STAND_IN = [[
         echo "arguments: $*"; echo "brokers $ONCED_BROKERS failpoint ${ONCED_FAILPOINT-unset}"
         setpriv --pdeathsig KILL sleep 60 & one=$!
         setpriv --pdeathsig KILL sleep 60 & two=$!
         trap 'kill $one $two; echo drained; exit 7' TERM
         echo ready; wait; wait; echo over
      ]]
      local d
      before_each(function()
         d = daemon.new { bootstrap = "host:1", pipelines = { p = { yaml = "version: 1\n", files = { ["stand-in.sh"] = STAND_IN } } }, binary = "/bin/sh" }
         d.options.wrap = { "/bin/sh", d.dir .. "/stand-in.sh" }
         d:start()
      end)
      after_each(function() d:kill() end)

      it("gets its files and environment, and is waited for by its log", function()
         assert.matches("p.yaml", d:wait_log("arguments: ([^\n]*)", 5))
         assert.are.equal("host:1 failpoint unset", d:wait_log("brokers ([^\n]*)", 5))
         assert.error_matches(function() d:wait_log("never said", 0.1) end, 'no "never said" in the log')
         d:mark()
         assert.are.equal(0, d:count "ready")
      end)

      it("has workers that can be killed, leaves on TERM, takes them along on KILL", function()
         d:wait_log("ready", 5)
         local workers = d:workers()
         assert.are.equal(2, #workers)
         assert.are.equal(workers[1], d:signal_worker(1, "KILL"))
         assert.is_false(process.alive(workers[1]))
         assert.are.same({ 7 }, { d:stop(10) })
         assert.is_false(d:running())
         assert.error_matches(function() d:wait_log("never said", 5) end, "onced has ended")
      end)
   end)

   describe("the proxy", function()
      local between, rk, lib
      setup(function()
         ffi.cdef [[
            typedef struct rd_kafka_s rd_kafka_t; typedef struct rd_kafka_conf_s rd_kafka_conf_t;
            typedef struct rd_kafka_topic_s rd_kafka_topic_t; typedef struct rd_kafka_error_s rd_kafka_error_t;
            rd_kafka_conf_t *rd_kafka_conf_new(void);
            int rd_kafka_conf_set(rd_kafka_conf_t *, const char *, const char *, char *, size_t);
            rd_kafka_t *rd_kafka_new(int, rd_kafka_conf_t *, char *, size_t);
            rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *, const char *, void *);
            void rd_kafka_topic_destroy(rd_kafka_topic_t *);
            int rd_kafka_produce(rd_kafka_topic_t *, int32_t, int, void *, size_t, const void *, size_t, void *);
            int rd_kafka_flush(rd_kafka_t *, int);
            rd_kafka_error_t *rd_kafka_init_transactions(rd_kafka_t *, int);
            rd_kafka_error_t *rd_kafka_begin_transaction(rd_kafka_t *);
            rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *, int);
            rd_kafka_error_t *rd_kafka_abort_transaction(rd_kafka_t *, int);
            const char *rd_kafka_error_string(const rd_kafka_error_t *);
            void rd_kafka_error_destroy(rd_kafka_error_t *);
            void rd_kafka_destroy(rd_kafka_t *);
         ]]
         lib = ffi.load("rdkafka.so.1")
         between = proxy.start(kafka)
      end)
      teardown(function() if between then between:stop() end end)

      local function ok(e)
         if e == nil then return true end
         local text = ffi.string(lib.rd_kafka_error_string(e))
         lib.rd_kafka_error_destroy(e)
         return false, text
      end

      -- A bare client without any of onced's defences, through the proxy.
      local function producer(id)
         local conf, text = lib.rd_kafka_conf_new(), ffi.new("char[512]")
         for k, v in pairs { ["bootstrap.servers"] = between.bootstrap, ["transactional.id"] = id, ["socket.timeout.ms"] = "1500", log_level = "0",
            ["transaction.timeout.ms"] = "20000", ["retry.backoff.ms"] = "20", ["reconnect.backoff.ms"] = "50", ["linger.ms"] = "0" } do
            assert.are.equal(0, lib.rd_kafka_conf_set(conf, k, v, text, 512), ffi.string(text))
         end
         rk = lib.rd_kafka_new(0, conf, text, 512)
         assert.is_true(rk ~= nil)
         assert(ok(lib.rd_kafka_init_transactions(rk, 30000)))
      end
      after_each(function()
         if rk then lib.rd_kafka_destroy(rk) end
         rk = nil
         between:drop()
         between:refuse(false)
         between:stall "none"
      end)

      local function send(topic, value)
         local t = lib.rd_kafka_topic_new(rk, topic, nil)
         assert.are.equal(0, lib.rd_kafka_produce(t, 0, 2, ffi.cast("void *", value), #value, nil, 0, nil))
         lib.rd_kafka_topic_destroy(t)
         assert.are.equal(0, lib.rd_kafka_flush(rk, 15000))
      end

      it("holds a real EndTxn and lets it end the next transaction", function()
         local topic = w:make("late", 1)
         producer "late"
         between:log()
         between:hold(proxy.END_TXN, "cut", 1, "late")
         assert(ok(lib.rd_kafka_begin_transaction(rk)))
         send(topic, "A")
         assert(ok(lib.rd_kafka_commit_transaction(rk, 20000)))
         assert(ok(lib.rd_kafka_begin_transaction(rk)))
         send(topic, "B")
         assert.are.same({ "A" }, w:values(topic))
         assert.are.equal(1, between:held())
         assert.are.same({ { name = "EndTxn", key = 26, answer = 0 } }, between:release())
         wait.till("the anomaly", 10, function() return #w:values(topic) == 2 end)
         assert.is_false((ok(lib.rd_kafka_abort_transaction(rk, 15000))))
         local ends = {}
         for _, e in ipairs(between:log()) do if e.key == 26 and e.ev == "req" then ends[#ends + 1] = e end end
         assert.are.equal(3, #ends) -- the late one, its retry, the abort
         assert.are.same({ true, true, false }, { ends[1].commit, ends[2].commit, ends[3].commit })
         assert.are.equal("late", ends[1].who)
         assert.are.equal(ends[1].epoch, ends[3].epoch)
      end)

      it("writes an error code into an answer", function()
         local topic = w:make("mangled", 1)
         producer "mangled"
         assert(ok(lib.rd_kafka_begin_transaction(rk)))
         send(topic, "A")
         between:mangle(proxy.END_TXN, 47)
         local done, why = ok(lib.rd_kafka_commit_transaction(rk, 15000))
         assert.is_false(done)
         assert.matches("fenced", why:lower())
         assert.are.same({ "A" }, w:values(topic)) -- though the broker did the work
      end)

      it("swallows an answer, refuses, stalls and delays", function()
         local topic = w:make("slow", 1)
         producer "slow"
         assert(ok(lib.rd_kafka_begin_transaction(rk)))
         between:log()
         between:hold(proxy.PRODUCE, "respcut", 1)
         send(topic, "A") -- written twice, there once: the broker knows the sequence number
         assert.are.equal(1, between:held())
         between:delay(proxy.END_TXN, 400)
         local from = wait.now()
         assert(ok(lib.rd_kafka_commit_transaction(rk, 15000)))
         assert.is_true(wait.now() - from >= 400)
         assert.are.same({ "A" }, w:values(topic))
         local produced = 0
         for _, e in ipairs(between:log()) do if e.key == 0 and e.ev == "req" then produced = produced + 1 end end
         assert.are.equal(2, produced)
         between:delay(proxy.END_TXN, 0)
         assert(ok(lib.rd_kafka_begin_transaction(rk)))
         send(topic, "B")
         between:stall "down"
         assert.is_false((ok(lib.rd_kafka_commit_transaction(rk, 300)))) -- times out; the broker has it
         between:stall "none"
         assert(ok(lib.rd_kafka_commit_transaction(rk, 15000)))
         assert(ok(lib.rd_kafka_begin_transaction(rk)))
         send(topic, "C")
         between:refuse(true)
         assert.is_false((ok(lib.rd_kafka_commit_transaction(rk, 500))))
         between:refuse(false)
         assert(ok(lib.rd_kafka_commit_transaction(rk, 15000)))
         assert.are.same({ "A", "B", "C" }, w:values(topic))
      end)
   end)
end)
