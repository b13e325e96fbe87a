// SPDX-License-Identifier: MIT
#include "settings.h"

#include "spelling.h"

#include <stddef.h>
#include <string.h>

#define MS_S       1e3
#define MS_M       6e4
#define MS_H       3.6e6
#define KIB        1024.0
#define MIB        (1024 * KIB)
#define GIB        (1024 * MIB)
#define POLICIES   "stop|skip|dlq"
#define NO_CLUSTER "input and outputs are on one cluster, since a transaction can't span two: set `cluster` at the top of the file"

// clang-format off
const struct setting settings_pipeline[] = {
    {"version", SETTING_INTEGER, SETTING_REQUIRED, NULL, NULL, 1, 1, "1, the version of this format"},
    {"name", SETTING_NAME, 0, NULL, NULL, 1, 100, "default: the file's name; metric label, default group; transactional.id = onced.NAME.INSTANCE.N"},
    {"workers", SETTING_INTEGER, 0, "1", NULL, 1, 256, "processes; the consumer group shares the partitions out"},
    {"cluster", SETTING_TEXT, 0, NULL, NULL, 0, 0, "key of `clusters` in the service file; default: the only one, or `main`"},
    {"group", SETTING_TEXT, 0, NULL, NULL, 0, 0, "consumer group; default: the name"},
    {"allow_loop", SETTING_BOOLEAN, 0, "false", NULL, 0, 0, "an output may feed an own input"},
    {"kafka", SETTING_PROPERTIES, 0, NULL, NULL, 0, 0, "raw librdkafka properties of both clients"},
    {"kafka.consumer", SETTING_PROPERTIES, 0, NULL, NULL, 0, 0, "raw librdkafka properties of the consumer"},
    {"kafka.producer", SETTING_PROPERTIES, 0, NULL, NULL, 0, 0, "raw librdkafka properties of the producer"},

    {"input", SETTING_MAP, SETTING_REQUIRED, NULL, NULL, 0, 0, "what is read"},
    {"input.topics", SETTING_LIST, SETTING_REQUIRED, NULL, NULL, 0, 0, "names; a leading ^ makes a regular expression"},
    {"input.start", SETTING_START, 0, "earliest", NULL, 0, 0, "where to start when the group has no committed offset"},
    {"input.session_timeout", SETTING_DURATION, 0, "15s", NULL, 6 * MS_S, 30 * MS_M, "a lost host's partitions move after this"},
    {"input.on_gap", SETTING_CHOICE, 0, "stop", "stop|continue", 0, 0, "retention overtook us, topic recreated, offsets expired"},
    {"input.cluster", SETTING_REFUSED, 0, NULL, NULL, 0, 0, NO_CLUSTER},

    {"transform", SETTING_MAP, SETTING_REQUIRED, NULL, NULL, 0, 0, "what is done to it"},
    {"transform.script", SETTING_TEXT, SETTING_REQUIRED, NULL, NULL, 0, 0, "Lua file, relative to this one"},
    {"transform.params", SETTING_ANY_MAP, 0, NULL, NULL, 0, 0, "given to the script's init as ctx.params"},
    {"transform.data", SETTING_TEXTS, 0, NULL, NULL, 0, 0, "JSON and CSV files by name, relative to this one; read-only in ctx.data"},
    {"transform.limits", SETTING_MAP, 0, NULL, NULL, 0, 0, "what a script may use"},
    {"transform.limits.memory", SETTING_SIZE, 0, "64MiB", NULL, MIB, 64 * GIB, "heap with garbage, not live data"},
    {"transform.limits.record_time", SETTING_DURATION, 0, "5s", NULL, 100, 20 * MS_S, "for one record, or one call of process_batch; the worker is killed behind it"},
    {"transform.limits.outputs_per_record", SETTING_INTEGER, 0, "1000", NULL, 1, 1e6, "records that one record may become"},
    {"transform.allow", SETTING_LIST, 0, NULL, "io|loadlib|os.execute|os.getenv|os.remove|os.rename|os.tmpname", 0, 0, "opens the sandbox, by name"},

    {"outputs", SETTING_NAMED, SETTING_REQUIRED, NULL, NULL, 0, 0, "the only topics that a script can write"},
    {"outputs.*", SETTING_MAP, 0, NULL, NULL, 0, 0, "out.NAME of the script; `default` takes what it returns"},
    {"outputs.*.topic", SETTING_TEXT, SETTING_REQUIRED, NULL, NULL, 0, 0, "name, or \"orders-{region}\" with the values of `region` listed beside it"},
    {"outputs.*.headers", SETTING_TEXTS, 0, NULL, NULL, 0, 0, "static headers; they replace those of the same name"},
    {"outputs.*.compression", SETTING_CHOICE, 0, "none", "none|gzip|snappy|lz4|zstd", 0, 0, "of the batches that are sent"},
    {"outputs.*.create", SETTING_MAP, 0, NULL, NULL, 0, 0, "create the topic if it is missing"},
    {"outputs.*.create.partitions", SETTING_INTEGER, SETTING_REQUIRED, NULL, NULL, 1, 1e5, "partitions of a created topic"},
    {"outputs.*.cluster", SETTING_REFUSED, 0, NULL, NULL, 0, 0, NO_CLUSTER},

    {"errors", SETTING_MAP, 0, NULL, NULL, 0, 0, "what happens to records that can't be transformed"},
    {"errors.on_error", SETTING_CHOICE, 0, "stop", POLICIES, 0, 0, "an exception, a limit, bad JSON"},
    {"errors.on_reject", SETTING_CHOICE, 0, "stop", POLICIES, 0, 0, "the script said onced.reject(reason)"},
    {"errors.dlq", SETTING_MAP, 0, NULL, NULL, 0, 0, "dead letters"},
    {"errors.dlq.topic", SETTING_TEXT, SETTING_REQUIRED, NULL, NULL, 0, 0, "where they go"},
    {"errors.dlq.max_ratio", SETTING_NUMBER, 0, "0", NULL, 0, 1, "above this share the pipeline stops; 0: no limit"},
    {"errors.dlq.min", SETTING_INTEGER, 0, "20", NULL, 1, 1e9, "the ratio counts from this many dead letters on"},
    {"errors.dlq.per", SETTING_DURATION, 0, "1m", NULL, MS_S, 24 * MS_H, "the time that the ratio is taken over"},
    {"errors.dlq.create", SETTING_MAP, 0, NULL, NULL, 0, 0, "create the topic if it is missing"},
    {"errors.dlq.create.partitions", SETTING_INTEGER, SETTING_REQUIRED, NULL, NULL, 1, 1e5, "partitions of a created topic"},
    {"errors.dlq.cluster", SETTING_REFUSED, 0, NULL, NULL, 0, 0, NO_CLUSTER},

    {"transaction", SETTING_MAP, 0, NULL, NULL, 0, 0, "when to commit"},
    {"transaction.commit_every", SETTING_DURATION, 0, "100ms", NULL, 0, 10 * MS_M, "least spacing of commits; 0: as soon as the previous one is through"},
    {"transaction.max_records", SETTING_INTEGER, 0, "250000", NULL, 1, 1e6, "a transaction is closed when it holds this much input"},
    {"transaction.max_bytes", SETTING_SIZE, 0, "128MiB", NULL, 64 * KIB, GIB, "or this much input plus output"},
    {"transaction.timeout", SETTING_DURATION, 0, "10s", NULL, MS_S, 15 * MS_M, "a frozen worker blocks readers at most this long"},
    {NULL, SETTING_MAP, 0, NULL, NULL, 0, 0, NULL},
};

