// SPDX-License-Identifier: MIT
// What a pipeline's workers have committed since the last report, in log lines: first the sums, then what scripts count under names of
// their own. Everything told is of committed transactions. Called by the supervisor, every now and then and at the end.
#include "crew.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

enum { LINE_SIZE = 1200, ALWAYS = 3 };

static const struct {
    const char *name;
    size_t at;
} counters[CHILD_COUNTERS] = {
    // told even when they are zero:
    {"records", offsetof(struct stats, committed_records)},
    {"transactions", offsetof(struct stats, transactions)},
    {"aborts", offsetof(struct stats, aborts)},
    // others:
    {"produced", offsetof(struct stats, produced)},
    {"dropped", offsetof(struct stats, dropped)},
    {"rejected", offsetof(struct stats, rejected)},
    {"dead_lettered", offsetof(struct stats, dead_lettered)},
    {"skipped", offsetof(struct stats, skipped)},
    {"trace_aborts", offsetof(struct stats, trace_aborts)},
};

// By child: one that leaves the crew takes what it was told of along.
static uint64_t counter_since(const struct crew *crew, int counter)
{
    uint64_t since = 0;
    for (int i = 0; i < crew->count; i++) {
        struct child *child = &crew->children[i];
        uint64_t value = atomic_load((_Atomic uint64_t *)((char *)child->args.stats + counters[counter].at));
        since += value - child->told[counter];
        child->told[counter] = value;
    }
    return since;
}

static void counters_report(const struct crew *crew)
{
    char line[LINE_SIZE];
    int used = 0, changed = 0;
    for (int i = 0; i < CHILD_COUNTERS; i++) {
        uint64_t since = counter_since(crew, i);
        if (since || i < ALWAYS)
            used += snprintf(line + used, sizeof line - (size_t)used, " %s=%llu", counters[i].name, (unsigned long long)since);
        changed |= since != 0;
    }
    if (changed)
        log_info("%s: committed%s", crew->pipeline->name, line);
}

// The crew's entry of a worker's series; NULL: no memory, it is told another time.
static struct crew_series *series_entry(struct crew *crew, const struct stats_series *series)
{
    for (int i = 0; i < crew->series_count; i++)
        if ((int)crew->series[i].kind == series->kind && strcmp(crew->series[i].text, series->text) == 0)
            return &crew->series[i];
    struct crew_series *more = realloc(crew->series, ((size_t)crew->series_count + 1) * sizeof *more);
    if (!more)
        return NULL;
    crew->series = more;
    more[crew->series_count] = (struct crew_series){.kind = (enum series_kind)series->kind};
    memcpy(more[crew->series_count].text, series->text, sizeof series->text - 1);
    return &more[crew->series_count++];
}

void crew_collect(struct crew *crew, const struct child *child)
{
    struct stats *stats = child->args.stats;
    int count = atomic_load_explicit(&stats->series_count, memory_order_acquire);
    for (int i = 0; i < count && i < SERIES_MOST; i++) {
        struct stats_series *series = &stats->series[i];
        int state = atomic_load_explicit(&series->state, memory_order_acquire);
        if (state == SERIES_FREE)
            continue;
        struct crew_series *entry = series_entry(crew, series);
        if (!entry)
            return;
        double value = atomic_load_explicit(&series->value, memory_order_relaxed);
        entry->untold += value - series->taken;
        series->taken = value;
        if (state == SERIES_LEFT)
            atomic_store_explicit(&series->state, SERIES_FREE, memory_order_release);
    }
}

// As many lines as it takes.
static void series_report(const struct crew *crew, enum series_kind kind, const char *what)
{
    char line[LINE_SIZE], item[300];
    const char *quote = kind == SERIES_COUNTER ? "" : "\"";
    int used = 0;
    for (int i = 0; i < crew->series_count; i++) {
        const struct crew_series *series = &crew->series[i];
        if (series->kind != kind || series->untold == 0)
            continue;
        int size = snprintf(item, sizeof item, " %s%s%s=%.15g", quote, series->text, quote, series->untold);
        if (used + size >= LINE_SIZE) {
            log_info("%s: %s%s", crew->pipeline->name, what, line);
            used = 0;
        }
        memcpy(line + used, item, (size_t)size + 1);
        used += size;
    }
    if (used)
        log_info("%s: %s%s", crew->pipeline->name, what, line);
}

void crew_report(struct crew *crew)
{
    counters_report(crew);
    for (int i = 0; i < crew->count; i++)
        crew_collect(crew, &crew->children[i]);
    series_report(crew, SERIES_DROPPED, "dropped");
    series_report(crew, SERIES_REJECTED, "rejected");
    series_report(crew, SERIES_COUNTER, "counted");
    crew->series_count = 0;
}
