// SPDX-License-Identifier: MIT
// The source's inside, shared by source.c (fill), source_group.c (membership) and source_offsets.c (where to go on): not for others.
#pragma once
#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "kafka.h"
#include "partitions.h"
#include "source.h"
#include "source_scout.h"

struct source {
    const struct config_pipeline *pipeline;
    int batches; // messages may be taken in batches
    int large;   // the last one was
    const char *id;
    const char *state_directory; // NULL: none
    struct stats *stats;
    struct source_hooks hooks;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct kafka_requests requests; // when the group is left
    struct partitions *partitions;
    struct source_scout *scout;
    // the run of messages that is being filled in
    const rd_kafka_topic_t *run_topic;
    struct partition *run;
    // membership
    pthread_mutex_t lock; // guards the snapshot
    uint64_t serial;      // of the snapshot; 0: none yet
    int32_t generation;
    char member[256];
    int changed;                               // a rebalance callback ran in this poll
    int lost;                                  // what was assigned last was lost, not given back
    int fenced;                                // FENCED_INSTANCE_ID, by somebody else
    int64_t rebalance_ms;                      // what its callbacks took of the rebalance underway
    int thrown_out;                            // others may have had what is held: the process has to go
    int leaving;                               // no partition is taken on any more
    int resubscribing;                         // unsubscribed in order to subscribe again (R13)
    rd_kafka_topic_partition_list_t *surveyed; // the partitions that the subscription found before this member joined
    int started;                               // the group had offsets then
    struct err failure;                        // of a callback; its verdict is OK while all is well
    long long error_logged;                    // log_due
};

// max.poll.interval.ms, which is the rebalance timeout, too.
int64_t source_poll_ms(const struct source *source);

// source_group.c
void source_group_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque);
enum verdict source_group_resubscribe(struct source *source, struct err *e);
// Makes librdkafka fetch from each entry's `next`: the whole assignment (eager) or the ones listed (cooperative).
enum verdict source_group_reassign(struct source *source, struct partition *const *entries, int count, struct err *e);

// source_offsets.c
// Before the first subscribe: what is there, and has the group started? OK or RESTART.
enum verdict source_offsets_survey(struct source *source, struct err *e);
// Fills list's offsets and metadata with the group's stable committed offsets. OK or RETRY.
enum verdict source_offsets_committed(struct source *source, rd_kafka_topic_partition_list_t *list, int timeout_ms, struct err *e);
// Resolves and commits the start of those without a committed offset (R7). OK, RETRY or HALT.
enum verdict source_offsets_resolve(struct source *source, rd_kafka_topic_partition_list_t *list, struct err *e);
// The fetch position of a partition is gone. OK: going on behind the gap, by policy; HALT; RETRY.
enum verdict source_offsets_gap(struct source *source, struct partition *partition, struct err *e);
// The metadata string of an element, "" when there is none.
void source_offsets_metadata(const rd_kafka_topic_partition_t *element, char *metadata, size_t size);
