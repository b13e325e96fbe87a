// SPDX-License-Identifier: MIT
// One output of a batch becomes one produce call: which partition, which headers. Nothing is copied but the key, by librdkafka.
#pragma once
#include <librdkafka/rdkafka.h>

#include "batch.h"

// Enqueues output `index`, with the index as the message's opaque. `handles` are rk's topics, by topic_index. The error is librdkafka's;
// a failure here isn't counted by its transaction (R6), so the caller must answer it.
rd_kafka_resp_err_t sink_output_produce(rd_kafka_t *rk, rd_kafka_topic_t *const *handles, const struct batch *batch, int32_t index);
