// SPDX-License-Identifier: MIT
// See source_audit.h.
#include "source_audit.h"

#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "kafka.h"
#include "kafka_sample.h"
#include "log.h"
#include "source_scout_group.h"

enum { ASK_MS = 5000, LOOK_MS = 50 };

static int is_matched(const char *input, const struct config_pipeline *pipeline, const struct rd_kafka_metadata *metadata)
{
    struct config_pipeline alone = *pipeline; // with this input only
    alone.input.topics = &input;
    alone.input.topic_count = 1;
    for (int t = 0; t < metadata->topic_cnt; t++)
        if (source_scout_group_subscribes(&alone, metadata->topics[t].topic))
            return 1;
    return 0;
}

// The partitions that the pipeline would read.
static rd_kafka_topic_partition_list_t *inputs_audit(struct audit *audit, const struct config_pipeline *pipeline,
                                                     const struct rd_kafka_metadata *metadata)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (int i = 0; i < pipeline->input.topic_count; i++)
        if (!is_matched(pipeline->input.topics[i], pipeline, metadata))
            audit_found(audit, *pipeline->input.topics[i] == '^' ? AUDIT_PATTERN_MATCHES_NONE : AUDIT_INPUT_MISSING,
                        pipeline->input.topics[i]);
    for (int t = 0; t < metadata->topic_cnt; t++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[t];
        if (!source_scout_group_subscribes(pipeline, topic->topic))
            continue;
        if (topic->err || !topic->partition_cnt)
            audit_found(audit, AUDIT_TOPIC_REFUSED, "input", topic->topic, topic->err ? rd_kafka_err2str(topic->err) : "no partitions");
        else
            audit_found(audit, AUDIT_TOPIC, "input", topic->topic, topic->partition_cnt, plural(topic->partition_cnt),
                        topic->partitions[0].replica_cnt, plural(topic->partitions[0].replica_cnt));
        for (int p = 0; p < topic->partition_cnt; p++)
            rd_kafka_topic_partition_list_add(list, topic->topic, topic->partitions[p].id);
    }
    return list;
}

// A group that nobody has asked for has its coordinator in a moment.
static rd_kafka_resp_err_t committed_read(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t err;
    for (int64_t deadline = clock_ms() + ASK_MS; (err = rd_kafka_committed(rk, list, ASK_MS)) && clock_ms() < deadline;) {
        if (err != RD_KAFKA_RESP_ERR_NOT_COORDINATOR && err != RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE &&
            err != RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS)
            break;
        usleep(LOOK_MS * 1000);
    }
    return err;
}

static void group_audit(struct audit *audit, rd_kafka_t *rk, const struct config_pipeline *pipeline, rd_kafka_topic_partition_list_t *list)
{
    int known = 0;
    rd_kafka_resp_err_t err = committed_read(rk, list);
    for (int i = 0; i < list->cnt; i++) {
        known += list->elems[i].offset >= 0;
        err = err ? err : list->elems[i].err;
    }
    if (err)
        audit_found(audit, AUDIT_GROUP_REFUSED, pipeline->group, rd_kafka_err2str(err));
    else
        audit_found(audit, AUDIT_GROUP, pipeline->group, known, list->cnt, plural(list->cnt), list->cnt == 1 ? "has" : "have");
}

enum verdict source_audit_run(struct audit *audit, const struct config_pipeline *pipeline, struct err *e)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_t *rk = kafka_sample_reader(pipeline, e);
    if (!rk)
        return e->verdict;
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &metadata, ASK_MS);
    if (err) {
        rd_kafka_destroy(rk);
        return err_set(e, RETRY, err, "the brokers don't answer");
    }
    rd_kafka_topic_partition_list_t *list = inputs_audit(audit, pipeline, metadata);
    if (list->cnt)
        group_audit(audit, rk, pipeline, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return OK;
}
