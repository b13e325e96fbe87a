// SPDX-License-Identifier: MIT
// A worker as its master sees it: a lock, a shared page, a process or none at the moment. Knows how to start, signal and judge one
// process; when that is to happen is the crew's decision. Owned by its crew; lives in the master's only thread.
#pragma once
#include <sys/types.h>

#include "backoff.h"
#include "worker.h"

enum { CHILD_COUNTERS = 9 };

struct child {
    struct worker_args args; // its stats page outlives every process
    char name[160];          // "orders#0"
    char id[320];            // transactional.id, and the name of the lock file
    int lock;                // descriptor; -1: released
    int locked;
    pid_t pid;          // 0: no process
    int64_t started_ms; // of the latest process
    int64_t due_ms;     // without a process: of the next attempt to lock or start
    int64_t fenced_ms;  // of the latest fencing that counted, 0: none
    long long wait_told;
    struct backoff backoff;
    int killed;             // by the master, which has said why
    int overtime;           // it was for transform.limits.record_time
    int load_crashes;       // since the script and its init were last through
    int64_t record_time_ms; // transform.limits.record_time of what it runs with
    uint64_t oom_kills;     // of the cgroup or the machine, when the process began
    struct sighting {       // of what is in the script's hands
        uint64_t sequence;  // of the note
        int64_t offset, ms; // seen first
    } sighting;
    uint64_t restarts, stalls;
    uint64_t told[CHILD_COUNTERS]; // of what it has committed, at the last report
};

// Makes the page and opens the lock file in `directory`. OK, or HALT with *e.
enum verdict child_init(struct child *child, const struct worker_args *args, const char *directory, struct err *e);
void child_fini(struct child *child);    // the process must be gone
void child_release(struct child *child); // the lock: nothing will be started under this name any more
// 1: the lock is held; 0: not yet, try again at due_ms. Says now and then who holds it.
int child_lock(struct child *child, int64_t now);
// Forks. 0, or -1 with errno: no process could be had.
int child_start(struct child *child, int64_t now);
int child_is_settled(const struct child *child); // it runs with what it shall run with
void child_renew(struct child *child);           // it shall run with something else: what became of the script before is no matter
void child_signal(const struct child *child, int signal);
// How long the quieter of the worker's two threads hasn't given a sign of life, in ms; not counting before `since`, when the master
// itself may have been frozen. *thread names it. 0 without a process.
int64_t child_silence(const struct child *child, int64_t now, int64_t since, const char **thread);
int child_is_stopped(const struct child *child); // by a signal; of a debugger's doing nothing is known
// How long the script has had the same record (or stretch) in hand, in ms, as far as was seen; call it now and then. Not counting
// before `since`, nor while the process is stopped. 0: it isn't in the script.
int64_t child_dwelling(struct child *child, int64_t now, int64_t since);
// The process has ended. 1: that was the script's doing; the record it had in hand becomes a suspect, and the log names it.
int child_judge(struct child *child, int status);
// The same of a script that crashed while it was loaded or in init, where no record is to blame. How often in a row by now; 0: it didn't.
int child_judge_load(struct child *child, int status);
// What a wait status says: "killed by signal 9 (Killed)".
const char *child_end(int status, char *text, size_t size);
