// SPDX-License-Identifier: MIT
// Membership: the rebalance callback, the snapshot of the group's metadata that back sends with offsets (R3), and leaving. The callback
// runs on the front thread inside a poll. Order, always: 1. snapshot, 2. settle or drop what is underway (hooks.change), 3. change the
// table, 4. tell librdkafka. librdkafka doesn't rejoin until the callback has answered, so nobody else owns our partitions meanwhile,
// unless they are lost, or the group has thrown this member out in the meantime: then the snapshot has another member's id.
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "failpoint.h"
#include "kafka.h"
#include "log.h"
#include "source_inside.h"
#include "source_scout_group.h"

// Getters for the generation exist only in newer headers; the serialised form is the same since 1.x: "CGMDv2:", a 32-bit generation,
// the group's id, the member's id (both NUL-terminated).
static int snapshot_parse(const char *bytes, size_t size, int32_t *generation, char *member, size_t member_size)
{
    const size_t magic = 7, group = magic + sizeof *generation;
    if (size < group + 2 || memcmp(bytes, "CGMDv2:", magic))
        return -1;
    const char *id = memchr(bytes + group, 0, size - group);
    const char *end = id ? memchr(id + 1, 0, size - (size_t)(id + 1 - bytes)) : NULL;
    if (!end || (size_t)(end - id) > member_size)
        return -1;
    memcpy(generation, bytes + magic, sizeof *generation);
    memcpy(member, id + 1, (size_t)(end - id));
    return 0;
}

static const char OTHER_MEMBER[] = "the group threw this member out, and others may have had its partitions since";

static int cooperative(const struct source *source)
{
    const char *protocol = rd_kafka_rebalance_protocol(source->rk);
    return protocol && !strcmp(protocol, "COOPERATIVE");
}

static void membership_read(struct source *source, int32_t *generation, char *member, size_t member_size)
{
    void *bytes = NULL;
    size_t size = 0;
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(source->rk);
    rd_kafka_error_t *error = metadata ? rd_kafka_consumer_group_metadata_write(metadata, &bytes, &size) : NULL;
    *member = 0;
    if (error)
        rd_kafka_error_destroy(error);
    if (!bytes || snapshot_parse(bytes, size, generation, member, member_size))
        *generation = -1;
    if (bytes)
        rd_kafka_mem_free(source->rk, bytes);
    if (metadata)
        rd_kafka_consumer_group_metadata_destroy(metadata);
}

// 0: there is none that may go with the partitions held. librdkafka (2.0.2 to 2.12.1) lets a cooperative member that was thrown out while
// it was rebalancing join anew with what it had (UNKNOWN_MEMBER_ID in JoinGroup's reply, for one), though others have had it since: under
// the new member's generation the broker would take offsets for it from both.
static int snapshot_take(struct source *source)
{
    int32_t generation;
    char member[sizeof source->member];
    membership_read(source, &generation, member, sizeof member);
    int is_same = !source->member[0] || !strcmp(source->member, member) || !source_assigned(source) || !cooperative(source);
    is_same = (is_same && !source->thrown_out) || !GUARD("member");
    pthread_mutex_lock(&source->lock);
    source->serial++;
    source->generation = is_same ? generation : -1;
    memcpy(source->member, member, sizeof member);
    pthread_mutex_unlock(&source->lock);
    source->hooks.snapshot(source->hooks.opaque);
    return is_same;
}

// At the end of a callback: NULL, or why what is held, or is being given, may be another's by now. A member that is thrown out meanwhile
// has no id any more, or a generation of -1; librdkafka keeps that to itself while it rebalances. A static one that didn't rejoin in time
// stays in the group under its id, and nothing here changes if its heartbeats don't get through: only the time tells.
static const char *outdated(struct source *source, int64_t begun)
{
    int32_t generation;
    char member[sizeof source->member];
    source->rebalance_ms += clock_ms() - begun;
    if (!cooperative(source) || !GUARD("member"))
        return NULL;
    membership_read(source, &generation, member, sizeof member);
    if (generation < 0 || !*member || generation != source->generation || strcmp(member, source->member))
        return OTHER_MEMBER;
    return source->rebalance_ms < source_poll_ms(source) / 2
               ? NULL
               : "the rebalance took so long that others may have been given what it was about";
}

