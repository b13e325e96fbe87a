// SPDX-License-Identifier: MIT
// The path of a batch: filled and transformed here on the front thread, slice by slice (pipeline_turn), handed over to the back thread
// (transaction.c) and collected when it is settled. Two batches exist: one here, one there or spare. What grows large is sent from here, in
// a transaction that back has begun for it. Invariants: a batch is sealed only when all it holds is transformed; one whose transaction is
// open is closed in a third of transaction.timeout; when a batch is dropped, so is its successor, and everything polled since (R8).
#include "pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "allocator.h"
#include "batch.h"
#include "clock.h"
#include "exchange.h"
#include "failpoint.h"
#include "log.h"
#include "mailbox.h"
#include "sink.h"
#include "source.h"
#include "transaction.h"

enum {
    SLICE = 500,      // records polled before they are transformed, at most
    STREAM = 2000,    // outputs from which on a batch is sent while it is filled: many partitions are touched together
    AHEAD = 16000,    // outputs that may wait for a transaction to be begun: more would have left the cache when they are sent
    WAIT_MS = 100,    // for the first record; also bounds how late a stop is seen
    FULL_MS = 1000,   // both batches full, or the script behind, for so long: fetching pauses, polling goes on
    BACKLOG_MS = 500, // transforming without a poll
    IDLE_LOOK_MS = 1000,
    JOIN_MS = 2000, // for back to end
};

struct pipeline {
    const struct config_pipeline *settings; // of the exchange's recipe
    struct exchange exchange;
    struct stats *stats;
    char id[256]; // transactional.id = group.instance.id (R1, R13)
    struct source *source;
    struct sink *sink;
    struct mailbox *mailbox;
    struct transaction transaction;
    pthread_t back;
    struct batch *filling, *spare; // spare is NULL while back has it
    int64_t spaced_ms;             // what commit_every is counted from: the last hand-over; under heavy load, when it was settled
    int64_t full_since, behind_since, idle_looked;
    int32_t slice;      // records to poll: what the script has shown that it transforms before the next poll is due
    int open;           // a transaction is asked for, or begun, for `filling`
    int32_t sent;       // outputs [0, sent) of it are on their way
    struct err failure; // what sending them came to
    int64_t opened_ms;
    int paused;
    int rewind;      // a batch was dropped: go on from the committed offsets before anything else
    struct err halt; // why to stop after what is transformed has been committed; verdict OK: go on
    const volatile sig_atomic_t *stop;
};

static int64_t settle_ms(const struct pipeline *p)
{
    return p->settings->transaction.timeout_ms + 2000; // R11
}

static void beat(struct pipeline *p)
{
    atomic_store_explicit(&p->stats->front_beat, clock_ms(), memory_order_relaxed);
}

static void batch_renew(struct pipeline *p, struct batch *batch)
{
    int topics;
    batch_reset(batch);
    batch->lent.input_topics = source_topics(p->source, &batch->lent.input_topic_count);
    batch->lent.output_topics = sink_topics(p->sink, &topics);
    batch->lent.output_topic_count = topics;
    batch->partitions = sink_partitions;
    batch->sink = p->sink;
}

static int is_full(const struct pipeline *p)
{
    const struct batch *b = p->filling;
    return b->lent.record_count >= p->settings->transaction.max_records ||
           b->input_bytes + b->lent.bytes >= p->settings->transaction.max_bytes;
}

static void stream_end(struct pipeline *p)
{
    p->open = p->sent = 0;
    p->failure.verdict = OK;
}

// Takes back what is settled, waiting at most `timeout_ms` for it. OK; RESTART or HALT when back says so.
static enum verdict collect(struct pipeline *p, int timeout_ms, struct err *e)
{
    enum mailbox_result result;
    struct batch *batch = mailbox_collect(p->mailbox, timeout_ms, &result, e);
    if (!batch)
        return OK;
    must(batch == p->filling ? p->open : !p->spare);
    if (batch == p->filling)
        stream_end(p);
    else
        p->spare = batch;
    batch_renew(p, batch);
    if (result == MAILBOX_COMMITTED) {
        if (p->filling->lent.output_count >= STREAM) // what a commit costs is spread over as many records as can be
            p->spaced_ms = clock_ms();
        return OK;
    }
    if (GUARD("drop-successor"))
        batch_renew(p, p->filling);
    p->rewind = GUARD("rewind");
    if (result == MAILBOX_DROPPED) {
        log_notice("a batch was dropped: %s", e->text);
        return OK;
    }
    return e->verdict = result == MAILBOX_SPENT ? RESTART : HALT;
}

