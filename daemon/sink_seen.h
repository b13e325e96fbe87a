// SPDX-License-Identifier: MIT
// Do readers see what a transaction wrote? Its outputs and its offsets are in one transaction, so where the group's offsets say that it
// wasn't committed its outputs can't be seen, unless brokers have lost what they had acknowledged (__consumer_offsets with a minimum of one
// replica in sync, which is the brokers' default). Used by the sink only, on its thread.
#pragma once
#include "batch.h"
#include "config.h"
#include "err.h"

// The first output of a transaction that was delivered, and where to.
struct sink_delivery {
    int known;
    int32_t output; // its index in the batch
    int32_t partition;
    int64_t offset;
};

// Reads that offset as a committed reader, by a handle of its own. OK: *seen is 1 if the very record is there; 0: it isn't, or may not be
// read by this principal, which the log says. RETRY: no answer within some fifteen seconds, call again.
enum verdict sink_seen_ask(const struct config_pipeline *pipeline, const struct batch *batch, const struct sink_delivery *delivery,
                           int *seen, struct err *e);