const struct setting settings_service[] = {
    {"version", SETTING_INTEGER, SETTING_REQUIRED, NULL, NULL, 1, 1, "1, the version of this format"},
    {"instance", SETTING_TEXT, 0, NULL, NULL, 0, 0, "name of this host in transactional.id; default: the host name, dots as dashes"},
    {"clusters", SETTING_NAMED, 0, NULL, NULL, 0, 0, "Kafka clusters by name"},
    {"clusters.*", SETTING_MAP, 0, NULL, NULL, 0, 0, "one cluster"},
    {"clusters.*.brokers", SETTING_LIST_OR_TEXT, SETTING_REQUIRED, NULL, NULL, 0, 0, "host:port of some of its brokers"},
    {"clusters.*.tls", SETTING_MAP, 0, NULL, NULL, 0, 0, "speak TLS; {} takes the system's certificates"},
    {"clusters.*.tls.ca", SETTING_TEXT, 0, NULL, NULL, 0, 0, "file of the certificate authority"},
    {"clusters.*.tls.cert", SETTING_TEXT, 0, NULL, NULL, 0, 0, "file of our certificate"},
    {"clusters.*.tls.key", SETTING_TEXT, 0, NULL, NULL, 0, 0, "file of our key"},
    {"clusters.*.tls.key_password", SETTING_TEXT, SETTING_SECRET, NULL, NULL, 0, 0, "of the key"},
    {"clusters.*.tls.verify", SETTING_BOOLEAN, 0, "true", NULL, 0, 0, "check the brokers' certificates and names"},
    {"clusters.*.sasl", SETTING_MAP, 0, NULL, NULL, 0, 0, "log in"},
    {"clusters.*.sasl.mechanism", SETTING_CHOICE, SETTING_REQUIRED, NULL, "PLAIN|SCRAM-SHA-256|SCRAM-SHA-512|GSSAPI", 0, 0, "how"},
    {"clusters.*.sasl.username", SETTING_TEXT, 0, NULL, NULL, 0, 0, "who"},
    {"clusters.*.sasl.password", SETTING_TEXT, SETTING_SECRET, NULL, NULL, 0, 0, "with PLAIN and SCRAM"},
    {"clusters.*.kafka", SETTING_PROPERTIES, 0, NULL, NULL, 0, 0, "raw librdkafka properties of both clients"},
    {"clusters.*.kafka.consumer", SETTING_PROPERTIES, 0, NULL, NULL, 0, 0, "raw librdkafka properties of the consumer"},
    {"clusters.*.kafka.producer", SETTING_PROPERTIES, 0, NULL, NULL, 0, 0, "raw librdkafka properties of the producer"},
    {"pipelines", SETTING_LIST, 0, NULL, NULL, 0, 0, "files, directories or globs, relative to this file; default: /etc/onced/pipelines.d/*.yaml"},
    {"http", SETTING_MAP, 0, NULL, NULL, 0, 0, "metrics and health"},
    {"http.listen", SETTING_TEXT, SETTING_LATER, NULL, NULL, 0, 0, "address:port; off unless set"},
    {"control", SETTING_MAP, 0, NULL, NULL, 0, 0, "for onced status and reload"},
    {"control.socket", SETTING_TEXT, 0, NULL, NULL, 0, 0, "path, relative to this file; default: $RUNTIME_DIRECTORY/control, else none"},
    {"log", SETTING_MAP, 0, NULL, NULL, 0, 0, "log lines on stderr"},
    {"log.level", SETTING_CHOICE, 0, "info", "error|warning|notice|info|debug", 0, 0, "the least important lines that are written"},
    {"lua_path", SETTING_LIST, 0, NULL, NULL, 0, 0, "directories where require() looks after the script's own, relative to this file"},
    {"drain_timeout", SETTING_DURATION, 0, "30s", NULL, MS_S, MS_H, "for the last commit when told to stop"},
    {"leave_on_stop", SETTING_BOOLEAN, 0, "true", NULL, 0, 0, "false: keep the group's seats through a planned restart"},
    {NULL, SETTING_MAP, 0, NULL, NULL, 0, 0, NULL},
};
// clang-format on

