// SPDX-License-Identifier: MIT
// See sink_topics.h. Asks through a plain producer handle that lives only for the questions: the transactional handle's own settings
// (message.max.bytes, batch.size) depend on the answers.
#include "sink_topics.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kafka.h"
#include "log.h"
#include "sink_audit.h"

enum {
    ADMIN_MS = 5000,
    LIMIT_DEFAULT = 1048588, // max.message.bytes of a broker that doesn't tell
    REQUEST_MOST = 1000000,  // batch.size: larger requests gain nothing
    FRAMING = 512,           // of a request around its records
    COUNT_MS = 1000,         // an answer's age; also what one may take
};

// An answer to sink_topics_count.
struct sink_count {
    int64_t asked_ms; // 0: never
    int32_t count;
};

struct sink_topics {
    const struct config_pipeline *pipeline;
    struct onced_topic *lent;
    int described, audited;
    struct sink_count *counts; // front's
};

struct sink_topics *sink_topics_new(const struct config_pipeline *pipeline, int audit)
{
    struct sink_topics *topics = calloc(1, sizeof *topics);
    must(topics);
    topics->pipeline = pipeline;
    topics->audited = !audit;
    topics->lent = calloc((size_t)pipeline->topic_count + 1, sizeof *topics->lent);
    topics->counts = calloc((size_t)pipeline->topic_count + 1, sizeof *topics->counts);
    must(topics->lent && topics->counts);
    for (int i = 0; i < pipeline->topic_count; i++) {
        topics->lent[i].name = pipeline->topics[i].name;
        topics->lent[i].max_message_bytes = LIMIT_DEFAULT;
    }
    return topics;
}

void sink_topics_free(struct sink_topics **topics)
{
    free((*topics)->lent);
    free((*topics)->counts);
    free(*topics);
    *topics = NULL;
}

const struct onced_topic *sink_topics_lent(const struct sink_topics *topics)
{
    return topics->lent;
}

int64_t sink_topics_most(const struct sink_topics *topics)
{
    int64_t most = REQUEST_MOST;
    for (int i = 0; i < topics->pipeline->topic_count; i++)
        if (topics->lent[i].max_message_bytes > most)
            most = topics->lent[i].max_message_bytes;
    return most < 1000000000 ? most : 1000000000; // librdkafka's own bound
}

int64_t sink_topics_batch(const struct sink_topics *topics)
{
    int64_t least = REQUEST_MOST;
    for (int i = 0; i < topics->pipeline->topic_count; i++)
        if (topics->lent[i].max_message_bytes - FRAMING < least)
            least = topics->lent[i].max_message_bytes - FRAMING;
    return least > 1 ? least : 1;
}

int sink_topics_permanent(int code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
           code == RD_KAFKA_RESP_ERR_INVALID_RECORD || code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ||
           code == RD_KAFKA_RESP_ERR_POLICY_VIOLATION || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__INVALID_ARG;
}

static void topic_described(struct onced_topic *topic, const rd_kafka_ConfigResource_t *resource, int audited)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]), *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (!value)
            continue;
        if (!strcmp(name, "max.message.bytes"))
            __atomic_store_n(&topic->max_message_bytes, atoi(value), __ATOMIC_RELAXED); // front reads it meanwhile, in both halves
        if (!audited)
            sink_audit_topic(&audit_log, topic->name, name, value);
    }
}

static enum verdict create_missing(const struct sink_topics *topics, rd_kafka_t *rk, int index, struct err *e)
{
    const struct config_topic *topic = &topics->pipeline->topics[index];
    char reason[200];
    if (topic->create_partitions <= 0)
        return err_set(e, RETRY, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
                       "output topic %s doesn't exist; create it, or declare `create: {partitions: N}`", topic->name);
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic->name, topic->create_partitions, -1, reason, sizeof reason);
    if (!wanted)
        return err_set(e, HALT, 78, "output topic %s: %s", topic->name, reason);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_MS);
    size_t count = 0;
    const rd_kafka_topic_result_t **results = event && !rd_kafka_event_error(event)
                                                  ? rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
                                                  : NULL;
    rd_kafka_resp_err_t err = count ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!err || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        log_notice("created output topic %s with %d partition%s", topic->name, topic->create_partitions, plural(topic->create_partitions));
    err_set(e, RETRY, err, "output topic %s is being created: %s", topic->name, rd_kafka_err2str(err));
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(wanted);
    return RETRY; // described at the next call
}

// The first of that name: several outputs may have one topic.
static int topic_index(const struct sink_topics *topics, const rd_kafka_ConfigResource_t *resource)
{
    int t = 0;
    while (strcmp(topics->lent[t].name, rd_kafka_ConfigResource_name(resource)))
        t++;
    return t;
}

// Missing topics come first: what the audit has to say of the others is then said once, when all are there.
static enum verdict result_read(struct sink_topics *topics, rd_kafka_t *rk, const rd_kafka_event_t *event, struct err *e)
{
    size_t count = 0;
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)event);
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_ConfigResource_error(resources[i]) == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            return create_missing(topics, rk, topic_index(topics, resources[i]), e);
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigResource_name(resources[i]);
        rd_kafka_resp_err_t err = rd_kafka_ConfigResource_error(resources[i]);
        for (int t = topic_index(topics, resources[i]); t < topics->pipeline->topic_count; t++) {
            if (strcmp(topics->lent[t].name, name))
                continue;
            if (err)
                log_warning("can't read the configuration of output topic %s (%s): taking max.message.bytes=%d", name,
                            rd_kafka_err2str(err), topics->lent[t].max_message_bytes);
            else
                topic_described(&topics->lent[t], resources[i], topics->audited);
        }
    }
    return OK;
}

