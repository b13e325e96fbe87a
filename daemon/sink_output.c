// SPDX-License-Identifier: MIT
// See sink_output.h.
#include "sink_output.h"

#include "kafka.h"

static int32_t partition_of(const struct onced_output *output, const struct onced_record *source, int32_t count)
{
    if (output->partition >= 0)
        return output->partition;
    if (output->key_size >= 0)
        return kafka_partition_of_key(output->key_data, (size_t)output->key_size, count);
    return source->partition % count;
}

static rd_kafka_headers_t *headers_of(const struct onced_output *output, const struct onced_record *source)
{
    rd_kafka_headers_t *headers = NULL;
    if (output->header_count < 0) {
        if (!source->message || rd_kafka_message_headers(source->message, &headers))
            return NULL;
        return rd_kafka_headers_copy(headers); // the batch may have to be sent again
    }
    if (output->header_count == 0)
        return NULL;
    headers = rd_kafka_headers_new((size_t)output->header_count);
    for (int32_t i = 0; i < output->header_count; i++) {
        const struct onced_header *h = &output->headers[i];
        rd_kafka_header_add(headers, h->name, h->name_size, h->data_size < 0 ? NULL : h->data, h->data_size < 0 ? 0 : h->data_size);
    }
    return headers;
}

// producev and not produceva: below 2.12.0 that one frees headers twice when the partition is missing.
rd_kafka_resp_err_t sink_output_produce(rd_kafka_t *rk, rd_kafka_topic_t *const *handles, const struct batch *batch, int32_t index)
{
    const struct onced_output *o = &batch->lent.outputs[index];
    const struct onced_record *source = &batch->lent.records[o->source];
    const struct onced_topic *topic = &batch->lent.output_topics[o->topic_index];
    rd_kafka_resp_err_t err;
    if (topic->partition_count <= 0)
        return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rd_kafka_headers_t *headers = headers_of(o, source);
    int32_t partition = partition_of(o, source, topic->partition_count);
    int64_t time = o->time ? o->time : 1; // librdkafka takes 0 for "now", which would be another one at each attempt
    size_t key_size = o->key_size < 0 ? 0 : (size_t)o->key_size, value_size = o->value_size < 0 ? 0 : (size_t)o->value_size;
    if (!headers)
        return rd_kafka_producev(rk, RD_KAFKA_V_RKT(handles[o->topic_index]), RD_KAFKA_V_PARTITION(partition),
                                 RD_KAFKA_V_KEY((void *)o->key_data, key_size), RD_KAFKA_V_VALUE((void *)o->value_data, value_size),
                                 RD_KAFKA_V_TIMESTAMP(time), RD_KAFKA_V_OPAQUE((void *)(intptr_t)index), RD_KAFKA_V_END);
    err = rd_kafka_producev(rk, RD_KAFKA_V_RKT(handles[o->topic_index]), RD_KAFKA_V_PARTITION(partition),
                            RD_KAFKA_V_KEY((void *)o->key_data, key_size), RD_KAFKA_V_VALUE((void *)o->value_data, value_size),
                            RD_KAFKA_V_TIMESTAMP(time), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE((void *)(intptr_t)index),
                            RD_KAFKA_V_END);
    if (err)
        rd_kafka_headers_destroy(headers); // taken over only by a success
    return err;
}