static void hand_over(struct pipeline *p, enum source_ends ends)
{
    struct batch *batch = p->filling;
    must(p->spare);
    source_seal(p->source, batch, ends);
    if (batch_is_empty(batch) && !p->open)
        return;
    p->filling = p->spare;
    p->spare = NULL;
    p->spaced_ms = clock_ms();
    p->full_since = 0;
    mailbox_put(p->mailbox, batch, p->sent, &p->failure);
    stream_end(p);
}

// A large batch is sent while it is filled, by front itself: what it sends is still warm in the cache, and only the end of the batch is
// waited for. The batch stays what is held, committed and sent again as one.
static void stream(struct pipeline *p)
{
    const struct batch *b = p->filling;
    if (p->open) {
        if (!p->failure.verdict && mailbox_is_lent(p->mailbox, 0) && sink_send(p->sink, p->filling, &p->sent, &p->failure) == RETRY)
            p->failure.verdict = OK; // the rest in a later turn
        return;
    }
    if (!p->spare || b->lent.output_count < STREAM || b->transformed < b->lent.record_count || p->rewind || p->halt.verdict)
        return;
    mailbox_open(p->mailbox, p->filling);
    p->open = 1;
    p->opened_ms = clock_ms();
}

static void slice_adapt(struct pipeline *p, int32_t count, int64_t took_ms)
{
    if (took_ms > BACKLOG_MS / 2)
        p->slice = p->slice > 1 ? p->slice / 2 : 1;
    else if (took_ms < BACKLOG_MS / 4 && count >= p->slice)
        p->slice = p->slice < SLICE / 2 ? p->slice * 2 : SLICE;
}

// Runs Lua over what was polled, unless the batch is to be cut. On HALT the culprit and what follows is let go of; what stands before it
// will be committed first.
static void transform_polled(struct pipeline *p, int64_t limit_ms)
{
    struct batch *b = p->filling;
    int32_t topics, count = b->lent.record_count - b->transformed;
    int64_t began = clock_ms();
    if (p->halt.verdict || count == 0)
        return;
    b->lent.input_topics = source_topics(p->source, &topics);
    b->lent.input_topic_count = topics;
    for (; b->transformed < b->lent.record_count && !b->cut && clock_ms() <= began + limit_ms; beat(p))
        if (transform_run(p->exchange.transform, b, b->lent.record_count - b->transformed, &p->halt)) {
            p->halt.verdict = HALT;
            batch_truncate(b, b->transformed);
            break;
        }
    slice_adapt(p, count, clock_ms() - began);
    FAILPOINT("after-lua");
}

static int is_due(struct pipeline *p)
{
    const struct batch *b = p->filling;
    return p->spare && !batch_is_empty(b) && b->transformed == b->lent.record_count &&
           (is_full(p) || p->failure.verdict || p->exchange.due || clock_ms() - p->spaced_ms >= p->settings->transaction.commit_every_ms ||
            (p->open && clock_ms() - p->opened_ms > p->settings->transaction.timeout_ms / 3));
}

static int wait_of(const struct pipeline *p)
{
    const struct batch *b = p->filling;
    if (b->transformed < b->lent.record_count)
        return 0;
    if (batch_is_empty(b) || !p->spare) // back wakes us when it has settled
        return WAIT_MS;
    int64_t left = p->spaced_ms + p->settings->transaction.commit_every_ms - clock_ms();
    return left < 0 ? 0 : left < WAIT_MS ? (int)left : WAIT_MS;
}

// Front far ahead of back would only fill memory that has left the cache when it is sent.
static int is_ahead(const struct pipeline *p)
{
    int32_t waiting = p->filling->lent.output_count - p->sent;
    if (p->exchange.due && batch_is_empty(p->filling)) // what is filled now would be the old script's
        return 1;
    return p->spare ? p->open && !p->failure.verdict && waiting >= AHEAD : is_full(p) || waiting >= AHEAD;
}

