// SPDX-License-Identifier: MIT
// Exits of workers are answered in one switch, crew_ended. A crash is an ordinary thing here: the open transaction is aborted by the
// next start under the same name. What must not happen is two processes of one name, a restart that can't help, or silence about either.
#include "crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

#ifndef STALL_LEAST_MS // specs have no half minute to wait
#define STALL_LEAST_MS 30000
#endif
enum {
    LOOKS = 4,        // at a record within its record_time
    LOAD_CRASHES = 3, // in a row: a script that has crashed so often while it was loaded would do so for ever
    FENCED_TWICE_MS = 60000,
    FENCED_PAUSE_MS = 2000, // the other's start is over by then: otherwise both could fence each other twice, and both would halt
};

static enum verdict crew_grow(struct crew *crew, const struct crew_plan *plan, const char *directory, struct err *e)
{
    if (plan->pipeline->workers <= crew->count)
        return OK;
    struct child *children = realloc(crew->children, (size_t)plan->pipeline->workers * sizeof *children);
    must(children);
    crew->children = children;
    for (; crew->count < plan->pipeline->workers; crew->count++) {
        struct worker_args args = {.config = plan->config, .pipeline = plan->pipeline, .number = crew->count, .shelf = crew->shelf};
        if (child_init(&children[crew->count], &args, directory, e) != OK)
            return e->verdict;
        atomic_store(&children[crew->count].args.stats->recipe, crew->place);
    }
    return OK;
}

static enum verdict recipe_shelve(struct crew *crew, struct crew_plan *plan, struct err *e)
{
    plan->place = recipe_put(crew->shelf, &plan->recipe);
    if (!plan->place)
        return err_set(e, HALT, errno, "no memory for what %.100s runs with: %s", plan->pipeline->name, strerror(errno));
    return OK;
}

enum verdict crew_init(struct crew *crew, struct crew_plan *plan, const char *directory, struct err *e)
{
    *crew = (struct crew){.shelf = recipe_shelf()};
    must(plan->pipeline->workers > 0);
    if (crew->shelf < 0)
        err_set(e, HALT, errno, "no memory for %.100s: %s", plan->pipeline->name, strerror(errno));
    else if (recipe_shelve(crew, plan, e) == OK && crew_grow(crew, plan, directory, e) == OK) {
        crew->seat = plan->seat;
        plan->seat.data = NULL;
        crew_take(crew, plan);
        return OK;
    }
    crew_fini(crew);
    return e->verdict;
}

void crew_fini(struct crew *crew)
{
    for (int i = 0; i < crew->count; i++)
        child_fini(&crew->children[i]);
    free(crew->children);
    free(crew->series);
    free(crew->seat.data);
    free(crew->recipe.data);
    if (crew->shelf >= 0)
        close(crew->shelf);
    *crew = (struct crew){.shelf = -1};
}

// What lies before the recipe of any worker that is alive is read by nobody any more.
static void shelf_tidy(const struct crew *crew)
{
    uint64_t least = crew->place;
    for (int i = 0; i < crew->count; i++) {
        uint64_t taken = atomic_load(&crew->children[i].args.stats->recipe_taken);
        if (crew->children[i].pid && taken < least)
            least = taken;
    }
    recipe_clear(crew->shelf, least);
}

enum verdict crew_prepare(struct crew *crew, struct crew_plan *plan, const char *directory, struct err *e)
{
    plan->place = crew->place;
    if (!recipe_equal(&crew->recipe, &plan->recipe)) {
        shelf_tidy(crew);
        if (recipe_shelve(crew, plan, e) != OK)
            return e->verdict;
    }
    return crew_grow(crew, plan, directory, e);
}

void crew_take(struct crew *crew, struct crew_plan *plan)
{
    int renewed = crew->place && crew->place != plan->place;
    crew->config = plan->config;
    crew->pipeline = plan->pipeline;
    crew->place = plan->place;
    free(crew->recipe.data);
    crew->recipe = plan->recipe;
    plan->recipe.data = NULL;
    for (int i = 0; i < crew->count; i++) {
        struct worker_args *args = &crew->children[i].args;
        args->config = plan->config;
        args->pipeline = plan->pipeline;
        atomic_store_explicit(&args->stats->recipe, crew->place, memory_order_release);
        if (renewed)
            child_renew(&crew->children[i]);
    }
}

