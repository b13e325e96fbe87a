// SPDX-License-Identifier: MIT
// A thread beside the consumer for calls that may block: below librdkafka 2.2.0 it wakes the prefetch, which else looks at a full
// queue once a second; and it watches that the group reads every partition (R13: a static member that comes back gets its old
// assignment, and nobody may notice what changed meanwhile).
#pragma once
#include <librdkafka/rdkafka.h>
#include <stdint.h>

#include "config.h"

struct source_scout;

// `id` is the group.instance.id; it and `pipeline` must outlive the scout.
struct source_scout *source_scout_new(rd_kafka_t *rk, rd_kafka_queue_t *queue, const struct config_pipeline *pipeline, const char *id);
// Ends the thread, unless it sits in a call: then it is left behind and *scout leaks on purpose.
void source_scout_free(struct source_scout **scout);
// Front: what is assigned now, so that the brokers' threads can be woken. Copied.
void source_scout_assigned(struct source_scout *scout, const rd_kafka_topic_partition_list_t *list);
// Front: so many records were polled.
void source_scout_polled(struct source_scout *scout, int records);
// Front: the group leaves partitions unread, or reads foreign ones: subscribe anew. True once for each finding.
int source_scout_finding(struct source_scout *scout);
