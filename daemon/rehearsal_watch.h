// SPDX-License-Identifier: MIT
// What the master does about a script that doesn't come to its end, for a rehearsal, which has no master: the process says so and exits.
// Compiled loops can't be interrupted. One stage at a time; a thread of its own looks on.
#pragma once
#include "stats.h"

struct rehearsal_stage {
    const struct stats *stats;
    const char *name;   // of the pipeline
    const char *script; // its file
    const char *what;   // "close", or what else takes time while no record is in the script
    int64_t record_ms;  // for a record, 0: no limit; else WORKER_LOAD_MS it is
};

// Until the call with NULL the struct stays the caller's.
void rehearsal_watch(const struct rehearsal_stage *stage);