void crew_shrink(struct crew *crew, int count, struct crew *rest, int64_t now)
{
    *rest = (struct crew){.config = crew->config, .pipeline = crew->pipeline, .shelf = -1, .count = crew->count - count};
    must(rest->count > 0);
    rest->children = calloc((size_t)rest->count, sizeof *rest->children);
    must(rest->children);
    memcpy(rest->children, crew->children + count, (size_t)rest->count * sizeof *rest->children);
    crew->count = count;
    crew_stop(rest, now);
}

int crew_settled(const struct crew *crew)
{
    for (int i = 0; i < crew->count; i++)
        if (!child_is_settled(&crew->children[i]))
            return 0;
    return 1;
}

int crew_alive(const struct crew *crew)
{
    int alive = 0;
    for (int i = 0; i < crew->count; i++)
        alive += crew->children[i].pid != 0;
    return alive;
}

// Locks without a process are let go at once: nothing starts under these names again.
static void crew_wind_down(struct crew *crew, int64_t now)
{
    crew->deadline_ms = now + crew->config->drain_timeout_ms;
    for (int i = 0; i < crew->count; i++) {
        child_signal(&crew->children[i], SIGTERM);
        if (crew->children[i].pid == 0)
            child_release(&crew->children[i]);
    }
}

void crew_stop(struct crew *crew, int64_t now)
{
    if (crew->state != CREW_RUNNING)
        return;
    crew->state = CREW_STOPPING;
    crew_wind_down(crew, now);
}

static void child_kill(struct child *child)
{
    child->killed = 1;
    child_signal(child, SIGKILL);
}

void crew_kill(struct crew *crew)
{
    for (int i = 0; i < crew->count; i++)
        child_kill(&crew->children[i]);
}

static __attribute__((format(printf, 4, 5))) void crew_halt(struct crew *crew, int exit_code, int64_t now, const char *format, ...)
{
    if (crew->state == CREW_HALTED)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(crew->reason, sizeof crew->reason, format, arguments);
    va_end(arguments);
    int stopping = crew->state == CREW_STOPPING;
    crew->state = CREW_HALTED;
    crew->exit_code = exit_code;
    log_error("%s: pipeline halted: %s", crew->pipeline->name, crew->reason);
    if (!stopping)
        crew_wind_down(crew, now);
}

// `blamed`: a record was, so that the next life gets further; the group needn't wait for it.
static void child_restart_later(struct child *child, const char *end, int blamed, int64_t now)
{
    int64_t life = now - child->started_ms, wait = blamed ? 0 : backoff_wait(&child->backoff, life);
    if (child->fenced_ms >= child->started_ms)
        wait = FENCED_PAUSE_MS + (now ^ getpid()) % FENCED_PAUSE_MS;
    child->due_ms = now + wait;
    child->restarts++;
    if (wait)
        log_warning("%s: %s after %lld ms; restart in %lld ms", child->name, end, (long long)life, (long long)wait);
    else
        log_warning("%s: %s after %lld ms; restart at once", child->name, end, (long long)life);
}

// R1: two instances of one name would fence each other for ever. The page says when a fencing happened that was not our own time-out.
static void crew_fenced(struct crew *crew, struct child *child, int64_t at, int64_t now)
{
    int64_t before = child->fenced_ms;
    if (at == before)
        return;
    child->fenced_ms = at;
    if (before && at - before <= FENCED_TWICE_MS)
        crew_halt(crew, EX_CONFIG, now,
                  "%s was fenced twice within a minute: another instance uses the name \"%s\"; give one of them another `instance`",
                  child->name, crew->pipeline->instance);
    else
        log_warning("%s: fenced: another process took over its name; once more within a minute and the pipeline halts", child->name);
}

static void crew_notice_fencing(struct crew *crew, struct child *child, int64_t now)
{
    int64_t at = atomic_load(&child->args.stats->fenced_at);
    if (at)
        crew_fenced(crew, child, at, now);
}

// While stopping, or when the others of a halted pipeline follow. SIGTERM's own doing counts as a stop: it came before the worker
// had its handler, so before there was anything to finish.
static void crew_wound_down(struct crew *crew, struct child *child, int status, const char *end)
{
    int clean = (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_STOPPED) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    child_release(child);
    if (clean) {
        log_info("%s: stopped", child->name);
        return;
    }
    if (!child->killed)
        log_warning("%s: %s while stopping; what it had not committed is done again by its next start", child->name, end);
    if (crew->state == CREW_STOPPING)
        crew->exit_code = EX_TEMPFAIL;
}

