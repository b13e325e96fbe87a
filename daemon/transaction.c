// SPDX-License-Identifier: MIT
// See transaction.h. The one switch over verdicts is in batch_bring. Numbered as in the design: 1. begin, 2. send, 3. flush, 4. offsets,
// 5. commit (R14). Nothing here touches a batch after it was settled.
#include "transaction.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "clock.h"
#include "failpoint.h"
#include "log.h"
#include "transform.h"

enum {
    CALL_MS = 500,        // one call into the sink; between calls a drop is noticed
    PAUSE_FIRST_MS = 100, // before a batch is sent again
    PAUSE_MOST_MS = 5000,
    LOOKS_SILENT = 3,     // a look at the outputs takes a moment
    LOOKS_MOST = 20,      // with one reader; another may fare better
    BLOCKED_ATTEMPTS = 3, // a batch that failed so often: the output is called blocked
    FENCED_WINDOW_MS = 60000,
    MARKERS_MS = 5, // a commit is answered before its markers are written; a partition added sooner is refused and tried again after 20 ms
};

static void beat(struct transaction *t)
{
    atomic_store_explicit(&t->stats->back_beat, clock_ms(), memory_order_relaxed);
}

static int pause_of(int attempt)
{
    int ms = PAUSE_FIRST_MS << (attempt < 6 ? attempt : 6);
    return ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS;
}

int transaction_fenced(struct stats *stats)
{
    static atomic_int counted; // one takeover fences producer and consumer alike
    if (atomic_exchange(&counted, 1))
        return 0;
    int64_t now = clock_ms(), last = atomic_exchange(&stats->fenced_at, now);
    stats_add(&stats->fenced, 1);
    return last && now - last < FENCED_WINDOW_MS;
}

// A pause in small steps, for the heartbeat; ends early when the batch is dropped.
static void rest(struct transaction *t, int ms)
{
    for (int64_t deadline = clock_ms() + ms, left; (left = deadline - clock_ms()) > 0 && !mailbox_is_dropped(t->mailbox);) {
        beat(t);
        mailbox_pause(t->mailbox, left < CALL_MS ? (int)left : CALL_MS, 0, 0);
    }
}

static void blocked(struct transaction *t, const struct err *e)
{
    snprintf(t->stats->reason, sizeof t->stats->reason, "%s", e->text);
    atomic_store(&t->stats->state, WORKER_BLOCKED);
}

static void unblocked(struct transaction *t)
{
    if (atomic_load(&t->stats->state) == WORKER_BLOCKED)
        atomic_store(&t->stats->state, WORKER_RUNNING);
}

// 0. A producer that is fit for a begin. OK, RETRY: dropped or told to stop meanwhile, RESTART or HALT.
static enum verdict producer_ready(struct transaction *t, int wait, struct err *e)
{
    enum sink_cause cause;
    const char *why;
    long long logged = 0;
    for (int attempt = 0; (why = sink_stale(t->sink, &cause)); attempt++) {
        mailbox_ready(t->mailbox, 0);
        if (attempt == 0)
            log_info("producer replaced: %s", why);
        enum verdict verdict = sink_open(t->sink, e);
        beat(t);
        if (verdict == OK)
            break;
        if (verdict == HALT || verdict == RESTART)
            return verdict;
        if (log_due(&logged, 10))
            log_warning("output blocked: %s", e->text);
        blocked(t, e);
        if (!wait || mailbox_is_dropped(t->mailbox))
            return RETRY;
        rest(t, pause_of(attempt));
        if (mailbox_is_dropped(t->mailbox))
            return RETRY;
    }
    if (t->attempt < BLOCKED_ATTEMPTS)
        unblocked(t);
    mailbox_ready(t->mailbox, 1);
    return OK;
}

