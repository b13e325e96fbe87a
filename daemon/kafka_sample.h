// SPDX-License-Identifier: MIT
// A look at a topic, for `onced try` and for the sink's question what readers see: committed records of a partition, read without a group,
// so that nothing is moved and nothing committed.
#pragma once
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "bridge.h"
#include "config.h"

struct kafka_sample {
    const char *topic;
    struct onced_record record;
    const struct onced_header *headers;
    int32_t header_count;
};

struct kafka_sample_request {
    const char *topic;
    int32_t partition;
    int64_t offset; // -1: the last `most`
    int64_t most;   // records
};

// Calls `take`, whose sample is valid during the call, for each record, up to the partition's present end or until it answers non-zero.
// OK; or RETRY: the brokers don't answer, there is no such topic, partition or offset.
enum verdict kafka_sample_read(const struct config_pipeline *pipeline, const struct kafka_sample_request *request,
                               int (*take)(void *opaque, const struct kafka_sample *sample), void *opaque, struct err *e);
// A consumer of committed records that never joins and never commits, for questions. NULL: *e says why.
rd_kafka_t *kafka_sample_reader(const struct config_pipeline *pipeline, struct err *e);
