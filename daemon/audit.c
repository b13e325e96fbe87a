// SPDX-License-Identifier: MIT
// See audit.h. The first column is the row of README's table, which a spec compares.
#include "audit.h"

#include <stdarg.h>
#include <stdio.h>

#include "log.h"

static const struct {
    const char *what;
    enum audit_level level;
    const char *text;
} findings[AUDIT_FINDINGS] = {
    [AUDIT_UNREACHABLE] = {"no broker answers within 5 s", AUDIT_REFUSES, "cluster %s: the brokers don't answer at %s: %s"},
    [AUDIT_INPUT_MISSING] = {"an input topic is missing", AUDIT_REFUSES, "input topic %s doesn't exist, or may not be described"},
    [AUDIT_PATTERN_MATCHES_NONE] = {"a pattern in `topics` matches none", AUDIT_WARNS,
                                    "input %s matches no topic, or none that may be described"},
    [AUDIT_OUTPUT_MISSING] = {"an output topic is missing", AUDIT_REFUSES,
                              "output topic %s doesn't exist, or may not be described; create it, or declare `create: {partitions: N}`"},
    [AUDIT_OUTPUT_CREATED] = {"... and the file says `create`", AUDIT_PRINTS,
                              "output topic %s doesn't exist yet: it will be created, %d partition%s"},
    [AUDIT_TOPIC_REFUSED] = {"a topic's metadata is an error", AUDIT_REFUSES, "%s topic %s: %s"},
    [AUDIT_GROUP_REFUSED] = {"the group's offsets can't be read", AUDIT_REFUSES, "group %s: its offsets can't be read: %s"},
    [AUDIT_TIMEOUT] = {"`transaction.timeout` above `transaction.max.timeout.ms`", AUDIT_REFUSES,
                       "transaction.timeout is above the broker's transaction.max.timeout.ms=%s"},
    // KIP-890 part 1: without it a late Produce or TxnOffsetCommit of an earlier transaction is taken (f42, R5)
    [AUDIT_UNVERIFIED] =
        {"transactions aren't verified", AUDIT_WARNS,
         "the brokers don't verify transactions' partitions (Kafka < 3.7, or transaction.partition.verification.enable=false): "
         "exactly-once isn't promised on them"},
    [AUDIT_UNCLEAN] = {"`unclean.leader.election.enable=true`", AUDIT_WARNS,
                       "output topic %s: unclean.leader.election.enable=true: a failover can lose committed records"},
    [AUDIT_ONE_REPLICA] = {"an output topic has one replica", AUDIT_WARNS,
                           "output topic %s has one replica: its broker's disk is the only copy"},
    [AUDIT_MIN_ISR] = {"`min.insync.replicas` below 2", AUDIT_WARNS,
                       "output topic %s: min.insync.replicas=%s: one lost disk can lose committed records"},
    [AUDIT_TRANSACTIONS_REPLICA] = {"`transaction.state.log.replication.factor` below 2", AUDIT_WARNS,
                                    "transaction.state.log.replication.factor=%s: a lost disk can lose the outcome of transactions"},
    [AUDIT_OFFSETS_REPLICA] = {"`offsets.topic.replication.factor` below 2", AUDIT_WARNS,
                               "offsets.topic.replication.factor=%s: a lost disk can lose the group's offsets"},
    // The offsets topic is made with settings of its own (GroupCoordinator.groupMetadataTopicConfigs), and this isn't among them.
    [AUDIT_OFFSETS_MIN_ISR] = {"the brokers' own `min.insync.replicas` below 2", AUDIT_WARNS,
                               "the brokers have min.insync.replicas=%s, and __consumer_offsets with them unless it was altered: one lost "
                               "disk can lose committed offsets"},
    [AUDIT_COMPACTED] = {"an output topic is compacted", AUDIT_PRINTS, "output topic %s is compacted: older records of a key will go"},
    [AUDIT_UNREADABLE] = {"settings can't be read", AUDIT_PRINTS, "%s: the configuration can't be read (DescribeConfigs isn't allowed?)"},
    [AUDIT_TOPIC] = {"partitions and replicas of each topic", AUDIT_PRINTS, "%s topic %s: %d partition%s, %d replica%s"},
    [AUDIT_GROUP] = {"the group", AUDIT_PRINTS, "group %s: %d of %d partition%s %s a committed offset"},
};

void audit_found(struct audit *audit, enum audit_finding finding, ...)
{
    char text[512];
    va_list arguments;
    must(findings[finding].text);
    va_start(arguments, finding);
    vsnprintf(text, sizeof text, findings[finding].text, arguments);
    va_end(arguments);
    audit->found(audit, findings[finding].level, text);
}

static void log_found(struct audit *audit, enum audit_level level, const char *text)
{
    (void)audit;
    log_line(level == AUDIT_PRINTS ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING, "audit: %s", text);
}

struct audit audit_log = {log_found};