// Both batches are full: wait for back; after a while stop fetching, but go on polling, or no rebalance callback runs.
static enum verdict wait_for_back(struct pipeline *p, struct err *e)
{
    int64_t now = clock_ms();
    if (!p->full_since)
        p->full_since = now;
    if (now - p->full_since >= FULL_MS) {
        source_pause(p->source, p->paused = 1); // each time: a rebalance may have brought partitions
        return source_fill(p->source, &p->filling, p->filling->lent.record_count + 1, INT64_MAX, WAIT_MS, e);
    }
    if (!p->open)
        return collect(p, WAIT_MS, e);
    mailbox_is_lent(p->mailbox, WAIT_MS);
    return OK;
}

// R8: until the source stands at the committed offsets, what it polls is of no use.
static enum verdict rewind_turn(struct pipeline *p, struct err *e)
{
    enum verdict verdict = source_rewind(p->source, e);
    if (GUARD("drop-successor"))
        batch_renew(p, p->filling); // also what the poll delivered after the callback that asked for this
    if (verdict == OK)
        p->rewind = 0;
    if (verdict != RETRY)
        return verdict;
    verdict = source_fill(p->source, &p->filling, SLICE, INT64_MAX, WAIT_MS, e);
    batch_renew(p, p->filling);
    return verdict;
}

static enum verdict fill(struct pipeline *p, struct err *e)
{
    const struct batch *b = p->filling;
    int backlog = b->transformed < b->lent.record_count;
    int32_t limit = b->lent.record_count + (backlog ? 1 : p->slice), most = (int32_t)p->settings->transaction.max_records;
    int64_t now = clock_ms();
    if (!backlog || !p->behind_since)
        p->behind_since = backlog ? now : 0;
    int pause = backlog && now - p->behind_since >= FULL_MS;
    if (pause || p->paused)
        source_pause(p->source, p->paused = pause);
    return source_fill(p->source, &p->filling, !backlog && limit > most ? most : limit,
                       backlog ? INT64_MAX : p->settings->transaction.max_bytes - b->lent.bytes, wait_of(p), e);
}

static enum verdict finish(struct pipeline *p, int64_t deadline, struct err *e);

// One turn: collect what back has settled, fill a slice, transform it, hand the batch over when it is due.
static enum verdict pipeline_turn(struct pipeline *p, struct err *e)
{
    enum verdict verdict = collect(p, 0, e);
    if (verdict)
        return verdict;
    if (p->rewind)
        return p->spare ? rewind_turn(p, e) : collect(p, WAIT_MS, e);
    // Between two transactions: with back is no batch either, which would answer a refused record by the settings under which it was made.
    if (exchange_is_due(&p->exchange) && (!GUARD("boundary") || (p->spare && batch_is_empty(p->filling)))) {
        verdict = exchange_take(&p->exchange, e);
        p->transaction.pipeline = p->settings = &p->exchange.recipe->pipeline;
        return verdict;
    }
    stream(p);
    if (is_ahead(p))
        return wait_for_back(p, e);
    p->full_since = 0;
    if ((verdict = fill(p, e)))
        return verdict;
    if (p->rewind)
        return OK;
    transform_polled(p, BACKLOG_MS);
    if (p->halt.verdict)
        return *e = p->halt, HALT;
    if (p->filling->cut)
        return finish(p, clock_ms() + settle_ms(p), e);
    stream(p);
    if (is_due(p))
        hand_over(p, ENDS_BEHIND);
    if (p->spare && batch_is_empty(p->filling) && clock_ms() - p->idle_looked > IDLE_LOOK_MS) {
        p->idle_looked = clock_ms();
        allocator_rest(p->idle_looked);
        if (source_has_idle(p->source))
            hand_over(p, ENDS_IDLE);
    }
    return OK;
}

static int is_underway(const struct pipeline *p, int open_too)
{
    return !p->spare || (open_too && p->open);
}

