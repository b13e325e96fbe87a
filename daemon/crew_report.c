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
} counters[CREW_COUNTERS] = {
    // told even when they are zero:
    {"records", offsetof(struct stats, committed_records)},
    {"transactions", offsetof(struct stats, transactions)},
    {"aborts", offsetof(struct stats, aborts)},
    // others:
    {"dropped", offsetof(struct stats, dropped)},
    {"rejected", offsetof(struct stats, rejected)},
    {"dead_lettered", offsetof(struct stats, dead_lettered)},
    {"skipped", offsetof(struct stats, skipped)},
    {"trace_aborts", offsetof(struct stats, trace_aborts)},
};

static uint64_t counter_sum(const struct crew *crew, int counter)
{
    uint64_t sum = 0;
    for (int i = 0; i < crew->count; i++)
        sum += atomic_load((_Atomic uint64_t *)((char *)crew->children[i].args.stats + counters[counter].at));
    return sum;
}

static void counters_report(struct crew *crew)
{
    char line[LINE_SIZE];
    int used = 0, changed = 0;
    for (int i = 0; i < CREW_COUNTERS; i++) {
        uint64_t sum = counter_sum(crew, i), since = sum - crew->told[i];
        if (since || i < ALWAYS)
            used += snprintf(line + used, sizeof line - (size_t)used, " %s=%llu", counters[i].name, (unsigned long long)since);
        changed |= since != 0;
        crew->told[i] = sum;
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

static void series_sum(struct crew *crew)
{
    for (int i = 0; i < crew->series_count; i++)
        crew->series[i].sum = 0;
    for (int i = 0; i < crew->count; i++) {
        const struct stats *stats = crew->children[i].args.stats;
        int count = atomic_load_explicit(&stats->series_count, memory_order_acquire);
        for (int s = 0; s < count && s < SERIES_MOST; s++) {
            struct crew_series *entry = series_entry(crew, &stats->series[s]);
            if (entry)
                entry->sum += atomic_load_explicit(&stats->series[s].value, memory_order_relaxed);
        }
    }
}

// As many lines as it takes.
static void series_report(struct crew *crew, enum series_kind kind, const char *what)
{
    char line[LINE_SIZE], item[300];
    const char *quote = kind == SERIES_COUNTER ? "" : "\"";
    int used = 0;
    for (int i = 0; i < crew->series_count; i++) {
        struct crew_series *series = &crew->series[i];
        if (series->kind != kind || series->sum == series->told)
            continue;
        int size = snprintf(item, sizeof item, " %s%s%s=%.15g", quote, series->text, quote, series->sum - series->told);
        if (used + size >= LINE_SIZE) {
            log_info("%s: %s%s", crew->pipeline->name, what, line);
            used = 0;
        }
        memcpy(line + used, item, (size_t)size + 1);
        used += size;
        series->told = series->sum;
    }
    if (used)
        log_info("%s: %s%s", crew->pipeline->name, what, line);
}

void crew_report(struct crew *crew)
{
    counters_report(crew);
    series_sum(crew);
    series_report(crew, SERIES_DROPPED, "dropped");
    series_report(crew, SERIES_REJECTED, "rejected");
    series_report(crew, SERIES_COUNTER, "counted");
}
