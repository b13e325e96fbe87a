// SPDX-License-Identifier: MIT
// Raw librdkafka properties: those that carry the promise, or that onced derives from settings of its own, are refused by name with the
// reason (R10). Which names exist at all only librdkafka knows: kafka.c asks it when a handle is made.
#include "config_draft.h"

#include "err.h"
#include "scalar.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct refusal {
    const char *name, *reason;
};

#define FIXED        "is fixed, exactly-once rests on it"
#define INSTEAD(key) "is set by `" key "`"
#define NESTED       "follows from transaction.timeout and input.session_timeout, whose waits nest inside each other"
#define CALLBACK     "belongs to the program"

static const struct refusal refusals[] = {
    {"isolation.level", FIXED ": anything but read_committed reads what others took back"},
    {"enable.auto.commit", FIXED ": offsets are committed inside the transaction"},
    {"auto.commit.enable", FIXED ": offsets are committed inside the transaction"},
    {"enable.auto.offset.store", FIXED ": offsets are committed inside the transaction"},
    {"auto.commit.interval.ms", "has no effect: offsets are committed inside the transaction; see transaction.commit_every"},
    {"auto.offset.reset", "would jump over records silently; where to start is `input.start`, what to do about a gap `input.on_gap`"},
    {"enable.partition.eof", FIXED ": it tells where a log ends in transaction markers"},
    {"transactional.id", "is built from name, instance and worker: onced.NAME.INSTANCE.N"},
    {"acks", FIXED ": all replicas must have a record"},
    {"request.required.acks", FIXED ": all replicas must have a record"},
    {"enable.idempotence", FIXED ": without it retries repeat records"},
    {"enable.gapless.guarantee", FIXED},
    {"delivery.report.only.error", FIXED ": every delivery report is counted"},
    {"message.timeout.ms", "would drop records of an open transaction; see transaction.timeout"},
    {"delivery.timeout.ms", "would drop records of an open transaction; see transaction.timeout"},
    {"message.send.max.retries", FIXED ": a produce request is retried until the transaction ends"},
    {"retries", FIXED ": a produce request is retried until the transaction ends"},
    {"transaction.timeout.ms", INSTEAD("transaction.timeout")},
    {"session.timeout.ms", INSTEAD("input.session_timeout")},
    {"max.poll.interval.ms", NESTED},
    {"socket.timeout.ms", NESTED},
    {"group.id", INSTEAD("group")},
    {"group.instance.id", "is built from name, instance and worker: onced.NAME.INSTANCE.N"},
    {"bootstrap.servers", INSTEAD("brokers") " of the cluster in the service file"},
    {"metadata.broker.list", INSTEAD("brokers") " of the cluster in the service file"},
    {"compression.codec", INSTEAD("outputs.NAME.compression")},
    {"compression.type", INSTEAD("outputs.NAME.compression")},
    {"partitioner", "has no effect: keys go where Java's partitioner puts them (murmur2)"},
    {"log.queue", CALLBACK},
    {"enabled_events", CALLBACK},
    {"topic.blacklist", "would leave subscribed topics unread; name the topics in input.topics"},
    {"plugin.library.paths", "would load code into the process that holds the promise"},
    {NULL, NULL},
};

static const char *refusal_of(const char *name, const struct yaml_node *value)
{
    int64_t number = 0;
    for (const struct refusal *r = refusals; r->name; r++)
        if (strcmp(r->name, name) == 0)
            return r->reason;
    if (strcmp(name, "group.protocol") == 0 && strcasecmp(value->text, "classic") != 0)
        return "must be classic: the consumer protocol changes a member's epoch without telling";
    if (strcmp(name, "max.in.flight") == 0 || strcmp(name, "max.in.flight.requests.per.connection") == 0)
        return scalar_type(value->text) != SCALAR_INTEGER || scalar_integer(value->text, &number) || number < 1 || number > 5
                   ? "must be between 1 and 5: more loses the order and the idempotence of retries"
                   : NULL;
    return NULL;
}

const char *config_property_refused(int index, const char **reason)
{
    *reason = refusals[index].reason;
    return refusals[index].name;
}

int config_property_is_secret(const char *name)
{
    return report_names_secret(name) || strcmp(name, "ssl.key.pem") == 0 || strcmp(name, "sasl.jaas.config") == 0 ||
           strcmp(name, "sasl.oauthbearer.config") == 0;
}

void config_property_check(struct config_draft *draft, const char *name, const struct yaml_node *map, int nested)
{
    for (int i = 0; i < map->count; i++) {
        const struct yaml_node *key = map->items[2 * i], *value = map->items[2 * i + 1];
        if (nested && (strcmp(key->text, "consumer") == 0 || strcmp(key->text, "producer") == 0)) {
            if (value->kind == YAML_MAP)
                config_property_check(draft, name, value, 0);
            else if (!config_is_null(value))
                report_error(draft->report, value->place, NULL, "%s.%s must be %s", name, key->text, setting_kind_name(SETTING_PROPERTIES));
            continue;
        }
        if (config_property_is_secret(key->text))
            report_secret(draft->report, value->place, value->end_line);
        if (value->kind != YAML_TEXT || config_is_null(value)) {
            report_error(draft->report, value->place.width ? value->place : key->place, NULL, "the property %s must have a single value",
                         key->text);
            continue;
        }
        const char *reason = refusal_of(key->text, value);
        if (reason)
            report_error(draft->report, key->place, NULL, "the property %s %s", key->text, reason);
    }
}

// Lists are replaced, never changed in place: a pipeline's start as the cluster's own.
static void property_drop(struct config_draft *draft, struct config_properties *properties, const char *name)
{
    struct config_property *items = pool_take(draft->pool, sizeof *items * ((size_t)properties->count + 1));
    int kept = 0;
    for (int i = 0; i < properties->count; i++)
        if (strcmp(properties->items[i].name, name))
            items[kept++] = properties->items[i];
    *properties = (struct config_properties){items, kept};
}

void config_property_set(struct config_draft *draft, struct config_properties *properties, const char *name, const char *value)
{
    property_drop(draft, properties, name); // leaves room for one more
    properties->items[properties->count++] =
        (struct config_property){.name = name, .value = value, .secret = config_property_is_secret(name)};
}

static void property_set_from(struct config_draft *draft, struct config_properties *properties, const struct yaml_node *key,
                              const char *value)
{
    config_property_set(draft, properties, key->text, value);
    struct config_property *property = &properties->items[properties->count - 1];
    property->file = key->place.file;
    property->line = key->place.line;
    property->column = key->place.column;
}

void config_property_read(struct config_draft *draft, const struct yaml_node *map, struct config_properties *both,
                          struct config_properties *consumer, struct config_properties *producer)
{
    for (int i = 0; map && map->kind == YAML_MAP && i < map->count; i++) {
        const struct yaml_node *key = map->items[2 * i], *value = map->items[2 * i + 1];
        if (value->kind != YAML_TEXT || config_is_null(value))
            continue;
        // What this file says of both clients beats what the cluster said of one.
        property_drop(draft, consumer, key->text);
        property_drop(draft, producer, key->text);
        property_set_from(draft, both, key, value->text);
    }
    struct config_properties *roles[] = {consumer, producer};
    const char *const names[] = {"consumer", "producer"};
    for (int role = 0; role < 2; role++) {
        const struct yaml_node *own = yaml_get(map, names[role]);
        for (int i = 0; own && own->kind == YAML_MAP && i < own->count; i++)
            if (own->items[2 * i + 1]->kind == YAML_TEXT)
                property_set_from(draft, roles[role], own->items[2 * i], own->items[2 * i + 1]->text);
    }
}
