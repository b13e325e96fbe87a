// SPDX-License-Identifier: MIT
// See sink_audit.h.
#include "sink_audit.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

enum { ASK_MS = 5000 };

void sink_audit_topic(const char *topic, const char *name, const char *value)
{
    if (!strcmp(name, "min.insync.replicas") && atoi(value) < 2)
        log_notice("audit: output topic %s: min.insync.replicas=%s: one lost disk can lose committed records", topic, value);
    if (!strcmp(name, "unclean.leader.election.enable") && !strcmp(value, "true"))
        log_warning("audit: output topic %s: unclean.leader.election.enable=true: a failover can lose committed records", topic);
    if (!strcmp(name, "cleanup.policy") && strstr(value, "compact"))
        log_notice("audit: output topic %s is compacted: older records of a key will go", topic);
}

static void replication_audit(const struct rd_kafka_metadata *metadata, const struct config_pipeline *pipeline)
{
    for (int i = 0; i < pipeline->topic_count; i++)
        for (int t = 0; t < metadata->topic_cnt; t++) {
            const struct rd_kafka_metadata_topic *topic = &metadata->topics[t];
            if (!strcmp(topic->topic, pipeline->topics[i].name) && topic->partition_cnt && topic->partitions[0].replica_cnt < 2)
                log_notice("audit: output topic %s has one replica: its broker's disk is the only copy", topic->topic);
        }
}

static void broker_entries_audit(const rd_kafka_ConfigResource_t *resource, const struct config_pipeline *pipeline)
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
            log_warning("audit: transaction.timeout is above the broker's transaction.max.timeout.ms=%s", value);
        if (!strcmp(name, "transaction.state.log.replication.factor") && atoi(value) < 2)
            log_notice("audit: transaction.state.log.replication.factor=%s: a lost disk can lose the outcome of transactions", value);
        if (!strcmp(name, "offsets.topic.replication.factor") && atoi(value) < 2)
            log_notice("audit: offsets.topic.replication.factor=%s: a lost disk can lose the group's offsets", value);
    }
    if (!verification) // KIP-890 part 1: without it a late Produce or TxnOffsetCommit of an earlier transaction is taken (f42, R5)
        log_warning(
            "audit: the brokers don't verify transactions' partitions (Kafka < 3.7, or transaction.partition.verification.enable=false): "
            "exactly-once isn't promised on them");
}

static void broker_audit(rd_kafka_t *rk, int32_t broker, const struct config_pipeline *pipeline)
{
    char name[16], reason[200];
    snprintf(name, sizeof name, "%d", broker);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, name);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS - 1000, reason, sizeof reason);
    rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ASK_MS);
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources = NULL;
    if (event && !rd_kafka_event_error(event))
        resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    if (count && !rd_kafka_ConfigResource_error(resources[0]))
        broker_entries_audit(resources[0], pipeline);
    else
        log_notice("audit: the brokers' configuration can't be read (DescribeConfigs on the cluster isn't allowed?)");
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
}

void sink_audit_cluster(rd_kafka_t *rk, const struct config_pipeline *pipeline)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(rk, 1, NULL, &metadata, ASK_MS))
        return; // what comes next will tell
    replication_audit(metadata, pipeline);
    if (metadata->broker_cnt)
        broker_audit(rk, metadata->brokers[0].id, pipeline);
    rd_kafka_metadata_destroy(metadata);
}