const struct setting *setting_find(const struct setting *table, const char *path)
{
    for (; table->path; table++)
        if (strcmp(table->path, path) == 0)
            return table;
    return NULL;
}

const char *setting_last(const struct setting *setting)
{
    const char *dot = strrchr(setting->path, '.');
    return dot ? dot + 1 : setting->path;
}

int setting_is_below(const struct setting *setting, const char *parent)
{
    size_t size = (size_t)(setting_last(setting) - setting->path);
    return size == (*parent ? strlen(parent) + 1 : 0) && strncmp(setting->path, parent, size ? size - 1 : 0) == 0;
}

int setting_needs(const struct setting *table, const char *path)
{
    for (; table->path; table++)
        if (table->flags & SETTING_REQUIRED && setting_is_below(table, path))
            return 1;
    return 0;
}

const struct setting *setting_suggest(const struct setting *table, const char *parent, const char *key, int *is_sibling)
{
    const struct setting *sibling = NULL, *elsewhere = NULL;
    int near = 1000, same = 0;
    for (; table->path; table++) {
        if (table->kind == SETTING_REFUSED || strcmp(setting_last(table), "*") == 0)
            continue;
        int distance = spelling_distance(key, setting_last(table));
        if (setting_is_below(table, parent) && distance < near && spelling_close(key, distance))
            near = distance, sibling = table;
        else if (distance <= 1 && !strchr(table->path, '*'))
            same++, elsewhere = table;
    }
    *is_sibling = sibling != NULL;
    return sibling ? sibling : same == 1 ? elsewhere : NULL;
}

const char *setting_kind_name(enum setting_kind kind)
{
    static const char *const names[] = {
        [SETTING_MAP] = "a map of keys",
        [SETTING_NAMED] = "a map of names",
        [SETTING_ANY_MAP] = "a map",
        [SETTING_PROPERTIES] = "a map of librdkafka properties",
        [SETTING_TEXTS] = "a map of text",
        [SETTING_LIST] = "a list of text",
        [SETTING_LIST_OR_TEXT] = "text or a list of text",
        [SETTING_TEXT] = "text",
        [SETTING_NAME] = "a name of a-z, 0-9 and -",
        [SETTING_INTEGER] = "a whole number",
        [SETTING_NUMBER] = "a number",
        [SETTING_BOOLEAN] = "true or false",
        [SETTING_DURATION] = "a duration with a unit, as in 10s",
        [SETTING_SIZE] = "a size with a unit, as in 32MiB",
        [SETTING_CHOICE] = "one of a few words",
        [SETTING_START] = "earliest, latest or a time",
        [SETTING_REFUSED] = "nothing",
    };
    return names[kind];
}
