// SPDX-License-Identifier: MIT
// See source.h: the consumer's handle and the filling of batches.
#include "source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "failpoint.h"
#include "kafka.h"
#include "log.h"
#include "source_inside.h"

enum {
    IDLE_MS = 5000, // behind markers for so long: their offset is committed alone
    POLL_INTERVAL = 60000,
    POLLED = 64,      // messages taken from librdkafka's queue at once
    LARGE = 64 * 1024 // bytes of a value behind which they are taken one by one: the batch has a bound in bytes
};

int64_t source_poll_ms(const struct source *source)
{
    int64_t session = source->pipeline->input.session_timeout_ms, transaction = source->pipeline->transaction.timeout_ms;
    int64_t longest = session > transaction * 2 ? session * 2 : transaction * 4; // a revoke waits for what is underway
    return longest > POLL_INTERVAL ? longest : POLL_INTERVAL;
}

// R10, R7: set last, so that nothing overrides them.
static enum verdict promise_set(rd_kafka_conf_t *conf, const struct source *source, struct err *e)
{
    int64_t session = source->pipeline->input.session_timeout_ms;
    int64_t heartbeat = session / 10 < 200 ? 200 : session / 10 > 3000 ? 3000 : session / 10;
    if (kafka_conf_set(conf, "group.id", source->pipeline->group, e) || kafka_conf_set(conf, "group.instance.id", source->id, e) ||
        kafka_conf_set(conf, "isolation.level", "read_committed", e) || kafka_conf_set(conf, "enable.auto.commit", "false", e) ||
        kafka_conf_set(conf, "enable.auto.offset.store", "false", e) || kafka_conf_set(conf, "auto.offset.reset", "error", e) ||
        kafka_conf_set(conf, "enable.partition.eof", "true", e) || kafka_conf_set(conf, "allow.auto.create.topics", "false", e) ||
        kafka_conf_set_number(conf, "session.timeout.ms", session, e) ||
        kafka_conf_set_number(conf, "heartbeat.interval.ms", heartbeat, e) ||
        kafka_conf_set_number(conf, "max.poll.interval.ms", source_poll_ms(source), e))
        return e->verdict;
    return OK;
}

static rd_kafka_conf_t *handle_conf(struct source *source, struct err *e)
{
    const struct config_pipeline *pipeline = source->pipeline;
    const struct config_properties *role = &pipeline->consumer;
    rd_kafka_conf_t *conf = kafka_conf_new(pipeline, role, e);
    if (!conf)
        return NULL;
    kafka_conf_offer(conf, pipeline, role, "queued.min.messages", "30000"); // what is in flight stays in cache
    kafka_conf_offer(conf, pipeline, role, "queued.max.messages.kbytes", "65536");
    kafka_conf_offer(conf, pipeline, role, "fetch.queue.backoff.ms", "5"); // from 2.2.0; before, the scout wakes the prefetch
    kafka_conf_offer(conf, pipeline, role, "topic.metadata.refresh.interval.ms", "5000"); // new partitions and topics
    if (!kafka_version_below(2, 3, 0)) {                                                  // before, only producers have them (KIP-580)
        kafka_conf_offer(conf, pipeline, role, "retry.backoff.ms", "20");
        kafka_conf_offer(conf, pipeline, role, "retry.backoff.max.ms", "200");
    }
    kafka_conf_offer(conf, pipeline, role, "fetch.error.backoff.ms", "100");
    if (promise_set(conf, source, e)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_rebalance_cb(conf, source_group_on_rebalance);
    rd_kafka_conf_set_opaque(conf, source);
    kafka_requests_watch(conf, &source->requests);
    return conf;
}

struct source *source_new(const struct config_pipeline *pipeline, const char *state_directory, const char *id, struct stats *stats,
                          const struct source_hooks *hooks, struct err *e)
{
    char reason[200];
    struct source *source = calloc(1, sizeof *source);
    must(source);
    *source = (struct source){
        .pipeline = pipeline, .state_directory = state_directory, .id = id, .stats = stats, .hooks = *hooks, .generation = -1};
    pthread_mutex_init(&source->lock, NULL);
    source->partitions = partitions_new();
    rd_kafka_conf_t *conf = kafka_version_check(pipeline, e) ? NULL : handle_conf(source, e);
    if (conf && !(source->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason)))
        kafka_refused("consumer", reason, e); // conf leaks: below 2.13.0 destroying it with interceptors frees twice
    if (!source->rk) {
        source_free(&source);
        return NULL;
    }
    rd_kafka_poll_set_consumer(source->rk); // one queue serves messages, errors and callbacks
    source->queue = rd_kafka_queue_get_consumer(source->rk);
    source->batches = kafka_polls_batches(pipeline);
    source->scout = source_scout_new(source->rk, source->queue, pipeline, id);
    return source;
}

