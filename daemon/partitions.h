// SPDX-License-Identifier: MIT
// What this worker holds of the input: one entry a partition, with the offsets of rule R2 and the number of its assignment (R3).
// Front writes; partitions_own may be asked by back. Entries and topic indices live as long as the table, so they may be kept.
#pragma once
#include <stdint.h>

struct batch;
struct partitions;

struct partition {
    int32_t topic_index, number;
    int assigned, paused;
    uint64_t assignment; // number of this assignment; another one after every assign: lost and given back is not ours
    int64_t next;        // the lowest offset to accept; what lies below was polled already (stale fetches end here, R8)
    int64_t handed;      // the group's offset once everything handed over is settled
    int64_t eof;         // the fetch position at the end of the log, past markers and aborted records; -1: not there
    int64_t polled_ms;   // monotonic, of the last record or assignment
    char metadata[32];   // of its commits
};

struct partitions *partitions_new(void);
void partitions_free(struct partitions **partitions);

// The topic's index, made when missing; -1: more than 16,384 topics. Indices are stable.
int32_t partitions_topic(struct partitions *partitions, const char *name);
// The topics' names by index; the array never moves.
const char *const *partitions_topics(const struct partitions *partitions, int32_t *count);
// The entry, made when missing (unassigned).
struct partition *partitions_get(struct partitions *partitions, int32_t topic_index, int32_t number);
// Entries by index, 0 <= i < partitions_count.
struct partition *partitions_at(struct partitions *partitions, int i);
int partitions_count(const struct partitions *partitions);

// Takes the partition on from `next`, which is also the group's offset, under a new assignment number.
void partitions_assign(struct partitions *partitions, struct partition *partition, int64_t next, const char *metadata);
void partitions_release(struct partitions *partitions, struct partition *partition);
int partitions_assigned(struct partitions *partitions); // how many

// Any thread: is every partition of the batch held under the number of the time it was filled?
int partitions_own(struct partitions *partitions, const struct batch *batch);
