// SPDX-License-Identifier: MIT
// Clusters and the instance: what the service file, the command line and the host say about where and as whom to connect.
#include "config_draft.h"

#include "err.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_local(const char *broker)
{
    const char *protocol_end = strstr(broker, "://");
    const char *host = protocol_end ? protocol_end + 3 : broker;
    return strncmp(host, "localhost", 9) == 0 || strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0;
}

// "a:9092, b:9092" item by item. Reports what can't be a broker; true when some broker is on another host.
static int brokers_check(struct config_draft *draft, struct report_place place, const char *brokers)
{
    int elsewhere = 0;
    for (const char *at = brokers; *at;) {
        size_t size = strcspn(at, ",");
        const char *broker = pool_text(draft->pool, at + strspn(at, " "), size - strspn(at, " "));
        const char *protocol_end = strstr(broker, "://"), *host = protocol_end ? protocol_end + 3 : broker, *colon = strrchr(host, ':');
        int has_port = colon && !strchr(colon, ']');
        long port =
            has_port && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1) && strlen(colon + 1) < 6 ? atol(colon + 1) : 0;
        if (!*host || strpbrk(host, " \t/;") || colon == host || (has_port && (port < 1 || port > 65535)))
            report_error(draft->report, place, NULL, "\"%s\" is not a broker: write host:port", broker);
        elsewhere |= !is_local(broker);
        at += size + (at[size] == ',');
    }
    return elsewhere;
}

static const char *texts_join(struct config_draft *draft, const struct yaml_node *node)
{
    int count;
    const char **texts = config_texts(draft, node, &count), *joined = NULL;
    for (int i = 0; i < count; i++)
        joined = joined ? pool_format(draft->pool, "%s,%s", joined, texts[i]) : texts[i];
    return joined;
}

static void set_text(struct config_draft *draft, struct config_cluster *cluster, const struct yaml_node *map, const char *key,
                     const char *property)
{
    const struct yaml_node *node = yaml_get(map, key);
    if (node && node->kind == YAML_TEXT && !config_is_null(node))
        config_property_set(draft, &cluster->both, property, node->text);
}

static void set_file(struct config_draft *draft, struct config_cluster *cluster, const struct yaml_node *map, const char *key,
                     const char *property)
{
    const struct yaml_node *node = yaml_get(map, key);
    if (!node || node->kind != YAML_TEXT || config_is_null(node))
        return;
    const char *path = config_beside(draft, draft->config->file, node->text);
    if (access(path, R_OK))
        report_error(draft->report, node->place, NULL, "tls.%s: %s can't be read: %s", key, node->secret ? "(redacted)" : path,
                     strerror(errno));
    config_property_set(draft, &cluster->both, property, path);
}

static void tls_build(struct config_draft *draft, struct config_cluster *cluster, const struct yaml_node *tls)
{
    set_file(draft, cluster, tls, "ca", "ssl.ca.location");
    set_file(draft, cluster, tls, "cert", "ssl.certificate.location");
    set_file(draft, cluster, tls, "key", "ssl.key.location");
    set_text(draft, cluster, tls, "key_password", "ssl.key.password");
    if (!yaml_get(tls, "cert") != !yaml_get(tls, "key"))
        report_error(draft->report, tls->place, NULL, "tls needs `cert` and `key` together");
    if (!config_value(settings_service, "clusters.*.tls.verify", yaml_get(tls, "verify")).integer) {
        config_property_set(draft, &cluster->both, "enable.ssl.certificate.verification", "false");
        report_warning(draft->report, yaml_get(tls, "verify")->place,
                       "brokers are not verified: anybody in between can read and change records");
    }
}

static void sasl_build(struct config_draft *draft, struct config_cluster *cluster, const struct yaml_node *sasl, int has_tls)
{
    const char *mechanism = config_value(settings_service, "clusters.*.sasl.mechanism", yaml_get(sasl, "mechanism")).text;
    if (mechanism)
        config_property_set(draft, &cluster->both, "sasl.mechanism", mechanism);
    set_text(draft, cluster, sasl, "username", "sasl.username");
    set_text(draft, cluster, sasl, "password", "sasl.password");
    if (mechanism && strcmp(mechanism, "GSSAPI") && (!yaml_get(sasl, "username") || !yaml_get(sasl, "password")))
        report_error(draft->report, sasl->place, NULL, "sasl with %s needs `username` and `password`", mechanism);
    if (mechanism && strcmp(mechanism, "PLAIN") == 0 && !has_tls)
        report_warning(draft->report, sasl->place, "sasl PLAIN without tls sends the password in clear text");
}

