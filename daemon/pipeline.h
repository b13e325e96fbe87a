// SPDX-License-Identifier: MIT
// One pipeline in one worker: the front thread's loop, and the only place where a batch changes hands. Made and run by worker.c.
#pragma once
#include <signal.h>

#include "worker.h"

struct pipeline;

// Loads the transform and makes the handles; connects to nothing. NULL: *e is HALT.
struct pipeline *pipeline_new(const struct worker_args *args, struct err *e);
// Runs until *stop is set, the process is spent, or a human is needed (stats->reason says why). Returns an enum worker_exit; the
// process is to end with it at once, whatever is still allocated.
int pipeline_run(struct pipeline *pipeline, const volatile sig_atomic_t *stop);
