// SPDX-License-Identifier: MIT
// See partitions.h. The lock guards what back may ask for: the table's shape and each entry's assignment.
#include "partitions.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "clock.h"
#include "failpoint.h"

enum { TOPICS_MOST = 16384 };

struct numbers { // a topic's entries by partition number
    struct partition **entries;
    int32_t capacity;
};

struct partitions {
    pthread_mutex_t lock;
    const char *names[TOPICS_MOST];
    struct numbers topics[TOPICS_MOST];
    int32_t topic_count;
    struct partition **all;
    int count, capacity;
    uint64_t assignments;
};

struct partitions *partitions_new(void)
{
    struct partitions *p = calloc(1, sizeof *p); // mostly untouched pages
    must(p);
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void partitions_free(struct partitions **partitions)
{
    struct partitions *p = *partitions;
    if (!p)
        return;
    for (int i = 0; i < p->count; i++)
        free(p->all[i]);
    for (int32_t t = 0; t < p->topic_count; t++) {
        free(p->topics[t].entries);
        free((void *)p->names[t]);
    }
    free(p->all);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *partitions = NULL;
}

int32_t partitions_topic(struct partitions *p, const char *name)
{
    for (int32_t t = 0; t < p->topic_count; t++)
        if (!strcmp(p->names[t], name))
            return t;
    if (p->topic_count == TOPICS_MOST)
        return -1;
    p->names[p->topic_count] = strdup(name);
    must(p->names[p->topic_count]);
    return p->topic_count++;
}

const char *const *partitions_topics(const struct partitions *p, int32_t *count)
{
    *count = p->topic_count;
    return p->names;
}

static void entry_add(struct partitions *p, struct partition *entry)
{
    struct numbers *topic = &p->topics[entry->topic_index];
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 16;
        p->all = realloc(p->all, (size_t)p->capacity * sizeof(*p->all));
        must(p->all);
    }
    if (entry->number >= topic->capacity) {
        int32_t capacity = (entry->number + 8) * 2;
        topic->entries = realloc(topic->entries, (size_t)capacity * sizeof(*topic->entries));
        must(topic->entries);
        memset(topic->entries + topic->capacity, 0, (size_t)(capacity - topic->capacity) * sizeof(*topic->entries));
        topic->capacity = capacity;
    }
    topic->entries[entry->number] = p->all[p->count++] = entry;
}

static struct partition *entry_find(const struct partitions *p, int32_t topic_index, int32_t number)
{
    const struct numbers *topic = &p->topics[topic_index];
    return number < topic->capacity ? topic->entries[number] : NULL;
}

struct partition *partitions_get(struct partitions *p, int32_t topic_index, int32_t number)
{
    must(topic_index >= 0 && topic_index < p->topic_count && number >= 0);
    struct partition *entry = entry_find(p, topic_index, number);
    if (entry)
        return entry;
    entry = calloc(1, sizeof *entry);
    must(entry);
    *entry = (struct partition){.topic_index = topic_index, .number = number, .next = -1, .handed = -1, .eof = -1};
    pthread_mutex_lock(&p->lock);
    entry_add(p, entry);
    pthread_mutex_unlock(&p->lock);
    return entry;
}

struct partition *partitions_at(struct partitions *p, int i)
{
    must(i >= 0 && i < p->count);
    return p->all[i];
}

int partitions_count(const struct partitions *p)
{
    return p->count;
}

void partitions_assign(struct partitions *p, struct partition *partition, int64_t next, const char *metadata)
{
    must(next >= 0);
    pthread_mutex_lock(&p->lock);
    partition->assigned = 1;
    partition->assignment = ++p->assignments;
    pthread_mutex_unlock(&p->lock);
    partition->paused = 0;
    partition->next = partition->handed = next;
    partition->eof = -1;
    partition->polled_ms = clock_ms();
    strncpy(partition->metadata, metadata, sizeof partition->metadata - 1);
}

void partitions_release(struct partitions *p, struct partition *partition)
{
    pthread_mutex_lock(&p->lock);
    partition->assigned = 0;
    pthread_mutex_unlock(&p->lock);
    partition->paused = 0;
    partition->eof = -1;
}

int partitions_assigned(struct partitions *p)
{
    int count = 0;
    for (int i = 0; i < p->count; i++)
        count += p->all[i]->assigned;
    return count;
}

int partitions_own(struct partitions *p, const struct batch *batch)
{
    int own = 1;
    pthread_mutex_lock(&p->lock);
    for (int32_t i = 0; i < batch->offset_count && own; i++) {
        const struct batch_offset *o = &batch->offsets[i];
        const struct partition *entry = entry_find(p, o->topic_index, o->partition);
        own = entry && entry->assigned && (entry->assignment == o->assignment || !GUARD("assignment-number"));
    }
    pthread_mutex_unlock(&p->lock);
    return own;
}