static void cluster_build(struct config_draft *draft, const char *name, const struct yaml_node *node, const char *brokers,
                          const char *brokers_from)
{
    struct config *config = draft->config;
    struct config_cluster cluster = {.name = name, .brokers_from = brokers_from};
    const struct yaml_node *tls = yaml_get(node, "tls"), *sasl = yaml_get(node, "sasl");
    if (brokers)
        config_property_set(draft, &cluster.both, "bootstrap.servers", brokers);
    if (tls || sasl)
        config_property_set(draft, &cluster.both, "security.protocol", tls && sasl ? "SASL_SSL" : tls ? "SSL" : "SASL_PLAINTEXT");
    if (tls)
        tls_build(draft, &cluster, tls);
    if (sasl)
        sasl_build(draft, &cluster, sasl, tls != NULL);
    config_property_read(draft, yaml_get(node, "kafka"), &cluster.both, &cluster.consumer, &cluster.producer);
    config->clusters = pool_grow(draft->pool, config->clusters, config->cluster_count, sizeof *config->clusters);
    config->clusters[config->cluster_count++] = cluster;
}

// Letters, digits, _ and -: dots separate the parts of a transactional.id, and the broker takes no other characters in a member's name.
static int instance_is_legal(const char *instance)
{
    size_t size = strlen(instance);
    return size > 0 && size <= 100 && strspn(instance, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == size;
}

static const char *instance_from(struct config_draft *draft, const char *text)
{
    char *instance = pool_text(draft->pool, text, strnlen(text, 100));
    for (char *c = instance; *c; c++)
        if (!instance_is_legal((char[]){*c, 0}))
            *c = '-';
    return instance;
}

static void instance_build(struct config_draft *draft, int brokers_elsewhere)
{
    const struct yaml_node *node = yaml_get(draft->service, "instance");
    struct report_place place = {.file = draft->config->file};
    char host[HOST_NAME_MAX + 1] = "";
    const char *instance = draft->request->instance, *from = "ONCED_INSTANCE";
    if (!instance && node) {
        instance = config_value(settings_service, "instance", node).text, from = "instance";
        place = node->place;
    }
    if (!instance) {
        gethostname(host, sizeof host - 1);
        instance = instance_from(draft, host), from = "the host name as instance"; // a.b and a.c stay different
    }
    if (!instance_is_legal(instance))
        report_error(draft->report, place, *instance && !(node && node->secret) ? instance_from(draft, instance) : NULL,
                     "%s \"%s\" must be 1 to 100 letters, digits, _ and -: it is a part of transactional.id", from, instance);
    if (brokers_elsewhere && strncmp(instance, "localhost", 9) == 0)
        report_error(
            draft->report, place, NULL,
            "%s is \"%s\" and brokers are on other hosts: two such hosts would fence each other for ever; set `instance` or ONCED_INSTANCE",
            from, instance);
    draft->config->instance = instance;
    draft->config->instance_from = instance == draft->request->instance ? "ONCED_INSTANCE" : place.line ? NULL : "default";
}

void config_cluster_build(struct config_draft *draft)
{
    const struct config_request *request = draft->request;
    const struct yaml_node *clusters = yaml_get(draft->service, "clusters");
    int count = clusters && clusters->kind == YAML_MAP ? clusters->count : 0, elsewhere = 0, replaced = 0;
    for (int i = 0; i < count; i++) {
        const struct yaml_node *key = clusters->items[2 * i], *node = clusters->items[2 * i + 1], *own = yaml_get(node, "brokers");
        const char *brokers = texts_join(draft, own);
        int replace = request->brokers && !request->brokers_yield && (count == 1 || strcmp(key->text, "main") == 0);
        if (brokers)
            elsewhere |= brokers_check(draft, own->place, brokers);
        replaced |= replace;
        cluster_build(draft, key->text, node, replace ? request->brokers : brokers, replace ? "--brokers" : NULL);
    }
    if (count && request->brokers && !request->brokers_yield && !replaced)
        report_error(draft->report, clusters->place, NULL,
                     "--brokers replaces those of the cluster `main`, and there are several, none of that name");
    if (!count) {
        if (!request->brokers && !request->brokers_optional)
            report_error(draft->report, (struct report_place){.file = draft->config->file}, NULL,
                         "no brokers: give --brokers HOST:PORT, set ONCED_BROKERS, or name `clusters` in a service file (-c)");
        cluster_build(draft, "main", NULL, request->brokers, request->brokers_yield ? "ONCED_BROKERS" : "--brokers");
    }
    if (request->brokers && (!count || replaced))
        elsewhere |= brokers_check(draft, (struct report_place){0}, request->brokers);
    instance_build(draft, elsewhere);
}
