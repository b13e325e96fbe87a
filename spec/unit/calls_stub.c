// SPDX-License-Identifier: MIT
// Stands between libonced.so and librdkafka: notes the order of the calls that make a transaction, keeps the newest handle of each kind
// so that a spec can read its configuration, says another version and lets an assign take long when told to. Part of the library that
// mock.lua loads first.
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct calls_stub {
    char trace[4096]; // names, each followed by a space
    rd_kafka_t *newest[2];
    int version;   // 0: the real one
    int assign_ms; // an assign returns when three messages have come, at most so late
    // Consumers get no record, only ends of partitions. -1: never, since the mock shows what was aborted, too, and the end is the
    // beginning; else until they have asked for bounds so many times: a leader that is behind.
    int unseen;
} calls_stub;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void note(const char *name)
{
    pthread_mutex_lock(&lock);
    size_t used = strlen(calls_stub.trace);
    snprintf(calls_stub.trace + used, sizeof calls_stub.trace - used, "%s ", name);
    pthread_mutex_unlock(&lock);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *reason, size_t size)
{
    rd_kafka_t *rk = REAL(rd_kafka_new)(type, conf, reason, size);
    calls_stub.newest[type] = rk;
    if (type == RD_KAFKA_PRODUCER)
        note("new");
    return rk;
}

void rd_kafka_destroy(rd_kafka_t *rk)
{
    if (rd_kafka_type(rk) == RD_KAFKA_PRODUCER)
        note("destroy");
    REAL(rd_kafka_destroy)(rk);
}

rd_kafka_error_t *rd_kafka_init_transactions(rd_kafka_t *rk, int timeout_ms)
{
    note("init");
    return REAL(rd_kafka_init_transactions)(rk, timeout_ms);
}

rd_kafka_error_t *rd_kafka_begin_transaction(rd_kafka_t *rk)
{
    note("begin");
    return REAL(rd_kafka_begin_transaction)(rk);
}

rd_kafka_resp_err_t rd_kafka_flush(rd_kafka_t *rk, int timeout_ms)
{
    note("flush");
    return REAL(rd_kafka_flush)(rk, timeout_ms);
}

rd_kafka_error_t *rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets,
                                                       const rd_kafka_consumer_group_metadata_t *group, int timeout_ms)
{
    note("offsets");
    return REAL(rd_kafka_send_offsets_to_transaction)(rk, offsets, group, timeout_ms);
}

rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms)
{
    note("commit");
    return REAL(rd_kafka_commit_transaction)(rk, timeout_ms);
}

rd_kafka_error_t *rd_kafka_abort_transaction(rd_kafka_t *rk, int timeout_ms)
{
    note("abort");
    return REAL(rd_kafka_abort_transaction)(rk, timeout_ms);
}

int rd_kafka_version(void)
{
    return calls_stub.version ? calls_stub.version : REAL(rd_kafka_version)();
}

rd_kafka_resp_err_t rd_kafka_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t err = REAL(rd_kafka_assign)(rk, list);
    rd_kafka_queue_t *queue = list && calls_stub.assign_ms ? rd_kafka_queue_get_consumer(rk) : NULL;
    for (int waited = 0; queue && waited < calls_stub.assign_ms && rd_kafka_queue_length(queue) < 3; waited++)
        usleep(1000);
    if (queue)
        rd_kafka_queue_destroy(queue);
    return err;
}

rd_kafka_message_t *rd_kafka_consumer_poll(rd_kafka_t *rk, int timeout_ms)
{
    rd_kafka_message_t *message = REAL(rd_kafka_consumer_poll)(rk, timeout_ms);
    if (!message || !calls_stub.unseen)
        return message;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        message->offset = 0;
    if (message->err)
        return message;
    rd_kafka_message_destroy(message);
    return NULL;
}

rd_kafka_resp_err_t rd_kafka_offsets_for_times(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int timeout_ms)
{
    rd_kafka_resp_err_t err = REAL(rd_kafka_offsets_for_times)(rk, list, timeout_ms);
    for (int i = 0; i < list->cnt && calls_stub.unseen < 0; i++)
        list->elems[i].offset = 0;
    if (rd_kafka_type(rk) == RD_KAFKA_CONSUMER && calls_stub.unseen > 0)
        calls_stub.unseen--;
    return err;
}

// The mock doesn't serve it, and librdkafka 2.0.2 dies of that: answered at once, with nothing.
void rd_kafka_DescribeConsumerGroups(rd_kafka_t *rk, const char **groups, size_t count, const rd_kafka_AdminOptions_t *options,
                                     rd_kafka_queue_t *queue)
{
    (void)rk, (void)groups, (void)count, (void)options;
    rd_kafka_queue_yield(queue);
}
