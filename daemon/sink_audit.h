// SPDX-License-Identifier: MIT
// The audit's questions about output topics and brokers (R9). When a pipeline starts they never refuse: what can't work (a
// transaction.timeout above the broker's bound) init_transactions refuses.
#pragma once
#include <librdkafka/rdkafka.h>

#include "audit.h"
#include "config.h"

// One setting of an output topic.
void sink_audit_topic(struct audit *audit, const char *topic, const char *name, const char *value);
// Replication of the output topics and settings of a broker, through `rk`. Blocks for two round trips.
void sink_audit_cluster(struct audit *audit, rd_kafka_t *rk, const struct config_pipeline *pipeline);
// All of it, with the topics' existence, through a handle of its own; creates nothing. OK; RETRY: the brokers don't answer, which is a
// finding; HALT: a setting was refused.
enum verdict sink_audit_run(struct audit *audit, const struct config_pipeline *pipeline, struct err *e);
// Asks for configurations: a DescribeConfigs event of the queue's, NULL: no answer in time. The caller destroys it.
rd_kafka_event_t *sink_audit_describe(rd_kafka_t *rk, rd_kafka_ConfigResource_t **resources, size_t count);
// A plain producer handle, for questions. NULL: *e says why.
rd_kafka_t *sink_audit_asker(const struct config_pipeline *pipeline, struct err *e);