rd_kafka_consumer_group_metadata_t *source_group(struct source *source, uint64_t *serial)
{
    rd_kafka_consumer_group_metadata_t *metadata = NULL;
    pthread_mutex_lock(&source->lock);
    *serial = source->serial;
    // A broker doesn't fence offsets that come without generation and member at all.
    if (!GUARD("membership"))
        metadata = rd_kafka_consumer_group_metadata_new(source->pipeline->group);
    else if (source->generation >= 0 && source->member[0])
        metadata = rd_kafka_consumer_group_metadata_new_with_genid(source->pipeline->group, source->generation, source->member, source->id);
    pthread_mutex_unlock(&source->lock);
    return metadata;
}

void source_group_free(rd_kafka_consumer_group_metadata_t *group)
{
    if (group)
        rd_kafka_consumer_group_metadata_destroy(group);
}

static void failed(struct source *source, enum verdict verdict, int code, const char *text)
{
    if (!source->failure.verdict)
        err_set(&source->failure, verdict, code, "%s", text);
}

// The process ends. Until then back gets no metadata, and no later callback brings new ones.
static void thrown_out(struct source *source, const char *why)
{
    source->lost = source->thrown_out = 1;
    pthread_mutex_lock(&source->lock);
    source->generation = -1;
    pthread_mutex_unlock(&source->lock);
    (void)source->hooks.change(source->hooks.opaque, SOURCE_LOST);
    failed(source, RESTART, 0, why);
}

static struct partition *entry_of(struct source *source, const rd_kafka_topic_partition_t *element)
{
    int32_t topic = partitions_topic(source->partitions, element->topic);
    must(topic >= 0);
    return partitions_get(source->partitions, topic, element->partition);
}

static rd_kafka_topic_partition_list_t *list_of_assigned(struct source *source)
{
    int32_t count;
    const char *const *names = partitions_topics(source->partitions, &count);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; i < partitions_count(source->partitions); i++) {
        const struct partition *p = partitions_at(source->partitions, i);
        if (p->assigned)
            rd_kafka_topic_partition_list_add(list, names[p->topic_index], p->number)->offset = p->next;
    }
    return list;
}

static void assignment_noted(struct source *source)
{
    rd_kafka_topic_partition_list_t *list = list_of_assigned(source);
    source_scout_assigned(source->scout, list);
    source->run_topic = NULL;
    int count = list->cnt;
    rd_kafka_topic_partition_list_destroy(list);
    atomic_store(&source->stats->state, count ? WORKER_RUNNING : source->leaving ? WORKER_DRAINING : WORKER_STANDBY);
    atomic_store(&source->stats->ready, 1);
}

// A static member that comes back may be given topics that its file doesn't name any more (R13).
static void foreign_remove(struct source *source, rd_kafka_topic_partition_list_t *list)
{
    for (int i = list->cnt - 1; i >= 0; i--) {
        if (source_scout_group_subscribes(source->pipeline, list->elems[i].topic) || !GUARD("static-check"))
            continue;
        log_notice("refused %s[%d]: the pipeline doesn't read that topic", list->elems[i].topic, list->elems[i].partition);
        rd_kafka_topic_partition_list_del_by_idx(list, i);
    }
}

// Where the listed partitions go on: committed offsets, or the resolved start. Within the settle bound.
static enum verdict offsets_fill(struct source *source, rd_kafka_topic_partition_list_t *list, struct err *e)
{
    int64_t deadline = clock_ms() + source->pipeline->transaction.timeout_ms * 2;
    enum verdict verdict;
    if (list->cnt == 0)
        return OK;
    while ((verdict = source_offsets_committed(source, list, 3000, e)) == RETRY ||
           (!verdict && (verdict = source_offsets_resolve(source, list, e)) == RETRY)) {
        atomic_store(&source->stats->front_beat, clock_ms());
        if (clock_ms() > deadline)
            return err_set(e, RESTART, e->code, "where to go on can't be read: %.200s", e->text);
        log_notice("waiting: %s", e->text);
        usleep(100000);
    }
    return verdict;
}