// Repeats a step that answers RETRY until the transaction's time is up or front has dropped the batch.
static enum verdict flush(struct transaction *t, struct err *e)
{
    int64_t deadline = sink_began(t->sink) + t->pipeline->transaction.timeout_ms;
    enum verdict verdict;
    while ((verdict = sink_flush(t->sink, CALL_MS, e)) == RETRY) {
        beat(t);
        if (clock_ms() > deadline || mailbox_is_dropped(t->mailbox)) {
            e->verdict = RESEND;
            return RESEND;
        }
    }
    return verdict;
}

static enum verdict offsets(struct transaction *t, const struct batch *batch, struct err *e)
{
    int64_t deadline = sink_began(t->sink) + t->pipeline->transaction.timeout_ms;
    int32_t count;
    if (!source_owns(t->source, batch) || mailbox_is_dropped(t->mailbox))
        return err_set(e, RESEND, 0, "its partitions are held no more");
    struct rd_kafka_consumer_group_metadata_s *group = source_group(t->source, &t->group_serial);
    if (!group) // R3: a broker wouldn't fence it
        return err_set(e, RESEND, 0, "this worker is no member of the group now");
    enum verdict verdict;
    while ((verdict = sink_offsets(t->sink, batch, source_topics(t->source, &count), group, e)) == RETRY) {
        beat(t);
        if (clock_ms() > deadline || mailbox_is_dropped(t->mailbox)) {
            verdict = e->verdict = RESEND;
            break;
        }
    }
    source_group_free(group);
    return verdict;
}

static enum verdict went_back(struct err *e)
{
    return err_set(e, HALT, 0,
                   "the group's offsets stand behind what was committed before: a broker that restarted may have ended a committed "
                   "transaction without its markers, and aborted it with a later one (README, Limits)");
}

// A batch that was aborted is sent again only if the one before it is still in: a coordinator that finds no leader for a partition calls a
// transaction complete whose markers it never wrote (sink_markers.h), and the next abort takes it along, offsets and all.
static enum verdict predecessor_stands(struct transaction *t, const struct batch *batch, struct err *e)
{
    int64_t deadline = sink_began(t->sink) + t->pipeline->transaction.timeout_ms;
    enum source_found found;
    while (source_compare(t->source, batch, &found, e)) {
        beat(t);
        if (clock_ms() > deadline || mailbox_is_dropped(t->mailbox))
            return e->verdict = RESEND;
    }
    return found == FOUND_BACK ? went_back(e) : OK;
}

static enum verdict commit(struct transaction *t, struct err *e)
{
    // Once EndTxn is on its way only its answer counts; after the transaction's time the outcome is in doubt.
    int64_t deadline = clock_ms() + t->pipeline->transaction.timeout_ms;
    enum verdict verdict;
    while ((verdict = sink_commit(t->sink, CALL_MS, e)) == RETRY) {
        beat(t);
        if (clock_ms() > deadline || mailbox_is_dropped(t->mailbox)) {
            sink_spoil(t->sink);
            return e->verdict = RESTART;
        }
    }
    return verdict;
}

// A batch that is still being filled is front's to send until it closes it.
static enum verdict fill(struct transaction *t, int32_t *sent, struct err *e)
{
    mailbox_lend(t->mailbox);
    while (!(t->closed = mailbox_wait_closed(t->mailbox, CALL_MS, sent, e))) {
        beat(t);
        if (mailbox_is_dropped(t->mailbox))
            return err_set(e, RESEND, 0, "dropped");
    }
    return e->verdict;
}

static enum verdict send(struct transaction *t, struct batch *batch, int32_t sent, struct err *e)
{
    int64_t deadline = sink_began(t->sink) + t->pipeline->transaction.timeout_ms;
    enum verdict verdict;
    while ((verdict = sink_send(t->sink, batch, &sent, e)) == RETRY) {
        beat(t);
        if (clock_ms() > deadline || mailbox_is_dropped(t->mailbox))
            return e->verdict = RESEND;
    }
    return verdict;
}

