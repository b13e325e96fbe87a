// SPDX-License-Identifier: MIT
#include "exchange.h"

#include <errno.h>

#include "clock.h"
#include "log.h"

static struct recipe *recipe_at(const struct exchange *x, uint64_t place)
{
    struct recipe *recipe = recipe_read(recipe_take(x->shelf, place), x->config, x->pipeline);
    recipe->pipeline.transform.edition = place;
    return recipe;
}

enum verdict exchange_init(struct exchange *x, const struct config *config, const struct config_pipeline *pipeline, int number, int shelf,
                           struct stats *stats, struct err *e)
{
    uint64_t place = atomic_load(&stats->recipe);
    *x = (struct exchange){.config = config, .pipeline = pipeline, .stats = stats, .number = number, .shelf = shelf};
    x->recipe = recipe_at(x, place);
    stats_series_leave(stats, place); // of the life before, if this is a newer script's
    x->transform = transform_new(&x->recipe->pipeline, number, stats, e);
    atomic_store(&stats->recipe_taken, place);
    return x->transform ? OK : e->verdict;
}

static void *transform_make(void *opaque)
{
    struct exchange *x = opaque;
    x->next = transform_new(&x->next_recipe->pipeline, x->number, x->stats, &x->failure);
    return NULL;
}

int exchange_is_due(struct exchange *x)
{
    uint64_t place = atomic_load_explicit(&x->stats->recipe, memory_order_acquire);
    if (x->next_place) {
        x->made = x->made || pthread_tryjoin_np(x->maker, NULL) == 0;
        return x->due = x->made || clock_ms() - x->began_ms > WORKER_LOAD_MS;
    }
    if (place == atomic_load_explicit(&x->stats->recipe_taken, memory_order_relaxed) || stats_series_left(x->stats))
        return 0;
    x->next_place = place;
    x->began_ms = clock_ms();
    x->next_recipe = recipe_at(x, place);
    must(pthread_create(&x->maker, NULL, transform_make, x) == 0);
    return 0;
}

enum verdict exchange_take(struct exchange *x, struct err *e)
{
    if (!x->made) // the process ends, and the thread with it
        return err_set(e, HALT, 0, "loading %.100s and its init took longer than %g s", x->next_recipe->pipeline.transform.script,
                       WORKER_LOAD_MS / 1e3);
    if (!x->next)
        return *e = x->failure, HALT;
    transform_free(&x->transform);
    stats_series_leave(x->stats, x->next_place);
    recipe_free(&x->recipe);
    x->recipe = x->next_recipe;
    x->transform = x->next;
    log_init((enum log_level)x->recipe->config.log_level);
    log_info("reloaded: %s", x->recipe->pipeline.transform.script);
    atomic_store(&x->stats->recipe_taken, x->next_place);
    x->stats->suspects.count = 0;
    x->next_place = 0;
    x->made = x->due = 0;
    return OK;
}