static enum verdict no_answer(rd_kafka_resp_err_t err, struct err *e)
{
    char why[200];
    return err_set(e, RETRY, err, "the brokers don't answer: %s", kafka_trouble(why, sizeof why, rd_kafka_err2str(err)));
}

static enum verdict describe(struct sink_topics *topics, rd_kafka_t *rk, struct err *e)
{
    int count = 0;
    rd_kafka_ConfigResource_t **resources = calloc((size_t)topics->pipeline->topic_count + 1, sizeof(*resources));
    must(resources);
    for (int i = 0; i < topics->pipeline->topic_count; i++) {
        int seen = 0; // two outputs may name one topic; a request may not name it twice
        for (int j = 0; j < i; j++)
            seen |= !strcmp(topics->lent[i].name, topics->lent[j].name);
        if (!seen)
            resources[count++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics->lent[i].name);
    }
    rd_kafka_event_t *event = sink_audit_describe(rk, resources, (size_t)count);
    rd_kafka_resp_err_t err = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    enum verdict verdict = OK;
    if (err == RD_KAFKA_RESP_ERR__TIMED_OUT || err == RD_KAFKA_RESP_ERR__TRANSPORT)
        verdict = no_answer(err, e);
    else if (err) // not authorised, or a broker without the request: go on with the default limits
        log_warning("can't read the output topics' configuration (%s): taking max.message.bytes=%d", rd_kafka_err2str(err), LIMIT_DEFAULT);
    else
        verdict = result_read(topics, rk, event, e);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy_array(resources, (size_t)count);
    free(resources);
    return verdict;
}

enum verdict sink_topics_describe(struct sink_topics *topics, struct err *e)
{
    if (topics->described || topics->pipeline->topic_count == 0)
        return OK;
    rd_kafka_t *rk = sink_audit_asker(topics->pipeline, e);
    if (!rk)
        return e->verdict;
    enum verdict verdict = describe(topics, rk, e);
    if (!verdict && !topics->audited)
        sink_audit_cluster(&audit_log, rk, topics->pipeline);
    rd_kafka_destroy(rk);
    topics->described = verdict == OK;
    topics->audited |= topics->described;
    return verdict;
}

void sink_topics_forget(struct sink_topics *topics)
{
    topics->described = 0;
}

static enum verdict metadata_read(struct sink_topics *topics, int i, const struct rd_kafka_metadata_topic *answer, struct err *e)
{
    struct onced_topic *topic = &topics->lent[i];
    if (answer->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        topics->described = 0; // it may come back with other settings
        return err_set(e, RETRY, answer->err, "output topic %s doesn't exist (any more)", topic->name);
    }
    if (answer->err || answer->partition_cnt == 0)
        return err_set(e, RETRY, answer->err, "output topic %s: %s", topic->name,
                       answer->err ? rd_kafka_err2str(answer->err) : "no partitions yet");
    if (topic->partition_count && topic->partition_count != answer->partition_cnt)
        log_notice("output topic %s: %d partition%s instead of %d from here on; keys map anew", topic->name, answer->partition_cnt,
                   plural(answer->partition_cnt), topic->partition_count);
    __atomic_store_n(&topic->partition_count, answer->partition_cnt, __ATOMIC_RELAXED);
    return OK;
}

enum verdict sink_topics_metadata(struct sink_topics *topics, rd_kafka_t *rk, rd_kafka_topic_t **handles, struct err *e)
{
    for (int i = 0; i < topics->pipeline->topic_count; i++) {
        const struct rd_kafka_metadata *metadata;
        rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, handles[i], &metadata, ADMIN_MS);
        if (err)
            return no_answer(err, e);
        enum verdict verdict = metadata->topic_cnt == 1 ? metadata_read(topics, i, &metadata->topics[0], e)
                                                        : err_set(e, RETRY, 0, "no metadata of output topic %s", topics->lent[i].name);
        rd_kafka_metadata_destroy(metadata);
        if (verdict)
            return verdict;
    }
    return OK;
}

static int32_t count_ask(const struct config_pipeline *pipeline, const char *name)
{
    const struct rd_kafka_metadata *metadata;
    struct err ignored;
    int32_t count = 0;
    rd_kafka_t *rk = sink_audit_asker(pipeline, &ignored);
    if (!rk)
        return 0;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    if (topic && !rd_kafka_metadata(rk, 0, topic, &metadata, COUNT_MS)) {
        count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
    return count;
}

int32_t sink_topics_count(struct sink_topics *topics, int32_t index)
{
    struct sink_count *known = &topics->counts[index];
    if (!known->asked_ms || clock_ms() - known->asked_ms > COUNT_MS) {
        known->count = count_ask(topics->pipeline, topics->lent[index].name);
        known->asked_ms = clock_ms();
    }
    return known->count;
}