static enum verdict attempt(struct transaction *t, struct batch *batch, struct err *e)
{
    int64_t since = clock_ms() - t->committed_ms;
    int32_t sent = 0;
    t->ending = 0;
    if (t->closed && since < MARKERS_MS) // nothing is gained while the batch is still growing
        usleep((useconds_t)(MARKERS_MS - since) * 1000);
    enum verdict verdict = sink_begin(t->sink, e); // 1.
    FAILPOINT("after-begin");
    if (verdict == OK && !t->closed)
        verdict = fill(t, &sent, e);
    if (verdict == OK && !t->written)
        verdict = send(t, batch, sent, e); // 2.
    FAILPOINT("after-produce");
    if (verdict == OK && GUARD("flush"))
        verdict = flush(t, e); // 3. offsets beside a produce in flight cost a retry
    if (verdict == OK && t->aborted && GUARD("predecessor"))
        verdict = predecessor_stands(t, batch, e);
    FAILPOINT("before-offsets");
    if (verdict == OK)
        verdict = offsets(t, batch, e); // 4.
    FAILPOINT("after-offsets");
    if (verdict != OK)
        return verdict == RETRY ? (e->verdict = RESEND) : verdict;
    FAILPOINT("before-endtxn");
    t->ending = 1;
    verdict = commit(t, e); // 5.
    FAILPOINT("after-endtxn");
    return verdict;
}

// An answer is waited for, perhaps for long: said now and then.
static void waiting(struct transaction *t, long long *logged, const struct err *e)
{
    if (log_due(logged, 10))
        log_warning("output blocked: what became of a commit isn't known yet: %s", e->text);
    blocked(t, e);
}

// The group's offsets say that a commit wasn't one. If readers see its outputs all the same, brokers have lost offsets that they had
// acknowledged: to send the batch again would repeat it, so from here on only its offsets are. OK; RETRY: to be dropped; HALT.
static enum verdict denial_judge(struct transaction *t, const struct batch *batch, struct err *e)
{
    enum sink_seen seen;
    enum verdict verdict;
    long long logged = 0;
    for (int try = 0; (verdict = sink_seen(t->sink, batch, CALL_MS, &seen, e)) == RETRY; try++) {
        beat(t);
        if (mailbox_is_dropped(t->mailbox)) {
            sink_seen_stop(t->sink);
            return err_set(e, RETRY, 0, "its partitions are held no more");
        }
        if (try < LOOKS_SILENT)
            continue;
        if (try % LOOKS_MOST == 0)
            sink_seen_stop(t->sink);
        waiting(t, &logged, e);
        rest(t, pause_of(0));
    }
    if (verdict)
        return verdict;
    if (seen == SEEN_SOME)
        return err_set(
            e, HALT, 0,
            "readers see a part of what a commit in doubt wrote, or some of it was deleted or can't be read, and the group's offsets "
            "deny it: brokers have lost what they had acknowledged (README, Limits)");
    t->written |= seen == SEEN_ALL;
    return OK;
}

// The outcome of an attempt is unknown: a new handle settles it on the broker (it completes a prepared commit, aborts an open one), then
// the group's offsets tell. OK: committed; RESEND: not committed; HALT; RETRY: to be dropped.
static enum verdict outcome_find(struct transaction *t, const struct batch *batch, struct err *e)
{
    enum source_found found;
    struct err why = *e;
    enum verdict verdict = producer_ready(t, 1, e);
    if (verdict || !GUARD("outcome"))
        return verdict;
    if (!t->closed) { // commit wasn't called, and the new handle has aborted what was open
        t->attempt++;
        t->aborted = 1;
        return err_set(e, RESEND, 0, "%s", why.text);
    }
    long long logged = 0;
    for (int try = 0;; try++) {
        if (mailbox_is_dropped(t->mailbox) || !source_owns(t->source, batch))
            return err_set(e, RETRY, 0, "its partitions are held no more");
        if (source_compare(t->source, batch, &found, e) == OK)
            break;
        waiting(t, &logged, e);
        rest(t, pause_of(try));
    }
    if (found == FOUND_BEFORE && t->ending && GUARD("seen") && (verdict = denial_judge(t, batch, e)))
        return verdict;
    log_notice("outcome was in doubt (%s): %s", why.text,
               found == FOUND_NEXT                   ? "committed"
               : found == FOUND_BEFORE && t->written ? "readers see it, but brokers have lost its offsets: they alone are committed again"
               : found == FOUND_BEFORE               ? "not committed, sent again"
               : found == FOUND_BACK                 ? "the group has gone back"
                                                     : "the group has moved, dropped");
    if (found == FOUND_BACK)
        return went_back(e);
    if (found == FOUND_OTHER)
        return err_set(e, RETRY, 0, "the group's offsets are neither before nor after the batch");
    if (found == FOUND_NEXT)
        return OK;
    *e = why;
    t->attempt++;
    return RESEND;
}

