// SPDX-License-Identifier: MIT
// Does the group read every partition of its topics, and nothing else? Compares the members' assignments with the metadata.
#pragma once
#include <librdkafka/rdkafka.h>

#include "config.h"

// Blocks for a few seconds at most. 1: whole, or it can't be told now (the group rebalances, brokers are away); 0: a partition is unread,
// or this member (group.instance.id `id`) was given a topic outside the subscription: other members may run another configuration.
int source_scout_group_is_whole(rd_kafka_t *rk, const struct config_pipeline *pipeline, const char *id);
// Does the pipeline's subscription cover the topic? A leading ^ is a POSIX extended regex, as librdkafka reads it.
int source_scout_group_subscribes(const struct config_pipeline *pipeline, const char *topic);
