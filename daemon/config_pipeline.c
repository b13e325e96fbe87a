// SPDX-License-Identifier: MIT
// One pipeline file into a struct config_pipeline, with the rules that concern this file alone.
#include "config_draft.h"

#include "config_pattern.h"
#include "err.h"
#include "spelling.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pipeline_draft {
    struct config_draft *draft;
    const struct yaml_file *file;
    const struct yaml_node *root;
    struct config_pipeline pipeline;
    struct config_draft_pipeline places;
};

static const struct yaml_node *at(const struct pipeline_draft *p, const char *path)
{
    return config_node(p->root, path);
}

static struct config_value value_at(const struct pipeline_draft *p, const char *path)
{
    return config_value(settings_pipeline, path, at(p, path));
}

static struct report_place place_of(const struct pipeline_draft *p, const struct yaml_node *node)
{
    return node ? node->place : p->root->place;
}

static int topic_is_legal(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size < 250 && strcmp(name, ".") && strcmp(name, "..") &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == size;
}

static void topic_check(const struct pipeline_draft *p, struct report_place place, const char *name)
{
    if (!topic_is_legal(name))
        report_error(p->draft->report, place, NULL, "\"%s\" can't be a topic: 1 to 249 letters, digits, dots, _ and -", name);
}

static void name_build(struct pipeline_draft *p)
{
    struct config_pipeline *pipeline = &p->pipeline;
    const struct yaml_node *name = at(p, "name"), *group = at(p, "group");
    p->places.name_place = place_of(p, name);
    p->places.group_place = group ? group->place : p->places.name_place;
    pipeline->name = value_at(p, "name").text;
    if (!pipeline->name) {
        const char *base = basename(p->file->name);
        const char *dot = strrchr(base, '.');
        pipeline->name = pool_text(p->draft->pool, base, dot ? (size_t)(dot - base) : strlen(base));
        struct yaml_node node = {.kind = YAML_TEXT, .text = pipeline->name};
        if (!name && !config_value(settings_pipeline, "name", &node).text)
            report_error(p->draft->report, p->root->place, NULL, "the file's name \"%s\" must consist of a-z, 0-9 and -, or give `name`",
                         pipeline->name);
    }
    pipeline->group = value_at(p, "group").text;
    if (!pipeline->group)
        pipeline->group = pipeline->name;
    pipeline->instance = p->draft->config->instance;
    pipeline->workers = (int)value_at(p, "workers").integer;
    pipeline->allow_loop = (int)value_at(p, "allow_loop").integer;
}

// `cluster`, or the only one, or `main`. Without a service file any name means the brokers that were given.
static void cluster_choose(struct pipeline_draft *p)
{
    struct config *config = p->draft->config;
    const struct yaml_node *node = at(p, "cluster");
    const char *name = value_at(p, "cluster").text, *meant = NULL;
    must(config->clusters && config->cluster_count > 0); // read before the pipelines; without one there is an unnamed one
    int is_only = config->cluster_count == 1 && (!name || !yaml_get(p->draft->service, "clusters"));
    for (int i = 0; i < config->cluster_count; i++) {
        if (is_only || strcmp(config->clusters[i].name, name ? name : "main") == 0)
            p->pipeline.cluster = &config->clusters[i];
        else if (name && spelling_close(name, spelling_distance(name, config->clusters[i].name)))
            meant = config->clusters[i].name;
    }
    if (!p->pipeline.cluster) {
        report_error(p->draft->report, place_of(p, node), meant,
                     name ? "the service file has no cluster \"%s\""
                          : "the service file has several clusters, none named main: give `cluster`%s",
                     name ? name : "");
        p->pipeline.cluster = &config->clusters[0];
    }
    p->pipeline.both = p->pipeline.cluster->both;
    p->pipeline.consumer = p->pipeline.cluster->consumer;
    p->pipeline.producer = p->pipeline.cluster->producer;
    config_property_read(p->draft, at(p, "kafka"), &p->pipeline.both, &p->pipeline.consumer, &p->pipeline.producer);
}

// A regular expression is compiled as librdkafka will do it. False: reported.
static int input_topic_check(const struct pipeline_draft *p, struct report_place place, const char *topic)
{
    char text[200];
    if (*topic != '^') {
        topic_check(p, place, topic);
        return 1;
    }
    const char *problem = config_pattern_problem(topic, p->draft->request->checked, text, sizeof text);
    if (problem)
        report_error(p->draft->report, place, NULL, "\"%s\" %s", topic, problem);
    return !problem;
}

