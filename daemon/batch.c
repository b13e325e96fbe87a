// SPDX-License-Identifier: MIT
// What front fills and back commits. batch_add is on the hot path: it copies a view of the message (pointers, not bytes) and keeps
// the message, so that outputs may point into it until the transaction is settled. Called by source (add, truncate), transform
// (outputs), pipeline and sink (offsets, reset).
#include "batch.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

enum {
    FIRST_CAPACITY = 1024,
    COPY_MOST = 512,              // bytes of key and value
    ARENA_KEEP = 8 * 1024 * 1024, // an idle worker doesn't sit on the memory of its largest batch
    COUNTS_KEEP = 64 * 1024,
};

static const char *const NO_MEMORY = "out of memory";

// Both batches of a worker draw from it, so that a record lent by one is never taken for the other's.
static _Atomic int64_t last_number;

struct batch *batch_new(void)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    arena_init(&batch->arena);
    batch->lent.number = ++last_number;
    return batch;
}

static void messages_destroy(struct batch *batch, int32_t from)
{
    for (int32_t i = from; i < batch->lent.record_count; i++)
        if (batch->lent.records[i].message)
            rd_kafka_message_destroy(batch->lent.records[i].message);
    if (batch->headers && from < batch->headers_capacity)
        memset(batch->headers + from, 0, (size_t)(batch->headers_capacity - from) * sizeof *batch->headers);
    batch->lent.record_count = from;
}

void batch_free(struct batch **batch)
{
    struct batch *b = *batch;
    if (!b)
        return;
    messages_destroy(b, 0);
    arena_fini(&b->arena);
    free(b->lent.records);
    free(b->lent.outputs);
    free(b->headers);
    free(b->offsets);
    free(b->counts);
    free(b);
    *batch = NULL;
}

void batch_reset(struct batch *batch)
{
    messages_destroy(batch, 0);
    arena_reset(&batch->arena, ARENA_KEEP);
    batch->lent.arena_next = batch->lent.arena_end = NULL;
    batch->lent.output_count = 0;
    batch->lent.bytes = 0;
    batch->lent.number = ++last_number;
    batch->transformed = batch->cut = 0;
    batch->offset_count = 0;
    batch->input_bytes = batch->opened_ms = 0;
    batch->dropped = batch->rejected = batch->dead_lettered = batch->skipped = 0;
    batch->count_count = 0;
    if (batch->count_capacity > COUNTS_KEEP) {
        free(batch->counts);
        batch->counts = NULL;
        batch->count_capacity = 0;
    }
}

// The array with room for one more; NULL when out of memory (the old one stays valid).
static void *array_grown(void *array, int32_t *capacity, size_t item)
{
    if (*capacity > INT32_MAX / 2)
        return NULL;
    int32_t more = *capacity ? *capacity * 2 : FIRST_CAPACITY;
    void *grown = realloc(array, (size_t)more * item);
    if (grown)
        *capacity = more;
    return grown;
}

static int records_grow(struct batch *batch)
{
    struct onced_record *records = array_grown(batch->lent.records, &batch->record_capacity, sizeof *records);
    if (records)
        batch->lent.records = records;
    return records ? 0 : -1;
}

