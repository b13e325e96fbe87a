// SPDX-License-Identifier: MIT
// See kafka.h. The interceptors run on librdkafka's broker threads: atomics only, no librdkafka calls.
#include "kafka.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

int kafka_version_below(int major, int minor, int patch)
{
    // 0xMMmmrrpp
    return (rd_kafka_version() >> 8) < ((major << 16) | (minor << 8) | patch);
}

static int version_is(int major, int minor, int patch)
{
    return (rd_kafka_version() >> 8) == ((major << 16) | (minor << 8) | patch);
}

static const char *property_of(const struct config_pipeline *pipeline, const struct config_properties *role, const char *name)
{
    const struct config_properties *const lists[] = {role, &pipeline->both};
    for (int l = 0; l < 2; l++)
        for (int i = lists[l]->count - 1; i >= 0; i--)
            if (!strcmp(lists[l]->items[i].name, name))
                return lists[l]->items[i].value;
    return NULL;
}

static int is_cooperative(const struct config_pipeline *pipeline)
{
    const char *strategy = property_of(pipeline, &pipeline->consumer, "partition.assignment.strategy");
    return strategy && strstr(strategy, "cooperative");
}

int kafka_polls_batches(const struct config_pipeline *pipeline)
{
    return kafka_version_below(2, 2, 0) && !is_cooperative(pipeline);
}

enum verdict kafka_version_check(const struct config_pipeline *pipeline, struct err *e)
{
    if (kafka_version_below(2, 0, 0))
        return err_set(e, HALT, 78, "librdkafka %s can't resume a commit after a timeout; use 2.0.2 or newer", rd_kafka_version_str());
    if (version_is(2, 1, 0) || version_is(2, 10, 0))
        return err_set(e, HALT, 78, "librdkafka %s repeats or loses records by itself; use the next patch release", rd_kafka_version_str());
    if (kafka_version_below(2, 1, 1) && property_of(pipeline, &pipeline->consumer, "client.rack"))
        return err_set(e, HALT, 78, "client.rack crashes librdkafka %s when a replica lease ends; remove it or use 2.1.1 or newer",
                       rd_kafka_version_str());
    if (!kafka_version_below(2, 2, 0) && kafka_version_below(2, 4, 1))
        log_warning("librdkafka %s can fail to rebuild a large batch (fixed in 2.5.0)", rd_kafka_version_str());
    if (is_cooperative(pipeline) && kafka_version_below(2, 6, 1))
        log_warning("cooperative-sticky on librdkafka %s may loop in rebalances (fixed in 2.6.1)", rd_kafka_version_str());
    return OK;
}

// Written by broker threads of all handles; each text is one that its reader can act upon.
static pthread_mutex_t trouble_lock = PTHREAD_MUTEX_INITIALIZER;
static char trouble[200];

static void trouble_note(const char *broker, const char *text)
{
    pthread_mutex_lock(&trouble_lock);
    snprintf(trouble, sizeof trouble, "%s%s%s", broker, *broker ? ": " : "", text);
    pthread_mutex_unlock(&trouble_lock);
}

const char *kafka_trouble(char *text, size_t size, const char *otherwise)
{
    pthread_mutex_lock(&trouble_lock);
    snprintf(text, size, "%s", *trouble ? trouble : otherwise);
    *trouble = '\0';
    pthread_mutex_unlock(&trouble_lock);
    return text;
}

// librdkafka says only that a certificate couldn't be verified; OpenSSL's number, which says why, comes by here. It stays the verdict.
static int on_certificate(rd_kafka_t *rk, const char *broker, int32_t broker_id, int *x509_error, int depth, const char *certificate,
                          size_t size, char *text, size_t text_size, void *opaque)
{
    (void)rk, (void)broker_id, (void)depth, (void)certificate, (void)size, (void)opaque;
    enum {
        NOT_YET_VALID = 9,
        HAS_EXPIRED = 10,
        SELF_SIGNED = 18,
        SELF_SIGNED_IN_CHAIN = 19,
        NO_LOCAL_ISSUER = 20,
        HOSTNAME = 62,
        ADDRESS = 64
    };
    static const struct {
        int number; // X509_V_ERR_... in OpenSSL's x509_vfy.h
        const char *meaning;
    } known[] = {
        {NOT_YET_VALID, "the certificate isn't valid yet"},
        {HAS_EXPIRED, "the certificate has expired"},
        {SELF_SIGNED, "the certificate is signed by itself, not by an authority of tls.ca"},
        {SELF_SIGNED_IN_CHAIN, "the certificate's authority isn't one of tls.ca"},
        {NO_LOCAL_ISSUER, "the certificate's authority isn't one of tls.ca"},
        {HOSTNAME, "the certificate is for another host name"},
        {ADDRESS, "the certificate is for another address"},
    };
    if (*x509_error == 0)
        return 1;
    snprintf(text, text_size, "the certificate can't be verified (OpenSSL's error %d)", *x509_error);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == *x509_error)
            snprintf(text, text_size, "%s", known[i].meaning);
    trouble_note(broker, text);
    return 0;
}

