// SPDX-License-Identifier: MIT
// See sink.h. The handle's life: topic handles and metadata before init_transactions (else the first transaction costs a second on
// 2.0.2, and init half a second on newer ones), transactions, and a replacement after anything that isn't a clean commit.
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "failpoint.h"
#include "kafka.h"
#include "log.h"
#include "sink_look.h"
#include "sink_markers.h"
#include "sink_output.h"
#include "sink_topics.h"

enum {
    CALL_MS = 1000,     // one call into librdkafka; the caller loops under its own deadline
    OFFSETS_MS = 5000,  // send_offsets; honoured while the group coordinator answers
    REFRESH_MS = 10000, // of partition counts
    FULL_MS = 10,       // for librdkafka's queue to have room again
};

// What delivery reports told of the present transaction; written by the callback, which runs inside poll and flush on our thread.
struct deliveries {
    rd_kafka_resp_err_t error; // the first failure
    int32_t output;            // its index in the batch
    int maybe;                 // failed, and yet perhaps in the log
    int permanent;             // would fail again for ever
    struct sink_ends ends;
};

struct sink {
    const struct config_pipeline *pipeline;
    const char *id;
    struct stats *stats;
    struct sink_topics *topics;
    struct sink_markers *markers;
    rd_kafka_t *rk;
    rd_kafka_topic_t **handles; // one a topic, of rk
    struct kafka_requests requests;
    struct deliveries deliveries;
    struct sink_look *look; // NULL: none is underway
    int maybe;              // R5, over the handle's life: a failed delivery that may be in the log
    int aborted;            // R4: an abort was called on this handle
    int fatal;              // any call answered RESTART
    int fenced, open, poisoned;
    int64_t began, refreshed;
    uint8_t *suspects; // R15: one flag an output of the batch that failed
    int32_t suspect_count, suspect_next;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *report, void *opaque)
{
    struct sink *sink = opaque;
    struct deliveries *d = &sink->deliveries;
    (void)rk;
    if (!report->err)
        return sink_ends_note(&d->ends, report);
    if (rd_kafka_message_status(report) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
        d->maybe = sink->maybe = 1;
    if (sink_topics_permanent(report->err)) {
        int32_t output = (int32_t)(intptr_t)report->_private;
        d->permanent = 1;
        if (sink->suspects && output < sink->suspect_count)
            sink->suspects[output] = 1;
    }
    // Purged ones only follow from the first failure.
    if (d->error || report->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || report->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
        return;
    d->error = report->err;
}

struct sink *sink_new(const struct config_pipeline *pipeline, const char *id, struct stats *stats, struct err *e)
{
    const char *number = strrchr(id, '.');
    struct sink *sink = calloc(1, sizeof *sink);
    must(sink);
    sink->pipeline = pipeline;
    sink->id = id;
    sink->stats = stats;
    sink->topics = sink_topics_new(pipeline, number && !strcmp(number, ".0"));
    sink->handles = calloc((size_t)pipeline->topic_count + 1, sizeof *sink->handles);
    sink->markers = sink_markers_new(pipeline);
    must(sink->topics && sink->handles);
    (void)e;
    return sink;
}

static void handle_close(struct sink *sink)
{
    sink_look_free(&sink->look);
    if (!sink->rk)
        return;
    // Purged first: what is still queued must not go out, and its memory belongs to the batch.
    rd_kafka_purge(sink->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    for (int i = 0; i < sink->pipeline->topic_count; i++)
        if (sink->handles[i]) {
            rd_kafka_topic_destroy(sink->handles[i]);
            sink->handles[i] = NULL;
        }
    rd_kafka_destroy(sink->rk);
    sink->rk = NULL;
    sink->open = 0;
}

void sink_free(struct sink **sink)
{
    if (!*sink)
        return;
    handle_close(*sink);
    sink_topics_free(&(*sink)->topics);
    sink_markers_free(&(*sink)->markers);
    free((*sink)->handles);
    free((*sink)->suspects);
    free(*sink);
    *sink = NULL;
}

const struct onced_topic *sink_topics(const struct sink *sink, int *count)
{
    *count = sink->pipeline->topic_count;
    return sink_topics_lent(sink->topics);
}

// R10: set last, so that nothing overrides them.
static enum verdict promise_set(rd_kafka_conf_t *conf, const struct sink *sink, struct err *e)
{
    int64_t timeout = sink->pipeline->transaction.timeout_ms;
    int64_t socket = timeout / 3 < 4000 ? timeout / 3 : 4000; // R11: one lost answer must not eat the whole transaction
    if (kafka_conf_set(conf, "transactional.id", sink->id, e) || kafka_conf_set(conf, "enable.idempotence", "true", e) ||
        kafka_conf_set(conf, "acks", "all", e) || kafka_conf_set_number(conf, "transaction.timeout.ms", timeout, e) ||
        kafka_conf_set_number(conf, "socket.timeout.ms", socket, e) || kafka_conf_set(conf, "allow.auto.create.topics", "false", e) ||
        kafka_conf_set_number(conf, "message.max.bytes", sink_topics_most(sink->topics), e) ||
        kafka_conf_set_number(conf, "batch.size", sink_topics_batch(sink->topics), e))
        return e->verdict;
    return OK;
}

static rd_kafka_conf_t *handle_conf(struct sink *sink, struct err *e)
{
    const struct config_properties *role = &sink->pipeline->producer;
    rd_kafka_conf_t *conf = kafka_conf_new(sink->pipeline, role, e);
    if (!conf)
        return NULL;
    kafka_conf_offer(conf, sink->pipeline, role, "linger.ms", "5");
    kafka_conf_offer(conf, sink->pipeline, role, "batch.num.messages", "10000");
    kafka_conf_offer(conf, sink->pipeline, role, "retry.backoff.ms", "20"); // 100 costs every small transaction dear
    kafka_conf_offer(conf, sink->pipeline, role, "retry.backoff.max.ms", "200");
    kafka_conf_offer(conf, sink->pipeline, role, "queue.buffering.max.messages", "10000000"); // the batch is the bound
    kafka_conf_offer(conf, sink->pipeline, role, "queue.buffering.max.kbytes", "2097151");
    if (promise_set(conf, sink, e)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery); // always: without one every commit naps in steps of 10 ms
    rd_kafka_conf_set_opaque(conf, sink);
    kafka_requests_watch(conf, &sink->requests);
    return conf;
}

static enum verdict topic_handles(struct sink *sink, struct err *e)
{
    for (int i = 0; i < sink->pipeline->topic_count; i++) {
        const struct config_topic *topic = &sink->pipeline->topics[i];
        char reason[200];
        rd_kafka_topic_conf_t *conf = rd_kafka_topic_conf_new();
        if (topic->compression && rd_kafka_topic_conf_set(conf, "compression.codec", topic->compression, reason, sizeof reason)) {
            rd_kafka_topic_conf_destroy(conf);
            return err_set(e, HALT, 78, "output topic %s: %s", topic->name, reason);
        }
        if (!(sink->handles[i] = rd_kafka_topic_new(sink->rk, topic->name, conf)))
            return err_set(e, HALT, 78, "output topic %s: %s", topic->name, rd_kafka_err2str(rd_kafka_last_error()));
    }
    return OK;
}

static enum verdict handle_new(struct sink *sink, struct err *e)
{
    char reason[200];
    rd_kafka_conf_t *conf = handle_conf(sink, e);
    if (!conf)
        return e->verdict;
    memset(&sink->requests, 0, sizeof sink->requests); // before any thread of the handle exists
    sink->maybe = sink->aborted = sink->fatal = sink->fenced = 0;
    sink->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!sink->rk) // conf is leaked on purpose: below 2.13.0 destroying it with interceptors frees twice
        return kafka_refused("producer", reason, e);
    return topic_handles(sink, e);
}

static enum verdict init_transactions(struct sink *sink, struct err *e)
{
    enum verdict verdict = OK;
    for (int64_t deadline = clock_ms() + 4 * CALL_MS; clock_ms() < deadline;) {
        FAILPOINT("in-init");
        verdict = kafka_error("init_transactions", rd_kafka_init_transactions(sink->rk, CALL_MS), e);
        atomic_store(&sink->stats->back_beat, clock_ms());
        if (verdict != RETRY)
            break;
    }
    if (verdict == OK || verdict == RETRY)
        return verdict;
    if (e->code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT)
        return err_set(e, HALT, 78, "transaction.timeout %lld ms is above the broker's transaction.max.timeout.ms",
                       (long long)sink->pipeline->transaction.timeout_ms);
    if (e->code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
        return err_set(e, HALT, 78, "the brokers don't support transactions: %.180s", e->text);
    // Not authorised, fenced at birth, or anything else: a new handle later may do.
    e->verdict = RETRY;
    return RETRY;
}

enum verdict sink_open(struct sink *sink, struct err *e)
{
    enum sink_cause cause = CAUSE_START;
    sink_stale(sink, &cause);
    if (sink->open && GUARD("markers"))
        sink_markers_doubt(sink->markers);
    handle_close(sink);
    if (sink_poisoned(sink)) // a limit lowered meanwhile refuses requests of small records too: batch.size has to follow
        sink_topics_forget(sink->topics);
    if (sink_topics_describe(sink->topics, e) || handle_new(sink, e) || sink_topics_metadata(sink->topics, sink->rk, sink->handles, e) ||
        init_transactions(sink, e) || sink_markers_check(sink->markers, sink->rk, sink_topics_lent(sink->topics), e)) {
        handle_close(sink);
        return e->verdict;
    }
    sink->refreshed = clock_ms();
    sink->open = 1;
    stats_add(&sink->stats->recreated[cause], 1);
    return OK;
}

void sink_close(struct sink *sink)
{
    if (sink->open && GUARD("markers"))
        sink_markers_doubt(sink->markers);
    handle_close(sink);
}

const char *sink_stale(const struct sink *sink, enum sink_cause *cause)
{
    const char *request;
    *cause = CAUSE_FENCED;
    if (sink->fenced)
        return "fenced";
    *cause = CAUSE_UNKNOWN;
    if (sink->fatal)
        return "spent";
    *cause = CAUSE_ABORTED;
    if (sink->aborted && GUARD("abort"))
        return "aborted a transaction";
    *cause = CAUSE_TAINTED;
    if (sink->maybe && GUARD("maybe"))
        return "a failed record may be in the log";
    if ((request = kafka_requests_unanswered(&sink->requests)) && GUARD("taint"))
        return request;
    *cause = CAUSE_START; // last: of a handle that was closed the reason counts
    return sink->open ? NULL : "not open";
}

static enum verdict noted(struct sink *sink, enum verdict verdict, struct err *e)
{
    if (verdict == RESTART) {
        sink->fatal = 1;
        if (sink_error_is_fenced(e))
            sink->fenced = 1;
    }
    return verdict;
}

int sink_error_is_fenced(const struct err *e)
{
    return e->code == RD_KAFKA_RESP_ERR__FENCED || e->code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
           e->code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED;
}

int sink_error_is_group(const struct err *e)
{
    return e->code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || e->code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
}

void sink_spoil(struct sink *sink)
{
    sink->fatal = 1;
}

int64_t sink_began(const struct sink *sink)
{
    return sink->began;
}

int sink_poisoned(const struct sink *sink)
{
    return sink->poisoned || sink->deliveries.permanent; // the reports are complete after an abort
}

enum verdict sink_begin(struct sink *sink, struct err *e)
{
    must(sink->open);
    if (sink->fatal) // librdkafka may say yes: a fatal EndTxn sets its call's result twice, and the next call takes the second for its own
        return err_set(e, RESTART, 0, "begin_transaction: the handle is spent");
    memset(&sink->deliveries, 0, sizeof sink->deliveries);
    sink->poisoned = 0;
    sink->began = clock_ms();
    return noted(sink, kafka_error("begin_transaction", rd_kafka_begin_transaction(sink->rk), e), e);
}

// Asks for the topics' partition counts.
static void refresh(struct sink *sink)
{
    struct err e;
    sink->refreshed = clock_ms();
    if (sink_topics_metadata(sink->topics, sink->rk, sink->handles, &e))
        log_warning("%s", e.text); // the transaction itself will tell
}

// A synchronous failure isn't counted by librdkafka, and commit would say success (R6): it is answered here.
static enum verdict output_send(struct sink *sink, const struct batch *batch, int32_t index, struct err *e)
{
    const struct onced_output *o = &batch->lent.outputs[index];
    if (o->partition >= batch->lent.output_topics[o->topic_index].partition_count) // front knows of more (onced_partitions)
        refresh(sink);
    rd_kafka_resp_err_t err = sink_output_produce(sink->rk, sink->handles, batch, index);
    if (!err)
        return OK;
    if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return err_set(e, RETRY, err, "produce: librdkafka's queue is full");
    const char *topic = batch->lent.output_topics[batch->lent.outputs[index].topic_index].name;
    if (err == RD_KAFKA_RESP_ERR__STATE && sink->deliveries.error) // the transaction has failed: its first delivery error says why
        return err_set(e, RESEND, sink->deliveries.error, "delivery to %s: %s", topic, rd_kafka_err2str(sink->deliveries.error));
    if (err == RD_KAFKA_RESP_ERR__FATAL) {
        char text[200];
        rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(sink->rk, text, sizeof text);
        err_set(e, RESTART, fatal, "produce to %s: %s", topic, text);
        return noted(sink, RESTART, e);
    }
    if (sink_topics_permanent(err)) {
        sink->poisoned = 1;
        if (sink->suspects && index < sink->suspect_count)
            sink->suspects[index] = 1;
    }
    return err_set(e, RESEND, err, "produce to %s: %s", topic, rd_kafka_err2str(err));
}

// R15: a flag for each output of this transaction; it grows with a batch that is sent while it is filled.
static void suspects_cover(struct sink *sink, int32_t count)
{
    if (count <= sink->suspect_count)
        return;
    int32_t capacity = count * 2 + 1024;
    sink->suspects = realloc(sink->suspects, (size_t)capacity);
    must(sink->suspects);
    memset(sink->suspects + sink->suspect_count, 0, (size_t)(capacity - sink->suspect_count));
    sink->suspect_count = capacity;
}

enum verdict sink_send(struct sink *sink, struct batch *batch, int32_t *sent, struct err *e)
{
    enum verdict verdict = OK;
    suspects_cover(sink, batch->lent.output_count);
    if (*sent == 0) {
        memset(sink->suspects, 0, (size_t)sink->suspect_count);
        sink->suspect_next = 0;
    }
    for (; *sent < batch->lent.output_count && !verdict; *sent += !verdict)
        verdict = output_send(sink, batch, *sent, e);
    rd_kafka_poll(sink->rk, verdict == RETRY ? FULL_MS : 0);
    return verdict;
}

static enum verdict delivery_verdict(struct sink *sink, struct err *e)
{
    const struct deliveries *d = &sink->deliveries;
    if (!d->error)
        return OK;
    if (d->permanent)
        sink->poisoned = 1;
    return err_set(e, RESEND, d->error, "delivery: %s: %s", rd_kafka_err2name(d->error), rd_kafka_err2str(d->error));
}

enum verdict sink_flush(struct sink *sink, int timeout_ms, struct err *e)
{
    rd_kafka_resp_err_t err = rd_kafka_flush(sink->rk, timeout_ms);
    if (delivery_verdict(sink, e))
        return e->verdict;
    if (err == RD_KAFKA_RESP_ERR__TIMED_OUT)
        return err_set(e, RETRY, err, "the brokers haven't acknowledged the records yet");
    if (err) {
        err_set(e, RESTART, err, "flush: %s", rd_kafka_err2str(err));
        return noted(sink, RESTART, e);
    }
    return OK;
}

enum verdict sink_offsets(struct sink *sink, const struct batch *batch, const char *const *topics,
                          const struct rd_kafka_consumer_group_metadata_s *group, struct err *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(batch->offset_count);
    for (int32_t i = 0; i < batch->offset_count; i++) {
        const struct batch_offset *o = &batch->offsets[i];
        if (o->next < 0)
            continue;
        rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(list, topics[o->topic_index], o->partition);
        p->offset = o->next;
        if ((p->metadata_size = strlen(o->metadata))) {
            p->metadata = strdup(o->metadata); // freed with the list
            must(p->metadata);
        }
    }
    enum verdict verdict =
        list->cnt ? kafka_error("send_offsets", rd_kafka_send_offsets_to_transaction(sink->rk, list, group, OFFSETS_MS), e) : OK;
    rd_kafka_topic_partition_list_destroy(list);
    return noted(sink, verdict, e);
}

enum verdict sink_commit(struct sink *sink, int timeout_ms, struct err *e)
{
    // Finite calls in a loop: -1 isn't capped, and the call resumes (librdkafka >= 2.0.0).
    enum verdict verdict = kafka_error("commit_transaction", rd_kafka_commit_transaction(sink->rk, timeout_ms), e);
    if (verdict == RESEND && sink->deliveries.error == 0) {
        // An EndTxn code that librdkafka doesn't list comes back as abortable, though it may have been applied: in doubt.
        sink->fatal = 1;
        e->verdict = verdict = RESTART;
    }
    return noted(sink, verdict, e);
}

enum verdict sink_seen(struct sink *sink, const struct batch *batch, int timeout_ms, enum sink_seen *seen, struct err *e)
{
    *seen = SEEN_NONE;
    if (!sink->deliveries.ends.count)
        return OK;
    if (!sink->look && !(sink->look = sink_look_new(sink->pipeline, batch, &sink->deliveries.ends, e)))
        return e->verdict;
    enum verdict verdict = sink_look_poll(sink->look, timeout_ms, seen, e);
    if (verdict == OK)
        sink_look_free(&sink->look);
    return verdict;
}

void sink_seen_stop(struct sink *sink)
{
    sink_look_free(&sink->look);
}

enum verdict sink_abort(struct sink *sink, struct err *e)
{
    // One call, not a loop: a second one purges what is in flight and gives its sequence number away (f42.md, q_resp_loop). The handle
    // goes afterwards anyway (R4).
    int64_t timeout = sink->pipeline->transaction.timeout_ms;
    sink->aborted = 1;
    enum verdict verdict = kafka_error("abort_transaction", rd_kafka_abort_transaction(sink->rk, (int)timeout), e);
    stats_add(&sink->stats->aborts, 1);
    if (verdict == OK)
        return OK;
    sink->fatal = 1;
    e->verdict = RESTART;
    return RESTART;
}

void sink_refresh(struct sink *sink)
{
    if (clock_ms() - sink->refreshed >= REFRESH_MS)
        refresh(sink);
}

int32_t sink_partitions(void *sink, int32_t topic)
{
    return sink_topics_count(((struct sink *)sink)->topics, topic);
}

enum verdict sink_culprit(struct sink *sink, const struct batch *batch, int32_t *output, struct err *e)
{
    // A request with one bad record fails as a whole, so all its records are suspects. Bounded by a third of the transaction's time;
    // the caller comes back for the rest with a new handle.
    struct err ignored;
    int64_t deadline = clock_ms() + sink->pipeline->transaction.timeout_ms / 3;
    *output = -1;
    if (sink_begin(sink, e))
        return e->verdict = RETRY;
    for (; sink->suspect_next < batch->lent.output_count && clock_ms() < deadline; sink->suspect_next++) {
        if (!sink->suspects[sink->suspect_next])
            continue;
        enum verdict verdict = output_send(sink, batch, sink->suspect_next, e); // the queue is empty: never full
        while (!verdict && (verdict = sink_flush(sink, CALL_MS, e)) == RETRY && clock_ms() < deadline)
            continue;
        if (verdict == RESEND && sink_topics_permanent(e->code)) {
            *output = sink->suspect_next;
            break;
        }
        if (verdict)
            break; // something else: look again with a new handle
    }
    int done = *output >= 0 || sink->suspect_next >= batch->lent.output_count;
    sink_abort(sink, &ignored);
    return done ? OK : RETRY;
}
