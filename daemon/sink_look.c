// SPDX-License-Identifier: MIT
// See sink_look.h. Each record is compared: a log that was cut short may have somebody else's at the same offset.
#include "sink_look.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kafka.h"
#include "kafka_sample.h"
#include "log.h"

enum { FIRST, LAST, PASSES };
enum { BOUNDS_MS = 2000 };
// ENDED and OUT are what the leader's answer to a fetch came to; the partition's bounds tell what it means. GONE: deleted or spoilt, so
// that nobody can tell any more.
enum state { STATE_OPEN, STATE_ENDED, STATE_OUT, STATE_SEEN, STATE_UNSEEN, STATE_GONE, STATE_UNKNOWN, STATES };

struct sink_look {
    const struct config_pipeline *pipeline;
    const struct batch *batch;
    struct sink_ends ends;
    enum state states[SINK_LOOK_MOST]; // of the present pass
    int pass;
    int tally[STATES]; // of the passes before
    rd_kafka_t *rk;
};

static int end_find(const struct sink_ends *ends, const rd_kafka_message_t *report)
{
    for (int i = 0; i < ends->count; i++)
        if (ends->list[i].rkt == report->rkt && ends->list[i].partition == report->partition)
            return i;
    return -1;
}

// Reports come partition by partition, so most are like the one before. A broker that had the request before doesn't say where, and
// librdkafka 2.0.2 counts on from -1 then: as little known as one of a request that was refused, and acknowledged by a later one.
void sink_ends_note(struct sink_ends *ends, const rd_kafka_message_t *report)
{
    int32_t output = (int32_t)(intptr_t)report->_private;
    if (report->rkt != ends->rkt || report->partition != ends->partition) {
        ends->rkt = report->rkt;
        ends->partition = report->partition;
        ends->latest = end_find(ends, report);
        ends->counted = -1;
    }
    int is_known = report->offset >= 0 && report->offset != ends->counted;
    ends->counted = is_known || report->offset < -1 ? -1 : report->offset + 1;
    if (ends->latest < 0 && is_known && ends->count < SINK_LOOK_MOST) {
        ends->latest = ends->count++;
        ends->list[ends->latest] = (struct sink_end){report->rkt, report->partition, {output, output}, {report->offset, report->offset}};
    }
    ends->more |= ends->latest < 0 || !is_known;
    struct sink_end *end = ends->latest < 0 || !is_known ? NULL : &ends->list[ends->latest];
    if (end && report->offset > end->offsets[LAST]) {
        end->offsets[LAST] = report->offset;
        end->outputs[LAST] = output;
    }
}

static const struct onced_output *output_of(const struct sink_look *look, int i)
{
    return &look->batch->lent.outputs[look->ends.list[i].outputs[look->pass]];
}

static const char *topic_of(const struct sink_look *look, int i)
{
    return look->pipeline->topics[output_of(look, i)->topic_index].name;
}

static int64_t offset_of(const struct sink_look *look, int i)
{
    return look->ends.list[i].offsets[look->pass];
}

static enum verdict pass_begin(struct sink_look *look, struct err *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(SINK_LOOK_MOST);
    memset(look->states, 0, sizeof look->states);
    for (int i = 0; i < look->ends.count; i++)
        rd_kafka_topic_partition_list_add(list, topic_of(look, i), look->ends.list[i].partition)->offset = offset_of(look, i);
    rd_kafka_resume_partitions(look->rk, list); // an assignment doesn't; behind it the one of the two would outdate the other
    rd_kafka_resp_err_t err = rd_kafka_assign(look->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err ? err_set(e, RETRY, err, "assign: %s", rd_kafka_err2str(err)) : OK;
}

struct sink_look *sink_look_new(const struct config_pipeline *pipeline, const struct batch *batch, const struct sink_ends *ends,
                                struct err *e)
{
    rd_kafka_t *rk = kafka_sample_reader(pipeline, e);
    if (!rk) {
        if (e->verdict != HALT)
            e->verdict = RETRY; // no threads, say: nothing is spent but this handle
        return NULL;
    }
    struct sink_look *look = calloc(1, sizeof *look);
    must(look);
    *look = (struct sink_look){.pipeline = pipeline, .batch = batch, .ends = *ends, .rk = rk};
    if (pass_begin(look, e))
        sink_look_free(&look);
    return look;
}

void sink_look_free(struct sink_look **look)
{
    if (!*look)
        return;
    rd_kafka_consumer_close((*look)->rk);
    rd_kafka_destroy((*look)->rk);
    free(*look);
    *look = NULL;
}

static int is_same(const void *a, size_t a_size, const void *b, int32_t b_size)
{
    return a_size == (size_t)(b_size > 0 ? b_size : 0) && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static enum state record_judge(const struct sink_look *look, int i, const rd_kafka_message_t *message)
{
    const struct onced_output *o = output_of(look, i);
    return message->offset == offset_of(look, i) && is_same(message->key, message->key_len, o->key_data, o->key_size) &&
                   is_same(message->payload, message->len, o->value_data, o->value_size)
               ? STATE_SEEN
               : STATE_UNSEEN;
}

// What a partition's error says of its record.
static enum state error_judge(const struct sink_look *look, int i, const rd_kafka_message_t *message)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: // where the next record would be
        return message->offset > offset_of(look, i) ? STATE_UNSEEN : STATE_ENDED;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return STATE_OUT;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
        return STATE_GONE;
    default:
        return STATE_OPEN; // brokers come back; and what can't be read for ever may be there
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        log_notice("whether readers see %s[%d] at offset %lld isn't known: %s", topic_of(look, i), message->partition,
                   (long long)offset_of(look, i), rd_kafka_err2str(message->err));
        return STATE_UNKNOWN;
    }
}

