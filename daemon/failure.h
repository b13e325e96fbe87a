// SPDX-License-Identifier: MIT
// A record that failed is answered by the pipeline's policy, never passed on: stop, skip (counted and logged) or a dead letter, which
// is an ordinary output of the same batch and so as exactly once as any other. Touches no lua_State: front and back may call it, each
// for the batch it owns.
#pragma once
#include <stddef.h>

#include "batch.h"
#include "config.h"

// What a record costs on the wire at least, besides key, value and headers: what is judged here surely does not fit. A record of some bytes
// less may still be too much; that is for the broker to say (R15).
enum { RECORD_OVERHEAD = 68 };

struct failure {
    const char *kind;  // error, reject, memory, limit, too-large, partition, ...; reject has its own policy
    const char *place; // script:line
    const char *stack; // the lines that it was called from; NULL or "": none
    const char *message;
    size_t message_size;
};

// OK, or HALT with "place: message (topic orders, partition 3, offset 4711)". The record's outputs were taken back before.
enum verdict failure_answer(const struct config_pipeline *pipeline, struct batch *batch, int32_t source, const struct failure *failure,
                            struct err *e);
// HALT with that text, for a record whose failure no policy may answer.
enum verdict failure_halt(const struct batch *batch, int32_t source, const struct failure *failure, struct err *e);
// Takes back all outputs of a record, and what it counted; returns how many outputs.
int32_t failure_take_back(struct batch *batch, int32_t source);
