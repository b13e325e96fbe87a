// SPDX-License-Identifier: MIT
#include "roster.h"

#include <stdlib.h>
#include <string.h>

#include "lock.h"
#include "log.h"

static void crew_leaves(struct roster *r, const struct crew *crew)
{
    struct crew *leaving = realloc(r->leaving, ((size_t)r->leaving_count + 1) * sizeof *leaving);
    must(leaving);
    r->leaving = leaving;
    leaving[r->leaving_count++] = *crew;
}

static void crew_surplus_leaves(struct roster *r, struct crew *crew, int count, int64_t now)
{
    struct crew rest;
    if (crew->count <= count)
        return;
    crew_shrink(crew, count, &rest, now);
    crew_leaves(r, &rest);
}

static struct crew *crew_named(const struct roster *r, const char *name)
{
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->crews[i].pipeline->name, name) == 0)
            return &r->crews[i];
    return NULL;
}

// The crew that goes on with this plan; NULL: a new one is needed. One that has halted begins anew at every reload: what stopped it may
// have been mended outside of the configuration.
static struct crew *crew_kept(const struct roster *r, const struct crew_plan *plan)
{
    struct crew *crew = crew_named(r, plan->pipeline->name);
    return crew && crew->state == CREW_RUNNING && recipe_equal(&crew->seat, &plan->seat) ? crew : NULL;
}

// The part of a change that may fail: `crews` gets the new crews, the kept ones are prepared.
static enum verdict crews_prepare(const struct roster *r, struct plans *plans, struct crew *crews, struct err *e)
{
    for (int i = 0; i < plans->config->pipeline_count; i++)
        crews[i].shelf = -1;
    for (int i = 0; i < plans->config->pipeline_count; i++) {
        struct crew *kept = crew_kept(r, &plans->items[i]);
        if (kept ? crew_prepare(kept, &plans->items[i], r->directory, e) : crew_init(&crews[i], &plans->items[i], r->directory, e))
            return e->verdict;
    }
    return OK;
}

static void change_tell(FILE *told, const struct crew *before, const struct crew *kept, const struct crew_plan *plan)
{
    const char *name = plan->pipeline->name;
    if (!before)
        fprintf(told, "%s: added\n", name);
    else if (!kept && before->state == CREW_HALTED)
        fprintf(told, "%s: had halted, starts again\n", name);
    else if (!kept)
        fprintf(told, "%s: input, outputs or Kafka settings changed, its workers start anew\n", name);
    else {
        if (!recipe_equal(&kept->recipe, &plan->recipe))
            fprintf(told, "%s: taken over in place\n", name);
        if (kept->pipeline->workers != plan->pipeline->workers)
            fprintf(told, "%s: %d worker%s instead of %d\n", name, plan->pipeline->workers, plural(plan->pipeline->workers),
                    kept->pipeline->workers);
    }
}

// The part that can't fail. Crews move by copy: nothing points at a crew, and children lie on the heap.
static void crews_change(struct roster *r, struct plans *plans, struct crew *crews, FILE *told, int64_t now)
{
    char *moved = calloc((size_t)r->count + 1, 1);
    must(moved);
    for (int i = 0; i < plans->config->pipeline_count; i++) {
        struct crew_plan *plan = &plans->items[i];
        struct crew *before = crew_named(r, plan->pipeline->name), *kept = crews[i].count ? NULL : before;
        change_tell(told, before, kept, plan);
        if (!kept)
            continue;
        crew_surplus_leaves(r, kept, plan->pipeline->workers, now);
        crew_take(kept, plan);
        crews[i] = *kept;
        moved[kept - r->crews] = 1;
    }
    for (int i = 0; i < r->count; i++) {
        if (moved[i])
            continue;
        const char *name = r->crews[i].pipeline->name;
        int replaced = 0;
        for (int k = 0; k < plans->config->pipeline_count; k++)
            replaced |= strcmp(plans->config->pipelines[k].name, name) == 0;
        if (!replaced)
            fprintf(told, "%s: removed\n", name);
        crew_stop(&r->crews[i], now);
        crew_leaves(r, &r->crews[i]);
    }
    free(moved);
}

enum verdict roster_init(struct roster *r, struct plans *plans, struct err *e)
{
    *r = (struct roster){.config = plans->config};
    if (lock_directory(r->directory, sizeof r->directory, e) != OK)
        return e->verdict;
    r->crews = calloc((size_t)plans->config->pipeline_count, sizeof *r->crews);
    must(r->crews);
    for (; r->count < plans->config->pipeline_count; r->count++)
        if (crew_init(&r->crews[r->count], &plans->items[r->count], r->directory, e) != OK)
            return e->verdict;
    plans->config = NULL;
    return OK;
}