// What is judged is fetched no more.
static void partition_pause(const struct sink_look *look, int i)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic_of(look, i), look->ends.list[i].partition);
    rd_kafka_pause_partitions(look->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void message_take(struct sink_look *look, const rd_kafka_message_t *message)
{
    for (int i = 0; i < look->ends.count && message->rkt; i++) {
        if (look->states[i] != STATE_OPEN || message->partition != look->ends.list[i].partition ||
            strcmp(rd_kafka_topic_name(message->rkt), topic_of(look, i)) != 0)
            continue;
        look->states[i] = message->err ? error_judge(look, i, message) : record_judge(look, i, message);
        if (look->states[i] != STATE_OPEN)
            partition_pause(look, i);
    }
}

// Asks for a bound of the partitions in state `asked`. Those whose record is before it become `before`, the others `behind`. OK or RETRY.
static enum verdict bounds_ask(struct sink_look *look, enum state asked, int64_t bound, enum state before, enum state behind, struct err *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(SINK_LOOK_MOST);
    for (int i = 0; i < look->ends.count; i++)
        if (look->states[i] == asked)
            rd_kafka_topic_partition_list_add(list, topic_of(look, i), look->ends.list[i].partition)->offset = bound; // in place of a time
    rd_kafka_resp_err_t err = list->cnt ? rd_kafka_offsets_for_times(look->rk, list, BOUNDS_MS) : RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int n = 0; n < list->cnt && !err; n++)
        if (!(err = list->elems[n].err) && list->elems[n].offset < 0)
            err = RD_KAFKA_RESP_ERR__PARTIAL; // it wasn't answered
    for (int i = 0, n = 0; i < look->ends.count && !err; i++)
        if (look->states[i] == asked)
            look->states[i] = list->elems[n++].offset > offset_of(look, i) ? before : behind;
    rd_kafka_topic_partition_list_destroy(list);
    return err ? err_set(e, RETRY, err, "the bounds of the output topics can't be read: %s", rd_kafka_err2str(err)) : OK;
}

// The first one that isn't judged yet, -1: none.
static int open_find(const struct sink_look *look)
{
    for (int i = 0; i < look->ends.count; i++)
        if (look->states[i] == STATE_OPEN)
            return i;
    return -1;
}

static enum verdict pass_poll(struct sink_look *look, int64_t deadline, struct err *e)
{
    int64_t left;
    for (int open; (open = open_find(look)) >= 0;) {
        if ((left = deadline - clock_ms()) <= 0)
            return err_set(e, RETRY, RD_KAFKA_RESP_ERR__TIMED_OUT, "%s[%d] can't be read at offset %lld yet: no answer",
                           topic_of(look, open), look->ends.list[open].partition, (long long)offset_of(look, open));
        rd_kafka_message_t *message = rd_kafka_consumer_poll(look->rk, (int)left);
        if (!message)
            continue;
        message_take(look, message);
        rd_kafka_message_destroy(message);
    }
    return OK;
}

// Settles what the fetches left. RETRY: ask again, or the pass begins again.
static enum verdict pass_settle(struct sink_look *look, struct err *e)
{
    // Readers were past all that was written (sink_markers.h), but a leader that is new may not know yet how far they may go. What that
    // opens is paused until the pass begins again.
    if (bounds_ask(look, STATE_OUT, RD_KAFKA_OFFSET_BEGINNING, STATE_GONE, STATE_ENDED, e) ||
        bounds_ask(look, STATE_ENDED, RD_KAFKA_OFFSET_END, STATE_OPEN, STATE_UNSEEN, e))
        return RETRY;
    int open = open_find(look);
    if (open < 0)
        return OK;
    err_set(e, RETRY, 0, "%s[%d] is read again: its leader didn't give all", topic_of(look, open), look->ends.list[open].partition);
    struct err ignored;
    return pass_begin(look, &ignored), RETRY;
}

enum verdict sink_look_poll(struct sink_look *look, int timeout_ms, enum sink_seen *seen, struct err *e)
{
    const int *tally = look->tally;
    int64_t deadline = clock_ms() + timeout_ms;
    while (look->pass < PASSES) {
        if (pass_poll(look, deadline, e) || pass_settle(look, e))
            return RETRY;
        for (int i = 0; i < look->ends.count; i++)
            look->tally[look->states[i]]++;
        look->pass = tally[STATE_SEEN] ? look->pass + 1 : PASSES; // where no begin is, no end is
        if (look->pass < PASSES && pass_begin(look, e))
            return RETRY;
    }
    int is_part = tally[STATE_UNSEEN] || tally[STATE_UNKNOWN] || look->ends.more;
    *seen = tally[STATE_GONE] ? SEEN_SOME : !tally[STATE_SEEN] ? SEEN_NONE : is_part ? SEEN_SOME : SEEN_ALL;
    return OK;
}
