// SPDX-License-Identifier: MIT
// All crews of the master: one for each pipeline of the configuration in force, and those that wind down because a reload has removed or
// replaced them. A successor that has a name of theirs waits for its lock. Owns the configurations. Never blocks.
#pragma once
#include "reload.h"

struct roster {
    struct config *config;
    struct crew *crews;
    int count; // its pipelines
    struct crew *leaving;
    int leaving_count;
    struct config **past; // crews that leave still read them
    int past_count;
    char directory[4096]; // of lock files
};

// Both take the plans over where they succeed; roster_fini is due after either.
enum verdict roster_init(struct roster *roster, struct plans *plans, struct err *e);
// All of it or nothing. What becomes of each pipeline that changes goes to `told`, a line each.
enum verdict roster_change(struct roster *roster, struct plans *plans, FILE *told, int64_t now, struct err *e);
void roster_fini(struct roster *roster); // no process may be left
void roster_tick(struct roster *roster, int64_t now, int64_t since);
int roster_ended(struct roster *roster, pid_t pid, int status, int64_t now); // as crew_ended
void roster_stop(struct roster *roster, int64_t now);
void roster_kill(struct roster *roster);
void roster_report(struct roster *roster);
int roster_alive(const struct roster *roster); // processes
int roster_halted(const struct roster *roster);
int roster_ready(const struct roster *roster); // every worker of a pipeline that hasn't halted is in its group
int roster_settled(const struct roster *roster);
int roster_fresh(const struct roster *roster, int64_t now, int64_t since);
int64_t roster_due(const struct roster *roster, int64_t otherwise);
