// SPDX-License-Identifier: MIT
// Where front and back meet: one batch at a time goes over and comes back settled. Everything here may be called from both threads;
// who may do what is in the names. One mutex, one condition; nothing per record.
#pragma once
#include <stdint.h>

#include "err.h"

struct batch;
struct mailbox;

enum mailbox_result {
    MAILBOX_COMMITTED, // every record and offset of it is in
    MAILBOX_DROPPED,   // none of it is; or front has dropped it, and what became of it shows in the committed offsets
    MAILBOX_SPENT,     // the process must go; *e says why
    MAILBOX_HALTED,    // a human is needed; *e says why
};

struct mailbox *mailbox_new(void);
void mailbox_free(struct mailbox **mailbox);
// Called, without the lock, whenever a batch has been settled or back got stuck: wakes a front that sits in a poll.
void mailbox_on_settled(struct mailbox *mailbox, void (*wake)(void *opaque), void *opaque);

// Front: has back begin a transaction for a batch that is still being filled. The mailbox must be free.
void mailbox_open(struct mailbox *mailbox, struct batch *batch);
// Front: waits at most `timeout_ms` until the open batch's transaction is begun. True: it is, and until the put or a drop the sink is
// front's, to send what is final of the batch.
int mailbox_is_lent(struct mailbox *mailbox, int timeout_ms);
// Front: hands a batch over, or closes the open one; else the mailbox must be free. Outputs [0, sent) of an open one are sent; *failure
// (NULL: none) says what sending them came to.
void mailbox_put(struct mailbox *mailbox, struct batch *batch, int32_t sent, const struct err *failure);
// Front: nothing handed over that hasn't been collected.
int mailbox_is_free(struct mailbox *mailbox);
// Front: the settled batch, waiting at most `timeout_ms` for it; NULL: none yet. *e is filled for SPENT and HALTED.
struct batch *mailbox_collect(struct mailbox *mailbox, int timeout_ms, enum mailbox_result *result, struct err *e);
// Front: what is over there shall not be committed (R8). Final: collect answers DROPPED whatever back finds.
void mailbox_drop(struct mailbox *mailbox);
// Front: back can't go on without newer group metadata than `serial`.
int mailbox_is_stuck(struct mailbox *mailbox, uint64_t serial);
// Front: back has no batch and its producer is ready. Waits at most `timeout_ms`.
int mailbox_wait_ready(struct mailbox *mailbox, int timeout_ms);
// Front: back ends as soon as it has no batch.
void mailbox_stop(struct mailbox *mailbox);

// Back: the next batch, waiting at most `timeout_ms`; NULL: none yet. *stop is set when there will be none.
struct batch *mailbox_take(struct mailbox *mailbox, int timeout_ms, int *stop);
// Back: the transaction of the batch it holds is begun: if the batch is open still, the sink is front's now.
void mailbox_lend(struct mailbox *mailbox);
// Back: waits at most `timeout_ms` until the batch is closed or dropped. True: closed, the sink is back's again, and *sent and *failure are
// what front gave to the put.
int mailbox_wait_closed(struct mailbox *mailbox, int timeout_ms, int32_t *sent, struct err *failure);
// Back: the batch it took is settled.
void mailbox_settle(struct mailbox *mailbox, enum mailbox_result result, const struct err *e);
// Back: has front dropped the batch that back holds?
int mailbox_is_dropped(struct mailbox *mailbox);
// Back: waits at most `timeout_ms`, or until dropped or woken. With stuck != 0 says that nothing newer than `serial` is known.
void mailbox_pause(struct mailbox *mailbox, int timeout_ms, int stuck, uint64_t serial);
void mailbox_ready(struct mailbox *mailbox, int ready); // Back: is the producer ready for a begin?
// Either: ends a mailbox_pause early.
void mailbox_wake(struct mailbox *mailbox);
