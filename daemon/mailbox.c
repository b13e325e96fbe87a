// SPDX-License-Identifier: MIT
// See mailbox.h. States: free -> (put or open) given -> (take) taken -> (settle) settled -> (collect) free; an open batch is closed by put.
#include "mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"

enum state { FREE, GIVEN, TAKEN, SETTLED };

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum state state;
    struct batch *batch;
    enum mailbox_result result;
    struct err error;
    int32_t sent;       // outputs of a batch that was open, sent by front
    struct err failure; // what that came to
    int lent, closed, dropped, stopping, ready, stuck;
    uint64_t stuck_serial, wakes;
    void (*wake)(void *opaque);
    void *opaque;
};

struct mailbox *mailbox_new(void)
{
    pthread_condattr_t attributes;
    struct mailbox *m = calloc(1, sizeof *m);
    must(m);
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&m->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return m;
}

void mailbox_free(struct mailbox **mailbox)
{
    if (!*mailbox)
        return;
    pthread_cond_destroy(&(*mailbox)->changed);
    pthread_mutex_destroy(&(*mailbox)->lock);
    free(*mailbox);
    *mailbox = NULL;
}

void mailbox_on_settled(struct mailbox *m, void (*wake)(void *opaque), void *opaque)
{
    m->wake = wake;
    m->opaque = opaque;
}

static void lock(struct mailbox *m)
{
    must(pthread_mutex_lock(&m->lock) == 0);
}

static void unlock(struct mailbox *m)
{
    must(pthread_mutex_unlock(&m->lock) == 0);
}

static void changed(struct mailbox *m)
{
    pthread_cond_broadcast(&m->changed);
}

// Waits with the lock held until something changed or the deadline (monotonic ms) has passed; 0: it has passed.
static int wait_until(struct mailbox *m, int64_t deadline)
{
    struct timespec t = {deadline / 1000, deadline % 1000 * 1000000};
    return pthread_cond_timedwait(&m->changed, &m->lock, &t) != ETIMEDOUT;
}

static void give(struct mailbox *m, struct batch *batch)
{
    m->batch = batch;
    m->state = GIVEN;
    m->lent = m->closed = m->dropped = m->sent = 0;
    m->failure.verdict = OK;
}

void mailbox_put(struct mailbox *m, struct batch *batch, int32_t sent, const struct err *failure)
{
    lock(m);
    must(!m->stopping && (m->state == FREE || (m->batch == batch && !m->closed)));
    if (m->state == FREE)
        give(m, batch);
    must(m->lent || sent == 0);
    m->lent = 0;
    m->closed = 1;
    m->sent = sent;
    if (failure)
        m->failure = *failure;
    changed(m);
    unlock(m);
}

void mailbox_open(struct mailbox *m, struct batch *batch)
{
    lock(m);
    must(m->state == FREE && !m->stopping);
    give(m, batch);
    changed(m);
    unlock(m);
}

void mailbox_lend(struct mailbox *m)
{
    lock(m);
    must(m->state == TAKEN);
    if (!m->closed && !m->dropped) {
        m->lent = 1;
        changed(m);
    }
    unlock(m);
}

int mailbox_is_lent(struct mailbox *m, int timeout_ms)
{
    int64_t deadline = clock_ms() + timeout_ms;
    lock(m);
    while (!m->lent && (m->state == GIVEN || m->state == TAKEN) && timeout_ms > 0 && wait_until(m, deadline))
        continue;
    int lent = m->lent;
    unlock(m);
    return lent;
}

int mailbox_wait_closed(struct mailbox *m, int timeout_ms, int32_t *sent, struct err *failure)
{
    int64_t deadline = clock_ms() + timeout_ms;
    lock(m);
    must(m->state == TAKEN);
    while (!m->closed && !m->dropped && wait_until(m, deadline))
        continue;
    int closed = m->closed;
    *sent = m->sent;
    *failure = m->failure;
    unlock(m);
    return closed;
}

int mailbox_is_free(struct mailbox *m)
{
    lock(m);
    int is_free = m->state == FREE;
    unlock(m);
    return is_free;
}

struct batch *mailbox_collect(struct mailbox *m, int timeout_ms, enum mailbox_result *result, struct err *e)
{
    struct batch *batch = NULL;
    int64_t deadline = clock_ms() + timeout_ms;
    lock(m);
    while ((m->state == GIVEN || m->state == TAKEN) && !m->stuck && timeout_ms > 0 && wait_until(m, deadline))
        continue;
    if (m->state == SETTLED) {
        batch = m->batch;
        *result = m->result;
        *e = m->error;
        if (m->dropped && m->result == MAILBOX_COMMITTED)
            *result = MAILBOX_DROPPED;
        m->batch = NULL;
        m->state = FREE;
    }
    unlock(m);
    return batch;
}

void mailbox_drop(struct mailbox *m)
{
    lock(m);
    m->dropped = 1;
    m->lent = 0;
    changed(m);
    unlock(m);
}

int mailbox_is_stuck(struct mailbox *m, uint64_t serial)
{
    lock(m);
    int stuck = m->stuck && m->stuck_serial >= serial;
    unlock(m);
    return stuck;
}

int mailbox_wait_ready(struct mailbox *m, int timeout_ms)
{
    int64_t deadline = clock_ms() + timeout_ms;
    lock(m);
    while (!(m->ready && (m->state == FREE || m->state == SETTLED)) && wait_until(m, deadline))
        continue;
    int ready = m->ready && (m->state == FREE || m->state == SETTLED);
    unlock(m);
    return ready;
}

void mailbox_stop(struct mailbox *m)
{
    lock(m);
    m->stopping = 1;
    changed(m);
    unlock(m);
}

struct batch *mailbox_take(struct mailbox *m, int timeout_ms, int *stop)
{
    struct batch *batch = NULL;
    int64_t deadline = clock_ms() + timeout_ms;
    lock(m);
    while (m->state != GIVEN && !m->stopping && wait_until(m, deadline))
        continue;
    if (m->state == GIVEN) {
        batch = m->batch;
        m->state = TAKEN;
    }
    *stop = !batch && m->stopping;
    unlock(m);
    return batch;
}

void mailbox_settle(struct mailbox *m, enum mailbox_result result, const struct err *e)
{
    lock(m);
    must(m->state == TAKEN);
    m->result = result;
    m->error = *e;
    m->state = SETTLED;
    m->stuck = 0;
    changed(m);
    unlock(m);
    if (m->wake)
        m->wake(m->opaque);
}

int mailbox_is_dropped(struct mailbox *m)
{
    lock(m);
    int dropped = m->dropped;
    unlock(m);
    return dropped;
}

void mailbox_pause(struct mailbox *m, int timeout_ms, int stuck, uint64_t serial)
{
    int64_t deadline = clock_ms() + timeout_ms;
    lock(m);
    uint64_t wakes = m->wakes;
    m->stuck = stuck;
    m->stuck_serial = serial;
    if (stuck)
        changed(m);
    while (!m->dropped && wakes == m->wakes && wait_until(m, deadline))
        continue;
    m->stuck = 0;
    unlock(m);
}

void mailbox_ready(struct mailbox *m, int ready)
{
    lock(m);
    m->ready = ready;
    changed(m);
    unlock(m);
}

void mailbox_wake(struct mailbox *m)
{
    lock(m);
    m->wakes++;
    changed(m);
    unlock(m);
}
