// SPDX-License-Identifier: MIT
// What source and sink share of librdkafka: the version fence, configuration of handles, errors as verdicts, and the count of
// unanswered requests (R5). Facts and sources: the comments here; librdkafka 2.0.2 is the floor (R12).
#pragma once
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdint.h>

#include "config.h"
#include "err.h"

// HALT for releases that lose or repeat records by themselves; logs a warning for those with a known weakness.
enum verdict kafka_version_check(const struct config_pipeline *pipeline, struct err *e);
// May messages be taken with rd_kafka_consume_batch_queue? Below 2.1.0 a batch call loses what it had collected when librdkafka pauses a
// partition meanwhile for a rebalance (issue 4208), which the eager protocol makes good: everything is assigned anew, from committed
// offsets. From 2.2.0 to 2.13.1 it moves positions past the ends of logs (issue 5213). Single polls are right everywhere.
int kafka_polls_batches(const struct config_pipeline *pipeline);
// True when librdkafka is older than major.minor.patch.
int kafka_version_below(int major, int minor, int patch);

// A configuration with the user's properties and the log callback; `role` is the consumer's or producer's own list. The pipeline's
// promises are set by the caller afterwards, so that nothing overrides them. NULL with *e = HALT: a property was refused.
rd_kafka_conf_t *kafka_conf_new(const struct config_pipeline *pipeline, const struct config_properties *role, struct err *e);
// OK or HALT. The property must exist.
enum verdict kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *e);
enum verdict kafka_conf_set_number(rd_kafka_conf_t *conf, const char *name, int64_t value, struct err *e);
// For properties that only newer releases know, and for defaults a user's own value beats.
void kafka_conf_offer(rd_kafka_conf_t *conf, const struct config_pipeline *pipeline, const struct config_properties *role, const char *name,
                      const char *value);

// Why a connection of this process failed last, for whoever got no answer; `otherwise` when none failed since the last call. From any
// thread; returns `text`.
const char *kafka_trouble(char *text, size_t size, const char *otherwise);
// Why rd_kafka_new gave no handle. HALT: it refuses the configuration. RESTART: threads couldn't be had, or weren't there in time because
// the wall clock was set just then.
enum verdict kafka_refused(const char *who, const char *reason, struct err *e);
// A handle that only asks, with a conf that has no interceptors; takes the conf over. NULL as by kafka_refused.
rd_kafka_t *kafka_asker_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *e);
// Takes over an error object (NULL: OK) and answers what to do: retriable RETRY, abortable RESEND, fatal or unflagged RESTART.
enum verdict kafka_error(const char *doing, rd_kafka_error_t *error, struct err *e);

// R5: no librdkafka speaks transactions v2 (KIP-890), so a request that was sent and not answered may still arrive and end or change
// a later transaction of this producer (KAFKA-17754). Written by broker threads, read when commit or abort has returned.
// Produce, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit; of consumers: JoinGroup, LeaveGroup, OffsetFetch
enum { KAFKA_WATCHED = 8 };
struct kafka_requests {
    _Atomic uint64_t sent[KAFKA_WATCHED];
    _Atomic uint64_t answered[KAFKA_WATCHED]; // without a transport error
};
// Adds the interceptors to a configuration; `requests` must outlive the handle. rd_kafka_conf_dup drops them.
void kafka_requests_watch(rd_kafka_conf_t *conf, struct kafka_requests *requests);
// The first watched request with sent != answered, NULL: all answered.
const char *kafka_requests_unanswered(const struct kafka_requests *requests);
// How many LeaveGroup requests have been answered.
uint64_t kafka_requests_left(const struct kafka_requests *requests);
// How many JoinGroup requests were sent.
uint64_t kafka_requests_joins(const struct kafka_requests *requests);
// How many OffsetFetch requests have been answered.
uint64_t kafka_requests_fetched(const struct kafka_requests *requests);

// Java's DefaultPartitioner: murmur2 of the key, positive, modulo. `count` > 0.
int32_t kafka_partition_of_key(const void *key, size_t size, int32_t count);
