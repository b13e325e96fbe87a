// SPDX-License-Identifier: MIT
// Shared memory for each worker, a page and a table: written by one thread each, read by the master; it outlives the worker, so that the
// master can tell what a killed one was doing. All fields relaxed atomics; counters only grow, over all lives of the worker.
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "suspects.h"

#ifndef WORKER_LOAD_MS       // specs are in a hurry
#define WORKER_LOAD_MS 10000 // for a script to be loaded and its init to be run
#endif

enum worker_state {
    WORKER_NEW,      // forked, not initialised
    WORKER_STARTING, // opening producer, waiting for brokers or output topics
    WORKER_JOINING,  // subscribed, no assignment yet
    WORKER_STANDBY,  // member of the group without partitions
    WORKER_RUNNING,
    WORKER_BLOCKED, // assigned, but the output can't be written at the moment (reason says why); retries
    WORKER_DRAINING,
    WORKER_HALTED, // a human is needed (reason says why)
};

enum sink_cause { CAUSE_START, CAUSE_TAINTED, CAUSE_ABORTED, CAUSE_FENCED, CAUSE_UNKNOWN, CAUSE_COUNT };

// What a script names itself is counted in series: why records were dropped and rejected, and its own counters. There is room for those of
// two scripts: of the one that runs, and of its successor while that is loaded, or its predecessor until the master has taken those back.
enum series_kind { SERIES_DROPPED, SERIES_REJECTED, SERIES_COUNTER, SERIES_KINDS };
enum { SERIES_REASONS = 50, SERIES_COUNTERS = 128, SERIES_MOST = 2 * (2 * (SERIES_REASONS + 1) + SERIES_COUNTERS) };

enum series_state {
    SERIES_FREE, // the worker's to make USED
    SERIES_USED, // the worker's to leave
    SERIES_LEFT, // by the script; counts no more, the master's to take back
};

enum { STATS_TOPIC = 256 }; // bytes of the note's

struct stats_series {
    _Atomic int state;
    int kind;
    uint64_t edition; // of the newest script that has used it; the worker's
    double taken;     // of the value; the master's
    char text[244];   // the reason, or name{label="value"}; terminated, without control characters
    _Atomic double value;
};

struct stats {
    _Atomic int64_t front_beat, back_beat; // monotonic ms
    _Atomic int state;                     // enum worker_state
    _Atomic int ready;                     // producer initialised and member of the group since the last start
    _Atomic uint64_t recipe;               // by the master: what the worker shall run with, its place on the shelf
    _Atomic uint64_t recipe_taken;         // what it runs with
    // front
    _Atomic uint64_t consumed, dropped_stale, rebalances, gaps, trace_aborts;
    // back; record counters move at commit only
    _Atomic uint64_t committed_records, produced, dropped, rejected, dead_lettered, skipped;
    _Atomic uint64_t transactions, aborts, commit_ms, recreated[CAUSE_COUNT], batches_dropped, fenced;
    _Atomic int64_t fenced_at; // monotonic ms of the last fencing that counts (R1), 0: none
    // The record that is being transformed, or the first one of a stretch: valid while note_sequence is odd.
    _Atomic uint64_t note_sequence;
    _Atomic int32_t note_partition;
    _Atomic int64_t note_offset;
    _Atomic int64_t note_last; // offset of the stretch's last record, -1: one record at a time
    char note_topic[STATS_TOPIC];
    char reason[256];         // of WORKER_BLOCKED and WORKER_HALTED: written by back or front before the state
    struct suspects suspects; // forgotten with the script that they ended
    // Front makes series, and so does the thread that makes its next script; back counts in them at commit.
    _Atomic int series_count; // that ever were in use at the same time
    struct stats_series series[SERIES_MOST];
};

static inline void stats_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

// The number of the series, made when it is new; reasons that are too many or too long to be told apart become one named "other". -1: a
// counter that doesn't fit. Each edition of the script, they grow, may have as many as the first. Front only.
int stats_series(struct stats *stats, uint64_t edition, enum series_kind kind, const char *text, int64_t size);
// Leaves what only editions before this one have used; nothing of them may be in use any more.
void stats_series_leave(struct stats *stats, uint64_t edition);
int stats_series_left(const struct stats *stats); // 1: some wait for the master, the next edition can't be loaded yet
static inline void stats_count(struct stats *stats, int series, double amount)
{
    _Atomic double *value = &stats->series[series].value;
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + amount, memory_order_relaxed);
}

// What the note names.
struct stats_note {
    char topic[STATS_TOPIC];
    int32_t partition;
    int64_t first, last;
};

int stats_note_read(const struct stats *stats, struct stats_note *note); // 1, or 0: no record is in the script
// " while transforming TOPIC/PARTITION offset N", or "" when none is.
const char *stats_doing(const struct stats *stats, char *text, size_t size);

struct stats *stats_new(void); // an anonymous shared mapping, zeroed; NULL with errno set
void stats_free(struct stats *stats);
const char *worker_state_name(int state);
