// SPDX-License-Identifier: MIT
// The back thread: takes a batch from the mailbox and brings it into Kafka whole, or finds out that it must be dropped. It answers
// verdicts: what failed is sent again from memory (R4), a doubtful outcome is settled by the group's committed offsets, a handle that
// could be hit by a late request is replaced (R5), a record that the broker refuses for good is found and answered by policy (R15).
#pragma once
#include "config.h"
#include "mailbox.h"
#include "sink.h"
#include "source.h"
#include "stats.h"

struct transaction {
    const struct config_pipeline *pipeline;
    struct sink *sink;
    struct source *source;
    struct mailbox *mailbox;
    struct stats *stats;
    uint64_t group_serial; // of the metadata that the last send_offsets used
    int attempt;           // of the present batch
    int aborted;           // and an attempt was
    int ending;            // its commit was called
    int written;           // its outputs are in, which its offsets aren't any more
    int64_t committed_ms;  // monotonic, of the last commit
    int closed;            // it is filled: its offsets may be read
};

// The thread's body: runs until the mailbox is stopped. `opaque` is a struct transaction, whose sink is open.
void *transaction_run(void *opaque);
// Records a fencing (R1). True when another one was less than a minute ago: somebody else uses our name.
int transaction_fenced(struct stats *stats);
