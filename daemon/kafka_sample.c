// SPDX-License-Identifier: MIT
// See kafka_sample.h. An assigned consumer, on the caller's thread: it never joins a group, so a running pipeline isn't disturbed.
#include "kafka_sample.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kafka.h"

enum { ANSWER_MS = 5000, SILENCE_MS = 10000 };

rd_kafka_t *kafka_sample_reader(const struct config_pipeline *pipeline, struct err *e)
{
    rd_kafka_conf_t *conf = kafka_conf_new(pipeline, &pipeline->consumer, e);
    if (!conf)
        return NULL;
    // An answer is waited for: soon, and from the leader, since a follower may not have come so far.
    // librdkafka wants a group's name even of who never joins it; with nothing stored and no commit it only names whose offsets are asked
    // for.
    if (kafka_conf_set(conf, "group.id", pipeline->group, e) || kafka_conf_set(conf, "isolation.level", "read_committed", e) ||
        kafka_conf_set(conf, "enable.auto.commit", "false", e) || kafka_conf_set(conf, "enable.auto.offset.store", "false", e) ||
        kafka_conf_set(conf, "auto.offset.reset", "error", e) || kafka_conf_set(conf, "enable.partition.eof", "true", e) ||
        kafka_conf_set(conf, "allow.auto.create.topics", "false", e) || kafka_conf_set(conf, "fetch.wait.max.ms", "100", e) ||
        kafka_conf_set(conf, "fetch.min.bytes", "1", e) || kafka_conf_set(conf, "client.rack", "", e)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_t *rk = kafka_asker_new(RD_KAFKA_CONSUMER, conf, e);
    if (rk)
        rd_kafka_poll_set_consumer(rk);
    return rk;
}

static enum verdict give(const rd_kafka_message_t *message, int (*take)(void *opaque, const struct kafka_sample *sample), void *opaque,
                         int *stop, struct err *e)
{
    rd_kafka_headers_t *given = NULL;
    size_t count = rd_kafka_message_headers(message, &given) == RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_header_cnt(given) : 0;
    struct onced_header *headers = calloc(count + 1, sizeof *headers);
    struct kafka_sample sample = {
        .topic = rd_kafka_topic_name(message->rkt),
        .record =
            {
                .key_data = message->key,
                .value_data = message->payload,
                .at = message->offset,
                .time = rd_kafka_message_timestamp(message, NULL),
                .key_size = message->key ? (int32_t)message->key_len : -1,
                .value_size = message->payload ? (int32_t)message->len : -1,
                .partition = message->partition,
            },
        .headers = headers,
        .header_count = (int32_t)count,
    };
    if (!headers)
        return err_set(e, HALT, 0, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const void *data;
        size_t size;
        rd_kafka_header_get_all(given, i, &headers[i].name, &data, &size);
        headers[i].name_size = (int32_t)strlen(headers[i].name);
        headers[i].data = data;
        headers[i].data_size = data ? (int32_t)size : -1;
    }
    *stop = take(opaque, &sample);
    free(headers);
    return OK;
}

// The end is what is committed now: behind it a reader would wait.
static enum verdict records_read(rd_kafka_t *rk, const struct kafka_sample_request *request,
                                 int (*take)(void *opaque, const struct kafka_sample *sample), void *opaque, struct err *e)
{
    int64_t taken = 0, heard_ms = clock_ms();
    int stop = 0;
    enum verdict verdict = OK;
    while (!stop && verdict == OK && taken < request->most) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 200);
        if (message && !message->err) {
            verdict = give(message, take, opaque, &stop, e);
            heard_ms = clock_ms();
            taken++;
        } else if (message && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            stop = 1;
        } else if (message && message->err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && message->err != RD_KAFKA_RESP_ERR__TRANSPORT) {
            verdict = err_set(e, RETRY, message->err, "%s: %s", request->topic, rd_kafka_message_errstr(message));
        } else if (clock_ms() - heard_ms > SILENCE_MS) {
            verdict = err_set(e, RETRY, RD_KAFKA_RESP_ERR__TIMED_OUT, "the brokers don't answer");
        }
        if (message)
            rd_kafka_message_destroy(message);
    }
    return verdict;
}

// Where to begin. Offsets of markers are counted among the last ones, so fewer records than wanted may come.
static enum verdict start_find(rd_kafka_t *rk, const struct kafka_sample_request *request, int64_t *start, struct err *e)
{
    int64_t first, end;
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, request->topic, request->partition, &first, &end, ANSWER_MS);
    if (err)
        return err_set(e, RETRY, err, "%s, partition %" PRId32 ": %s", request->topic, request->partition, rd_kafka_err2str(err));
    *start = request->offset >= 0 ? request->offset : end - request->most > first ? end - request->most : first;
    if (*start < first || *start > end)
        return err_set(e, RETRY, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
                       "%s, partition %" PRId32 " has offsets %" PRId64 " to %" PRId64 ", not %" PRId64, request->topic, request->partition,
                       first, end - 1, *start);
    return OK;
}

enum verdict kafka_sample_read(const struct config_pipeline *pipeline, const struct kafka_sample_request *request,
                               int (*take)(void *opaque, const struct kafka_sample *sample), void *opaque, struct err *e)
{
    int64_t start = 0;
    rd_kafka_t *rk = kafka_sample_reader(pipeline, e);
    if (!rk)
        return e->verdict;
    enum verdict verdict = start_find(rk, request, &start, e);
    if (verdict == OK) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(list, request->topic, request->partition)->offset = start;
        rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
        rd_kafka_topic_partition_list_destroy(list);
        verdict = err ? err_set(e, RETRY, err, "assign: %s", rd_kafka_err2str(err)) : records_read(rk, request, take, opaque, e);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return verdict;
}