static void tell_assign(struct source *source, const rd_kafka_topic_partition_list_t *list)
{
    char text[256];
    if (!cooperative(source)) {
        rd_kafka_resp_err_t err = rd_kafka_assign(source->rk, list);
        if (err)
            failed(source, RESTART, err, rd_kafka_err2str(err));
        return;
    }
    rd_kafka_error_t *error = rd_kafka_incremental_assign(source->rk, list);
    if (!error)
        return;
    snprintf(text, sizeof text, "incremental assign: %s", rd_kafka_error_string(error));
    failed(source, RESTART, rd_kafka_error_code(error), text);
    rd_kafka_error_destroy(error);
}

static void on_assign(struct source *source, rd_kafka_topic_partition_list_t *wanted)
{
    struct err e = {.verdict = OK};
    char metadata[32];
    const char *why;
    int64_t begun = clock_ms();
    int is_same = snapshot_take(source);
    rd_kafka_topic_partition_list_t *list =
        source->leaving || !is_same ? rd_kafka_topic_partition_list_new(0) : rd_kafka_topic_partition_list_copy(wanted);
    source->lost = 0;
    if (!is_same)
        thrown_out(source, OTHER_MEMBER);
    if (source->leaving || !is_same) { // if it leaves, it only waited to be a member
        tell_assign(source, list);
        rd_kafka_topic_partition_list_destroy(list);
        return;
    }
    if (source->hooks.change(source->hooks.opaque, SOURCE_ASSIGN)) {
        failed(source, RESTART, 0, "the transaction underway didn't end before new partitions were to be taken on");
        rd_kafka_topic_partition_list_destroy(list);
        return;
    }
    foreign_remove(source, list);
    if (offsets_fill(source, list, &e)) {
        source->failure = e;
        rd_kafka_topic_partition_list_destroy(list);
        return;
    }
    for (int i = 0; i < list->cnt; i++) {
        source_offsets_metadata(&list->elems[i], metadata, sizeof metadata);
        partitions_assign(source->partitions, entry_of(source, &list->elems[i]), list->elems[i].offset, metadata);
    }
    if ((why = outdated(source, begun))) // before the answer: behind it the next generation may begin
        thrown_out(source, why);
    source->rebalance_ms = 0;
    tell_assign(source, list);
    if (list->cnt || !cooperative(source))
        log_info("assigned partitions=%d of=%d", list->cnt, source_assigned(source));
    rd_kafka_topic_partition_list_destroy(list);
    assignment_noted(source);
}

