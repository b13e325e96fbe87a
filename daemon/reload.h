// SPDX-License-Identifier: MIT
// The way to a new configuration. A child process reads the files and tries the scripts, as `onced check` does, and leaves what it found
// on a shelf; the master then reads the files too, and must come to the very same. A plan is what a pipeline shall be. Master only.
#pragma once
#include <sys/types.h>

#include "crew.h"

struct plans {
    struct config *config;
    struct crew_plan *items; // one for each of its pipelines
    int count;
};

struct reload {
    const struct config_request *request;
    pid_t pid; // of the child; 0: none
    int report, shelf;
    int64_t deadline_ms;
};

// The plans of the first configuration, which has been read. A script that can't be loaded is its worker's to tell.
enum verdict plans_first(struct plans *plans, struct config *config, struct err *e);
void plans_free(struct plans *plans); // but for what was taken out of them

// Starts the child. OK, or HALT: there can't be one at the moment.
enum verdict reload_begin(struct reload *reload, int64_t now, struct err *e);
void reload_tick(struct reload *reload, int64_t now); // ends a child that takes too long
// A process ended. 1: it was the child; *plans is filled where the files are well, else *why says what is wrong (to be freed).
int reload_ended(struct reload *reload, pid_t pid, int status, struct plans *plans, char **why);
void reload_abandon(struct reload *reload); // the child is killed; its end is nobody's concern
