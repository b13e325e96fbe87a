// SPDX-License-Identifier: MIT
// The start-up audit (R9): what of the cluster the promise rests on, said once in the log. It never refuses by itself: what can't work
// (a transaction.timeout above the broker's bound) init_transactions refuses.
#pragma once
#include <librdkafka/rdkafka.h>

#include "config.h"

// One setting of an output topic.
void sink_audit_topic(const char *topic, const char *name, const char *value);
// Replication of the output topics and settings of a broker, through `rk`. Blocks for two round trips.
void sink_audit_cluster(rd_kafka_t *rk, const struct config_pipeline *pipeline);
