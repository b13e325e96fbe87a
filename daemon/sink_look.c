// SPDX-License-Identifier: MIT
// See sink_look.h. Each record is compared: a log that was cut short may have somebody else's at the same offset.
#include "sink_look.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kafka.h"
#include "kafka_sample.h"
#include "log.h"

enum state { STATE_OPEN, STATE_SEEN, STATE_UNSEEN, STATE_UNKNOWN };

struct sink_look {
    const struct config_pipeline *pipeline;
    const struct batch *batch;
    struct sink_firsts firsts;
    enum state states[SINK_LOOK_MOST];
    rd_kafka_t *rk;
};

// Reports come partition by partition, so most are like the one before.
void sink_firsts_note(struct sink_firsts *firsts, const rd_kafka_message_t *report)
{
    if (report->rkt == firsts->rkt && report->partition == firsts->partition)
        return;
    firsts->rkt = report->rkt;
    firsts->partition = report->partition;
    for (int i = 0; i < firsts->count; i++)
        if (firsts->list[i].rkt == report->rkt && firsts->list[i].partition == report->partition)
            return;
    if (firsts->count < SINK_LOOK_MOST && report->offset >= 0)
        firsts->list[firsts->count++] =
            (struct sink_first){report->rkt, report->partition, (int32_t)(intptr_t)report->_private, report->offset};
}

static const struct onced_output *output_of(const struct sink_look *look, int i)
{
    return &look->batch->lent.outputs[look->firsts.list[i].output];
}

static const char *topic_of(const struct sink_look *look, int i)
{
    return look->pipeline->topics[output_of(look, i)->topic_index].name;
}

struct sink_look *sink_look_new(const struct config_pipeline *pipeline, const struct batch *batch, const struct sink_firsts *firsts,
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
    *look = (struct sink_look){.pipeline = pipeline, .batch = batch, .firsts = *firsts, .rk = rk};
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(SINK_LOOK_MOST);
    for (int i = 0; i < firsts->count; i++)
        rd_kafka_topic_partition_list_add(list, topic_of(look, i), firsts->list[i].partition)->offset = firsts->list[i].offset;
    rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (err) {
        err_set(e, RETRY, err, "assign: %s", rd_kafka_err2str(err));
        sink_look_free(&look);
    }
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
    return message->offset == look->firsts.list[i].offset && is_same(message->key, message->key_len, o->key_data, o->key_size) &&
                   is_same(message->payload, message->len, o->value_data, o->value_size)
               ? STATE_SEEN
               : STATE_UNSEEN;
}

// What a partition's error says of its record.
static enum state error_judge(const struct sink_look *look, int i, const rd_kafka_message_t *message)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: // of a follower, it may be before
        return message->offset > look->firsts.list[i].offset ? STATE_UNSEEN : STATE_OPEN;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET: // there is no such offset any more
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return STATE_UNSEEN;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
        return STATE_OPEN;
    default:
        log_notice("whether readers see %s[%d] at offset %lld isn't known: %s", topic_of(look, i), message->partition,
                   (long long)look->firsts.list[i].offset, rd_kafka_err2str(message->err));
        return STATE_UNKNOWN;
    }
}

static void message_take(struct sink_look *look, const rd_kafka_message_t *message)
{
    for (int i = 0; i < look->firsts.count && message->rkt; i++)
        if (look->states[i] == STATE_OPEN && message->partition == look->firsts.list[i].partition &&
            strcmp(rd_kafka_topic_name(message->rkt), topic_of(look, i)) == 0)
            look->states[i] = message->err ? error_judge(look, i, message) : record_judge(look, i, message);
}

// How many are in this state; *first is one of them.
static int count_of(const struct sink_look *look, enum state state, int *first)
{
    int count = 0;
    for (int i = look->firsts.count - 1; i >= 0; i--)
        if (look->states[i] == state) {
            *first = i;
            count++;
        }
    return count;
}

enum verdict sink_look_poll(struct sink_look *look, int timeout_ms, enum sink_seen *seen, struct err *e)
{
    int open = 0, i;
    for (int64_t deadline = clock_ms() + timeout_ms, left; count_of(look, STATE_OPEN, &open);) {
        if ((left = deadline - clock_ms()) <= 0)
            return err_set(e, RETRY, RD_KAFKA_RESP_ERR__TIMED_OUT, "%s[%d] can't be read at offset %lld yet: no answer",
                           topic_of(look, open), look->firsts.list[open].partition, (long long)look->firsts.list[open].offset);
        rd_kafka_message_t *message = rd_kafka_consumer_poll(look->rk, (int)left);
        if (!message)
            continue;
        message_take(look, message);
        rd_kafka_message_destroy(message);
    }
    int there = count_of(look, STATE_SEEN, &i), missing = count_of(look, STATE_UNSEEN, &i);
    *seen = !there ? SEEN_NONE : missing ? SEEN_SOME : SEEN_ALL;
    return OK;
}