static void crew_load_crashed(struct crew *crew, const struct child *child, int crashes, const char *end, int64_t now)
{
    const char *script = crew->pipeline->transform.script;
    if (crashes < LOAD_CRASHES)
        log_error("%s: %s while loading %.200s or in its init; %d of %d times that halt the pipeline", child->name, end, script, crashes,
                  LOAD_CRASHES);
    else
        crew_halt(crew, EX_DATAERR, now, "%s: %s while loading %.120s or in its init, %d times in a row", child->name, end, script,
                  crashes);
}

static void crew_answer(struct crew *crew, struct child *child, int status, int64_t now)
{
    char end[128];
    const char *reason = child->args.stats->reason;
    enum crew_state before = crew->state;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : WORKER_SPENT;
    child_end(status, end, sizeof end);
    int blamed = child_judge(child, status), load_crashes = blamed ? 0 : child_judge_load(child, status);
    crew_notice_fencing(crew, child, now);

    if (code == WORKER_NEEDS_HUMAN)
        crew_halt(crew, EX_DATAERR, now, "%s: %.*s", child->name, (int)sizeof child->args.stats->reason - 1,
                  *reason ? reason : "it gave no reason; its log lines may");
    if (load_crashes)
        crew_load_crashed(crew, child, load_crashes, end, now);
    if (code == WORKER_FENCED && atomic_load(&child->args.stats->fenced_at) < child->started_ms)
        crew_fenced(crew, child, now, now);

    if (crew->state == CREW_RUNNING) // also one that a SIGTERM of somebody else stopped: only the master's word ends a pipeline
        child_restart_later(child, end, blamed, now);
    else if (crew->state == before)
        crew_wound_down(crew, child, status, end);
    else
        child_release(child); // its end is what halted the crew, and was told
}

int crew_ended(struct crew *crew, pid_t pid, int status, int64_t now)
{
    for (int i = 0; i < crew->count; i++) {
        struct child *child = &crew->children[i];
        if (child->pid != pid)
            continue;
        child->pid = 0;
        crew_answer(crew, child, status, now);
        return 1;
    }
    return 0;
}

// R11: above the settle bound of a worker, so that one which only waits for its brokers is left alone.
static int64_t stall_limit(const struct crew *crew)
{
    int64_t settle = 4 * crew->pipeline->transaction.timeout_ms;
    return settle > STALL_LEAST_MS ? settle : STALL_LEAST_MS;
}

int crew_fresh(const struct crew *crew, int64_t now, int64_t since)
{
    const char *thread;
    for (int i = 0; i < crew->count; i++)
        if (child_silence(&crew->children[i], now, since, &thread) > stall_limit(crew))
            return 0;
    return 1;
}

// A script that never ends can't be interrupted, only killed: LuaJIT's hooks don't fire in compiled code. The limit is that of the recipe
// which the worker runs with, until it has taken over the next one.
static void child_overtime(const struct crew *crew, struct child *child, int64_t now, int64_t since)
{
    char doing[400];
    if (child_is_settled(child))
        child->record_time_ms = crew->pipeline->transform.record_time_ms;
    int64_t limit = child->record_time_ms, dwelling = child_dwelling(child, now, since);
    if (!limit || dwelling <= limit)
        return;
    log_error("%s: transform.limits.record_time (%lld ms) is over%s; killing pid %ld", child->name, (long long)limit,
              stats_doing(child->args.stats, doing, sizeof doing), (long)child->pid);
    child->overtime = 1;
    child_kill(child);
}

// At load and in init there is no record to blame.
static void child_overdue(struct crew *crew, struct child *child, int64_t now, int64_t since)
{
    if (atomic_load(&child->args.stats->state) != WORKER_NEW)
        return;
    if (now - (since > child->started_ms ? since : child->started_ms) <= WORKER_LOAD_MS || child_is_stopped(child))
        return;
    child_kill(child);
    crew_halt(crew, EX_DATAERR, now, "%s: loading %.200s and its init took longer than %g s", child->name, crew->pipeline->transform.script,
              WORKER_LOAD_MS / 1e3);
}

