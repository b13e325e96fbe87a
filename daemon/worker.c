// SPDX-License-Identifier: MIT
// See worker.h. Signals: SIGTERM asks for a drain; everything else has its default, so that a crash is a crash.
#include "worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "pipeline.h"

static volatile sig_atomic_t stop_asked;

static void on_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

static void signals_set(void)
{
    struct sigaction stop = {.sa_handler = on_stop}, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &ignore, NULL); // a terminal sends it to the master too, which asks by SIGTERM
    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

int worker_run(const struct worker_args *args)
{
    static const int exits[] = {[PIPELINE_STOPPED] = WORKER_STOPPED,
                                [PIPELINE_SPENT] = WORKER_SPENT,
                                [PIPELINE_FENCED] = WORKER_FENCED,
                                [PIPELINE_HALTED] = WORKER_NEEDS_HUMAN};
    struct err e = {.verdict = OK};
    signals_set();
    struct pipeline *pipeline = pipeline_new(args->config, args->pipeline, args->number, args->shelf, args->stats, &e);
    if (pipeline)
        return exits[pipeline_run(pipeline, &stop_asked)];
    if (e.verdict == RESTART) {
        log_error("starting anew: %s", e.text);
        return WORKER_SPENT;
    }
    snprintf(args->stats->reason, sizeof args->stats->reason, "%s", e.text);
    atomic_store(&args->stats->state, WORKER_HALTED);
    log_error("halted: %s", e.text);
    return WORKER_NEEDS_HUMAN;
}
