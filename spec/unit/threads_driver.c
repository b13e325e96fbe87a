// SPDX-License-Identifier: MIT
// Hammers the hand-over between front and back (mailbox, batch, table of partitions) from two threads, for ThreadSanitizer: batches given
// whole and batches that front sends itself while they are still being filled, drops, stuck pauses, partitions that come and go. Each side
// checks what it got. With -DPLANTED front touches a batch after it has been handed over, which must be reported. usage: threads_driver
// ROUNDS
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "batch.h"
#include "err.h"
#include "mailbox.h"
#include "partitions.h"

enum { WAIT_MS = 20, OUTPUTS_MOST = 3000, PARTITIONS = 4 };

struct driver {
    struct mailbox *mailbox;
    struct partitions *partitions;
    int rounds;
    _Atomic int settled;               // calls of the hook
    _Atomic uint64_t serial;           // of the group's metadata
    int32_t read;                      // outputs of the present batch that were read, by whom the sink is
    int committed, dropped, not_owned; // back's
};

static void on_settled(void *opaque)
{
    ((struct driver *)opaque)->settled++;
}

static void outputs_add(struct batch *batch, int count)
{
    while (count-- > 0) {
        struct onced_output *o = batch_output(batch);
        must(o);
        o->time = batch->lent.number + batch->lent.output_count;
    }
}

static void offsets_write(struct driver *d, struct batch *batch)
{
    for (int i = 0; i < PARTITIONS; i++) {
        struct partition *p = partitions_get(d->partitions, 0, i);
        if (!p->assigned)
            continue;
        struct batch_offset *o = batch_offset(batch, 0, i);
        o->assignment = p->assignment;
        o->before = p->next++;
        o->next = p->next;
    }
}

// Front's rebalance: a partition goes, or is taken on anew.
static void partition_change(struct driver *d, int round)
{
    struct partition *p = partitions_get(d->partitions, 0, round % PARTITIONS);
    if (p->assigned)
        partitions_release(d->partitions, p);
    else
        partitions_assign(d->partitions, p, round, "");
    d->serial++;
    mailbox_wake(d->mailbox);
}

// Reads outputs as the sink does, and counts them in what both threads share, as the sink does.
static void outputs_read(struct driver *d, const struct batch *batch)
{
    for (; d->read < batch->lent.output_count; d->read++)
        must(batch->lent.outputs[d->read].time == batch->lent.number + d->read + 1);
}

static void batch_fill(struct driver *d, struct batch *batch, int round)
{
    static const struct err failed = {.verdict = RESEND};
    const struct err *failure = NULL;
    int32_t sent = 0;
    outputs_add(batch, round * 37 % (OUTPUTS_MOST / 2));
    if (round % 3) { // while it is being filled front sends it, when back has begun
        mailbox_open(d->mailbox, batch);
        for (int i = 0; i < 4; i++) {
            outputs_add(batch, OUTPUTS_MOST / 8);
            if (mailbox_is_lent(d->mailbox, i == round % 4 ? WAIT_MS : 0)) {
                outputs_read(d, batch);
                sent = d->read;
            }
        }
        if (sent && round % 13 == 0)
            failure = &failed;
        if (round % 17 == 0) {
            mailbox_drop(d->mailbox);
            sent = 0; // the sink isn't front's any more
        }
    }
    offsets_write(d, batch);
    mailbox_put(d->mailbox, batch, sent, failure);
#ifdef PLANTED
    usleep(1000);       // back gets there first; else this thread's next lock would put the two in order
    batch->dropped = 0; // back writes its count there
#endif
}

static void front_run(struct driver *d, struct batch *batches[2])
{
    for (int round = 1; round <= d->rounds; round++) {
        struct batch *batch = batches[round % 2], *back;
        enum mailbox_result result;
        struct err e;
        batch_fill(d, batch, round);
        if (round % 5 == 0)
            partition_change(d, round);
        if (round % 7 == 0)
            mailbox_drop(d->mailbox);
        while (!(back = mailbox_collect(d->mailbox, WAIT_MS, &result, &e)))
            if (mailbox_is_stuck(d->mailbox, d->serial))
                partition_change(d, round);
        must(back == batch && mailbox_is_free(d->mailbox));
        must((round % 7 && (round % 17 || round % 3 == 0)) || result == MAILBOX_DROPPED);
        must(result != MAILBOX_COMMITTED || batch->dropped == (uint64_t)batch->lent.output_count); // back's count
        must(mailbox_wait_ready(d->mailbox, 10000));
        batch_reset(batch);
    }
    mailbox_stop(d->mailbox);
}

// A transaction's turn; true: all of the closed batch was read.
static int batch_read(struct driver *d, struct batch *batch)
{
    struct err e;
    int32_t sent;
    d->read = 0;
    mailbox_lend(d->mailbox);
    while (!mailbox_wait_closed(d->mailbox, WAIT_MS, &sent, &e))
        if (mailbox_is_dropped(d->mailbox))
            return 0;
    must(sent <= d->read);
    d->read = e.verdict ? 0 : sent; // aborted: all of it is sent again
    outputs_read(d, batch);
    batch->dropped = (uint64_t)d->read;
    return 1;
}

static void *back_run(void *opaque)
{
    struct driver *d = opaque;
    int stop = 0;
    for (int round = 1; !stop; round++) {
        struct batch *batch = mailbox_take(d->mailbox, WAIT_MS, &stop);
        struct err e = {.verdict = OK};
        if (!batch)
            continue;
        mailbox_ready(d->mailbox, 0);
        int whole = batch_read(d, batch);
        if (whole && round % 11 == 0) // a group error: wait for newer metadata
            mailbox_pause(d->mailbox, 1000, 1, d->serial);
        if (whole && !partitions_own(d->partitions, batch)) {
            whole = 0;
            d->not_owned++;
        }
        if (whole)
            d->committed++;
        else
            err_set(&e, RETRY, round, "dropped in round %d", round);
        d->dropped += !whole;
        mailbox_ready(d->mailbox, 1);
        mailbox_settle(d->mailbox, whole ? MAILBOX_COMMITTED : MAILBOX_DROPPED, &e);
    }
    return NULL;
}

int main(int count, char **arguments)
{
    struct driver d = {.mailbox = mailbox_new(), .partitions = partitions_new(), .rounds = count > 1 ? atoi(arguments[1]) : 1000};
    struct batch *batches[2] = {batch_new(), batch_new()};
    pthread_t back;
    must(partitions_topic(d.partitions, "in") == 0);
    for (int i = 0; i < PARTITIONS; i++)
        partitions_assign(d.partitions, partitions_get(d.partitions, 0, i), 0, "");
    mailbox_on_settled(d.mailbox, on_settled, &d);
    mailbox_ready(d.mailbox, 1);
    must(pthread_create(&back, NULL, back_run, &d) == 0);
    front_run(&d, batches);
    must(pthread_join(back, NULL) == 0);
    printf("rounds=%d committed=%d dropped=%d not_owned=%d settled=%d\n", d.rounds, d.committed, d.dropped, d.not_owned, d.settled);
    must(d.committed + d.dropped == d.rounds && d.settled == d.rounds);
    batch_free(&batches[0]);
    batch_free(&batches[1]);
    partitions_free(&d.partitions);
    mailbox_free(&d.mailbox);
    return 0;
}