// Waits until back has nothing that front isn't filling; a batch that it can't settle in time, or without metadata that won't come, is
// dropped. With open_too != 0 the batch being filled was dropped as well. OK, RESTART or HALT; RETRY: back didn't even answer the drop.
static enum verdict settle(struct pipeline *p, int64_t deadline, int open_too, struct err *e)
{
    uint64_t serial;
    enum verdict verdict = OK;
    while (is_underway(p, open_too) && !verdict && clock_ms() < deadline) {
        beat(p);
        verdict = collect(p, WAIT_MS, e);
        source_group_free(source_group(p->source, &serial));
        if (!p->spare && mailbox_is_stuck(p->mailbox, serial))
            mailbox_drop(p->mailbox);
    }
    if (!is_underway(p, open_too) || verdict)
        return verdict;
    mailbox_drop(p->mailbox);
    for (deadline = clock_ms() + settle_ms(p); is_underway(p, open_too) && !verdict && clock_ms() < deadline; beat(p))
        verdict = collect(p, WAIT_MS, e);
    return !is_underway(p, open_too) || verdict ? verdict : RETRY;
}

// Everything underway is given up (partitions were lost).
static enum verdict drop_all(struct pipeline *p, struct err *e)
{
    if (!p->spare || p->open)
        mailbox_drop(p->mailbox);
    enum verdict verdict = settle(p, clock_ms() + settle_ms(p), 1, e);
    if (verdict) // the process ends; and librdkafka may still refer to the batch
        return verdict;
    if (!batch_is_empty(p->filling))
        log_notice("dropped records=%d that weren't handed over", p->filling->lent.record_count);
    batch_renew(p, p->filling);
    return OK;
}

// What back is at, then what is transformed here, is committed before partitions go, or before a record that killed is left behind.
static enum verdict finish(struct pipeline *p, int64_t deadline, struct err *e)
{
    enum verdict verdict = settle(p, deadline, 0, e);
    if (verdict || p->rewind)
        return verdict;
    while (p->filling->transformed < p->filling->lent.record_count && !p->filling->cut && !p->halt.verdict && clock_ms() < deadline)
        transform_polled(p, BACKLOG_MS);
    if (p->filling->transformed < p->filling->lent.record_count) {
        batch_truncate(p->filling, p->filling->transformed);
        p->rewind = 1; // of partitions that stay
    }
    hand_over(p, p->halt.verdict || p->rewind ? ENDS_NONE : *p->stop ? ENDS_ALL : ENDS_BEHIND);
    return settle(p, deadline, 0, e);
}

// A rebalance is about to take effect (called inside a poll).
static int on_change(void *opaque, enum source_change change)
{
    struct pipeline *p = opaque;
    struct err e = {.verdict = OK};
    int64_t deadline = clock_ms() + settle_ms(p);
    if (!GUARD("settle")) { // what back has is left to the numbers of assignments (R3)
        batch_renew(p, p->filling);
        return 0;
    }
    enum verdict verdict = change == SOURCE_LOST     ? drop_all(p, &e)
                           : change == SOURCE_REVOKE ? finish(p, deadline, &e)
                                                     : settle(p, deadline, 0, &e);
    if (change == SOURCE_ASSIGN && !verdict && !p->open && !mailbox_wait_ready(p->mailbox, (int)settle_ms(p)))
        verdict = RETRY;
    if (verdict == HALT && !p->halt.verdict)
        p->halt = e;
    if (verdict)
        log_warning("the rebalance can't wait any longer: %s", e.text);
    return verdict ? -1 : 0;
}

static void on_snapshot(void *opaque)
{
    mailbox_wake(((struct pipeline *)opaque)->mailbox);
}

static void on_settled(void *opaque)
{
    source_wake(((struct pipeline *)opaque)->source);
}

struct pipeline *pipeline_new(const struct config *config, const struct config_pipeline *settings, int number, int shelf,
                              struct stats *stats, struct err *e)
{
    struct pipeline *p = calloc(1, sizeof *p);
    must(p);
    p->stats = stats;
    p->slice = 1;
    snprintf(p->id, sizeof p->id, "onced.%s.%s.%d", settings->name, settings->instance, number);
    struct source_hooks hooks = {p, on_change, on_snapshot};
    p->mailbox = mailbox_new();
    p->filling = batch_new();
    p->spare = batch_new();
    must(p->filling && p->spare);
    if (exchange_init(&p->exchange, config, settings, number, shelf, stats, e) || !(p->sink = sink_new(settings, p->id, stats, e)) ||
        !(p->source = source_new(settings, config->state_directory, p->id, stats, &hooks, e)))
        return NULL; // the process ends
    p->settings = &p->exchange.recipe->pipeline;
    mailbox_on_settled(p->mailbox, on_settled, p);
    batch_renew(p, p->filling);
    batch_renew(p, p->spare);
    p->transaction =
        (struct transaction){.pipeline = p->settings, .sink = p->sink, .source = p->source, .mailbox = p->mailbox, .stats = p->stats};
    return p;
}

