// SPDX-License-Identifier: MIT
// See sink_audit.h.
#include "sink_audit.h"

#include <stdlib.h>
#include <string.h>

#include "kafka.h"
#include "log.h"

enum { ASK_MS = 5000 };

void sink_audit_topic(struct audit *audit, const char *topic, const char *name, const char *value)
{
    if (!strcmp(name, "min.insync.replicas") && atoi(value) < 2)
        audit_found(audit, AUDIT_MIN_ISR, topic, value);
    if (!strcmp(name, "unclean.leader.election.enable") && !strcmp(value, "true"))
        audit_found(audit, AUDIT_UNCLEAN, topic);
    if (!strcmp(name, "cleanup.policy") && strstr(value, "compact"))
        audit_found(audit, AUDIT_COMPACTED, topic);
}

// NULL: the brokers don't tell of it.
static const struct rd_kafka_metadata_topic *topic_find(const struct rd_kafka_metadata *metadata, const char *name)
{
    for (int t = 0; t < metadata->topic_cnt; t++)
        if (!strcmp(metadata->topics[t].topic, name))
            return &metadata->topics[t];
    return NULL;
}

static void replication_audit(struct audit *audit, const struct rd_kafka_metadata *metadata, const struct config_pipeline *pipeline)
{
    for (int i = 0; i < pipeline->topic_count; i++) {
        const struct rd_kafka_metadata_topic *topic = topic_find(metadata, pipeline->topics[i].name);
        if (topic && topic->partition_cnt && topic->partitions[0].replica_cnt < 2)
            audit_found(audit, AUDIT_ONE_REPLICA, topic->topic);
    }
}

static void broker_entries_audit(struct audit *audit, const rd_kafka_ConfigResource_t *resource, const struct config_pipeline *pipeline)
{
    size_t count;
    int verification = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]), *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (!value)
            continue;
        if (!strcmp(name, "transaction.partition.verification.enable"))
            verification = !strcmp(value, "true");
        if (!strcmp(name, "transaction.max.timeout.ms") && atoll(value) < pipeline->transaction.timeout_ms)
            audit_found(audit, AUDIT_TIMEOUT, value);
        if (!strcmp(name, "transaction.state.log.replication.factor") && atoi(value) < 2)
            audit_found(audit, AUDIT_TRANSACTIONS_REPLICA, value);
        if (!strcmp(name, "offsets.topic.replication.factor") && atoi(value) < 2)
            audit_found(audit, AUDIT_OFFSETS_REPLICA, value);
        if (!strcmp(name, "min.insync.replicas") && atoi(value) < 2)
            audit_found(audit, AUDIT_OFFSETS_MIN_ISR, value);
    }
    if (!verification)
        audit_found(audit, AUDIT_UNVERIFIED);
}

rd_kafka_event_t *sink_audit_describe(rd_kafka_t *rk, rd_kafka_ConfigResource_t **resources, size_t count)
{
    char reason[200];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS - 1000, reason, sizeof reason);
    rd_kafka_DescribeConfigs(rk, resources, count, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ASK_MS);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return event;
}

// The one resource that was asked for, valid as long as the event; NULL: no answer, or an error.
static const rd_kafka_ConfigResource_t *described(rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources = NULL;
    if (event && !rd_kafka_event_error(event))
        resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    return count && !rd_kafka_ConfigResource_error(resources[0]) ? resources[0] : NULL;
}

static void broker_audit(struct audit *audit, rd_kafka_t *rk, int32_t broker, const struct config_pipeline *pipeline)
{
    char name[16];
    snprintf(name, sizeof name, "%d", broker);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, name);
    rd_kafka_event_t *event = sink_audit_describe(rk, &resource, 1);
    if (described(event))
        broker_entries_audit(audit, described(event), pipeline);
    else
        audit_found(audit, AUDIT_UNREADABLE, "brokers");
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
}

static void brokers_audit(struct audit *audit, rd_kafka_t *rk, const struct rd_kafka_metadata *metadata,
                          const struct config_pipeline *pipeline)
{
    replication_audit(audit, metadata, pipeline);
    if (metadata->broker_cnt)
        broker_audit(audit, rk, metadata->brokers[0].id, pipeline);
}

void sink_audit_cluster(struct audit *audit, rd_kafka_t *rk, const struct config_pipeline *pipeline)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(rk, 1, NULL, &metadata, ASK_MS))
        return; // what comes next will tell
    brokers_audit(audit, rk, metadata, pipeline);
    rd_kafka_metadata_destroy(metadata);
}

rd_kafka_t *sink_audit_asker(const struct config_pipeline *pipeline, struct err *e)
{
    rd_kafka_conf_t *conf = kafka_conf_new(pipeline, &pipeline->producer, e);
    return conf ? kafka_asker_new(RD_KAFKA_PRODUCER, conf, e) : NULL;
}

static void settings_audit(struct audit *audit, rd_kafka_t *rk, const char *topic)
{
    size_t count = 0;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_event_t *event = sink_audit_describe(rk, &resource, 1);
    const rd_kafka_ConfigResource_t *answer = described(event);
    const rd_kafka_ConfigEntry_t **entries = answer ? rd_kafka_ConfigResource_configs(answer, &count) : NULL;
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_ConfigEntry_value(entries[i]))
            sink_audit_topic(audit, topic, rd_kafka_ConfigEntry_name(entries[i]), rd_kafka_ConfigEntry_value(entries[i]));
    if (!answer)
        audit_found(audit, AUDIT_UNREADABLE, topic);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
}

static void output_audit(struct audit *audit, rd_kafka_t *rk, const struct rd_kafka_metadata *metadata, const struct config_topic *output)
{
    const struct rd_kafka_metadata_topic *topic = topic_find(metadata, output->name);
    if (!topic && output->create_partitions > 0) {
        audit_found(audit, AUDIT_OUTPUT_CREATED, output->name, output->create_partitions, plural(output->create_partitions));
    } else if (!topic) {
        audit_found(audit, AUDIT_OUTPUT_MISSING, output->name);
    } else if (topic->err || !topic->partition_cnt) {
        audit_found(audit, AUDIT_TOPIC_REFUSED, "output", output->name, topic->err ? rd_kafka_err2str(topic->err) : "no partitions");
    } else {
        audit_found(audit, AUDIT_TOPIC, "output", output->name, topic->partition_cnt, plural(topic->partition_cnt),
                    topic->partitions[0].replica_cnt, plural(topic->partitions[0].replica_cnt));
        settings_audit(audit, rk, output->name);
    }
}

enum verdict sink_audit_run(struct audit *audit, const struct config_pipeline *pipeline, struct err *e)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_t *rk = sink_audit_asker(pipeline, e);
    if (!rk)
        return e->verdict;
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &metadata, ASK_MS); // of all topics: asking by name could create one
    if (err) {
        char brokers[128] = "";
        size_t size = sizeof brokers;
        rd_kafka_conf_get(rd_kafka_conf(rk), "bootstrap.servers", brokers, &size);
        audit_found(audit, AUDIT_UNREACHABLE, pipeline->cluster->name, brokers, rd_kafka_err2str(err));
        rd_kafka_destroy(rk);
        return err_set(e, RETRY, err, "the brokers don't answer");
    }
    for (int i = 0; i < pipeline->topic_count; i++)
        output_audit(audit, rk, metadata, &pipeline->topics[i]);
    brokers_audit(audit, rk, metadata, pipeline);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(rk);
    return OK;
}