static void input_build(struct pipeline_draft *p)
{
    const struct yaml_node *topics = at(p, "input.topics");
    struct config_pipeline *pipeline = &p->pipeline;
    pipeline->input.topics = topics && topics->kind == YAML_LIST ? config_texts(p->draft, topics, &pipeline->input.topic_count) : NULL;
    p->places.input_places = pool_take(p->draft->pool, sizeof(struct report_place) * ((size_t)pipeline->input.topic_count + 1));
    for (int i = 0, seen = 0; pipeline->input.topics && i < topics->count; i++) {
        const struct yaml_node *node = topics->items[i];
        if (node->kind != YAML_TEXT)
            continue;
        p->places.input_places[seen++] = node->place;
        if (*node->text && !input_topic_check(p, node->place, node->text))
            pipeline->input.topics[seen - 1] = ""; // nobody compiles it again
        for (int j = 0; j < seen - 1; j++)
            if (strcmp(pipeline->input.topics[j], node->text) == 0)
                report_error(p->draft->report, node->place, NULL, "\"%s\" is listed twice", node->text);
    }
    struct config_value start = value_at(p, "input.start");
    pipeline->input.start = strcmp(start.text, "earliest") == 0 ? START_EARLIEST
                            : strcmp(start.text, "latest") == 0 ? START_LATEST
                                                                : START_TIME;
    pipeline->input.start_ms = start.integer;
    pipeline->input.session_timeout_ms = value_at(p, "input.session_timeout").integer;
    pipeline->input.gap_continue = (int)value_at(p, "input.on_gap").integer;
}

static const struct config_param *params_places(const struct pipeline_draft *p, const struct yaml_node *params)
{
    int count = params && params->kind == YAML_MAP ? params->count : 0;
    struct config_param *places = pool_take(p->draft->pool, sizeof *places * ((size_t)count + 1));
    for (int i = 0; i < count; i++) {
        const struct yaml_node *key = params->items[2 * i];
        places[i] = (struct config_param){key->text, key->place.line, key->place.column};
    }
    struct report_place whole = place_of(p, params ? params : at(p, "transform"));
    places[count] = (struct config_param){NULL, whole.line, whole.column};
    return places;
}

static void transform_build(struct pipeline_draft *p)
{
    struct config_pipeline *pipeline = &p->pipeline;
    const struct yaml_node *script = at(p, "transform.script"), *params = at(p, "transform.params"), *allow = at(p, "transform.allow"),
                           *lua_path = yaml_get(p->draft->service, "lua_path");
    const char *name = value_at(p, "transform.script").text;
    struct stat status;
    pipeline->transform.script = name ? config_beside(p->draft, p->file->name, name) : "";
    if (name && stat(pipeline->transform.script, &status))
        report_error(p->draft->report, script->place, NULL, "the script %s can't be read: %s", pipeline->transform.script, strerror(errno));
    else if (name && (!S_ISREG(status.st_mode) || access(pipeline->transform.script, R_OK)))
        report_error(p->draft->report, script->place, NULL, "the script %s can't be read: it is no file, or not ours to read",
                     pipeline->transform.script);
    pipeline->transform.params = params_places(p, params);
    pipeline->transform.params_json = params && params->kind == YAML_MAP ? params_json(p->draft, params) : "{}";
    pipeline->transform.allow_json = allow && allow->kind == YAML_LIST ? params_json(p->draft, allow) : "[]";
    pipeline->transform.data_json = config_data(p->draft, p->file->name, at(p, "transform.data"), &pipeline->transform.data_size);
    pipeline->transform.memory_bytes = value_at(p, "transform.limits.memory").integer;
    pipeline->transform.record_time_ms = value_at(p, "transform.limits.record_time").integer;
    pipeline->transform.outputs_per_record = value_at(p, "transform.limits.outputs_per_record").integer;
    pipeline->transform.lua_path = config_texts(p->draft, lua_path, &pipeline->transform.lua_path_count);
    for (int i = 0; i < pipeline->transform.lua_path_count; i++)
        pipeline->transform.lua_path[i] = config_beside(p->draft, p->draft->config->file, pipeline->transform.lua_path[i]);
}

