// SPDX-License-Identifier: MIT
// Records with any key, value and headers, from the consumer's message to the produce call, through a script that does one thing of each
// kind with headers (HEADERS_SCRIPT). What is produced is compared with a second reading of the rules. The input is records; each is
// - a byte for what the script does with it, a key, a value, a byte that counts headers (of seven at most), and name and value of each;
// - text is a byte for its size and its bytes; of values and keys 255 means null.
// A target of libFuzzer, run by spec/fuzz in a folder of its own. librdkafka's own messages can't be made without a broker, so these few of
// its functions are here; headers are librdkafka's.
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <string.h>

#include "batch.h"
#include "config.h"
#include "fuzz.h"
#include "log.h"
#include "sink_output.h"
#include "transform.h"

enum { RECORDS_MOST = 16, HEADERS_MOST = 32, PARTITIONS = 3, STATIC_HEADERS = 2, LETTER_HEADERS = 8, NULL_SIZE = 255 };

static const char HEADERS_CONFIG[] = "version: 1\n"
                                     "name: headers\n"
                                     "input: {topics: [in]}\n"
                                     "transform: {script: headers.lua}\n"
                                     "outputs:\n"
                                     "  default: {topic: plain}\n"
                                     "  fixed: {topic: fixed, headers: {a: one, empty: \"\"}}\n"
                                     "  listed: {topic: \"to-{region}\", region: [eu, us]}\n"
                                     "errors: {on_error: dlq, on_reject: dlq, dlq: {topic: letters, max_ratio: 1}}\n";

enum { FORWARD, DERIVE, FORWARD_FIXED, TABLE_FIXED, MAP, MAP_FIXED, LOOK, REJECT, FAIL, DROP, CHOOSE, LISTED, DEEDS };

static const char HEADERS_SCRIPT[] =
    "local onced = require 'onced'\n"
    "local null = onced.null\n"
    "local function map(rec)\n"
    "  local found = {}\n"
    "  for _, pair in ipairs(rec:headers()) do found[pair[1]] = pair[2] end\n"
    "  return found\n"
    "end\n"
    "local deeds = {\n"
    "  [0] = function(rec) return rec end,\n"
    "  function(rec) return rec:derive { headers = rec:headers() } end,\n"
    "  function(rec, out) out.fixed:send(rec) end,\n"
    "  function(rec, out) out.fixed:send { key = rec.key, value = rec.value or null, headers = rec:headers() } end,\n"
    "  function(rec) return { key = rec.key, value = rec.value or null, headers = map(rec) } end,\n"
    "  function(rec, out) out.fixed:send { key = rec.key, value = rec.value or null, headers = map(rec) } end,\n"
    "  function(rec)\n"
    "    local value = rec:header(rec.key or '')\n"
    "    return { key = rec.key, value = value == nil and 'none' or value }\n"
    "  end,\n"
    "  function(rec) return onced.reject(rec.value or 'null') end,\n"
    "  function(rec, out) out.fixed:send(rec) error(rec.value or 'null', 0) end,\n"
    "  function(rec, out) out.fixed:send(rec) return onced.drop(rec.value or 'null') end,\n"
    "  function(rec) return { key = rec.key, value = rec.value or null, partition = #(rec.key or '') } end,\n"
    "  function(rec, out) out.listed:send(rec, { region = rec.key or 'eu' }) end,\n"
    "}\n"
    "return function(rec, out) return deeds[rec.offset % 12](rec, out) end\n";

static int messages; // that are held

// --- librdkafka -------------------------------------------------------------------------------------------------------------------------

rd_kafka_resp_err_t rd_kafka_message_headers(const rd_kafka_message_t *message, rd_kafka_headers_t **headers)
{
    *headers = message->_private;
    return *headers ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR__NOENT;
}

int64_t rd_kafka_message_timestamp(const rd_kafka_message_t *message, rd_kafka_timestamp_type_t *type)
{
    *type = RD_KAFKA_TIMESTAMP_CREATE_TIME;
    return message->offset;
}

void rd_kafka_message_destroy(rd_kafka_message_t *message)
{
    if (message->_private)
        rd_kafka_headers_destroy(message->_private);
    messages--;
    free(message->key);
    free(message->payload);
    free(message);
}