static void tell_unassign(struct source *source, const rd_kafka_topic_partition_list_t *list)
{
    if (!cooperative(source)) {
        rd_kafka_assign(source->rk, NULL);
        return;
    }
    rd_kafka_error_t *error = rd_kafka_incremental_unassign(source->rk, list);
    if (error) {
        failed(source, RESTART, rd_kafka_error_code(error), rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
}

static void on_revoke(struct source *source, const rd_kafka_topic_partition_list_t *given)
{
    int lost = rd_kafka_assignment_lost(source->rk);
    const char *why;
    int64_t begun = clock_ms();
    // A cooperative group is already in its new generation: the old snapshot gets ILLEGAL_GENERATION.
    int is_same = lost || !GUARD("snapshot-revoke") || snapshot_take(source);
    // librdkafka refuses to let go of what we never took on (foreign topics).
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(given->cnt);
    for (int i = 0; i < given->cnt; i++)
        if (entry_of(source, &given->elems[i])->assigned)
            rd_kafka_topic_partition_list_add(list, given->elems[i].topic, given->elems[i].partition);
    source->lost = lost;
    FAILPOINT("in-revoke");
    if (!is_same)
        thrown_out(source, OTHER_MEMBER);
    else if (source->hooks.change(source->hooks.opaque, lost ? SOURCE_LOST : SOURCE_REVOKE))
        failed(source, RESTART, 0, "the transaction underway didn't end before partitions were to be given up");
    if (lost)
        source->rebalance_ms = 0;
    else if (is_same && !source->leaving && (why = outdated(source, begun)))
        thrown_out(source, why);
    source_pause(source, 0); // on 2.0.2 a pause outlives an assignment
    for (int i = 0; i < list->cnt; i++)
        partitions_release(source->partitions, entry_of(source, &list->elems[i]));
    tell_unassign(source, list);
    log_info("%s partitions=%d left=%d", lost ? "lost" : "revoked", list->cnt, source_assigned(source));
    rd_kafka_topic_partition_list_destroy(list);
    assignment_noted(source);
}

void source_group_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct source *source = opaque;
    source->changed = 1; // and no rd_kafka_yield: a batch call throws away the message that it finds next
    stats_add(&source->stats->rebalances, 1);
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        on_assign(source, list);
    else if (err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
        on_revoke(source, list);
    else {
        log_warning("rebalance failed: %s", rd_kafka_err2str(err));
        rd_kafka_assign(rk, NULL);
    }
}

enum verdict source_group_reassign(struct source *source, struct partition *const *entries, int count, struct err *e)
{
    int32_t topics;
    const char *const *names = partitions_topics(source->partitions, &topics);
    rd_kafka_error_t *error = NULL;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_t *list;
    if (cooperative(source)) {
        list = rd_kafka_topic_partition_list_new(count);
        for (int i = 0; i < count; i++)
            rd_kafka_topic_partition_list_add(list, names[entries[i]->topic_index], entries[i]->number)->offset = entries[i]->next;
        if (!(error = rd_kafka_incremental_unassign(source->rk, list)))
            error = rd_kafka_incremental_assign(source->rk, list);
    } else {
        list = list_of_assigned(source);
        err = rd_kafka_assign(source->rk, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    source->run_topic = NULL;
    if (!error && !err)
        return OK;
    err_set(e, RESTART, err, "going on from other offsets: %s", error ? rd_kafka_error_string(error) : rd_kafka_err2str(err));
    if (error)
        rd_kafka_error_destroy(error);
    return RESTART;
}

enum verdict source_group_resubscribe(struct source *source, struct err *e)
{
    if (!source->resubscribing) {
        log_notice("the group leaves partitions unread, or reads topics of an older configuration: subscribing anew");
        source->resubscribing = 1;
        rd_kafka_unsubscribe(source->rk);
        return OK;
    }
    if (source_assigned(source)) // the revoke comes first
        return OK;
    source->resubscribing = 0;
    return source_subscribe(source, e);
}

static volatile sig_atomic_t code_of_late; // of a process whose close hangs

static void on_alarm(int number)
{
    (void)number;
    _exit(code_of_late); // everything is committed and the group left: only librdkafka's own clean-up hangs
}

// Stopped while joining, a static member would be left behind that holds up the group until its session ends: only a member can leave.
static void join_await(struct source *source, int64_t deadline)
{
    while (kafka_requests_joins(&source->requests) && source->generation < 0 && !source->fenced && !source->thrown_out &&
           clock_ms() < deadline) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(source->rk, 50);
        if (message)
            rd_kafka_message_destroy(message);
    }
}

void source_leave(struct source *source, int leave_group, int64_t join_deadline, int timeout_ms, int code)
{
    source->leaving = 1;
    if (leave_group)
        join_await(source, join_deadline);
    int64_t deadline = clock_ms() + timeout_ms;
    if (leave_group) {
        // The request goes out a while after the revoke, and not any more once the close has begun. Who hasn't joined doesn't leave.
        int member = source->generation >= 0 && !source->fenced;
        uint64_t left = kafka_requests_left(&source->requests);
        rd_kafka_unsubscribe(source->rk);
        while ((source_assigned(source) || (member && kafka_requests_left(&source->requests) == left)) && clock_ms() < deadline) {
            rd_kafka_message_t *message = rd_kafka_consumer_poll(source->rk, 50);
            if (message)
                rd_kafka_message_destroy(message);
        }
    }
    code_of_late = code;
    signal(SIGALRM, on_alarm);
    alarm(3);
    FAILPOINT("in-close");
    rd_kafka_consumer_close(source->rk);
    alarm(0);
}
