// SPDX-License-Identifier: MIT
// Two topics of one hash are as good as impossible, and whole names wouldn't fit the page. Called by child (add) and transform (find).
#include "suspects.h"

#include <stddef.h>
#include <string.h>

#include "err.h"

static uint64_t topic_hash(const char *name) // FNV-1a
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
    return hash;
}

static void suspect_remove(struct suspects *s, int32_t at)
{
    s->count--;
    memmove(&s->list[at], &s->list[at + 1], (size_t)(s->count - at) * sizeof *s->list);
}

static struct suspect *suspect_same(struct suspects *s, const struct suspect *one)
{
    for (int32_t i = 0; i < s->count; i++) {
        struct suspect *other = &s->list[i];
        if (other->topic == one->topic && other->partition == one->partition && other->first == one->first && other->last == one->last)
            return other;
    }
    return NULL;
}

int suspects_add(struct suspects *s, const char *topic, int32_t partition, int64_t first, int64_t last, enum death cause)
{
    struct suspect one = {.topic = topic_hash(topic), .partition = partition, .first = first, .last = last};
    must(first <= last);
    for (int32_t i = s->count - 1; i >= 0; i--)
        if (s->list[i].topic == one.topic && s->list[i].partition == partition && s->list[i].last < first)
            suspect_remove(s, i);
    struct suspect *found = suspect_same(s, &one);
    if (!found) {
        if (s->count == SUSPECTS_MOST)
            suspect_remove(s, 0);
        found = &s->list[s->count++];
        *found = one;
    }
    found->cause = (int16_t)cause;
    if (first == last && found->deaths < SUSPECT_DEATHS)
        found->deaths++;
    return found->deaths;
}

const struct suspect *suspects_find(const struct suspects *s, const char *topic, int32_t partition, int64_t offset)
{
    const struct suspect *found = NULL;
    for (int32_t i = 0; i < s->count; i++) {
        const struct suspect *one = &s->list[i];
        if (offset < one->first || offset > one->last || one->partition != partition || one->topic != topic_hash(topic))
            continue;
        if (!found || one->deaths > found->deaths)
            found = one;
    }
    return found;
}