// Partitions went while a commit was underway: whoever has them now goes on behind what is in, but our counts can't tell.
static enum verdict doubted(const struct batch *batch, struct err *e)
{
    return err_set(e, RETRY, 0, "%.120s; its commit was underway, whether its %d records are in isn't known here: they aren't counted",
                   e->text, batch->transformed);
}

// R15: which record is it, and what does the policy say? Mends the batch. OK: send it again; HALT.
static enum verdict poison_treat(struct transaction *t, struct batch *batch, struct err *e)
{
    int32_t output = -1;
    enum verdict verdict;
    do {
        if (mailbox_is_dropped(t->mailbox))
            return OK;
        if ((verdict = producer_ready(t, 1, e)))
            return verdict;
        verdict = sink_culprit(t->sink, batch, &output, e);
        beat(t);
    } while (verdict == RETRY);
    if (verdict || output < 0)
        return OK; // none was refused this time
    char why[sizeof e->text];
    snprintf(why, sizeof why, "%s", e->text);
    return transform_refuse(t->pipeline, batch, batch->lent.outputs[output].source, "refused", why, e);
}

// The group refused our generation: newer metadata or a drop must come first (R4).
static void group_wait(struct transaction *t)
{
    uint64_t serial = t->group_serial, newest;
    for (int64_t deadline = clock_ms() + t->pipeline->input.session_timeout_ms * 2; clock_ms() < deadline;) {
        source_group_free(source_group(t->source, &newest));
        if (newest > serial || mailbox_is_dropped(t->mailbox))
            return;
        beat(t);
        mailbox_pause(t->mailbox, CALL_MS, 1, serial);
    }
}

static void failed_once_more(struct transaction *t, const struct err *e)
{
    if (++t->attempt == 1 || t->attempt % 10 == 0)
        log_notice("aborted, will send the batch again: %s", e->text);
    if (t->attempt >= BLOCKED_ATTEMPTS)
        blocked(t, e);
}

// An attempt came back with RESEND before commit was called: abort makes it certain.
static enum verdict give_back(struct transaction *t, struct err *e)
{
    struct err why = *e;
    enum verdict verdict = sink_abort(t->sink, e);
    beat(t);
    if (verdict != OK)
        return verdict;
    *e = why;
    t->aborted = 1;
    failed_once_more(t, e);
    return RESEND;
}

// Has somebody else taken our name? Then this process, whose consumer is fenced too, has to go: *e says RESTART, or HALT (R1).
static int is_fenced(struct transaction *t, struct err *e)
{
    // Our own time-out looks the same: it counts only within the transaction's time.
    if (!sink_error_is_fenced(e) || clock_ms() - sink_began(t->sink) >= t->pipeline->transaction.timeout_ms || !GUARD("fenced"))
        return 0;
    if (!transaction_fenced(t->stats))
        e->verdict = RESTART;
    else
        err_set(e, HALT, 78,
                "fenced twice within a minute: another instance runs under the name onced.%s.%s; give each host its own `instance`",
                t->pipeline->name, t->pipeline->instance);
    return 1;
}