// A message brings some 500 bytes of librdkafka's along. Held until the transaction is settled they would all leave the cache, and so would
// those that the prefetch takes in their place: a small record is copied out, a few times cheaper (spec/bench). True: it was, *r is its
// own.
static int copied(struct batch *batch, const rd_kafka_message_t *m, struct onced_record *r)
{
    rd_kafka_headers_t *headers;
    struct onced_batch *lent = &batch->lent;
    int64_t size = (int64_t)(m->key_len + m->len);
    const char *error;
    if (size > COPY_MOST || rd_kafka_message_headers(m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    if (lent->arena_end - lent->arena_next < size + 1 && onced_arena_more(lent, size + 1, &error))
        return 0;
    r->key_data = m->key ? memcpy(lent->arena_next, m->key, m->key_len) : NULL;
    r->value_data = m->payload ? memcpy(lent->arena_next + m->key_len, m->payload, m->len) : NULL;
    lent->arena_next += size + 1; // an empty value is no null
    return 1;
}

enum verdict batch_add(struct batch *batch, void *message, int32_t topic_index, struct err *e)
{
    const rd_kafka_message_t *m = message;
    if (batch->lent.record_count == batch->record_capacity && records_grow(batch))
        return err_set(e, HALT, 0, "%s: a batch of %d records can't grow", NO_MEMORY, batch->record_capacity);
    rd_kafka_timestamp_type_t type;
    int64_t time = rd_kafka_message_timestamp(m, &type);
    struct onced_record *r = &batch->lent.records[batch->lent.record_count];
    if (batch->lent.record_count++ == 0)
        batch->opened_ms = clock_ms();
    *r = (struct onced_record){
        .key_data = m->key,
        .value_data = m->payload,
        .at = m->offset,
        .time = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time,
        .key_size = m->key ? (int32_t)m->key_len : -1,
        .value_size = m->payload ? (int32_t)m->len : -1,
        .topic_index = topic_index,
        .partition = m->partition,
        .message = message,
    };
    batch->input_bytes += (int64_t)(m->key_len + m->len);
    if (copied(batch, m, r)) {
        r->message = NULL;
        rd_kafka_message_destroy(message);
    }
    return OK;
}

struct batch_offset *batch_offset(struct batch *batch, int32_t topic_index, int32_t partition)
{
    for (int32_t i = batch->offset_count - 1; i >= 0; i--)
        if (batch->offsets[i].partition == partition && batch->offsets[i].topic_index == topic_index)
            return &batch->offsets[i];
    if (batch->offset_count == batch->offset_capacity) {
        struct batch_offset *grown = array_grown(batch->offsets, &batch->offset_capacity, sizeof *grown);
        must(grown);
        batch->offsets = grown;
    }
    struct batch_offset *offset = &batch->offsets[batch->offset_count++];
    *offset = (struct batch_offset){.topic_index = topic_index, .partition = partition, .before = -1, .next = -1};
    return offset;
}

void batch_truncate(struct batch *batch, int32_t from)
{
    must(from >= batch->transformed && from <= batch->lent.record_count);
    for (int32_t i = from; i < batch->lent.record_count; i++) {
        const struct onced_record *r = &batch->lent.records[i];
        batch->input_bytes -= (r->key_size > 0 ? r->key_size : 0) + (r->value_size > 0 ? r->value_size : 0);
    }
    messages_destroy(batch, from);
}

// A script may send, fail and send again for ever: what it left behind is in the arena until the batch is settled.
static int is_overspent(struct batch *b, int64_t size)
{
    if (!b->spender || b->spend_most <= 0)
        return 0;
    if (*b->spender != b->spent_by) {
        b->spent_by = *b->spender;
        b->spent = 0;
    }
    return (b->spent += size) > b->spend_most;
}

int onced_arena_more(struct onced_batch *batch, int64_t size, const char **error)
{
    struct batch *b = (struct batch *)batch;
    if (is_overspent(b, size > ARENA_CHUNK ? size : ARENA_CHUNK)) {
        *error = "not enough memory: what this record makes takes more than transform.limits.memory";
        return -1;
    }
    if (size >= 0 && arena_more(&b->arena, (size_t)size, &batch->arena_next, &batch->arena_end) == 0)
        return 0;
    *error = NO_MEMORY;
    return -1;
}

void *batch_alloc(struct batch *batch, size_t size)
{
    enum { ALIGNMENT = 16 };
    struct onced_batch *lent = &batch->lent;
    const char *error;
    size_t gap = -(uintptr_t)lent->arena_next & (ALIGNMENT - 1);
    if (!lent->arena_next || (size_t)(lent->arena_end - lent->arena_next) < size + gap) {
        if (onced_arena_more(lent, (int64_t)size, &error))
            return NULL;
        gap = 0; // chunks are aligned
    }
    char *bytes = lent->arena_next + gap;
    lent->arena_next = bytes + size;
    return bytes;
}

int onced_outputs_more(struct onced_batch *batch, const char **error)
{
    struct onced_output *outputs = array_grown(batch->outputs, &batch->output_capacity, sizeof *outputs);
    if (outputs)
        batch->outputs = outputs;
    if (!outputs)
        *error = NO_MEMORY;
    return outputs ? 0 : -1;
}

struct onced_output *batch_output(struct batch *batch)
{
    const char *error;
    if (batch->lent.output_count == batch->lent.output_capacity && onced_outputs_more(&batch->lent, &error))
        return NULL;
    struct onced_output *output = &batch->lent.outputs[batch->lent.output_count++];
    *output = (struct onced_output){.key_size = -1, .value_size = -1, .partition = -1};
    return output;
}

int32_t onced_partitions(struct onced_batch *batch, int32_t topic_index)
{
    struct batch *b = (struct batch *)batch;
    must(topic_index >= 0 && topic_index < batch->output_topic_count);
    return b->partitions ? b->partitions(b->sink, topic_index) : 0;
}

static int headers_make(struct batch *batch)
{
    struct batch_headers *grown = realloc(batch->headers, (size_t)batch->record_capacity * sizeof *grown);
    if (!grown)
        return -1;
    memset(grown + batch->headers_capacity, 0, (size_t)(batch->record_capacity - batch->headers_capacity) * sizeof *grown);
    batch->headers = grown;
    batch->headers_capacity = batch->record_capacity;
    return 0;
}

static int headers_parse(struct batch *batch, rd_kafka_message_t *message, struct batch_headers *parsed)
{
    rd_kafka_headers_t *raw;
    size_t count = 0;
    if (message && rd_kafka_message_headers(message, &raw) == RD_KAFKA_RESP_ERR_NO_ERROR)
        count = rd_kafka_header_cnt(raw);
    struct onced_header *list = batch_alloc(batch, count * sizeof *list);
    if (!list)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const void *data;
        size_t size;
        must(rd_kafka_header_get_all(raw, i, &list[i].name, &data, &size) == RD_KAFKA_RESP_ERR_NO_ERROR);
        list[i].name_size = (int32_t)strlen(list[i].name);
        list[i].data = data;
        list[i].data_size = data ? (int32_t)size : -1;
    }
    *parsed = (struct batch_headers){.list = list, .count = (int32_t)count, .parsed = 1};
    return 0;
}

// Into the arena, with a terminator behind it.
static int bytes_copy(struct batch *batch, const char **data, int32_t size)
{
    char *copy = size >= 0 ? batch_alloc(batch, (size_t)size + 1) : NULL;
    if (copy) {
        memcpy(copy, *data, (size_t)size);
        copy[size] = 0;
    }
    *data = copy;
    return size < 0 || copy ? 0 : -1;
}

enum verdict batch_put(struct batch *batch, const struct onced_record *record, const struct onced_header *headers, int32_t header_count,
                       struct err *e)
{
    struct onced_record r = *record;
    struct onced_header *list = batch_alloc(batch, (size_t)header_count * sizeof *list);
    int32_t index = batch->lent.record_count;
    int failed = !list || bytes_copy(batch, &r.key_data, r.key_size) || bytes_copy(batch, &r.value_data, r.value_size) ||
                 (index == batch->record_capacity && records_grow(batch)) || (index >= batch->headers_capacity && headers_make(batch));
    for (int32_t i = 0; i < header_count && !failed; i++) {
        list[i] = headers[i];
        failed = bytes_copy(batch, &list[i].name, list[i].name_size) || bytes_copy(batch, &list[i].data, list[i].data_size);
    }
    if (failed)
        return err_set(e, HALT, 0, "%s: a batch of %d records can't grow", NO_MEMORY, index);
    batch->headers[index] = (struct batch_headers){.list = list, .count = header_count, .parsed = 1};
    batch->lent.records[index] = r;
    batch->lent.record_count++;
    batch->input_bytes += (r.key_size > 0 ? r.key_size : 0) + (r.value_size > 0 ? r.value_size : 0);
    return OK;
}

int onced_record_headers(struct onced_batch *batch, int32_t record, struct onced_header **headers, const char **error)
{
    struct batch *b = (struct batch *)batch;
    must(record >= 0 && record < batch->record_count);
    struct batch_headers *parsed = record < b->headers_capacity ? &b->headers[record] : NULL;
    if (!parsed || !parsed->parsed) {
        if ((!parsed && headers_make(b)) || headers_parse(b, batch->records[record].message, &b->headers[record])) {
            *error = NO_MEMORY;
            return -1;
        }
        parsed = &b->headers[record];
    }
    *headers = parsed->list;
    return parsed->count;
}

static const struct onced_header *header_last(const struct onced_header *list, int32_t count, const char *name, int32_t name_size)
{
    for (int32_t i = count - 1; i >= 0; i--)
        if (list[i].name_size == name_size && memcmp(list[i].name, name, (size_t)name_size) == 0)
            return &list[i];
    return NULL;
}

const struct onced_header *onced_record_header(struct onced_batch *batch, int32_t record, const char *name, int32_t name_size,
                                               const char **error)
{
    struct onced_header *list;
    *error = NULL;
    int32_t count = onced_record_headers(batch, record, &list, error);
    return count > 0 ? header_last(list, count, name, name_size) : NULL;
}

int onced_headers_merge(struct onced_batch *batch, const struct onced_header *base, int32_t base_count, const struct onced_header *own,
                        int32_t own_count, struct onced_headers *merged, const char **error)
{
    struct onced_header *list = batch_alloc((struct batch *)batch, (size_t)(base_count + own_count) * sizeof *list);
    if (!list) {
        *error = NO_MEMORY;
        return -1;
    }
    *merged = (struct onced_headers){.list = list};
    for (int32_t i = 0; i < base_count; i++)
        if (!header_last(own, own_count, base[i].name, base[i].name_size))
            list[merged->count++] = base[i];
    for (int32_t i = 0; i < own_count; i++)
        list[merged->count++] = own[i];
    for (int32_t i = 0; i < merged->count; i++)
        merged->bytes += list[i].name_size + (list[i].data_size > 0 ? list[i].data_size : 0);
    return 0;
}

int batch_count(struct batch *batch, int32_t record, int32_t series, double amount)
{
    for (int32_t i = batch->count_count - 1; i >= 0 && batch->counts[i].record == record; i--)
        if (batch->counts[i].series == series) {
            batch->counts[i].amount += amount;
            return 0;
        }
    if (batch->count_count == batch->count_capacity) {
        struct batch_count *counts = array_grown(batch->counts, &batch->count_capacity, sizeof *counts);
        if (!counts)
            return -1;
        batch->counts = counts;
    }
    batch->counts[batch->count_count++] = (struct batch_count){record, series, amount};
    return 0;
}

void batch_uncount(struct batch *batch, int32_t first, int32_t behind)
{
    int32_t from = batch->count_count;
    while (from > 0 && batch->counts[from - 1].record >= first)
        from--;
    int32_t kept = from;
    for (int32_t i = from; i < batch->count_count; i++)
        if (batch->counts[i].record >= behind)
            batch->counts[kept++] = batch->counts[i];
    batch->count_count = kept;
}
