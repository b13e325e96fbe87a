// SPDX-License-Identifier: MIT
// What the brokers say of the output topics: that they exist, how many partitions they have, how large a record they take (R15),
// and whether their settings keep the promise (R9). Used by the sink only, on its thread; transforms read the lent array.
#pragma once
#include <librdkafka/rdkafka.h>

#include "bridge.h"
#include "config.h"
#include "err.h"

struct sink_topics;

// audit != 0: the start-up audit is printed once (by one worker of a pipeline).
struct sink_topics *sink_topics_new(const struct config_pipeline *pipeline, int audit);
void sink_topics_free(struct sink_topics **topics);
// The array that transforms and batches see; stable for the life of `topics`.
const struct onced_topic *sink_topics_lent(const struct sink_topics *topics);

// Reads the topics' configuration, through a handle of its own, when it isn't known yet; makes topics that the pipeline declares with
// `create`. OK; RETRY: brokers away or a topic is missing.
enum verdict sink_topics_describe(struct sink_topics *topics, struct err *e);
// A record was refused: the limits may have changed, describe them anew.
void sink_topics_forget(struct sink_topics *topics);
// Refreshes partition counts through `rk`, which has `handles` for the topics. OK or RETRY: brokers away, topic missing or refused.
enum verdict sink_topics_metadata(struct sink_topics *topics, rd_kafka_t *rk, rd_kafka_topic_t **handles, struct err *e);

// How many partitions a topic has by now, asked through a handle of its own, at most once a second. 0: no answer. Front calls it, beside
// back.
int32_t sink_topics_count(struct sink_topics *topics, int32_t index);

int64_t sink_topics_most(const struct sink_topics *topics);  // bytes: the largest record that any topic takes
int64_t sink_topics_batch(const struct sink_topics *topics); // bytes: a request that every topic takes
// True for answers that the same record would get for ever.
int sink_topics_permanent(int code);