struct bytes {
    const void *data; // NULL: null
    size_t size;
};

static struct {
    struct bytes key, value;
    rd_kafka_headers_t *headers;
    int32_t partition;
} produced;

rd_kafka_resp_err_t rd_kafka_producev(rd_kafka_t *rk, ...)
{
    va_list arguments;
    memset(&produced, 0, sizeof produced);
    va_start(arguments, rk);
    for (rd_kafka_vtype_t type; (type = va_arg(arguments, rd_kafka_vtype_t)) != RD_KAFKA_VTYPE_END;) {
        if (type == RD_KAFKA_VTYPE_KEY || type == RD_KAFKA_VTYPE_VALUE) {
            struct bytes *bytes = type == RD_KAFKA_VTYPE_KEY ? &produced.key : &produced.value;
            bytes->data = va_arg(arguments, void *);
            bytes->size = va_arg(arguments, size_t);
        } else if (type == RD_KAFKA_VTYPE_PARTITION) {
            produced.partition = va_arg(arguments, int32_t);
        } else if (type == RD_KAFKA_VTYPE_TIMESTAMP) {
            va_arg(arguments, int64_t);
        } else {
            void *pointer = va_arg(arguments, void *);
            produced.headers = type == RD_KAFKA_VTYPE_HEADERS ? pointer : produced.headers;
        }
    }
    va_end(arguments);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

// --- records ----------------------------------------------------------------------------------------------------------------------------

struct header {
    struct bytes name, value;
};

struct record {
    int deed;
    struct bytes key, value;
    struct header headers[HEADERS_MOST];
    int header_count;
};

struct reader {
    const uint8_t *at, *end;
};

static int byte_read(struct reader *r)
{
    return r->at < r->end ? *r->at++ : 0;
}

static struct bytes bytes_read(struct reader *r, int may_be_null)
{
    size_t size = (size_t)byte_read(r), left = (size_t)(r->end - r->at);
    if (may_be_null && size == NULL_SIZE)
        return (struct bytes){0};
    struct bytes bytes = {r->at, size < left ? size : left};
    r->at += bytes.size;
    return bytes;
}

static struct record record_read(struct reader *r)
{
    struct record record = {.deed = byte_read(r) % DEEDS, .key = bytes_read(r, 1), .value = bytes_read(r, 1)};
    record.header_count = byte_read(r) % 8;
    for (int i = 0; i < record.header_count; i++)
        record.headers[i] = (struct header){bytes_read(r, 0), bytes_read(r, 1)};
    return record;
}

// Of exactly that size: the sanitizer sees what reads beyond.
static void *copied(struct bytes bytes)
{
    return bytes.data ? memcpy(malloc(bytes.size ? bytes.size : 1), bytes.data, bytes.size) : NULL;
}

static rd_kafka_message_t *message_of(const struct record *record, int64_t offset)
{
    rd_kafka_message_t *message = calloc(1, sizeof *message);
    *message = (rd_kafka_message_t){.key = copied(record->key),
                                    .key_len = record->key.size,
                                    .payload = copied(record->value),
                                    .len = record->value.size,
                                    .offset = offset,
                                    .partition = 1};
    rd_kafka_headers_t *headers = record->header_count ? rd_kafka_headers_new(0) : NULL;
    for (int i = 0; i < record->header_count; i++) {
        const struct header *h = &record->headers[i];
        rd_kafka_header_add(headers, h->name.data, (ssize_t)h->name.size, h->value.data, (ssize_t)h->value.size);
    }
    message->_private = headers;
    messages++;
    return message;
}

// --- the rules again --------------------------------------------------------------------------------------------------------------------

struct expected {
    const char *topic; // NULL: nothing is produced
    struct bytes key, value;
    struct header headers[HEADERS_MOST];
    int header_count;
    int32_t partition; // -1: whatever the partitioner says
};

static struct bytes text(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static int same(struct bytes a, struct bytes b)
{
    return !a.data == !b.data && a.size == b.size && (!a.size || memcmp(a.data, b.data, a.size) == 0);
}

static void header_put(struct expected *e, struct bytes name, struct bytes value)
{
    e->headers[e->header_count++] = (struct header){name, value};
}

static void headers_without(struct expected *e, struct bytes name)
{
    int kept = 0;
    for (int i = 0; i < e->header_count; i++)
        if (!same(e->headers[i].name, name))
            e->headers[kept++] = e->headers[i];
    e->header_count = kept;
}

// As librdkafka lends them: a name ends at a zero byte.
static void headers_parse(struct expected *e, const struct record *record)
{
    for (int i = 0; i < record->header_count; i++) {
        struct bytes name = record->headers[i].name;
        header_put(e, (struct bytes){name.data, strnlen(name.data, name.size)}, record->headers[i].value);
    }
}

static int by_name(const void *left, const void *right)
{
    const struct bytes *a = &((const struct header *)left)->name, *b = &((const struct header *)right)->name;
    int order = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

// As a table of Lua's has them: the last of each name, sorted.
static void headers_map(struct expected *e)
{
    struct expected all = *e;
    for (int i = 0; i < all.header_count; i++) {
        headers_without(e, all.headers[i].name);
        header_put(e, all.headers[i].name, all.headers[i].value);
    }
    qsort(e->headers, (size_t)e->header_count, sizeof *e->headers, by_name);
}

static void headers_fix(struct expected *e)
{
    headers_without(e, text("a"));
    headers_without(e, text("empty"));
    header_put(e, text("a"), text("one"));
    header_put(e, text("empty"), text(""));
}

// A dead letter; the values of some headers are looked at elsewhere.
static void letter(struct expected *e, const struct record *record, const char *kind)
{
    static const char *const names[LETTER_HEADERS] = {"topic", "partition", "offset", "timestamp", "pipeline", "script", "kind", "message"};
    static char full[LETTER_HEADERS][40];
    *e = (struct expected){.topic = "letters", .key = record->key, .value = record->value, .partition = -1};
    headers_parse(e, record);
    for (int i = 0; i < LETTER_HEADERS; i++) {
        snprintf(full[i], sizeof full[i], "__onced.error.%s", names[i]);
        headers_without(e, text(full[i]));
    }
    for (int i = 0; i < LETTER_HEADERS; i++)
        header_put(e, text(full[i]), (struct bytes){0});
    e->headers[e->header_count - LETTER_HEADERS].value = text("in");
    e->headers[e->header_count - LETTER_HEADERS + 1].value = text("1");
    e->headers[e->header_count - 4].value = text("headers");
    e->headers[e->header_count - 2].value = text(kind);
}

static struct bytes looked_up(const struct record *record)
{
    struct expected parsed = {0};
    headers_parse(&parsed, record);
    for (int i = parsed.header_count; i-- > 0;)
        if (same(parsed.headers[i].name, record->key.data ? record->key : text("")))
            return parsed.headers[i].value;
    return text("none");
}

static void expect(struct expected *e, const struct record *record)
{
    *e = (struct expected){.topic = "plain", .key = record->key, .value = record->value, .partition = -1};
    int is_fixed = record->deed == FORWARD_FIXED || record->deed == TABLE_FIXED || record->deed == MAP_FIXED;
    if (record->deed <= MAP_FIXED || record->deed == LISTED)
        headers_parse(e, record);
    if (record->deed == FORWARD || record->deed == LISTED) // untouched, with what a name has behind a zero byte
        memcpy(e->headers, record->headers, sizeof e->headers);
    if (record->deed == MAP || record->deed == MAP_FIXED)
        headers_map(e);
    if (is_fixed) {
        e->topic = "fixed";
        headers_fix(e);
    }
    if (record->deed == LOOK)
        e->value = looked_up(record);
    if (record->deed == REJECT)
        letter(e, record, record->value.data && !record->value.size ? "error" : "reject");
    if (record->deed == FAIL || (record->deed == DROP && record->value.data && !record->value.size))
        letter(e, record, "error");
    else if (record->deed == DROP)
        e->topic = NULL;
    if (record->deed == CHOOSE) {
        e->partition = (int32_t)record->key.size;
        if (e->partition >= PARTITIONS)
            letter(e, record, "partition");
    }
    if (record->deed == LISTED) {
        struct bytes region = record->key.data ? record->key : text("eu");
        e->topic = same(region, text("eu")) ? "to-eu" : "to-us";
        if (!same(region, text("eu")) && !same(region, text("us")))
            letter(e, record, "output");
    }
}

// --- what was produced ------------------------------------------------------------------------------------------------------------------

static void header_check(const struct expected *e, int i)
{
    const char *name;
    struct bytes value;
    if (rd_kafka_header_get_all(produced.headers, (size_t)i, &name, &value.data, &value.size))
        finding("headers are missing");
    struct bytes expected_name = e->headers[i].name;
    if (memcmp(name, expected_name.data, expected_name.size))
        finding("another name of a header");
    int is_letters = strcmp(e->topic, "letters") == 0 && i >= e->header_count - LETTER_HEADERS && !e->headers[i].value.data;
    if (is_letters ? !value.data : !same(value, e->headers[i].value))
        finding("another value of header %s", name);
}

static void produced_check(const struct expected *e)
{
    size_t count = produced.headers ? rd_kafka_header_cnt(produced.headers) : 0;
    if (!same(produced.key, e->key) || !same(produced.value, e->value))
        finding("another key or value on %s", e->topic);
    if (e->partition >= 0 ? produced.partition != e->partition : produced.partition < 0 || produced.partition >= PARTITIONS)
        finding("another partition");
    if (count != (size_t)e->header_count)
        finding("%zu headers, not %d, on %s", count, e->header_count, e->topic);
    for (int i = 0; i < e->header_count; i++)
        header_check(e, i);
}

static struct config *config;
static struct transform *transform;
static struct batch *batch;
static struct onced_topic topics[HEADERS_MOST];

static void outputs_check(const struct record *records, int count)
{
    int next = 0;
    for (int i = 0; i < count; i++) {
        struct expected e;
        expect(&e, &records[i]);
        if (!e.topic)
            continue;
        if (next == batch->lent.output_count)
            finding("an output is missing: %s", e.topic);
        const struct onced_output *o = &batch->lent.outputs[next];
        if (o->source != i || strcmp(topics[o->topic_index].name, e.topic))
            finding("an output of record %d on %s, not of %d on %s", o->source, topics[o->topic_index].name, i, e.topic);
        sink_output_produce(NULL, (rd_kafka_topic_t *const[HEADERS_MOST]){0}, batch, next++);
        produced_check(&e);
        if (produced.headers)
            rd_kafka_headers_destroy(produced.headers);
    }
    if (next != batch->lent.output_count)
        finding("%d outputs, not %d", batch->lent.output_count, next);
}

static void file_write(const char *name, const char *content)
{
    FILE *file = fopen(name, "w");
    if (!file || fputs(content, file) < 0 || fclose(file))
        finding("%s can't be written", name);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const input = "in";
    struct err e;
    int errors;
    (void)argc, (void)argv;
    file_write("headers.yaml", HEADERS_CONFIG);
    file_write("headers.lua", HEADERS_SCRIPT);
    log_init(LOG_LEVEL_ERROR);
    struct config_request request = {.pipelines = (const char *const[]){"headers.yaml"}, .pipeline_count = 1, .brokers_optional = 1};
    config = config_load(&request, CONFIG_TEXT, stderr, &errors);
    transform = config ? transform_new(&config->pipelines[0], 0, NULL, &e) : NULL;
    if (!transform)
        finding("no transform: %s", config ? e.text : "");
    batch = batch_new();
    batch->lent.input_topics = &input;
    batch->lent.input_topic_count = 1;
    batch->lent.output_topics = topics;
    batch->lent.output_topic_count = config->pipelines[0].topic_count;
    for (int i = 0; i < config->pipelines[0].topic_count; i++)
        topics[i] =
            (struct onced_topic){.name = config->pipelines[0].topics[i].name, .max_message_bytes = 1 << 20, .partition_count = PARTITIONS};
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record records[RECORDS_MOST];
    struct reader reader = {data, data + size};
    struct err e;
    int count = 0;
    while (reader.at < reader.end && count < RECORDS_MOST) {
        records[count] = record_read(&reader);
        if (batch_add(batch, message_of(&records[count], 12 * count + records[count].deed), 0, &e))
            finding("%s", e.text);
        count++;
    }
    while (batch->transformed < count)
        if (transform_run(transform, batch, count - batch->transformed, &e))
            finding("halted: %s", e.text);
    outputs_check(records, count);
    batch_reset(batch);
    if (messages)
        finding("%d messages are kept", messages);
    return 0;
}
