// SPDX-License-Identifier: MIT
// See failure.h. Invariant: a record leaves here either as HALT, or counted in the batch's tallies, and with dlq also as an output.
// Called by transform.
#include "failure.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"

enum {
    WARN_SECONDS = 5,
    MESSAGE_MOST = 1000, // of a dead letter's header: a script may raise megabytes
    ERROR_HEADERS = 9,
};

static int size_of(int32_t size) // null has no bytes
{
    return size > 0 ? size : 0;
}

// "place: message (topic orders, partition 3, offset 4711)": the message gives way, the record's name doesn't.
static void failure_format(char *text, size_t room, const struct batch *batch, int32_t source, const struct failure *failure)
{
    const struct onced_record *r = &batch->lent.records[source];
    const char *topic = batch->lent.input_topics[r->topic_index];
    char record[160];
    int used = snprintf(record, sizeof record, "(topic %.80s, partition %" PRId32 ", offset %" PRId64 ")", topic, r->partition, r->at);
    int left = (int)room - 1 - used - (int)strnlen(failure->place, 60) - 3;
    int size = failure->message_size < (size_t)left ? (int)failure->message_size : left;
    snprintf(text, room, "%.60s: %.*s %s", failure->place, size, failure->message, record);
}

static void stack_log(enum log_level level, const char *what, const char *text, const struct failure *failure)
{
    int is_deep = failure->stack && *failure->stack;
    log_line(level, "%s: %s%s%s", what, text, is_deep ? "; called from " : "", is_deep ? failure->stack : "");
}

enum verdict failure_halt(const struct batch *batch, int32_t source, const struct failure *failure, struct err *e)
{
    char text[sizeof e->text];
    failure_format(text, sizeof text, batch, source, failure);
    if (failure->stack && *failure->stack) // the halt's own line has no room for it
        stack_log(LOG_LEVEL_ERROR, "halting", text, failure);
    return err_set(e, HALT, 0, "%s", text);
}

static void failure_warn(const char *what, const struct batch *batch, int32_t source, const struct failure *failure)
{
    static _Thread_local long long last; // front and back warn on their own
    char text[512];
    if (!log_due(&last, WARN_SECONDS))
        return;
    failure_format(text, sizeof text, batch, source, failure);
    stack_log(LOG_LEVEL_WARNING, what, text, failure);
}

static int header_set(struct batch *batch, struct onced_header *header, const char *name, const char *data, size_t size)
{
    char *copy = batch_alloc(batch, size);
    if (!copy)
        return -1;
    memcpy(copy, data, size);
    *header = (struct onced_header){.name = name, .name_size = (int32_t)strlen(name), .data = copy, .data_size = (int32_t)size};
    return 0;
}

static int header_number(struct batch *batch, struct onced_header *header, const char *name, int64_t number)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRId64, number);
    return header_set(batch, header, name, text, (size_t)size);
}

// The source's headers, with ours after them. 0, or -1: out of memory.
static int letter_headers(const struct config_pipeline *pipeline, struct batch *batch, int32_t source, const struct failure *failure,
                          struct onced_headers *headers)
{
    const struct onced_record *r = &batch->lent.records[source];
    const char *topic = batch->lent.input_topics[r->topic_index], *stack = failure->stack ? failure->stack : "", *error;
    size_t size = failure->message_size < MESSAGE_MOST ? failure->message_size : MESSAGE_MOST;
    struct onced_header own[ERROR_HEADERS], *base;
    int failed = header_set(batch, &own[0], "__onced.error.topic", topic, strlen(topic)) ||
                 header_number(batch, &own[1], "__onced.error.partition", r->partition) ||
                 header_number(batch, &own[2], "__onced.error.offset", r->at) ||
                 header_number(batch, &own[3], "__onced.error.timestamp", r->time) ||
                 header_set(batch, &own[4], "__onced.error.pipeline", pipeline->name, strlen(pipeline->name)) ||
                 header_set(batch, &own[5], "__onced.error.script", failure->place, strlen(failure->place)) ||
                 header_set(batch, &own[6], "__onced.error.kind", failure->kind, strlen(failure->kind)) ||
                 header_set(batch, &own[7], "__onced.error.message", failure->message, size) ||
                 header_set(batch, &own[8], "__onced.error.stack", stack, strlen(stack));
    int count = failed ? -1 : onced_record_headers(&batch->lent, source, &base, &error);
    return count < 0 ? -1 : onced_headers_merge(&batch->lent, base, count, own, *stack ? 9 : 8, headers, &error);
}

