// SPDX-License-Identifier: MIT
// The transactional producer: one disposable handle at a time under one transactional.id. It sends batches and says what became of
// them; it decides nothing. One thread has it at a time: back; front before back exists, and while a begun transaction is lent to it
// (mailbox.h). Every wait has a deadline.
#pragma once
#include "batch.h"
#include "config.h"
#include "stats.h"

struct sink;
struct rd_kafka_consumer_group_metadata_s;

// `pipeline`, `id` (the transactional.id) and `stats` must outlive it. Makes no connection. NULL: *e is HALT.
struct sink *sink_new(const struct config_pipeline *pipeline, const char *id, struct stats *stats, struct err *e);
void sink_free(struct sink **sink);

// The output topics, in the order of pipeline->topics; limits and partition counts are filled by sink_open.
const struct onced_topic *sink_topics(const struct sink *sink, int *count);

// Makes a new handle in place of the present one and initialises it: what the predecessor left open is aborted or completed, late
// requests of the old epoch are refused from here on. OK; RETRY: brokers away, a topic is missing or not authorised (call again);
// HALT. One call takes at most a few seconds.
enum verdict sink_open(struct sink *sink, struct err *e);
// Lets go of the handle and of everything of a batch that it still refers to; the next begin needs a sink_open.
void sink_close(struct sink *sink);
// Why the handle must be replaced before the next begin (R4, R5), NULL: it needn't.
const char *sink_stale(const struct sink *sink, enum sink_cause *cause);

// The present transaction is given up with its outcome unknown: the handle must go.
void sink_spoil(struct sink *sink);

enum verdict sink_begin(struct sink *sink, struct err *e);
// Produces the batch's outputs from *sent on, in order, and moves *sent; nothing is copied, so the batch must outlive the transaction, but
// it may grow. OK; RETRY: librdkafka's queue is full, call again; RESEND or RESTART.
enum verdict sink_send(struct sink *sink, struct batch *batch, int32_t *sent, struct err *e);
// Waits until all is delivered. OK; RETRY: not yet, call again; RESEND: a delivery failed.
enum verdict sink_flush(struct sink *sink, int timeout_ms, struct err *e);
// Adds the batch's offsets to the transaction, after the flush (R14). Several seconds at most, but librdkafka may ignore that while
// the group coordinator is away. `topics` names the batch's topic indices. OK, RETRY (same call again), RESEND, RESTART.
enum verdict sink_offsets(struct sink *sink, const struct batch *batch, const char *const *topics,
                          const struct rd_kafka_consumer_group_metadata_s *group, struct err *e);
// OK; RETRY: not answered yet, call again; RESEND: known not to be committed, abort; RESTART: outcome unknown.
enum verdict sink_commit(struct sink *sink, int timeout_ms, struct err *e);

enum sink_seen {
    SEEN_NONE, // of what may be looked at; also: nothing was written
    SEEN_SOME, // brokers have lost the rest, or it can't be looked at
    SEEN_ALL,  // begin and end of what went to each partition
};

// After a commit with an unknown outcome, and with the handle's successor open: do readers see what was sent in it (sink_look.h)? OK:
// *seen. RETRY: no answer within `timeout_ms`, or no handle for the question; call again.
enum verdict sink_seen(struct sink *sink, const struct batch *batch, int timeout_ms, enum sink_seen *seen, struct err *e);
void sink_seen_stop(struct sink *sink); // the question is given up; the batch may go
// OK: known to be aborted. RETRY is given up inside: RESTART = outcome unknown. The handle is stale afterwards in any case.
enum verdict sink_abort(struct sink *sink, struct err *e);
// True when the error's code says that the group refused us (ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID): a newer snapshot or a drop must
// come first.
int sink_error_is_group(const struct err *e);
// True for a broker's _FENCED: another producer of this id, or a transaction that took too long.
int sink_error_is_fenced(const struct err *e);
// Monotonic ms of the last begin, 0: none.
int64_t sink_began(const struct sink *sink);

// R15. True when the last transaction failed because the broker refuses a record for good.
int sink_poisoned(const struct sink *sink);
// Finds the refused output by sending suspects alone, each in a request of its own, in transactions that are aborted. Call after
// sink_abort. OK: *output is its index in the batch and *e its error, or *output is -1: none was refused this time. RETRY: call again.
enum verdict sink_culprit(struct sink *sink, const struct batch *batch, int32_t *output, struct err *e);
// Partition counts and limits of the output topics, when they are older than ten seconds. Blocks for a round trip.
void sink_refresh(struct sink *sink);
// How many partitions an output topic has by now, asked at most once a second, beside whatever back does. 0: no answer.
int32_t sink_partitions(void *sink, int32_t topic_index);
