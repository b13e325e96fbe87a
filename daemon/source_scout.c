// SPDX-License-Identifier: MIT
// See source_scout.h.
#include "source_scout.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "failpoint.h"
#include "kafka.h"
#include "log.h"
#include "source_scout_group.h"

enum {
    WAKE_MS = 5,           // between looks at the prefetch queue
    REST_MS = 200,         // where nothing needs to be woken
    QUEUE_LOW = 30000,     // records
    ASK_MS = 2000,         // of one watermark query: its answer isn't wanted
    CHECK_FIRST_MS = 1000, // the group is looked at soon after an assignment ...
    CHECK_MS = 15000,      // ... and then so often
};

struct source_scout {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    const struct config_pipeline *pipeline;
    const char *id;
    pthread_t thread;
    pthread_mutex_t lock; // guards `assigned`
    rd_kafka_topic_partition_list_t *assigned;
    int turn; // which partition's broker is woken next
    int wakes;
    _Atomic int stop, done, finding;
    _Atomic int findings; // in a row: what subscribing anew doesn't cure is looked at less and less
    _Atomic uint64_t polled;
    _Atomic int64_t check_at; // monotonic ms
};

// Any request to a partition's broker ends its pause; the answer is of no interest.
static void prefetch_wake(struct source_scout *scout)
{
    char topic[256];
    int32_t partition;
    int64_t low, high;
    pthread_mutex_lock(&scout->lock);
    int count = scout->assigned ? scout->assigned->cnt : 0;
    if (count) {
        const rd_kafka_topic_partition_t *p = &scout->assigned->elems[scout->turn++ % count];
        snprintf(topic, sizeof topic, "%s", p->topic);
        partition = p->partition;
    }
    pthread_mutex_unlock(&scout->lock);
    if (count)
        rd_kafka_query_watermark_offsets(scout->rk, topic, partition, &low, &high, ASK_MS);
}

static void group_check(struct source_scout *scout)
{
    static const int again_ms = 1000;
    int64_t now = clock_ms();
    if (now < atomic_load(&scout->check_at) || !GUARD("static-check"))
        return;
    atomic_store(&scout->check_at, now + CHECK_MS);
    if (!source_scout_group_is_whole(scout->rk, scout->pipeline, scout->id)) {
        // Once more: the group may just be about to rebalance by itself.
        for (int waited = 0; waited < again_ms && !atomic_load(&scout->stop); waited += REST_MS)
            usleep(REST_MS * 1000);
        if (!atomic_load(&scout->stop) && !source_scout_group_is_whole(scout->rk, scout->pipeline, scout->id)) {
            atomic_fetch_add(&scout->findings, 1);
            atomic_store(&scout->finding, 1);
            return;
        }
    }
    atomic_store(&scout->findings, 0);
}

static void *scout_run(void *opaque)
{
    struct source_scout *scout = opaque;
    uint64_t seen = 0;
    while (!atomic_load(&scout->stop)) {
        uint64_t polled = atomic_load(&scout->polled);
        int flowing = scout->wakes && polled != seen; // nothing flows: nothing to wake, and idling costs nothing
        seen = polled;
        if (flowing && rd_kafka_queue_length(scout->queue) < QUEUE_LOW)
            prefetch_wake(scout);
        group_check(scout);
        usleep((flowing ? WAKE_MS : scout->wakes ? WAKE_MS * 4 : REST_MS) * 1000);
    }
    atomic_store(&scout->done, 1);
    return NULL;
}

struct source_scout *source_scout_new(rd_kafka_t *rk, rd_kafka_queue_t *queue, const struct config_pipeline *pipeline, const char *id)
{
    struct source_scout *scout = calloc(1, sizeof *scout);
    must(scout);
    scout->rk = rk;
    scout->queue = queue;
    scout->pipeline = pipeline;
    scout->id = id;
    scout->wakes = kafka_version_below(2, 2, 0);
    atomic_store(&scout->check_at, INT64_MAX);
    pthread_mutex_init(&scout->lock, NULL);
    must(pthread_create(&scout->thread, NULL, scout_run, scout) == 0);
    return scout;
}

void source_scout_free(struct source_scout **scout)
{
    struct source_scout *s = *scout;
    *scout = NULL;
    atomic_store(&s->stop, 1);
    for (int i = 0; i < 50 && !atomic_load(&s->done); i++)
        usleep(10000);
    if (!atomic_load(&s->done)) {
        pthread_detach(s->thread);
        return;
    }
    pthread_join(s->thread, NULL);
    if (s->assigned)
        rd_kafka_topic_partition_list_destroy(s->assigned);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void source_scout_assigned(struct source_scout *scout, const rd_kafka_topic_partition_list_t *list)
{
    pthread_mutex_lock(&scout->lock);
    if (scout->assigned)
        rd_kafka_topic_partition_list_destroy(scout->assigned);
    scout->assigned = rd_kafka_topic_partition_list_copy(list);
    pthread_mutex_unlock(&scout->lock);
    int findings = atomic_load(&scout->findings);
    atomic_store(&scout->check_at, clock_ms() + ((int64_t)CHECK_FIRST_MS << (findings < 9 ? findings : 9)));
}

void source_scout_polled(struct source_scout *scout, int records)
{
    atomic_fetch_add_explicit(&scout->polled, (uint64_t)records, memory_order_relaxed);
}

int source_scout_finding(struct source_scout *scout)
{
    return atomic_load_explicit(&scout->finding, memory_order_relaxed) && atomic_exchange(&scout->finding, 0);
}
