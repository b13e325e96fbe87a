// SPDX-License-Identifier: MIT
// See sink_seen.h. The record is compared: a log that was cut short may have somebody else's at the same offset.
#include "sink_seen.h"

#include <string.h>

#include "log.h"
#include "kafka_sample.h"

struct look {
    const struct onced_output *output;
    int64_t offset;
    int seen;
};

static int is_same(const void *a, int32_t a_size, const void *b, int32_t b_size)
{
    int32_t size = a_size > 0 ? a_size : 0;
    return size == (b_size > 0 ? b_size : 0) && (size == 0 || memcmp(a, b, (size_t)size) == 0);
}

static int take(void *opaque, const struct kafka_sample *sample)
{
    struct look *look = opaque;
    const struct onced_record *r = &sample->record;
    const struct onced_output *o = look->output;
    look->seen = r->at == look->offset && is_same(r->key_data, r->key_size, o->key_data, o->key_size) &&
                 is_same(r->value_data, r->value_size, o->value_data, o->value_size);
    return 1;
}

enum verdict sink_seen_ask(const struct config_pipeline *pipeline, const struct batch *batch, const struct sink_delivery *delivery,
                           int *seen, struct err *e)
{
    struct look look = {.output = &batch->lent.outputs[delivery->output], .offset = delivery->offset};
    const char *topic = pipeline->topics[look.output->topic_index].name;
    struct kafka_sample_request request = {.topic = topic, .partition = delivery->partition, .offset = delivery->offset, .most = 1};
    enum verdict verdict = kafka_sample_read(pipeline, &request, take, &look, e);
    *seen = verdict == OK && look.seen;
    if (verdict != RETRY)
        return verdict;
    if (e->code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        log_notice("%s may not be read here: whether readers see what the group's offsets deny isn't known", topic);
    else if (e->code != RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE && e->code != RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return RETRY;
    return e->verdict = OK;
}
