// SPDX-License-Identifier: MIT
// Time counts between two looks, and not more of it than a slow machine explains: what passes while the process is stopped isn't held
// against its script.
#include "rehearsal_watch.h"

#include <pthread.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"

enum { LOOK_MS = 20, LATE_MS = 5 * LOOK_MS };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct rehearsal_stage *stage; // NULL: no Lua runs
static uint64_t stages;                     // so far

struct sighting {
    uint64_t stages, sequence; // the latter of the note
    int64_t offset;
    int64_t at_ms, dwelt_ms;
};

// Its other thread is in Lua, so it isn't printing.
_Noreturn static void process_end(int in_record)
{
    char doing[400];
    fflush(stdout);
    if (in_record)
        fprintf(stderr,
                "onced: %s: transform.limits.record_time (%lld ms) is over%s\nonced run would kill its worker for that; when the record "
                "does it again, errors.on_error decides\n",
                stage->name, (long long)stage->record_ms, stats_doing(stage->stats, doing, sizeof doing));
    else
        fprintf(stderr, "onced: %s: %s: %s took longer than %g s\n", stage->name, stage->script, stage->what, WORKER_LOAD_MS / 1e3);
    _exit(in_record ? EX_DATAERR : EX_CONFIG);
}

static void look(struct sighting *last)
{
    const struct stats *stats = stage->stats;
    struct sighting seen = {stages, atomic_load(&stats->note_sequence), atomic_load(&stats->note_offset), clock_ms(), 0};
    int in_record = seen.sequence & 1;
    int64_t limit = in_record ? stage->record_ms : WORKER_LOAD_MS, passed = seen.at_ms - last->at_ms;
    if (seen.stages == last->stages && seen.sequence == last->sequence && seen.offset == last->offset)
        seen.dwelt_ms = last->dwelt_ms + (passed < LATE_MS ? passed : LATE_MS);
    if (limit && seen.dwelt_ms > limit)
        process_end(in_record);
    *last = seen;
}

static void *looks(void *unused)
{
    struct sighting last = {0};
    for (;; usleep(LOOK_MS * 1000)) {
        pthread_mutex_lock(&lock);
        if (stage)
            look(&last);
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

static void begin(void)
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, looks, NULL) == 0);
    must(pthread_detach(thread) == 0);
}

void rehearsal_watch(const struct rehearsal_stage *next)
{
    pthread_once(&once, begin);
    pthread_mutex_lock(&lock);
    stage = next;
    stages++;
    pthread_mutex_unlock(&lock);
}