void source_free(struct source **source)
{
    struct source *s = *source;
    if (!s)
        return;
    if (s->scout)
        source_scout_free(&s->scout);
    if (s->queue)
        rd_kafka_queue_destroy(s->queue);
    if (s->rk)
        rd_kafka_destroy(s->rk);
    if (s->surveyed)
        rd_kafka_topic_partition_list_destroy(s->surveyed);
    partitions_free(&s->partitions);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *source = NULL;
}

enum verdict source_subscribe(struct source *source, struct err *e)
{
    if (!source->surveyed && source_offsets_survey(source, e))
        return e->verdict;
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(source->pipeline->input.topic_count);
    for (int i = 0; i < source->pipeline->input.topic_count; i++)
        rd_kafka_topic_partition_list_add(topics, source->pipeline->input.topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(source->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return err ? err_set(e, HALT, 78, "subscribe: %s", rd_kafka_err2str(err)) : OK;
}

static struct partition *run_find(struct source *source, const rd_kafka_message_t *message)
{
    int32_t topic = partitions_topic(source->partitions, rd_kafka_topic_name(message->rkt));
    must(topic >= 0);
    source->run_topic = message->rkt;
    return source->run = partitions_get(source->partitions, topic, message->partition);
}

static struct partition *partition_of(struct source *source, const rd_kafka_message_t *message)
{
    if (message->rkt == source->run_topic && source->run->number == message->partition)
        return source->run;
    return run_find(source, message);
}

static enum verdict record_take(struct source *source, struct batch *batch, rd_kafka_message_t *message, struct err *e)
{
    struct partition *partition = partition_of(source, message);
    if (!partition->assigned || (message->offset < partition->next && GUARD("offset-guard"))) {
        stats_add(&source->stats->dropped_stale, 1);
        rd_kafka_message_destroy(message);
        return OK;
    }
    int64_t next = message->offset + 1;
    if (batch_add(batch, message, partition->topic_index, e)) {
        rd_kafka_message_destroy(message);
        return e->verdict;
    }
    partition->next = next;
    return OK;
}

static void eof_take(struct source *source, const rd_kafka_message_t *message)
{
    struct partition *partition = partition_of(source, message);
    if (partition->assigned && message->offset >= partition->next)
        partition->eof = partition->next = message->offset;
}

static enum verdict fatal_take(struct source *source, struct err *e)
{
    char text[200];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(source->rk, text, sizeof text);
    // A member whose session has ended joins again as a new one of the same name; a late heartbeat of the old one is answered like that.
    source->fenced = code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID && !source->lost;
    return err_set(e, RESTART, code, "the consumer is spent: %s: %s", rd_kafka_err2name(code), text);
}

// Everything that isn't a record: ends of logs, gaps, and what the brokers say of topics and group.
static enum verdict event_take(struct source *source, const rd_kafka_message_t *message, struct err *e)
{
    const char *text = rd_kafka_message_errstr(message);
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        eof_take(source, message);
        return OK;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        return fatal_take(source, e);
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return message->rkt ? source_offsets_gap(source, partition_of(source, message), e) : OK;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
        // To go on could skip what can't be read: start again from the committed offset, and say so each time.
        return err_set(e, RESTART, message->err, "input %s[%d]: %s", message->rkt ? rd_kafka_topic_name(message->rkt) : "?",
                       message->partition, text);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        if (log_due(&source->error_logged, 10))
            log_warning("waiting for an input topic (create it, or correct input.topics and reload): %s", text);
        return OK;
    default:
        if (log_due(&source->error_logged, 10))
            log_warning("input: %s: %s", rd_kafka_err2name(message->err), text);
        return OK;
    }
}

static enum verdict message_take(struct source *source, struct batch *batch, rd_kafka_message_t *message, struct err *e)
{
    if (!message->err)
        return record_take(source, batch, message, e);
    enum verdict verdict = event_take(source, message, e);
    rd_kafka_message_destroy(message);
    return verdict;
}

// The first message is waited for with a single poll: a batch call would wait until it is full.
static int messages_poll(struct source *source, rd_kafka_message_t **messages, int most, int wait_ms)
{
    if (!wait_ms && most > 1 && source->batches)
        return (int)rd_kafka_consume_batch_queue(source->queue, 0, messages, (size_t)most);
    messages[0] = rd_kafka_consumer_poll(source->rk, wait_ms);
    return messages[0] != NULL;
}

// All of what was polled is seen, also behind an event that ends the turn: there is no way to put it back.
static enum verdict messages_take(struct source *source, struct batch **filling, rd_kafka_message_t **messages, int count, struct err *e)
{
    enum verdict verdict = OK;
    for (int i = 0; i < count; i++) {
        source->large = messages[i]->len > LARGE;
        if (verdict || source->failure.verdict)
            rd_kafka_message_destroy(messages[i]); // the process ends, or the assignment does
        else
            verdict = message_take(source, *filling, messages[i], e);
    }
    if (!verdict && source->failure.verdict)
        *e = source->failure, verdict = e->verdict;
    return verdict;
}

static enum verdict fill_loop(struct source *source, struct batch **filling, int32_t records, int64_t bytes, int wait_ms, struct err *e)
{
    rd_kafka_message_t *messages[POLLED];
    enum verdict verdict = OK;
    source->changed = 0;
    while (!verdict && (*filling)->lent.record_count < records && (*filling)->input_bytes < bytes && !source->changed) {
        int32_t left = records - (*filling)->lent.record_count;
        int count = messages_poll(source, messages, source->large ? 1 : left < POLLED ? left : POLLED, wait_ms);
        wait_ms = 0;
        if (!count && !source->failure.verdict)
            break;
        verdict = messages_take(source, filling, messages, count, e);
    }
    return verdict;
}

enum verdict source_fill(struct source *source, struct batch **filling, int32_t records, int64_t bytes, int wait_ms, struct err *e)
{
    int32_t before = (*filling)->lent.record_count;
    enum verdict verdict = fill_loop(source, filling, records, bytes, wait_ms, e);
    int32_t polled = (*filling)->lent.record_count - before;
    if (polled > 0) {
        stats_add(&source->stats->consumed, (uint64_t)polled);
        source_scout_polled(source->scout, polled);
        FAILPOINT("after-poll");
    }
    if (!verdict && (source->resubscribing || source_scout_finding(source->scout)))
        verdict = source_group_resubscribe(source, e);
    return verdict;
}

void source_wake(struct source *source)
{
    rd_kafka_queue_yield(source->queue);
}

static struct batch_offset *offset_entry(struct batch *batch, const struct partition *partition)
{
    struct batch_offset *entry = batch_offset(batch, partition->topic_index, partition->number);
    if (entry->next < 0) {
        entry->before = partition->handed;
        entry->assignment = partition->assignment;
        memcpy(entry->metadata, partition->metadata, sizeof entry->metadata);
    }
    return entry;
}

void source_seal(struct source *source, struct batch *batch, enum source_ends ends)
{
    const struct onced_record *records = batch->lent.records;
    struct partition *partition = NULL;
    int64_t now = clock_ms();
    must(batch->transformed == batch->lent.record_count);
    for (int32_t i = 0; i < batch->transformed; i++) { // runs of one partition: only their last record matters
        const struct onced_record *r = &records[i];
        if (i + 1 < batch->transformed && records[i + 1].partition == r->partition && records[i + 1].topic_index == r->topic_index)
            continue;
        partition = partitions_get(source->partitions, r->topic_index, r->partition);
        must(partition->assigned);
        offset_entry(batch, partition)->next = r->at + 1;
        partition->polled_ms = now;
    }
    for (int i = 0; i < partitions_count(source->partitions) && ends != ENDS_NONE && GUARD("eof-offsets"); i++) {
        partition = partitions_at(source->partitions, i);
        if (!partition->assigned || partition->eof <= partition->handed || partition->eof < partition->next)
            continue;
        if (partition->polled_ms == now || ends == ENDS_ALL || (ends == ENDS_IDLE && now - partition->polled_ms > IDLE_MS))
            offset_entry(batch, partition)->next = partition->eof;
    }
    for (int32_t i = 0; i < batch->offset_count; i++)
        partitions_get(source->partitions, batch->offsets[i].topic_index, batch->offsets[i].partition)->handed = batch->offsets[i].next;
}

int source_has_idle(struct source *source)
{
    int64_t now = clock_ms();
    for (int i = 0; i < partitions_count(source->partitions) && GUARD("eof-offsets"); i++) {
        const struct partition *p = partitions_at(source->partitions, i);
        if (p->assigned && p->eof > p->handed && p->eof >= p->next && now - p->polled_ms > IDLE_MS)
            return 1;
    }
    return 0;
}

void source_pause(struct source *source, int pause)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; i < partitions_count(source->partitions); i++) {
        struct partition *p = partitions_at(source->partitions, i);
        int32_t count;
        if (!p->assigned || p->paused == pause)
            continue; // below 2.4.0 resuming what isn't paused fetches again from a stale offset
        rd_kafka_topic_partition_list_add(list, partitions_topics(source->partitions, &count)[p->topic_index], p->number);
        p->paused = pause;
    }
    if (list->cnt)
        (void)(pause ? rd_kafka_pause_partitions(source->rk, list) : rd_kafka_resume_partitions(source->rk, list));
    rd_kafka_topic_partition_list_destroy(list);
}

int source_assigned(const struct source *source)
{
    return partitions_assigned(source->partitions);
}

int source_is_fenced(const struct source *source)
{
    return source->fenced;
}

const char *const *source_topics(const struct source *source, int32_t *count)
{
    return partitions_topics(source->partitions, count);
}

int source_owns(struct source *source, const struct batch *batch)
{
    return partitions_own(source->partitions, batch);
}
