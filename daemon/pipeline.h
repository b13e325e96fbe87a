// SPDX-License-Identifier: MIT
// One pipeline in one worker: the front thread's loop, and the only place where a batch changes hands. Made and run by worker.c.
#pragma once
#include <signal.h>

#include "config.h"
#include "err.h"
#include "stats.h"

struct pipeline;

enum pipeline_end {
    PIPELINE_STOPPED, // was told to: batch finished, committed, group left
    PIPELINE_SPENT,   // the process must go; a new one does better
    PIPELINE_FENCED,  // another member took our name
    PIPELINE_HALTED,  // a human is needed
};

// Loads the transform and makes the handles of worker `number`; connects to nothing. NULL: *e is HALT.
// `shelf` holds its recipe, and newer ones that it takes over between two transactions.
struct pipeline *pipeline_new(const struct config *config, const struct config_pipeline *settings, int number, int shelf,
                              struct stats *stats, struct err *e);
// Runs until *stop is set, the process is spent, or a human is needed (stats->reason says why). The process is to end
// at once, whatever is still allocated.
enum pipeline_end pipeline_run(struct pipeline *pipeline, const volatile sig_atomic_t *stop);
