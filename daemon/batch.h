// SPDX-License-Identifier: MIT
// The batch is the transaction in memory: the consumed messages (held until it is settled), the outputs, the next offset of each
// partition. Two exist in a worker. Owned by front while it is filled and transformed, by back from the hand-over until it is
// settled; never by both. A batch is committed whole or dropped whole (R8), and what failed is sent again, not computed again (R4).
#pragma once
#include <stdint.h>

#include "arena.h"
#include "bridge.h"
#include "err.h"

// What a batch moves of one partition.
struct batch_offset {
    int32_t topic_index, partition;
    uint64_t assignment; // number of the assignment under which it was filled: "ours" means the same number (R3)
    int64_t before;      // the group's offset before this batch, -1: none
    int64_t next;        // the offset to commit
    char metadata[32];   // of the commit, carried on from the partition's first one (R7)
};

// Parsed headers of a record; most batches never need any.
struct batch_headers {
    struct onced_header *list;
    int32_t count;
    int32_t parsed;
};

// What is counted at commit: `amount` in a series of the worker's stats, on behalf of a record.
struct batch_count {
    int32_t record, series;
    double amount;
};

struct batch {
    struct onced_batch lent; // what Lua sees; must stay first: onced_* functions get a pointer to it
    struct arena arena;
    // What one record's transform may take of the arena, whatever it does with it; bytes are counted by the chunk, so not for each record.
    const int32_t *spender; // the record (or stretch) at hand, NULL: nobody
    int32_t spent_by;
    int64_t spent, spend_most;     // bytes; most 0: no limit
    struct batch_headers *headers; // one a record, made when the first is asked for
    int32_t headers_capacity;
    int32_t record_capacity;
    int32_t stretches;   // outputs may come from any record of the stretch before their source (process_batch)
    int32_t transformed; // records [0, transformed) have been through Lua
    int32_t cut;         // to be committed as it is: its last record has killed before, and what follows may too
    int64_t input_bytes; // keys and values consumed
    int64_t opened_ms;   // monotonic, of the first record
    int32_t (*partitions)(void *sink, int32_t topic_index); // for onced_partitions; NULL: nobody can be asked
    void *sink;
    struct batch_offset *offsets;
    int32_t offset_count, offset_capacity;
    // tallies of what the transform decided, added to the counters at commit
    uint64_t dropped, rejected, dead_lettered, skipped;
    struct batch_count *counts; // in the order of their records
    int32_t count_count, count_capacity;
};

struct batch *batch_new(void); // NULL: out of memory
void batch_free(struct batch **batch);
// Lets go of all messages and outputs; keeps memory for the next filling and gives it a new number.
void batch_reset(struct batch *batch);
// Takes over a consumed message (rd_kafka_message_t): a small one is copied and let go of, a large one is kept. OK or HALT (out of memory;
// the message stays the caller's).
enum verdict batch_add(struct batch *batch, void *message, int32_t topic_index, struct err *e);
// Takes over a copy of a record that no message is behind (a rehearsal's), with its headers. OK or HALT (out of memory).
enum verdict batch_put(struct batch *batch, const struct onced_record *record, const struct onced_header *headers, int32_t header_count,
                       struct err *e);
// The entry of a partition, made when missing; its before and next are then -1.
struct batch_offset *batch_offset(struct batch *batch, int32_t topic_index, int32_t partition);
// Lets go of the records from `from` on, which weren't transformed; offsets are the caller's business.
void batch_truncate(struct batch *batch, int32_t from);
// Room in the arena for `size` bytes, aligned for any struct; NULL: out of memory.
void *batch_alloc(struct batch *batch, size_t size);
// The next output, zeroed and counted; NULL: out of memory. The caller adds its bytes to lent.bytes.
struct onced_output *batch_output(struct batch *batch);
// Counts on behalf of a record, none of which may be after it. 0, or -1: out of memory.
int batch_count(struct batch *batch, int32_t record, int32_t series, double amount);
// Takes back what was counted for records [first, behind).
void batch_uncount(struct batch *batch, int32_t first, int32_t behind);
static inline int batch_is_empty(const struct batch *batch)
{
    return batch->lent.record_count == 0 && batch->offset_count == 0;
}
