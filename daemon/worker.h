// SPDX-License-Identifier: MIT
// A worker process: one pipeline, one consumer, one transactional producer. Runs from the master's fork until it is told to stop,
// is spent, or needs a human. A crash costs nothing but time, so whenever it is in doubt about itself it exits.
#pragma once
#include "config.h"
#include "stats.h"

// How a worker ends; the master acts on it.
enum worker_exit {
    WORKER_STOPPED = 0,      // was told to: batch finished, committed, group left
    WORKER_SPENT = 75,       // start again, with backoff (EX_TEMPFAIL)
    WORKER_FENCED = 76,      // start again, and count it (R1): another instance may have our name
    WORKER_NEEDS_HUMAN = 65, // halted: stats->reason says why (EX_DATAERR)
};

struct worker_args {
    const struct config *config;
    const struct config_pipeline *pipeline;
    int number;          // of the worker in its pipeline, from 0
    int shelf;           // of the pipeline's recipes
    struct stats *stats; // shared with the master
};

// Becomes the worker: signal handling (SIGTERM = drain), threads, pipeline. The caller has forked, set PR_SET_PDEATHSIG, checked
// getppid() and holds the lock of this transactional.id. Returns an enum worker_exit for _exit().
int worker_run(const struct worker_args *args);
