// SPDX-License-Identifier: MIT
// The mapping is anonymous and shared, so it needs no name that could collide or be left behind, and a worker's death leaves it
// readable in the master. Called by the master before its forks, and by specs.
#include "stats.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "err.h"

_Static_assert(offsetof(struct stats, series) <= 4096, "a page for each worker, and the table of series");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock inside shared memory would die with its holder");

struct stats *stats_new(void)
{
    void *page = mmap(NULL, sizeof(struct stats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? NULL : page;
}

void stats_free(struct stats *stats)
{
    if (stats)
        munmap(stats, sizeof *stats);
}

int stats_note_read(const struct stats *stats, struct stats_note *note)
{
    uint64_t sequence = atomic_load(&stats->note_sequence);
    if (!(sequence & 1))
        return 0;
    memcpy(note->topic, stats->note_topic, sizeof note->topic);
    note->topic[sizeof note->topic - 1] = '\0';
    note->partition = atomic_load(&stats->note_partition);
    note->first = atomic_load(&stats->note_offset);
    int64_t last = atomic_load(&stats->note_last);
    note->last = last > note->first ? last : note->first;
    return atomic_load(&stats->note_sequence) == sequence; // else it went on: what was read is of two records
}

const char *stats_doing(const struct stats *stats, char *text, size_t size)
{
    struct stats_note note;
    *text = '\0';
    if (!stats_note_read(stats, &note))
        return text;
    int used = snprintf(text, size, " while transforming %s/%d offset %lld", note.topic, (int)note.partition, (long long)note.first);
    if (note.last > note.first)
        snprintf(text + used, size - (size_t)used, " to %lld", (long long)note.last);
    return text;
}

static int series_state(const struct stats *stats, int series)
{
    return atomic_load_explicit(&stats->series[series].state, memory_order_acquire);
}

static int series_find(const struct stats *stats, enum series_kind kind, const char *text)
{
    int count = atomic_load_explicit(&stats->series_count, memory_order_relaxed);
    for (int i = 0; i < count; i++)
        if (series_state(stats, i) == SERIES_USED && stats->series[i].kind == (int)kind && strcmp(stats->series[i].text, text) == 0)
            return i;
    return -1;
}

static int series_used(const struct stats *stats, uint64_t edition, enum series_kind kind)
{
    int count = atomic_load_explicit(&stats->series_count, memory_order_relaxed), used = 0;
    for (int i = 0; i < count; i++)
        used += series_state(stats, i) == SERIES_USED && stats->series[i].kind == (int)kind && stats->series[i].edition == edition;
    return used;
}

static int series_new(struct stats *stats, enum series_kind kind, const char *text)
{
    int count = atomic_load_explicit(&stats->series_count, memory_order_relaxed), at = 0;
    while (at < count && series_state(stats, at) != SERIES_FREE)
        at++;
    must(at < SERIES_MOST);
    struct stats_series *series = &stats->series[at];
    series->kind = (int)kind;
    series->edition = 0;
    series->taken = 0;
    strcpy(series->text, text);
    atomic_store_explicit(&series->value, 0, memory_order_relaxed);
    atomic_store_explicit(&series->state, SERIES_USED, memory_order_release);
    if (at == count)
        atomic_store_explicit(&stats->series_count, count + 1, memory_order_release);
    return at;
}

static int series_make(struct stats *stats, uint64_t edition, enum series_kind kind, const char *text, int64_t size)
{
    char clean[sizeof stats->series->text];
    int most = kind == SERIES_COUNTER ? SERIES_COUNTERS : SERIES_REASONS;
    if (kind == SERIES_COUNTER && size >= (int64_t)sizeof clean)
        return -1;
    size = size < (int64_t)sizeof clean ? size : (int64_t)sizeof clean - 1;
    for (int64_t i = 0; i < size; i++)
        clean[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    clean[size] = '\0';
    int found = series_find(stats, kind, clean);
    if ((found < 0 || stats->series[found].edition < edition) && series_used(stats, edition, kind) >= most) {
        if (kind == SERIES_COUNTER)
            return -1;
        strcpy(clean, "other");
        found = series_find(stats, kind, clean);
    }
    if (found < 0)
        found = series_new(stats, kind, clean);
    if (stats->series[found].edition < edition)
        stats->series[found].edition = edition;
    return found;
}

int stats_series(struct stats *stats, uint64_t edition, enum series_kind kind, const char *text, int64_t size)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; // of this process: no other makes any
    pthread_mutex_lock(&one_at_a_time);
    int series = series_make(stats, edition, kind, text, size);
    pthread_mutex_unlock(&one_at_a_time);
    return series;
}

void stats_series_leave(struct stats *stats, uint64_t edition)
{
    int count = atomic_load_explicit(&stats->series_count, memory_order_relaxed);
    for (int i = 0; i < count; i++)
        if (series_state(stats, i) == SERIES_USED && stats->series[i].edition < edition)
            atomic_store_explicit(&stats->series[i].state, SERIES_LEFT, memory_order_release);
}

int stats_series_left(const struct stats *stats)
{
    int count = atomic_load_explicit(&stats->series_count, memory_order_relaxed);
    for (int i = 0; i < count; i++)
        if (series_state(stats, i) == SERIES_LEFT)
            return 1;
    return 0;
}

const char *worker_state_name(int state)
{
    static const char *const names[] = {"new", "starting", "joining", "standby", "running", "blocked", "draining", "halted"};
    return state >= 0 && (size_t)state < sizeof names / sizeof *names ? names[state] : "?";
}