static void committed(struct transaction *t, const struct batch *batch)
{
    struct stats *s = t->stats;
    unblocked(t);
    t->committed_ms = clock_ms();
    stats_add(&s->transactions, 1);
    stats_add(&s->committed_records, (uint64_t)batch->transformed);
    stats_add(&s->produced, (uint64_t)batch->lent.output_count);
    stats_add(&s->dropped, batch->dropped);
    stats_add(&s->rejected, batch->rejected);
    stats_add(&s->dead_lettered, batch->dead_lettered);
    stats_add(&s->skipped, batch->skipped);
    for (int32_t i = 0; i < batch->count_count; i++)
        stats_count(s, batch->counts[i].series, batch->counts[i].amount);
    stats_add(&s->commit_ms, (uint64_t)(clock_ms() - sink_began(t->sink)));
    log_debug("committed records=%d outputs=%d ms=%lld", batch->transformed, batch->lent.output_count,
              (long long)(clock_ms() - sink_began(t->sink)));
}

// Brings one batch in. OK: committed; RETRY: dropped; RESTART: the process must go; HALT.
static enum verdict batch_bring(struct transaction *t, struct batch *batch, struct err *e)
{
    while (!mailbox_is_dropped(t->mailbox)) {
        enum verdict verdict = producer_ready(t, 1, e);
        if (verdict)
            return verdict;
        sink_refresh(t->sink);
        verdict = attempt(t, batch, e);
        beat(t);
        if (verdict == RESEND)
            verdict = give_back(t, e);
        if (verdict == RESTART)
            verdict = is_fenced(t, e) ? e->verdict : outcome_find(t, batch, e);
        switch (verdict) {
        case OK:
            return OK;
        case RESEND:
            if (!GUARD("resend"))
                return OK;
            if (t->closed && !source_owns(t->source, batch))
                return err_set(e, RETRY, 0, "its partitions are held no more");
            if (sink_poisoned(t->sink) && (verdict = poison_treat(t, batch, e)))
                return verdict;
            if (sink_error_is_group(e))
                group_wait(t);
            else if (t->attempt > 1)
                rest(t, pause_of(t->attempt));
            break;
        case RETRY:
            return t->ending || t->written ? doubted(batch, e) : RETRY;
        case RESTART:
        case HALT:
            return verdict;
        }
    }
    return err_set(e, RETRY, 0, "dropped");
}

static enum verdict settle(struct transaction *t, struct batch *batch)
{
    struct err e = {.verdict = OK};
    int32_t sent;
    t->attempt = t->aborted = t->written = 0;
    t->closed = mailbox_wait_closed(t->mailbox, 0, &sent, &e);
    enum verdict verdict = batch_bring(t, batch, &e);
    t->attempt = 0;
    if (verdict == OK)
        committed(t, batch);
    else if (verdict == RETRY)
        stats_add(&t->stats->batches_dropped, 1);
    if (verdict == RETRY && t->written)
        log_error("readers see the outputs of %d records whose offsets brokers have lost; whoever goes on repeats them: %s",
                  batch->transformed, e.text);
    enum sink_cause cause;
    if (verdict != OK && sink_stale(t->sink, &cause))
        sink_close(t->sink); // it may still refer to the batch's bytes, which go when it is settled
    mailbox_ready(t->mailbox, !sink_stale(t->sink, &cause));
    mailbox_settle(t->mailbox,
                   verdict == OK      ? MAILBOX_COMMITTED
                   : verdict == RETRY ? MAILBOX_DROPPED
                   : verdict == HALT  ? MAILBOX_HALTED
                                      : MAILBOX_SPENT,
                   &e);
    return verdict;
}

void *transaction_run(void *opaque)
{
    struct transaction *t = opaque;
    struct err e;
    int stop = 0;
    while (!stop) {
        producer_ready(t, 0, &e); // a spent handle is replaced at once, not when the next batch waits for it
        struct batch *batch = mailbox_take(t->mailbox, CALL_MS, &stop);
        beat(t);
        if (!batch)
            continue;
        enum verdict verdict = settle(t, batch);
        stop = verdict == RESTART || verdict == HALT; // a new handle would only fence whoever has taken over our name
    }
    return NULL;
}
