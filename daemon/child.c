// SPDX-License-Identifier: MIT
// Invariant: a process exists only while its lock is held by this master, and every process dies with the master. The order in
// child_become is what guarantees the second: the death signal first, then the look whether the master is still there.
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "lock.h"
#include "log.h"

#ifndef VMSTAT // specs have their own
#define VMSTAT  "/proc/vmstat"
#define CGROUP  "/proc/self/cgroup"
#define CGROUPS "/sys/fs/cgroup"
#endif
enum { LOCK_RETRY_MS = 50, LOCK_TELL_SECONDS = 60 };

enum verdict child_init(struct child *child, const struct worker_args *args, const char *directory, struct err *e)
{
    *child = (struct child){.args = *args, .lock = -1};
    snprintf(child->name, sizeof child->name, "%s#%d", args->pipeline->name, args->number);
    int size = snprintf(child->id, sizeof child->id, "onced.%s.%s.%d", args->pipeline->name, args->pipeline->instance, args->number);
    if (size >= (int)sizeof child->id)
        return err_set(e, HALT, ENAMETOOLONG, "the names of pipeline and instance are too long together: %.100s", args->pipeline->name);
    child->args.stats = stats_new();
    if (!child->args.stats)
        return err_set(e, HALT, errno, "no shared memory for %.100s: %s", child->name, strerror(errno));
    child->lock = lock_open(directory, child->id, e);
    if (child->lock < 0) {
        child_fini(child);
        return e->verdict;
    }
    return OK;
}

void child_release(struct child *child)
{
    if (child->lock >= 0)
        close(child->lock);
    child->lock = -1;
    child->locked = 0;
}

void child_fini(struct child *child)
{
    must(child->pid == 0);
    child_release(child);
    stats_free(child->args.stats);
    child->args.stats = NULL;
}

int child_lock(struct child *child, int64_t now)
{
    if (child->locked)
        return 1;
    int got = lock_try(child->lock);
    if (got == 1) {
        if (child->wait_told)
            log_notice("%s: the lock is free now, starting", child->name);
        child->locked = 1;
        return 1;
    }
    child->due_ms = now + LOCK_RETRY_MS;
    if (log_due(&child->wait_told, LOCK_TELL_SECONDS)) {
        if (lock_holder(child->lock) == getpid())
            log_info("%s: starts when its predecessor has ended", child->name);
        else if (got < 0)
            log_error("%s: can't lock %s: %s; trying again", child->name, child->id, strerror(errno));
        else
            log_notice("%s: waiting: another onced on this host (pid %ld) holds %s; starts when that one is gone", child->name,
                       (long)lock_holder(child->lock), child->id);
    }
    return 0;
}

// memory.events of the own cgroup (version 2), where workers are, too. NULL: it isn't there.
static FILE *cgroup_events(void)
{
    char line[2048], path[4096];
    FILE *file = fopen(CGROUP, "re"), *events = NULL;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(path, sizeof path, "%s%s/memory.events", CGROUPS, line + 3);
        if (strncmp(line, "0::", 3) == 0)
            events = fopen(path, "re");
    }
    if (file)
        fclose(file);
    return events;
}

// How many processes the kernel has ended for want of memory: in the cgroup, else on the machine; where that can't be read, none.
static uint64_t oom_kills(void)
{
    char line[128];
    uint64_t kills = 0;
    FILE *file = cgroup_events();
    file = file ? file : fopen(VMSTAT, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "oom_kill ", 9) == 0)
            kills = strtoull(line + 9, NULL, 10);
    if (file)
        fclose(file);
    return kills;
}

// What the page says of the life before must not be taken for this one's.
static void page_prepare(struct stats *stats)
{
    atomic_store(&stats->front_beat, 0);
    atomic_store(&stats->back_beat, 0);
    atomic_store(&stats->state, WORKER_NEW);
    atomic_store(&stats->ready, 0);
    if (atomic_load(&stats->recipe_taken) != atomic_load(&stats->recipe)) // what the script before has died over is none of the next one's
        stats->suspects.count = 0;
    atomic_store(&stats->recipe_taken, atomic_load(&stats->recipe));
    if (atomic_load(&stats->note_sequence) & 1) // it died inside the script
        stats_add(&stats->note_sequence, 1);
    stats->reason[0] = '\0';
}

// Terminal signals go to the whole foreground group: a stop is the master's to give, so the worker doesn't hear them.
static void signals_reset(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child_become(const struct child *child, pid_t master)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != master)
        _exit(WORKER_SPENT);
    lock_inherit(child->lock, child->args.shelf);
    signals_reset();
    log_name("%s", child->name);
    _exit(worker_run(&child->args));
}