static void topic_add(struct pipeline_draft *p, struct report_place place, struct config_topic topic)
{
    struct config_pipeline *pipeline = &p->pipeline;
    topic_check(p, place, topic.name);
    pipeline->topics = pool_grow(p->draft->pool, pipeline->topics, pipeline->topic_count, sizeof *pipeline->topics);
    p->places.topic_places = pool_grow(p->draft->pool, p->places.topic_places, pipeline->topic_count, sizeof *p->places.topic_places);
    p->places.topic_places[pipeline->topic_count] = place;
    pipeline->topics[pipeline->topic_count++] = topic;
}

// "orders-{region}": NULL when it is no template, or an illegal one (reported).
static const char *variable_of(const struct pipeline_draft *p, struct report_place place, const char *topic)
{
    const char *open = strchr(topic, '{'), *close = open ? strchr(open, '}') : strchr(topic, '}');
    if (!open && !close)
        return NULL;
    if (!open || !close || strpbrk(close + 1, "{}")) {
        report_error(p->draft->report, place, NULL, "\"%s\" must have one {variable}", topic);
        return NULL;
    }
    const char *name = pool_text(p->draft->pool, open + 1, (size_t)(close - open - 1));
    int is_taken = setting_find(settings_pipeline, pool_format(p->draft->pool, "outputs.*.%s", name)) != NULL;
    if (is_taken || !*name || isdigit((unsigned char)*name) ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")])
        report_error(p->draft->report, place, NULL, "\"{%s}\" can't be a variable: letters, digits and _, and no key of an output", name);
    else if (open == topic)
        report_error(p->draft->report, place, NULL, "\"%s\" must begin with literal text, so that access can be granted by prefix", topic);
    else
        return name;
    return NULL;
}

static void topics_expand(struct pipeline_draft *p, struct config_output *output, const struct yaml_node *node, struct config_topic topic)
{
    const struct yaml_node *name = yaml_get(node, "topic"), *values = yaml_get(node, output->variable);
    const char *open = strchr(output->topic, '{'), *close = strchr(open, '}');
    output->values = values && values->kind == YAML_LIST ? config_texts(p->draft, values, &output->value_count) : NULL;
    if (!values)
        report_error(p->draft->report, name->place, NULL,
                     "outputs.%s.%s is missing: a list of the values that {%s} may have, as in %s: [eu, us]", output->name,
                     output->variable, output->variable, output->variable);
    for (int i = 0; i < output->value_count; i++) {
        struct report_place place = values->items[i]->kind == YAML_TEXT ? values->items[i]->place : values->place;
        for (int j = 0; j < i; j++)
            if (strcmp(output->values[i], output->values[j]) == 0)
                report_error(p->draft->report, place, NULL, "\"%s\" is listed twice", output->values[i]);
        topic.name = pool_format(p->draft->pool, "%.*s%s%s", (int)(open - output->topic), output->topic, output->values[i], close + 1);
        topic_add(p, place, topic);
    }
}

static void headers_build(struct pipeline_draft *p, struct config_output *output, const struct yaml_node *headers)
{
    if (!headers || headers->kind != YAML_MAP)
        return;
    output->headers = pool_take(p->draft->pool, sizeof *output->headers * ((size_t)headers->count + 1));
    for (int i = 0; i < headers->count; i++)
        if (headers->items[2 * i + 1]->kind == YAML_TEXT)
            output->headers[output->header_count++] = (struct config_header){headers->items[2 * i]->text, headers->items[2 * i + 1]->text};
}

static int created_partitions(const char *path, const struct yaml_node *node)
{
    const struct yaml_node *create = yaml_get(node, "create");
    return create ? (int)config_value(settings_pipeline, path, yaml_get(create, "partitions")).integer : 0;
}

static void output_build(struct pipeline_draft *p, const struct yaml_node *key, const struct yaml_node *node)
{
    struct config_pipeline *pipeline = &p->pipeline;
    const struct yaml_node *topic = yaml_get(node, "topic");
    struct config_output output = {
        .name = key->text,
        .topic = config_value(settings_pipeline, "outputs.*.topic", topic).text,
        .first_topic = pipeline->topic_count,
        .compression = config_value(settings_pipeline, "outputs.*.compression", yaml_get(node, "compression")).text,
        .create_partitions = created_partitions("outputs.*.create.partitions", node),
    };
    if (key->text[strspn(key->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] || !*key->text)
        report_error(p->draft->report, key->place, NULL, "an output's name consists of letters, digits, _ and -: scripts write out.NAME");
    headers_build(p, &output, yaml_get(node, "headers"));
    struct config_topic entry = {output.topic, output.compression, output.create_partitions};
    if (output.topic) {
        output.variable = variable_of(p, topic->place, output.topic);
        if (output.variable)
            topics_expand(p, &output, node, entry);
        else if (!strpbrk(output.topic, "{}"))
            topic_add(p, topic->place, entry);
    }
    pipeline->outputs = pool_grow(p->draft->pool, pipeline->outputs, pipeline->output_count, sizeof *pipeline->outputs);
    pipeline->outputs[pipeline->output_count++] = output;
}

// One topic has one codec: librdkafka keeps the settings of a topic's first handle.
static void outputs_build(struct pipeline_draft *p)
{
    struct config_pipeline *pipeline = &p->pipeline;
    const struct yaml_node *outputs = at(p, "outputs");
    for (int i = 0; outputs && outputs->kind == YAML_MAP && i < outputs->count; i++)
        output_build(p, outputs->items[2 * i], outputs->items[2 * i + 1]);
    for (int i = 0; i < pipeline->topic_count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(pipeline->topics[i].name, pipeline->topics[j].name) == 0 &&
                strcmp(pipeline->topics[i].compression, pipeline->topics[j].compression)) {
                report_error(p->draft->report, p->places.topic_places[i], NULL, "two outputs write the topic %s with different compression",
                             pipeline->topics[i].name);
                break;
            }
}

static void errors_build(struct pipeline_draft *p)
{
    struct config_pipeline *pipeline = &p->pipeline;
    const struct yaml_node *dlq = at(p, "errors.dlq"), *topic = at(p, "errors.dlq.topic");
    const char *const policies[] = {"errors.on_error", "errors.on_reject"};
    const char *name = value_at(p, "errors.dlq.topic").text;
    pipeline->on_error = (enum config_policy)value_at(p, policies[0]).integer;
    pipeline->on_reject = (enum config_policy)value_at(p, policies[1]).integer;
    pipeline->dlq_max_ratio = value_at(p, "errors.dlq.max_ratio").number;
    pipeline->dlq_min = value_at(p, "errors.dlq.min").integer;
    pipeline->dlq_per_ms = value_at(p, "errors.dlq.per").integer;
    pipeline->dlq_topic = -1;
    if (!dlq)
        for (int i = 0; i < 2; i++)
            if (value_at(p, policies[i]).integer == POLICY_DLQ)
                report_error(p->draft->report, place_of(p, at(p, policies[i])), NULL, "%s is dlq, and errors.dlq.topic is missing",
                             policies[i]);
    if (!name)
        return;
    for (int i = 0; i < pipeline->topic_count; i++)
        if (strcmp(pipeline->topics[i].name, name) == 0) {
            report_error(p->draft->report, topic->place, NULL, "dead letters need a topic of their own: %s is that of an output", name);
            break;
        }
    if (pipeline->on_error != POLICY_DLQ && pipeline->on_reject != POLICY_DLQ)
        report_warning(p->draft->report, topic->place, "nothing is sent here: neither on_error nor on_reject is dlq");
    pipeline->dlq_topic = pipeline->topic_count;
    topic_add(p, topic->place, (struct config_topic){name, "none", created_partitions("errors.dlq.create.partitions", dlq)});
}

static void transaction_build(struct pipeline_draft *p)
{
    struct config_pipeline *pipeline = &p->pipeline;
    pipeline->transaction.commit_every_ms = value_at(p, "transaction.commit_every").integer;
    pipeline->transaction.max_records = value_at(p, "transaction.max_records").integer;
    pipeline->transaction.max_bytes = value_at(p, "transaction.max_bytes").integer;
    pipeline->transaction.timeout_ms = value_at(p, "transaction.timeout").integer;
}

void config_pipeline_build(struct config_draft *draft, const struct yaml_file *file)
{
    struct config *config = draft->config;
    struct pipeline_draft p = {.draft = draft, .file = file, .root = file->root, .pipeline.file = file->name, .places.root = file->root};
    name_build(&p);
    cluster_choose(&p);
    input_build(&p);
    transform_build(&p);
    outputs_build(&p);
    errors_build(&p);
    transaction_build(&p);
    draft->pipelines = pool_grow(draft->pool, draft->pipelines, config->pipeline_count, sizeof *draft->pipelines);
    config->pipelines = pool_grow(draft->pool, config->pipelines, config->pipeline_count, sizeof *config->pipelines);
    draft->pipelines[config->pipeline_count] = p.places;
    config->pipelines[config->pipeline_count++] = p.pipeline;
}
