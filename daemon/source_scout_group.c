// SPDX-License-Identifier: MIT
// See source_scout_group.h.
#include "source_scout_group.h"

#include <regex.h>
#include <string.h>

#include "kafka.h"
#include "log.h"

enum { ASK_MS = 3000 };

int source_scout_group_subscribes(const struct config_pipeline *pipeline, const char *topic)
{
    for (int i = 0; i < pipeline->input.topic_count; i++) {
        const char *wanted = pipeline->input.topics[i];
        regex_t regex;
        if (*wanted != '^') {
            if (!strcmp(wanted, topic))
                return 1;
            continue;
        }
        if (regcomp(&regex, wanted, REG_EXTENDED | REG_NOSUB)) // checked with the configuration
            continue;
        int matches = !regexec(&regex, topic, 0, NULL, 0);
        regfree(&regex);
        if (matches)
            return 1;
    }
    return 0;
}

// The partitions of all members, or NULL when the group isn't stable.
static rd_kafka_topic_partition_list_t *members_read(const rd_kafka_ConsumerGroupDescription_t *group,
                                                     const struct config_pipeline *pipeline, const char *id, int *foreign)
{
    if (rd_kafka_ConsumerGroupDescription_error(group) ||
        rd_kafka_ConsumerGroupDescription_state(group) != RD_KAFKA_CONSUMER_GROUP_STATE_STABLE)
        return NULL;
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(8);
    for (size_t m = 0; m < rd_kafka_ConsumerGroupDescription_member_count(group); m++) {
        const rd_kafka_MemberDescription_t *member = rd_kafka_ConsumerGroupDescription_member(group, m);
        const rd_kafka_MemberAssignment_t *assignment = rd_kafka_MemberDescription_assignment(member);
        const char *instance = rd_kafka_MemberDescription_group_instance_id(member);
        int own = instance && !strcmp(instance, id);
        const rd_kafka_topic_partition_list_t *list = assignment ? rd_kafka_MemberAssignment_partitions(assignment) : NULL;
        for (int i = 0; list && i < list->cnt; i++) {
            rd_kafka_topic_partition_list_add(all, list->elems[i].topic, list->elems[i].partition);
            *foreign |= own && !source_scout_group_subscribes(pipeline, list->elems[i].topic);
        }
    }
    return all;
}

static rd_kafka_topic_partition_list_t *group_read(rd_kafka_t *rk, const struct config_pipeline *pipeline, const char *id, int *foreign)
{
    char reason[200];
    rd_kafka_topic_partition_list_t *all = NULL;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS, reason, sizeof reason);
    const char *name = pipeline->group;
    rd_kafka_DescribeConsumerGroups(rk, &name, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ASK_MS + 500);
    if (event && !rd_kafka_event_error(event)) {
        size_t count = 0;
        const rd_kafka_ConsumerGroupDescription_t **groups =
            rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event), &count);
        all = count ? members_read(groups[0], pipeline, id, foreign) : NULL;
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return all;
}

static int topic_is_read(const struct rd_kafka_metadata_topic *topic, rd_kafka_topic_partition_list_t *read)
{
    for (int p = 0; p < topic->partition_cnt; p++)
        if (!rd_kafka_topic_partition_list_find(read, topic->topic, topic->partitions[p].id)) {
            log_debug("nobody in the group reads %s[%d]", topic->topic, topic->partitions[p].id);
            return 0;
        }
    return 1;
}

static int is_whole(const struct config_pipeline *pipeline, const struct rd_kafka_metadata *metadata, rd_kafka_topic_partition_list_t *read)
{
    for (int t = 0; t < metadata->topic_cnt; t++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[t];
        if (!topic->err && source_scout_group_subscribes(pipeline, topic->topic) && !topic_is_read(topic, read))
            return 0;
    }
    return 1;
}

int source_scout_group_is_whole(rd_kafka_t *rk, const struct config_pipeline *pipeline, const char *id)
{
    const struct rd_kafka_metadata *metadata = NULL;
    int foreign = 0, whole = 1;
    // Metadata first: they tell that brokers answer. A question to the coordinator whose connection breaks may end librdkafka in an
    // assertion (issue 4605, up to 2.16.0).
    if (rd_kafka_metadata(rk, 1, NULL, &metadata, ASK_MS))
        return 1;
    rd_kafka_topic_partition_list_t *read = group_read(rk, pipeline, id, &foreign);
    if (read) {
        whole = !foreign && is_whole(pipeline, metadata, read);
        rd_kafka_topic_partition_list_destroy(read);
    }
    rd_kafka_metadata_destroy(metadata);
    return whole;
}