static void child_watch(struct crew *crew, struct child *child, int64_t now, int64_t since)
{
    char doing[400];
    const char *thread;
    if (!child->killed)
        child_overtime(crew, child, now, since);
    if (!child->killed)
        child_overdue(crew, child, now, since);
    int64_t silence = child_silence(child, now, since, &thread);
    if (silence <= stall_limit(crew) || child->killed)
        return;
    log_error("%s: no sign of life from its %s thread for %lld ms%s; killing pid %ld", child->name, thread, (long long)silence,
              stats_doing(child->args.stats, doing, sizeof doing), (long)child->pid);
    child->stalls++;
    child_kill(child);
}

static void child_begin(struct crew *crew, struct child *child, int64_t now)
{
    if (child->due_ms > now || !child_lock(child, now))
        return;
    stats_series_leave(child->args.stats, crew->place); // what only scripts before have used: no process runs them any more
    crew_collect(crew, child);
    if (child_start(child, now) < 0) {
        int error = errno;
        child->due_ms = now + 100 + backoff_wait(&child->backoff, 0);
        log_error("%s: can't start a process: %s; trying again", child->name, strerror(error));
        return;
    }
    log_info("%s: started, pid %ld", child->name, (long)child->pid);
}

static void crew_overdue(struct crew *crew)
{
    char doing[400];
    for (int i = 0; i < crew->count; i++) {
        struct child *child = &crew->children[i];
        if (!child->pid || child->killed)
            continue;
        log_error("%s: not stopped after drain_timeout (%lld ms)%s; killing pid %ld", child->name,
                  (long long)crew->config->drain_timeout_ms, stats_doing(child->args.stats, doing, sizeof doing), (long)child->pid);
        child_kill(child);
    }
}

void crew_tick(struct crew *crew, int64_t now, int64_t since)
{
    crew->looked_ms = now;
    for (int i = 0; i < crew->count; i++) {
        struct child *child = &crew->children[i];
        if (child->pid) {
            crew_notice_fencing(crew, child, now);
            child_watch(crew, child, now, since);
            if (!child_is_settled(child)) // it may wait for that
                crew_collect(crew, child);
        } else if (crew->state == CREW_RUNNING) {
            child_begin(crew, child, now);
        }
    }
    if (crew->state != CREW_RUNNING && now >= crew->deadline_ms)
        crew_overdue(crew);
}

int64_t crew_due(const struct crew *crew, int64_t otherwise)
{
    int64_t due = otherwise, look = crew->looked_ms + crew->pipeline->transform.record_time_ms / LOOKS;
    for (int i = 0; i < crew->count; i++) {
        const struct child *child = &crew->children[i];
        if (child->pid && crew->pipeline->transform.record_time_ms && look < due)
            due = look;
        if (crew->state == CREW_RUNNING && !child->pid && child->due_ms < due)
            due = child->due_ms;
        if (crew->state != CREW_RUNNING && child->pid && !child->killed && crew->deadline_ms < due)
            due = crew->deadline_ms;
    }
    return due;
}

int crew_ready(const struct crew *crew)
{
    int ready = 0;
    for (int i = 0; i < crew->count; i++)
        ready += crew->children[i].pid && atomic_load(&crew->children[i].args.stats->ready);
    return ready;
}

// The first worker that isn't at work stands for all: the line is for a glance, the log has the rest.
int crew_status(const struct crew *crew, char *text, size_t size)
{
    const char *name = crew->pipeline->name;
    int ready = crew_ready(crew);
    if (crew->state == CREW_HALTED)
        return snprintf(text, size, "%s: halted: %s", name, crew->reason);
    for (int i = 0; i < crew->count; i++) {
        const struct child *child = &crew->children[i];
        int state = atomic_load(&child->args.stats->state);
        if (child->pid == 0)
            return snprintf(text, size, "%s: %d/%d ready, %s %s", name, ready, crew->count, child->name,
                            child->locked ? "is restarted" : "waits for another onced to end");
        const char *reason = state == WORKER_BLOCKED || state == WORKER_STARTING ? child->args.stats->reason : "";
        if (state != WORKER_RUNNING && state != WORKER_STANDBY)
            return snprintf(text, size, "%s: %d/%d ready, %s is %s%s%.255s", name, ready, crew->count, child->name,
                            worker_state_name(state), *reason ? ": " : "", reason);
    }
    return snprintf(text, size, "%s: %d/%d ready", name, ready, crew->count);
}