// The producer comes first: a predecessor's open transaction would block the fetch of the group's offsets.
static enum verdict start(struct pipeline *p, struct err *e)
{
    enum verdict verdict;
    long long logged = 0;
    atomic_store(&p->stats->state, WORKER_STARTING);
    for (int64_t pause = 50; (verdict = sink_open(p->sink, e)) == RETRY; pause = pause < 2000 ? pause * 2 : 2000) {
        snprintf(p->stats->reason, sizeof p->stats->reason, "%s", e->text);
        if (log_due(&logged, 10))
            log_warning("can't start yet: %s", e->text);
        for (int64_t until = clock_ms() + pause; clock_ms() < until; nanosleep(&(struct timespec){0, 20000000}, NULL)) {
            beat(p);
            if (*p->stop)
                return RETRY;
        }
    }
    if (verdict)
        return verdict;
    atomic_store(&p->stats->state, WORKER_JOINING);
    must(pthread_create(&p->back, NULL, transaction_run, &p->transaction) == 0);
    return source_subscribe(p->source, e);
}

// Commits what is transformed and leaves the group; nothing is lost when that takes too long, it is only done again.
static void drain(struct pipeline *p)
{
    struct err e = {.verdict = OK};
    struct timespec until;
    int64_t deadline = clock_ms() + p->exchange.recipe->config.drain_timeout_ms / 2; // the master kills at the whole
    atomic_store(&p->stats->state, WORKER_DRAINING);
    if (finish(p, deadline, &e))
        log_warning("the last batch isn't known to be committed; if it isn't, it will be done again: %s", e.text);
    mailbox_stop(p->mailbox);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += JOIN_MS / 1000;
    if (pthread_clockjoin_np(p->back, NULL, CLOCK_MONOTONIC, &until) == 0) {
        source_leave(p->source, p->exchange.recipe->config.leave_on_stop || p->halt.verdict, deadline, 3000,
                     p->halt.verdict ? EX_DATAERR : EX_OK); // as worker_run answers
        sink_free(&p->sink);
    }
    transform_free(&p->exchange.transform);
}

static enum pipeline_end ended(struct pipeline *p, enum verdict verdict, const struct err *e)
{
    if (verdict == RESTART && source_is_fenced(p->source)) {
        log_error("%s", e->text);
        if (!transaction_fenced(p->stats))
            return PIPELINE_FENCED;
        snprintf(p->stats->reason, sizeof p->stats->reason,
                 "fenced twice within a minute: another instance runs under the name %.100s; give each host its own `instance`", p->id);
        atomic_store(&p->stats->state, WORKER_HALTED);
        return PIPELINE_HALTED;
    }
    if (verdict == RESTART) {
        log_error("starting anew: %s", e->text);
        return PIPELINE_SPENT;
    }
    snprintf(p->stats->reason, sizeof p->stats->reason, "%s", e->text);
    log_error("halted: %s", e->text);
    p->halt.verdict = HALT; // a halted worker leaves the group, whatever leave_on_stop says
    drain(p);
    atomic_store(&p->stats->state, WORKER_HALTED);
    return PIPELINE_HALTED;
}

enum pipeline_end pipeline_run(struct pipeline *p, const volatile sig_atomic_t *stop)
{
    struct err e = {.verdict = OK};
    p->stop = stop;
    beat(p);
    enum verdict verdict = start(p, &e);
    if (*stop && verdict == RETRY)
        return PIPELINE_STOPPED; // nothing was begun
    while (verdict == OK && !*stop) {
        verdict = pipeline_turn(p, &e);
        beat(p);
    }
    if (verdict == HALT || (verdict == RESTART && !source_is_fenced(p->source) && p->halt.verdict))
        return ended(p, HALT, p->halt.verdict ? &p->halt : &e);
    if (verdict != OK)
        return ended(p, RESTART, &e);
    drain(p);
    return p->halt.verdict ? PIPELINE_HALTED : PIPELINE_STOPPED;
}
