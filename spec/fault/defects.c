// SPDX-License-Identifier: MIT
// Stands between onced and librdkafka (LD_PRELOAD) and makes of onced what other programs are or were, for the negative controls: the
// oracle must see the difference. ONCED_DEFECT names one:
//
//   read-uncommitted   the input is read with what was aborted
//   offsets-outside    the consumer commits the offsets, beside the transaction
//   not-transactional  an idempotent producer without transactions: begin, commit and abort do nothing, the consumer commits the offsets
//   not-acknowledged   the same, and the offsets don't wait until the brokers have the records
//   stale              a partition begins five records below where it was told to, as with messages of before that are still in a queue
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum { STALE = 5 };

static rd_kafka_t *member; // the consumer of the group

static int is_defect(const char *name)
{
    const char *defect = getenv("ONCED_DEFECT");
    return defect && !strcmp(defect, name);
}

static int is_plain(void)
{
    return is_defect("not-transactional") || is_defect("not-acknowledged");
}

rd_kafka_conf_res_t rd_kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, char *reason, size_t size)
{
    if (is_plain() && !strcmp(name, "transactional.id"))
        return RD_KAFKA_CONF_OK;
    if (is_defect("read-uncommitted") && !strcmp(name, "isolation.level"))
        value = "read_uncommitted";
    return REAL(rd_kafka_conf_set)(conf, name, value, reason, size);
}

rd_kafka_resp_err_t rd_kafka_subscribe(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics)
{
    member = rk;
    return REAL(rd_kafka_subscribe)(rk, topics);
}

rd_kafka_resp_err_t rd_kafka_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *given)
{
    if (!given || !is_defect("stale"))
        return REAL(rd_kafka_assign)(rk, given);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(given);
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].offset >= STALE)
            list->elems[i].offset -= STALE;
    rd_kafka_resp_err_t err = REAL(rd_kafka_assign)(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err;
}

rd_kafka_error_t *rd_kafka_init_transactions(rd_kafka_t *rk, int timeout_ms)
{
    return is_plain() ? NULL : REAL(rd_kafka_init_transactions)(rk, timeout_ms);
}

rd_kafka_error_t *rd_kafka_begin_transaction(rd_kafka_t *rk)
{
    return is_plain() ? NULL : REAL(rd_kafka_begin_transaction)(rk);
}

rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms)
{
    return is_plain() ? NULL : REAL(rd_kafka_commit_transaction)(rk, timeout_ms);
}

rd_kafka_error_t *rd_kafka_abort_transaction(rd_kafka_t *rk, int timeout_ms)
{
    return is_plain() ? NULL : REAL(rd_kafka_abort_transaction)(rk, timeout_ms);
}

rd_kafka_resp_err_t rd_kafka_flush(rd_kafka_t *rk, int timeout_ms)
{
    return is_defect("not-acknowledged") ? RD_KAFKA_RESP_ERR_NO_ERROR : REAL(rd_kafka_flush)(rk, timeout_ms);
}

rd_kafka_error_t *rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets,
                                                       const rd_kafka_consumer_group_metadata_t *group, int timeout_ms)
{
    if (!is_plain() && !is_defect("offsets-outside"))
        return REAL(rd_kafka_send_offsets_to_transaction)(rk, offsets, group, timeout_ms);
    rd_kafka_resp_err_t err = rd_kafka_commit(member, offsets, 0);
    return err ? rd_kafka_error_new(err, "the consumer's commit failed") : NULL;
}
