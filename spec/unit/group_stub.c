// SPDX-License-Identifier: MIT
// Stands in for the source that back asks (source_owns, source_group, source_compare): the spec says what it answers. Loaded before
// libonced.so with global symbols, so that transaction.c finds these; the counts show the spec that it did.
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "source.h"

struct group_stub {
    _Atomic int owns, member, found, unanswered; // unanswered: so many comparisons fail first
    _Atomic uint64_t serial;
    _Atomic int owned, groups, compares; // calls
} group_stub = {.owns = 1, .member = 1, .serial = 1};

static int change_accept(void *opaque, enum source_change change)
{
    (void)opaque, (void)change;
    return 0;
}

static void snapshot_ignore(void *opaque)
{
    (void)opaque;
}

const struct source_hooks group_hooks = {.change = change_accept, .snapshot = snapshot_ignore}; // for a source without a pipeline

int source_owns(struct source *source, const struct batch *batch)
{
    (void)source, (void)batch;
    group_stub.owned++;
    return group_stub.owns;
}

struct rd_kafka_consumer_group_metadata_s *source_group(struct source *source, uint64_t *serial)
{
    (void)source;
    group_stub.groups++;
    *serial = group_stub.serial;
    return group_stub.member ? rd_kafka_consumer_group_metadata_new_with_genid("orders", 1, "member", "onced.orders.spec.0") : NULL;
}

void source_group_free(struct rd_kafka_consumer_group_metadata_s *group)
{
    if (group)
        rd_kafka_consumer_group_metadata_destroy(group);
}

enum verdict source_compare(struct source *source, const struct batch *batch, enum source_found *found, struct err *e)
{
    (void)source, (void)batch;
    group_stub.compares++;
    *found = (enum source_found)atomic_load(&group_stub.found);
    if (group_stub.unanswered <= 0)
        return OK;
    group_stub.unanswered--;
    e->verdict = RETRY; // err_set is libonced's, which isn't loaded yet
    return RETRY;
}

const char *const *source_topics(const struct source *source, int32_t *count)
{
    static const char *const names[] = {"in"};
    (void)source;
    *count = 1;
    return names;
}