int child_start(struct child *child, int64_t now)
{
    must(child->pid == 0 && child->locked);
    page_prepare(child->args.stats);
    child->oom_kills = oom_kills();
    pid_t master = getpid(), pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0)
        child_become(child, master);
    child->pid = pid;
    child->started_ms = now;
    child->killed = child->overtime = 0;
    child->record_time_ms = child->args.pipeline->transform.record_time_ms;
    child->sighting = (struct sighting){.sequence = 0};
    return 0;
}

int child_is_settled(const struct child *child)
{
    return atomic_load(&child->args.stats->recipe_taken) == atomic_load(&child->args.stats->recipe);
}

void child_renew(struct child *child)
{
    child->backoff = (struct backoff){.next_ms = 0};
    child->load_crashes = 0;
    if (!child->fenced_ms || child->fenced_ms < child->started_ms) // else it waits for the other's sake
        child->due_ms = 0;
}

void child_signal(const struct child *child, int number)
{
    if (child->pid > 0)
        kill(child->pid, number);
}

int64_t child_silence(const struct child *child, int64_t now, int64_t since, const char **thread)
{
    const struct stats *stats = child->args.stats;
    if (child->pid == 0)
        return 0;
    if (since < child->started_ms)
        since = child->started_ms;
    int64_t front = atomic_load(&stats->front_beat), back = atomic_load(&stats->back_beat);
    *thread = front <= back ? "front" : "back";
    int64_t last = front <= back ? front : back;
    return now - (last > since ? last : since);
}

// By waitid: of a process that can't be dumped, /proc shows nothing where it is mounted with hidepid, as in the unit.
int child_is_stopped(const struct child *child)
{
    siginfo_t found = {.si_pid = 0};
    return waitid(P_PID, (id_t)child->pid, &found, WSTOPPED | WNOHANG | WNOWAIT) == 0 && found.si_pid == child->pid;
}

int64_t child_dwelling(struct child *child, int64_t now, int64_t since)
{
    const struct stats *stats = child->args.stats;
    struct sighting seen = {atomic_load(&stats->note_sequence), atomic_load(&stats->note_offset), now}, *last = &child->sighting;
    if (child->pid == 0 || !(seen.sequence & 1))
        return 0;
    if (seen.sequence != last->sequence || seen.offset != last->offset || last->ms < since || child_is_stopped(child))
        *last = seen;
    return now - last->ms;
}

static int judged(const struct child *child, int status, enum death *cause)
{
    *cause = child->overtime ? DEATH_TIME : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? DEATH_MEMORY : DEATH_CRASH;
    if (child->overtime)
        return 1;
    if (!WIFSIGNALED(status) || child->killed)
        return 0;
    switch (WTERMSIG(status)) {
    case SIGKILL: // somebody's, or the kernel's for want of memory
        return oom_kills() > child->oom_kills;
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGABRT:
        return 1;
    }
    return 0;
}

int child_judge(struct child *child, int status)
{
    char doing[400];
    struct stats_note note;
    enum death cause;
    if (!judged(child, status, &cause) || !stats_note_read(child->args.stats, &note))
        return 0;
    int deaths = suspects_add(&child->args.stats->suspects, note.topic, note.partition, note.first, note.last, cause);
    log_error("%s: died%s: %s", child->name, stats_doing(child->args.stats, doing, sizeof doing),
              !child_is_settled(child)  ? "the next script begins there"
              : deaths == 0             ? "these records are run one by one now"
              : deaths < SUSPECT_DEATHS ? "once more, and errors.on_error decides about that record"
                                        : "errors.on_error decides about that record");
    return 1;
}

int child_judge_load(struct child *child, int status)
{
    enum death cause;
    if (atomic_load(&child->args.stats->state) != WORKER_NEW)
        child->load_crashes = 0;
    else if (child_is_settled(child) && judged(child, status, &cause) && cause == DEATH_CRASH)
        return ++child->load_crashes;
    return 0;
}

const char *child_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        switch (WEXITSTATUS(status)) {
        case WORKER_STOPPED:
            snprintf(text, size, "ended");
            break;
        case WORKER_SPENT:
            snprintf(text, size, "ended to be started afresh");
            break;
        case WORKER_FENCED:
            snprintf(text, size, "fenced");
            break;
        case WORKER_NEEDS_HUMAN:
            snprintf(text, size, "halted");
            break;
        default:
            snprintf(text, size, "ended with exit code %d", WEXITSTATUS(status));
        }
    return text;
}