// "[thrd:NAME]: BROKER: what happened (after 3ms in state CONNECT)". What on_certificate knows is better than what follows from it.
static void failure_note(const char *text)
{
    const char *login = strstr(text, "SASL authentication error"), *end = strstr(text, "]: ");
    if (login && strstr(login, "SCRAM") && kafka_version_below(2, 6, 1)) // it sends its nonce twice, which Kafka 4 refuses
        trouble_note(
            "the login was refused: the password may be wrong, and Kafka 4 takes SCRAM from librdkafka 2.6.1 or newer only; this is",
            rd_kafka_version_str());
    else if (login)
        trouble_note("the login was refused, user name or password may be wrong", login);
    else if (!strstr(text, "certificate verify failed"))
        trouble_note("", end ? end + 3 : text);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    if (strcmp(facility, "FAIL") == 0)
        failure_note(text);
    log_line(level < LOG_LEVEL_ERROR ? LOG_LEVEL_ERROR : (enum log_level)level, "librdkafka: %s: %s", facility, text);
}

enum verdict kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *e)
{
    char reason[200];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK)
        return OK;
    return err_set(e, HALT, 78, "kafka: %s: %s", name, reason); // never the value: it may be a secret
}

enum verdict kafka_conf_set_number(rd_kafka_conf_t *conf, const char *name, int64_t value, struct err *e)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return kafka_conf_set(conf, name, text, e);
}

void kafka_conf_offer(rd_kafka_conf_t *conf, const struct config_pipeline *pipeline, const struct config_properties *role, const char *name,
                      const char *value)
{
    char reason[200];
    if (!property_of(pipeline, role, name))
        rd_kafka_conf_set(conf, name, value, reason, sizeof reason); // an older release doesn't know it: fine
}

rd_kafka_conf_t *kafka_conf_new(const struct config_pipeline *pipeline, const struct config_properties *role, struct err *e)
{
    const struct config_properties *const lists[] = {&pipeline->both, role};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (int l = 0; l < 2; l++)
        for (int i = 0; i < lists[l]->count; i++)
            if (kafka_conf_set(conf, lists[l]->items[i].name, lists[l]->items[i].value, e)) {
                rd_kafka_conf_destroy(conf);
                return NULL;
            }
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate);
    kafka_conf_offer(conf, pipeline, role, "socket.nagle.disable", "true"); // default only since 2.10.0
    kafka_conf_offer(conf, pipeline, role, "socket.keepalive.enable", "true");
    kafka_conf_offer(conf, pipeline, role, "reconnect.backoff.max.ms", "1000");
    // As Kafka's own clients, not 30 s: a connection begun in an outage asks again after 1, 3, 7 and 15 s only. TLS and SASL count too.
    kafka_conf_offer(conf, pipeline, role, "socket.connection.setup.timeout.ms", "10000");
    kafka_conf_offer(conf, pipeline, role, "enable.metrics.push", "false"); // 2.5.0 asserts in it
    // Else send_offsets may never return after an outage (librdkafka issue 5511; known since 2.10).
    kafka_conf_offer(conf, pipeline, role, "metadata.recovery.strategy", "none");
    return conf;
}

enum verdict kafka_refused(const char *who, const char *reason, struct err *e)
{
    if (rd_kafka_last_error() == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE)
        return err_set(e, RESTART, RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, "%s: %s", who, reason);
    return err_set(e, HALT, 78, "%s: %s", who, reason);
}

rd_kafka_t *kafka_asker_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *e)
{
    char reason[200];
    rd_kafka_t *rk = rd_kafka_new(type, conf, reason, sizeof reason);
    if (!rk && kafka_refused(type == RD_KAFKA_PRODUCER ? "producer" : "consumer", reason, e) == HALT)
        rd_kafka_conf_destroy(conf); // else its threads may come late, and use it
    return rk;
}

