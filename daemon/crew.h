// SPDX-License-Identifier: MIT
// The workers of one pipeline: they are restarted one by one, and halt together. All decisions about a worker's life are made here;
// the supervisor says when to look. Never blocks.
#pragma once
#include <sysexits.h>

#include "child.h"
#include "recipe.h"

enum crew_state {
    CREW_RUNNING,
    CREW_STOPPING, // asked to: nothing is restarted
    CREW_HALTED,   // a human is needed; exit_code and reason say why
};

struct crew_series {
    enum series_kind kind;
    char text[sizeof((struct stats_series *)0)->text];
    double untold;
};

// What a pipeline shall be. The bytes belong to the plan until the crew takes them.
struct crew_plan {
    const struct config *config;
    const struct config_pipeline *pipeline;
    struct recipe_bytes seat, recipe;
    uint64_t place; // of the recipe on the crew's shelf
};

struct crew {
    const struct config *config;
    const struct config_pipeline *pipeline;
    struct recipe_bytes seat, recipe; // in force
    int shelf;                        // where workers find the recipe, -1: none will start any more
    uint64_t place;                   // of it
    struct child *children;
    int count;
    enum crew_state state;
    int exit_code;              // EX_DATAERR, EX_SOFTWARE, EX_CONFIG: halted; EX_TEMPFAIL: the stop cost an open batch; else EX_OK
    char reason[300];           // of the halt
    int64_t deadline_ms;        // of stopping and halting: what lives longer is killed
    int64_t looked_ms;          // of the latest tick
    struct crew_series *series; // what the workers have counted in theirs since the last report
    int series_count;
};

// Takes the plan's bytes. OK, or HALT: nothing is left behind.
enum verdict crew_init(struct crew *crew, struct crew_plan *plan, const char *directory, struct err *e);
void crew_fini(struct crew *crew); // no process may be left
// Locks, starts and kills what is due. `since`: silence before it isn't held against a worker.
void crew_tick(struct crew *crew, int64_t now, int64_t since);
// A process ended; 1: it was one of ours.
int crew_ended(struct crew *crew, pid_t pid, int status, int64_t now);
// A new plan with the same seat, in two steps: what can fail, new workers and a place for the recipe, comes first and changes nothing
// yet; without the second step crew_shrink takes it back.
enum verdict crew_prepare(struct crew *crew, struct crew_plan *plan, const char *directory, struct err *e);
void crew_take(struct crew *crew, struct crew_plan *plan);
// Leaves `count` workers; `rest` becomes a crew that stops, of those that are too many.
void crew_shrink(struct crew *crew, int count, struct crew *rest, int64_t now);
int crew_settled(const struct crew *crew); // every worker runs with the newest recipe
void crew_stop(struct crew *crew, int64_t now);
void crew_kill(struct crew *crew);
int crew_alive(const struct crew *crew);                             // processes
int crew_ready(const struct crew *crew);                             // workers that are initialised and in their group
int crew_fresh(const struct crew *crew, int64_t now, int64_t since); // no process is silent beyond the stall limit
int64_t crew_due(const struct crew *crew, int64_t otherwise);        // when crew_tick has something to do, at most `otherwise`
// crew_report.c:
void crew_report(struct crew *crew); // logs what was committed since the last time, if anything
// Takes what the worker has counted in its series for the next report, and those that its script has left back.
void crew_collect(struct crew *crew, const struct child *child);
int crew_status(const struct crew *crew, char *text, size_t size); // "orders: running 2/2"; as snprintf
