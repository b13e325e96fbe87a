// SPDX-License-Identifier: MIT
// Where a partition goes on (R7): the group's committed offset; without one, the pipeline's `start`, resolved once and committed before
// the first poll; behind a gap, by policy. Nothing here jumps silently. Each commit carries "onced partitions=N" as metadata: the topic's
// partition count when the group started on it, never updated, so that a partition at or above it is known to be new.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "clock.h"
#include "kafka.h"
#include "log.h"
#include "source_inside.h"
#include "source_scout_group.h"
#include "state_note.h"

enum { ASK_MS = 5000 };

void source_offsets_metadata(const rd_kafka_topic_partition_t *element, char *metadata, size_t size)
{
    size_t length = element->metadata ? element->metadata_size : 0; // not NUL-terminated
    if (length >= size)
        length = size - 1;
    if (length)
        memcpy(metadata, element->metadata, length);
    metadata[length] = 0;
}

static void metadata_set(rd_kafka_topic_partition_t *element, int count)
{
    char text[32];
    snprintf(text, sizeof text, "onced partitions=%d", count);
    free(element->metadata);
    element->metadata = strdup(text);
    must(element->metadata);
    element->metadata_size = strlen(text);
}

static int metadata_count(const rd_kafka_topic_partition_t *element)
{
    char text[32];
    int count = 0;
    source_offsets_metadata(element, text, sizeof text);
    return sscanf(text, "onced partitions=%d", &count) == 1 ? count : 0;
}

enum verdict source_offsets_committed(struct source *source, rd_kafka_topic_partition_list_t *list, int timeout_ms, struct err *e)
{
    // read_committed makes it a stable fetch (KIP-447): an open transaction on the partition is an error of that partition, which may come
    // with overall success; its offset -1001 must not be read as "none".
    uint64_t answers = kafka_requests_fetched(&source->requests);
    rd_kafka_resp_err_t err = rd_kafka_committed(source->rk, list, timeout_ms);
    answers = kafka_requests_fetched(&source->requests) - answers;
    for (int i = 0; i < list->cnt && !err; i++)
        err = list->elems[i].err;
    if (err == RD_KAFKA_RESP_ERR__TIMED_OUT && answers > 1) // librdkafka has asked again and again
        return err_set(e, RETRY, err,
                       "group %s: its coordinator answers, but not with offsets: it loads, or a transaction is open on them; if that "
                       "stays so, its marker was lost (README, Limits)",
                       source->pipeline->group);
    if (err)
        return err_set(e, RETRY, err, "the group's committed offsets can't be read: %s", rd_kafka_err2str(err));
    return OK;
}