static int64_t output_bytes(const struct onced_output *o)
{
    int64_t bytes = size_of(o->key_size) + size_of(o->value_size);
    for (int32_t i = 0; i < o->header_count; i++)
        bytes += o->headers[i].name_size + size_of(o->headers[i].data_size);
    return bytes;
}

static enum verdict letter_too_large(const struct batch *batch, int32_t source, const char *topic, int32_t most, int64_t bytes,
                                     const struct failure *cause, struct err *e)
{
    char text[256];
    int size = snprintf(text, sizeof text, "its dead letter of %" PRId64 " bytes doesn't fit topic %.80s (max.message.bytes %" PRId32 ")",
                        bytes, topic, most);
    struct failure failure = *cause;
    failure.message = text;
    failure.message_size = (size_t)size < sizeof text ? (size_t)size : sizeof text - 1;
    return failure_halt(batch, source, &failure, e);
}

static enum verdict letter_append(const struct config_pipeline *pipeline, struct batch *batch, int32_t source,
                                  const struct failure *failure, struct err *e)
{
    const struct onced_record *r = &batch->lent.records[source];
    const struct onced_topic *topic = &batch->lent.output_topics[pipeline->dlq_topic];
    struct onced_headers headers;
    must(pipeline->dlq_topic >= 0 && pipeline->dlq_topic < batch->lent.output_topic_count);
    int failed = letter_headers(pipeline, batch, source, failure, &headers);
    struct onced_output *letter = failed ? NULL : batch_output(batch);
    if (!letter)
        return err_set(e, HALT, 0, "out of memory for a dead letter");
    *letter = (struct onced_output){
        .key_data = r->key_data,
        .value_data = r->value_data,
        .headers = headers.list,
        .time = clock_wall_ms(), // the record's own would let retention take it at once
        .key_size = r->key_size,
        .value_size = r->value_size,
        .header_count = headers.count,
        .partition = -1,
        .topic_index = pipeline->dlq_topic,
        .source = source,
    };
    int64_t bytes = output_bytes(letter);
    int32_t most = __atomic_load_n(&topic->max_message_bytes, __ATOMIC_RELAXED); // back may learn of another one
    if (most > 0 && bytes + RECORD_OVERHEAD > most) {
        batch->lent.output_count--;
        return letter_too_large(batch, source, topic->name, most, bytes, failure, e);
    }
    batch->lent.bytes += bytes;
    return OK;
}

enum verdict failure_answer(const struct config_pipeline *pipeline, struct batch *batch, int32_t source, const struct failure *failure,
                            struct err *e)
{
    int rejected = strcmp(failure->kind, "reject") == 0;
    switch (rejected ? pipeline->on_reject : pipeline->on_error) {
    case POLICY_STOP:
        return failure_halt(batch, source, failure, e);
    case POLICY_SKIP:
        failure_warn("skipped", batch, source, failure);
        batch->skipped++;
        break;
    case POLICY_DLQ:
        if (letter_append(pipeline, batch, source, failure, e))
            return e->verdict;
        failure_warn("dead letter", batch, source, failure);
        batch->dead_lettered++;
        break;
    }
    batch->rejected += (uint64_t)rejected;
    return OK;
}

int32_t failure_take_back(struct batch *batch, int32_t source)
{
    struct onced_batch *lent = &batch->lent;
    int32_t kept = 0, before = lent->output_count;
    for (int32_t i = 0; i < before; i++)
        if (lent->outputs[i].source == source)
            lent->bytes -= output_bytes(&lent->outputs[i]);
        else
            lent->outputs[kept++] = lent->outputs[i];
    lent->output_count = kept;
    batch_uncount(batch, source, source + 1);
    return before - kept;
}
