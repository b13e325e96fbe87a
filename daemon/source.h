// SPDX-License-Identifier: MIT
// The consumer: fills batches with read_committed records, and keeps the rules of group membership. Used by the front thread, except
// where a function says otherwise. Rebalance callbacks run inside source_fill and source_leave, and only there.
#pragma once
#include "batch.h"
#include "config.h"
#include "stats.h"

struct source;
struct rd_kafka_consumer_group_metadata_s;

enum source_change {
    SOURCE_ASSIGN, // partitions are about to be taken on
    SOURCE_REVOKE, // partitions are about to be given up; what is underway may still be committed
    SOURCE_LOST,   // partitions were lost: nothing may be committed any more
};

struct source_hooks {
    void *opaque;
    // Settles or drops what is underway before the change takes effect. 0; -1: it couldn't within the bound, the process must go.
    int (*change)(void *opaque, enum source_change change);
    // A newer snapshot of the group's metadata is there: wakes a back that waits for it.
    void (*snapshot)(void *opaque);
};

// `id` is the group.instance.id (R13); `state_directory` may be NULL (state_note.h). Makes the handle, joins nothing yet. NULL: *e is HALT.
struct source *source_new(const struct config_pipeline *pipeline, const char *state_directory, const char *id, struct stats *stats,
                          const struct source_hooks *hooks, struct err *e);
void source_free(struct source **source);
enum verdict source_subscribe(struct source *source, struct err *e);

// Adds records to **filling until it holds `records` or `bytes` (input) of them, or nothing more is there; waits up to `wait_ms` for the
// first. A rebalance may exchange *filling meanwhile. OK, RESTART (the consumer is spent) or HALT (a gap, by policy).
enum verdict source_fill(struct source *source, struct batch **filling, int32_t records, int64_t bytes, int wait_ms, struct err *e);
// Any thread: ends a source_fill that waits.
void source_wake(struct source *source);
enum source_ends {
    ENDS_NONE,   // something that was polled isn't in a batch (any more): an end of a log lies behind it
    ENDS_BEHIND, // of the partitions that the batch has records of
    ENDS_IDLE,   // and of those that have gone idle behind markers
    ENDS_ALL,    // of all: nobody will come by here again
};
// Writes into the batch the offsets that its transformed records and the ends of logs behind them lead to (R2). All polled records must
// be transformed, but with ENDS_NONE.
void source_seal(struct source *source, struct batch *batch, enum source_ends ends);
// Is there a partition that has gone idle behind markers which aren't in the group's offsets yet?
int source_has_idle(struct source *source);
// Drops everything polled and goes on from the group's committed offsets (R8). OK, RETRY, RESTART or HALT.
enum verdict source_rewind(struct source *source, struct err *e);
// Stops (1) or goes on (0) fetching what is assigned, while front keeps polling.
void source_pause(struct source *source, int pause);
int source_assigned(const struct source *source); // partitions held
// True once the broker has refused this member because another one uses its name (FENCED_INSTANCE_ID).
int source_is_fenced(const struct source *source);
// Unsubscribes, so that others take over at once (a static member doesn't leave on close), and closes: within `timeout_ms`, once a join
// that is under way has come to an end, for which it waits until `join_deadline` (others may be slow to rejoin). A close that hangs ends
// the process, with `code`.
void source_leave(struct source *source, int leave_group, int64_t join_deadline, int timeout_ms, int code);

// Any thread. The input topics by index; the array never moves.
const char *const *source_topics(const struct source *source, int32_t *count);
// Any thread: are all partitions of the batch held without interruption since it was filled (R3)?
int source_owns(struct source *source, const struct batch *batch);
// Any thread: the newest group metadata, to be destroyed by sink's librdkafka call (source_group_free), and its serial number. NULL: there
// is none that a broker would check (R3: generation < 0 or an empty member id is never sent).
struct rd_kafka_consumer_group_metadata_s *source_group(struct source *source, uint64_t *serial);
void source_group_free(struct rd_kafka_consumer_group_metadata_s *group);

enum source_found { FOUND_NEXT, FOUND_BEFORE, FOUND_BACK, FOUND_OTHER }; // BACK: behind what was committed before the batch
// Any thread: what the group's stable committed offsets say of the batch (R4). OK or RETRY.
enum verdict source_compare(struct source *source, const struct batch *batch, enum source_found *found, struct err *e);