// A topic's number of partitions; 0: unknown.
static int topic_count(struct source *source, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    int count = 0;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(source->rk, topic, NULL);
    if (!handle)
        return 0;
    if (!rd_kafka_metadata(source->rk, 0, handle, &metadata, ASK_MS)) {
        if (metadata->topic_cnt == 1 && !metadata->topics[0].err)
            count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    return count;
}

static int is_literal(const struct source *source, const char *topic)
{
    for (int i = 0; i < source->pipeline->input.topic_count; i++)
        if (!strcmp(source->pipeline->input.topics[i], topic))
            return 1;
    return 0;
}

static int has_regex(const struct source *source)
{
    for (int i = 0; i < source->pipeline->input.topic_count; i++)
        if (*source->pipeline->input.topics[i] == '^')
            return 1;
    return 0;
}

enum verdict source_offsets_survey(struct source *source, struct err *e)
{
    if (!has_regex(source)) { // a topic that is named takes `start`
        source->surveyed = rd_kafka_topic_partition_list_new(1);
        return OK;
    }
    // Asked before this worker joins: afterwards its fellows' first commits would make every topic look like a newcomer.
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t err = rd_kafka_metadata(source->rk, 1, NULL, &metadata, ASK_MS);
    if (err)
        return err_set(e, RESTART, err, "the input topics can't be listed: %s", rd_kafka_err2str(err));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (int t = 0; t < metadata->topic_cnt; t++)
        if (source_scout_group_subscribes(source->pipeline, metadata->topics[t].topic))
            for (int p = 0; p < metadata->topics[t].partition_cnt; p++)
                rd_kafka_topic_partition_list_add(list, metadata->topics[t].topic, metadata->topics[t].partitions[p].id);
    rd_kafka_metadata_destroy(metadata);
    enum verdict verdict = OK;
    for (int64_t deadline = clock_ms() + 2 * source->pipeline->transaction.timeout_ms;
         list->cnt;) { // a crashed one's transaction may be open
        atomic_store(&source->stats->front_beat, clock_ms());
        if ((verdict = source_offsets_committed(source, list, ASK_MS, e)) == OK || clock_ms() > deadline)
            break;
        usleep(100000);
    }
    if (verdict) {
        rd_kafka_topic_partition_list_destroy(list);
        return e->verdict = RESTART;
    }
    for (int i = 0; i < list->cnt; i++)
        source->started |= list->elems[i].offset >= 0;
    source->surveyed = list;
    return OK;
}

static int was_surveyed(const struct source *source, const char *topic)
{
    for (int i = 0; i < source->surveyed->cnt; i++)
        if (!strcmp(source->surveyed->elems[i].topic, topic))
            return 1;
    return 0;
}

// No partition of the topic has an offset, though the group had started on it: expired, deleted, or the topic was made anew.
static enum verdict offsets_gone(struct source *source, const rd_kafka_topic_partition_t *element, struct err *e)
{
    stats_add(&source->stats->gaps, 1);
    err_set(e, HALT, 65,
            "gap in %s[%d]: the group's offset is gone, though the group had started (offsets expired, or the topic was made anew)",
            element->topic, element->partition);
    if (!source->pipeline->input.gap_continue)
        return HALT;
    log_warning("%s; going on at its beginning (on_gap: continue)", e->text);
    return OK;
}

// Answers whether a topic's partition without an offset is a newcomer, which starts at its beginning, and the count to commit along.
static enum verdict newcomer_tell(struct source *source, const rd_kafka_topic_partition_t *element, int *newcomer, int *count,
                                  struct err *e)
{
    int now = topic_count(source, element->topic), then = 0, started = 0;
    if (now <= 0)
        return err_set(e, RETRY, 0, "the number of partitions of %s can't be read", element->topic);
    rd_kafka_topic_partition_list_t *siblings = rd_kafka_topic_partition_list_new(now);
    for (int p = 0; p < now; p++)
        rd_kafka_topic_partition_list_add(siblings, element->topic, p);
    enum verdict verdict = source_offsets_committed(source, siblings, ASK_MS, e);
    for (int i = 0; i < siblings->cnt && !verdict; i++)
        if (siblings->elems[i].offset >= 0) {
            started = 1;
            int seen = metadata_count(&siblings->elems[i]);
            if (seen && (!then || seen < then)) // two workers may have counted while the topic grew
                then = seen;
        }
    rd_kafka_topic_partition_list_destroy(siblings);
    *newcomer = then && element->partition >= then;
    *count = then ? then : now;
    if (!verdict && !started && state_note_exists(source->state_directory, source->pipeline->group, element->topic)) {
        *newcomer = 1; // goes on at the beginning, if at all
        return offsets_gone(source, element, e);
    }
    if (verdict || started || is_literal(source, element->topic))
        return verdict;
    *newcomer = source->started || !was_surveyed(source, element->topic); // a topic that a regex finds after the group has started
    return OK;
}

static enum verdict start_query(struct source *source, rd_kafka_topic_partition_t *element, enum config_start start, struct err *e)
{
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(source->rk, element->topic, element->partition, &low, &high, ASK_MS);
    if (!err && start == START_TIME) {
        rd_kafka_topic_partition_list_t *times = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(times, element->topic, element->partition)->offset = source->pipeline->input.start_ms;
        err = rd_kafka_offsets_for_times(source->rk, times, ASK_MS);
        if (!err)
            err = times->elems[0].err;
        if (times->elems[0].offset >= 0)
            high = times->elems[0].offset; // else no record is that young: the end
        rd_kafka_topic_partition_list_destroy(times);
    }
    if (err)
        return err_set(e, RETRY, err, "the start of %s[%d] can't be read: %s", element->topic, element->partition, rd_kafka_err2str(err));
    element->offset = start == START_EARLIEST ? low : high;
    return OK;
}

static enum verdict start_resolve(struct source *source, rd_kafka_topic_partition_t *element, struct err *e)
{
    static const char *const names[] = {"earliest", "latest", "time"};
    enum config_start start = source->pipeline->input.start;
    int newcomer = 0, count = 0;
    if (newcomer_tell(source, element, &newcomer, &count, e))
        return e->verdict;
    if (newcomer)
        start = START_EARLIEST;
    if (start_query(source, element, start, e))
        return e->verdict;
    metadata_set(element, count);
    log_info("start %s[%d] offset=%" PRId64 " %s", element->topic, element->partition, element->offset,
             newcomer ? "(new since the group started)" : names[start]);
    return OK;
}

enum verdict source_offsets_resolve(struct source *source, rd_kafka_topic_partition_list_t *list, struct err *e)
{
    rd_kafka_topic_partition_list_t *resolved = rd_kafka_topic_partition_list_new(list->cnt);
    enum verdict verdict = OK;
    for (int i = 0; i < list->cnt && !verdict; i++) {
        rd_kafka_topic_partition_t *element = &list->elems[i];
        if (element->offset >= 0) {
            if (!metadata_count(element)) // committed by another program: our count starts here
                metadata_set(element, topic_count(source, element->topic));
            continue;
        }
        verdict = start_resolve(source, element, e);
        atomic_store(&source->stats->front_beat, clock_ms());
        if (verdict)
            break;
        rd_kafka_topic_partition_t *copy = rd_kafka_topic_partition_list_add(resolved, element->topic, element->partition);
        copy->offset = element->offset;
        copy->metadata = strdup(element->metadata);
        copy->metadata_size = element->metadata_size;
    }
    if (!verdict && resolved->cnt) {
        rd_kafka_resp_err_t err = rd_kafka_commit(source->rk, resolved, 0); // by this member, in this generation: a zombie is refused
        for (int i = 0; i < resolved->cnt && !err; i++)
            err = resolved->elems[i].err;
        if (err)
            verdict = err_set(e, RETRY, err, "the resolved start can't be committed: %s", rd_kafka_err2str(err));
    }
    rd_kafka_topic_partition_list_destroy(resolved);
    for (int i = 0; i < list->cnt && !verdict; i++)
        if (i == 0 || strcmp(list->elems[i].topic, list->elems[i - 1].topic))
            state_note_write(source->state_directory, source->pipeline->group, list->elems[i].topic);
    return verdict;
}

enum verdict source_offsets_gap(struct source *source, struct partition *partition, struct err *e)
{
    int32_t topics;
    const char *topic = partitions_topics(source->partitions, &topics)[partition->topic_index];
    int64_t low, high;
    if (!partition->assigned)
        return OK;
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(source->rk, topic, partition->number, &low, &high, ASK_MS);
    if (err) // starting again asks again
        return err_set(e, RESTART, err, "the bounds of %s[%d] can't be read: %s", topic, partition->number, rd_kafka_err2str(err));
    if (partition->next >= low && partition->next <= high)
        return source_group_reassign(source, &partition, 1, e); // a leader that was behind: nothing is missing
    stats_add(&source->stats->gaps, 1);
    if (partition->next < low)
        err_set(e, HALT, 65, "gap in %s[%d]: offsets %" PRId64 " to %" PRId64 " are gone (retention or deleted records)", topic,
                partition->number, partition->next, low - 1);
    else
        err_set(e, HALT, 65,
                "gap in %s[%d]: the group is at offset %" PRId64 ", but the log ends at %" PRId64 " (topic recreated or truncated)", topic,
                partition->number, partition->next, high);
    if (!source->pipeline->input.gap_continue)
        return HALT;
    log_warning("%s; going on at %" PRId64 " (on_gap: continue)", e->text, low);
    partition->next = low;
    partition->handed = partition->next > partition->handed ? partition->handed : low;
    partition->eof = -1;
    return source_group_reassign(source, &partition, 1, e);
}

enum verdict source_rewind(struct source *source, struct err *e)
{
    int32_t topics;
    const char *const *names = partitions_topics(source->partitions, &topics);
    struct partition **held = calloc((size_t)partitions_count(source->partitions) + 1, sizeof(*held));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    enum verdict verdict = OK;
    int count = 0;
    must(held);
    for (int i = 0; i < partitions_count(source->partitions); i++) {
        struct partition *p = partitions_at(source->partitions, i);
        if (!p->assigned)
            continue;
        rd_kafka_topic_partition_list_add(list, names[p->topic_index], p->number);
        held[count++] = p;
    }
    if (count)
        verdict = source_offsets_committed(source, list, ASK_MS, e);
    for (int i = 0; i < count && !verdict; i++) {
        if (list->elems[i].offset < 0)
            verdict = err_set(e, HALT, 65, "the group's offset of %s[%d] is gone; set it with kafka-consumer-groups --reset-offsets",
                              list->elems[i].topic, list->elems[i].partition);
        held[i]->next = held[i]->handed = list->elems[i].offset;
        held[i]->eof = -1;
    }
    if (count && !verdict) {
        source_pause(source, 0);
        verdict = source_group_reassign(source, held, count, e);
        if (!verdict)
            log_info("rewound partitions=%d to the committed offsets", count);
    }
    rd_kafka_topic_partition_list_destroy(list);
    free(held);
    return verdict;
}

enum verdict source_compare(struct source *source, const struct batch *batch, enum source_found *found, struct err *e)
{
    int32_t topics;
    const char *const *names = partitions_topics(source->partitions, &topics);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(batch->offset_count);
    for (int32_t i = 0; i < batch->offset_count; i++)
        rd_kafka_topic_partition_list_add(list, names[batch->offsets[i].topic_index], batch->offsets[i].partition);
    enum verdict verdict = source_offsets_committed(source, list, ASK_MS, e);
    int32_t next = 0, before = 0, back = 0;
    for (int32_t i = 0; i < batch->offset_count && !verdict; i++) { // the list keeps its order
        next += list->elems[i].offset == batch->offsets[i].next;
        before += list->elems[i].offset == batch->offsets[i].before;
        back += list->elems[i].offset >= 0 && list->elems[i].offset < batch->offsets[i].before;
    }
    *found = next == batch->offset_count ? FOUND_NEXT : before == batch->offset_count ? FOUND_BEFORE : back > 0 ? FOUND_BACK : FOUND_OTHER;
    rd_kafka_topic_partition_list_destroy(list);
    return verdict;
}
