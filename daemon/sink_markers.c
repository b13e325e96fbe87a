// SPDX-License-Identifier: MIT
// See sink_markers.h. Two questions for every output partition: where does its log end (a handle that reads uncommitted), and how far do
// readers see (ListOffsets under read_committed answers with the last stable offset, KIP-98)? The end is taken once, readers are waited
// for; it moves only if the log gets shorter (made anew, truncated).
#include "sink_markers.h"

#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "kafka.h"

enum {
    ASK_MS = 5000,
    WAIT_MS = 2000, // in one call
    LOOK_MS = 20,
};

struct sink_markers {
    const struct config_pipeline *pipeline;
    rd_kafka_topic_partition_list_t *ends; // of the logs when the doubt was first looked into, or since if lower; NULL: not known yet
    int doubt;
};

struct sink_markers *sink_markers_new(const struct config_pipeline *pipeline)
{
    struct sink_markers *markers = calloc(1, sizeof *markers);
    must(markers);
    markers->pipeline = pipeline;
    return markers;
}

static void ends_forget(struct sink_markers *markers)
{
    if (markers->ends)
        rd_kafka_topic_partition_list_destroy(markers->ends);
    markers->ends = NULL;
}

void sink_markers_free(struct sink_markers **markers)
{
    ends_forget(*markers);
    free(*markers);
    *markers = NULL;
}

void sink_markers_doubt(struct sink_markers *markers)
{
    markers->doubt = 1;
    ends_forget(markers);
}

// The latest offsets of all partitions as `rk` is allowed to see them, one request a broker. OK or RETRY.
static enum verdict offsets_latest(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, struct err *e)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_END; // in place of a time
    rd_kafka_resp_err_t err = list->cnt ? rd_kafka_offsets_for_times(rk, list, ASK_MS) : RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < list->cnt && !err; i++)
        if (!(err = list->elems[i].err) && list->elems[i].offset < 0)
            err = RD_KAFKA_RESP_ERR__PARTIAL; // it wasn't answered
    return err ? err_set(e, RETRY, err, "the ends of the output topics can't be read: %s", rd_kafka_err2str(err)) : OK;
}

static rd_kafka_t *uncommitted_reader(const struct sink_markers *markers, struct err *e)
{
    rd_kafka_conf_t *conf = kafka_conf_new(markers->pipeline, &markers->pipeline->consumer, e);
    if (!conf)
        return NULL;
    if (kafka_conf_set(conf, "isolation.level", "read_uncommitted", e) == OK)
        return kafka_asker_new(RD_KAFKA_CONSUMER, conf, e);
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static enum verdict ends_read(struct sink_markers *markers, const struct onced_topic *topics, struct err *e)
{
    rd_kafka_t *rk = uncommitted_reader(markers, e);
    if (!rk)
        return e->verdict == RESTART ? RESTART : HALT;
    rd_kafka_topic_partition_list_t *now = rd_kafka_topic_partition_list_new(16);
    for (int i = 0; i < markers->pipeline->topic_count; i++)
        rd_kafka_topic_partition_list_add_range(now, topics[i].name, 0, topics[i].partition_count - 1);
    enum verdict verdict = offsets_latest(rk, now, e);
    rd_kafka_destroy(rk);
    for (int i = 0; i < now->cnt && markers->ends; i++) {
        rd_kafka_topic_partition_t *before =
            rd_kafka_topic_partition_list_find(markers->ends, now->elems[i].topic, now->elems[i].partition);
        if (before && before->offset < now->elems[i].offset)
            now->elems[i].offset = before->offset;
    }
    if (verdict == OK) {
        ends_forget(markers);
        markers->ends = now;
    } else {
        rd_kafka_topic_partition_list_destroy(now);
    }
    return verdict;
}

static enum verdict readers_see(const struct sink_markers *markers, rd_kafka_t *rk, struct err *e)
{
    rd_kafka_topic_partition_list_t *stable = rd_kafka_topic_partition_list_copy(markers->ends);
    enum verdict verdict = offsets_latest(rk, stable, e);
    for (int i = 0; i < stable->cnt && !verdict; i++)
        if (stable->elems[i].offset < markers->ends->elems[i].offset)
            verdict =
                err_set(e, RETRY, 0,
                        "%s[%d] has an open transaction at offset %lld; waiting for its end before the next one begins (README, Limits)",
                        stable->elems[i].topic, stable->elems[i].partition, (long long)stable->elems[i].offset);
    rd_kafka_topic_partition_list_destroy(stable);
    return verdict;
}

enum verdict sink_markers_check(struct sink_markers *markers, rd_kafka_t *rk, const struct onced_topic *topics, struct err *e)
{
    if (!markers->doubt)
        return OK;
    if (ends_read(markers, topics, e))
        return e->verdict;
    enum verdict verdict;
    for (int64_t deadline = clock_ms() + WAIT_MS; (verdict = readers_see(markers, rk, e)) && clock_ms() < deadline;)
        usleep(LOOK_MS * 1000);
    if (verdict == OK) {
        ends_forget(markers);
        markers->doubt = 0;
    }
    return verdict;
}