enum verdict kafka_error(const char *doing, rd_kafka_error_t *error, struct err *e)
{
    if (!error)
        return OK;
    // In this order; an error without any flag is to be treated as fatal (librdkafka's INTRODUCTION.md).
    enum verdict verdict = rd_kafka_error_is_fatal(error)             ? RESTART
                           : rd_kafka_error_txn_requires_abort(error) ? RESEND
                           : rd_kafka_error_is_retriable(error)       ? RETRY
                                                                      : RESTART;
    err_set(e, verdict, rd_kafka_error_code(error), "%s: %s: %s", doing, rd_kafka_error_name(error), rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return verdict;
}

static const struct {
    int16_t key;
    const char *name;
} watched[KAFKA_WATCHED] = {{0, "Produce"},          {24, "AddPartitionsToTxn"}, {25, "AddOffsetsToTxn"}, {26, "EndTxn"},
                            {28, "TxnOffsetCommit"}, {11, "JoinGroup"},          {13, "LeaveGroup"},      {9, "OffsetFetch"}};

static int watched_index(int16_t key)
{
    for (int i = 0; i < KAFKA_WATCHED; i++)
        if (watched[i].key == key)
            return i;
    return -1;
}

// Answers are reported twice for every key but Produce: by the broker thread that read them and by the main thread that handles
// them. Requests are sent by broker threads only, so a thread that has sent one is told by this mark; it also skips the errors that
// the main thread reports for requests that were never written.
static _Thread_local int on_broker_thread;

static rd_kafka_resp_err_t on_request_sent(rd_kafka_t *rk, int fd, const char *broker, int32_t broker_id, int16_t key, int16_t version,
                                           int32_t correlation, size_t size, void *opaque)
{
    (void)rk, (void)fd, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)size;
    struct kafka_requests *requests = opaque;
    int i = watched_index(key);
    on_broker_thread = 1;
    if (i >= 0)
        atomic_fetch_add(&requests->sent[i], 1);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_response_received(rd_kafka_t *rk, int fd, const char *broker, int32_t broker_id, int16_t key, int16_t version,
                                                int32_t correlation, size_t size, int64_t rtt, rd_kafka_resp_err_t err, void *opaque)
{
    (void)rk, (void)fd, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)size, (void)rtt;
    struct kafka_requests *requests = opaque;
    int i = watched_index(key);
    if (i >= 0 && on_broker_thread && err == RD_KAFKA_RESP_ERR_NO_ERROR)
        atomic_fetch_add(&requests->answered[i], 1);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque, char *reason, size_t size)
{
    (void)conf, (void)reason, (void)size;
    rd_kafka_interceptor_add_on_request_sent(rk, "onced", on_request_sent, opaque);
    rd_kafka_interceptor_add_on_response_received(rk, "onced", on_response_received, opaque);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void kafka_requests_watch(rd_kafka_conf_t *conf, struct kafka_requests *requests)
{
    rd_kafka_conf_interceptor_add_on_new(conf, "onced", on_new, requests);
}

const char *kafka_requests_unanswered(const struct kafka_requests *requests)
{
    for (int i = 0; i < KAFKA_WATCHED; i++)
        if (atomic_load(&requests->sent[i]) != atomic_load(&requests->answered[i]))
            return watched[i].name;
    return NULL;
}

uint64_t kafka_requests_left(const struct kafka_requests *requests)
{
    return atomic_load(&requests->answered[watched_index(13)]);
}

uint64_t kafka_requests_joins(const struct kafka_requests *requests)
{
    return atomic_load(&requests->sent[watched_index(11)]);
}

uint64_t kafka_requests_fetched(const struct kafka_requests *requests)
{
    return atomic_load(&requests->answered[watched_index(9)]);
}

// MurmurHash2 with the seed and tail of org.apache.kafka.common.utils.Utils.murmur2.
int32_t kafka_partition_of_key(const void *key, size_t size, int32_t count)
{
    const unsigned char *p = key;
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28cu ^ (uint32_t)size;
    for (; size >= 4; size -= 4, p += 4) {
        uint32_t k;
        memcpy(&k, p, 4); // little endian, as Java assembles it
        k *= m;
        k ^= k >> 24;
        h = h * m ^ k * m;
    }
    switch (size) {
    case 3:
        h ^= (uint32_t)p[2] << 16;
        __attribute__((fallthrough));
    case 2:
        h ^= (uint32_t)p[1] << 8;
        __attribute__((fallthrough));
    case 1:
        h = (h ^ p[0]) * m;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return (int32_t)((h & 0x7fffffff) % (uint32_t)count);
}