enum verdict roster_change(struct roster *r, struct plans *plans, FILE *told, int64_t now, struct err *e)
{
    struct crew *crews = calloc((size_t)plans->config->pipeline_count, sizeof *crews);
    must(crews);
    if (crews_prepare(r, plans, crews, e) != OK) {
        for (int i = 0; i < plans->config->pipeline_count; i++)
            crew_fini(&crews[i]);
        for (int i = 0; i < r->count; i++)
            crew_surplus_leaves(r, &r->crews[i], r->crews[i].pipeline->workers, now);
        free(crews);
        return e->verdict;
    }
    crews_change(r, plans, crews, told, now);
    r->past = realloc(r->past, ((size_t)r->past_count + 1) * sizeof *r->past);
    must(r->past);
    r->past[r->past_count++] = r->config;
    free(r->crews);
    r->crews = crews;
    r->count = plans->config->pipeline_count;
    r->config = plans->config;
    plans->config = NULL;
    return OK;
}

void roster_fini(struct roster *r)
{
    for (int i = 0; i < r->count; i++)
        crew_fini(&r->crews[i]);
    for (int i = 0; i < r->leaving_count; i++)
        crew_fini(&r->leaving[i]);
    for (int i = 0; i < r->past_count; i++)
        config_free(&r->past[i]);
    config_free(&r->config);
    free(r->crews);
    free(r->leaving);
    free(r->past);
    *r = (struct roster){0};
}

// Crews that are gone, and the configurations that only they had read.
static void gone_forget(struct roster *r)
{
    int left = 0;
    for (int i = 0; i < r->leaving_count; i++) {
        struct crew *crew = &r->leaving[i];
        if (crew_alive(crew)) {
            r->leaving[left++] = *crew;
            continue;
        }
        crew_report(crew);
        crew_fini(crew);
    }
    r->leaving_count = left;
    for (int i = 0; left == 0 && i < r->past_count; i++)
        config_free(&r->past[i]);
    r->past_count = left == 0 ? 0 : r->past_count;
}

void roster_tick(struct roster *r, int64_t now, int64_t since)
{
    for (int i = 0; i < r->leaving_count; i++)
        crew_tick(&r->leaving[i], now, since);
    gone_forget(r);
    for (int i = 0; i < r->count; i++)
        crew_tick(&r->crews[i], now, since);
}

int roster_ended(struct roster *r, pid_t pid, int status, int64_t now)
{
    for (int i = 0; i < r->count; i++)
        if (crew_ended(&r->crews[i], pid, status, now))
            return 1;
    for (int i = 0; i < r->leaving_count; i++)
        if (crew_ended(&r->leaving[i], pid, status, now))
            return 1;
    return 0;
}

void roster_stop(struct roster *r, int64_t now)
{
    for (int i = 0; i < r->count; i++)
        crew_stop(&r->crews[i], now);
}

void roster_kill(struct roster *r)
{
    for (int i = 0; i < r->count; i++)
        crew_kill(&r->crews[i]);
    for (int i = 0; i < r->leaving_count; i++)
        crew_kill(&r->leaving[i]);
}

void roster_report(struct roster *r)
{
    for (int i = 0; i < r->count; i++)
        crew_report(&r->crews[i]);
}

int roster_alive(const struct roster *r)
{
    int alive = 0;
    for (int i = 0; i < r->count; i++)
        alive += crew_alive(&r->crews[i]);
    for (int i = 0; i < r->leaving_count; i++)
        alive += crew_alive(&r->leaving[i]);
    return alive;
}

int roster_halted(const struct roster *r)
{
    int halted = 0;
    for (int i = 0; i < r->count; i++)
        halted += r->crews[i].state == CREW_HALTED;
    return halted;
}

int roster_ready(const struct roster *r)
{
    for (int i = 0; i < r->count; i++)
        if (r->crews[i].state != CREW_HALTED && crew_ready(&r->crews[i]) < r->crews[i].count)
            return 0;
    return roster_halted(r) < r->count;
}

int roster_settled(const struct roster *r)
{
    for (int i = 0; i < r->count; i++)
        if (r->crews[i].state != CREW_HALTED && !crew_settled(&r->crews[i]))
            return 0;
    return r->leaving_count == 0;
}

int roster_fresh(const struct roster *r, int64_t now, int64_t since)
{
    for (int i = 0; i < r->count; i++)
        if (!crew_fresh(&r->crews[i], now, since))
            return 0;
    for (int i = 0; i < r->leaving_count; i++)
        if (!crew_fresh(&r->leaving[i], now, since))
            return 0;
    return 1;
}

int64_t roster_due(const struct roster *r, int64_t otherwise)
{
    int64_t due = otherwise;
    for (int i = 0; i < r->count; i++)
        due = crew_due(&r->crews[i], due);
    for (int i = 0; i < r->leaving_count; i++)
        due = crew_due(&r->leaving[i], due);
    return due;
}
