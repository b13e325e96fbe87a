// SPDX-License-Identifier: MIT
// The effective configuration. The settings tables lead: each key is looked up in the file's tree, else its default is shown. Maps below
// a name of the user's, and those that would lack something, stay away when the file has none: with them it would mean something else.
#include "config_draft.h"

#include "err.h"
#include "json.h"
#include "scalar.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { ORIGIN_COLUMN = 56 };

struct printer {
    FILE *out;
    const struct config *config;
    const struct config_pipeline *pipeline; // NULL: the service file
    const struct setting *table;
    int with_origins;
};

static void map_print(struct printer *p, const char *path, const char *name, const struct yaml_node *map, int depth);

// May it stand without quotes, and be read again as what it is?
static int is_bare(const struct yaml_node *node)
{
    size_t size = strspn(node->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-");
    return size && !node->text[size] && (node->plain || scalar_type(node->text) == SCALAR_STRING) &&
           (isalnum((unsigned char)*node->text) || *node->text == '/' || node->plain) && strncmp(node->text, "---", 3);
}

static void text_write(FILE *out, const struct yaml_node *node, int is_secret)
{
    if (is_secret || node->secret) {
        fputs("\"(redacted)\"", out);
    } else if (config_is_null(node)) {
        fputs("null", out);
    } else if (is_bare(node)) {
        fputs(node->text, out);
    } else {
        char *text = NULL;
        size_t size = 0;
        FILE *doubled = open_memstream(&text, &size); // a dollar sign that was meant is read as one again
        must(doubled);
        for (const char *c = node->text; *c; c++)
            fputs(*c == '$' && (c[1] == '$' || c[1] == '{') ? "$$" : (char[]){*c, 0}, doubled);
        must(fclose(doubled) == 0);
        json_write_string(out, text, size);
        free(text);
    }
}

static void key_write(FILE *out, const char *key)
{
    text_write(out, &(struct yaml_node){.kind = YAML_TEXT, .text = key}, 0);
}

// [a, {b: c}]
static void flow_write(FILE *out, const struct yaml_node *node, int is_secret)
{
    if (node->kind == YAML_TEXT) {
        text_write(out, node, is_secret);
        return;
    }
    fputc(node->kind == YAML_MAP ? '{' : '[', out);
    for (int i = 0; i < node->count; i++) {
        const struct yaml_node *item = node->items[node->kind == YAML_MAP ? 2 * i + 1 : i];
        int hides = is_secret;
        fputs(i ? ", " : "", out);
        if (node->kind == YAML_MAP) {
            key_write(out, node->items[2 * i]->text);
            fputs(": ", out);
            hides |= config_property_is_secret(node->items[2 * i]->text);
        }
        flow_write(out, item, hides);
    }
    fputc(node->kind == YAML_MAP ? '}' : ']', out);
}

// A line with a value. origin: NULL: the node's place.
static void line_print(struct printer *p, int depth, const char *key, const struct yaml_node *node, int is_secret, const char *origin)
{
    char *line = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&line, &size);
    must(out);
    fprintf(out, "%*s", 2 * depth, "");
    key_write(out, key);
    fputs(": ", out);
    flow_write(out, node, is_secret);
    must(fclose(out) == 0);
    if (!p->with_origins)
        fprintf(p->out, "%s\n", line);
    else if (origin)
        fprintf(p->out, "%-*s # %s\n", ORIGIN_COLUMN, line, origin);
    else
        fprintf(p->out, "%-*s # %s:%d\n", ORIGIN_COLUMN, line, node->place.file, node->place.line);
    free(line);
}

static void text_print(struct printer *p, int depth, const char *key, const char *text, int plain, const char *origin)
{
    line_print(p, depth, key, &(struct yaml_node){.kind = YAML_TEXT, .text = text, .plain = plain}, 0, origin);
}

// A map of the user's own, whatever is in it.
static void free_map_print(struct printer *p, int depth, const char *key, const struct yaml_node *map)
{
    fprintf(p->out, "%*s", 2 * depth, "");
    key_write(p->out, key);
    fputs(":\n", p->out);
    for (int i = 0; i < map->count; i++) {
        const struct yaml_node *name = map->items[2 * i], *value = map->items[2 * i + 1];
        if (value->kind == YAML_MAP && value->count)
            free_map_print(p, depth + 1, name->text, value);
        else
            line_print(p, depth + 1, name->text, value, config_property_is_secret(name->text), NULL);
    }
}

// A default that depends on other things; NULL: it has none.
static const char *computed(const struct printer *p, const char *path)
{
    const struct {
        const char *path, *text;
    } values[] = {
        {"version", "1"},
        {"instance", p->config->instance},
        {"name", p->pipeline ? p->pipeline->name : NULL},
        {"group", p->pipeline ? p->pipeline->group : NULL},
        {"cluster", p->pipeline ? p->pipeline->cluster->name : NULL},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (strcmp(values[i].path, path) == 0)
            return values[i].text;
    return NULL;
}

// The brokers that --brokers or ONCED_BROKERS gave the cluster; NULL: they are the file's.
static const char *brokers_given(const struct printer *p, const struct setting *row, const char *name, const char **from)
{
    if (strcmp(row->path, "clusters.*.brokers"))
        return NULL;
    for (int i = 0; i < p->config->cluster_count; i++) {
        const struct config_cluster *cluster = &p->config->clusters[i];
        if (strcmp(cluster->name, name) || !(*from = cluster->brokers_from))
            continue;
        for (int j = 0; j < cluster->both.count; j++)
            if (strcmp(cluster->both.items[j].name, "bootstrap.servers") == 0)
                return cluster->both.items[j].value;
    }
    return NULL;
}

static void value_print(struct printer *p, const struct setting *row, const char *name, const struct yaml_node *node, int depth)
{
    const char *key = setting_last(row), *from = NULL, *brokers = brokers_given(p, row, name, &from), *text = computed(p, row->path);
    int is_instance = strcmp(row->path, "instance") == 0;
    if (brokers)
        text_print(p, depth, key, brokers, 0, from);
    else if (is_instance && p->config->instance_from)
        text_print(p, depth, key, text, 0, p->config->instance_from);
    else if (node && !config_is_null(node))
        line_print(p, depth, key, node, row->flags & SETTING_SECRET, NULL);
    else if (text)
        text_print(p, depth, key, text, row->kind == SETTING_INTEGER, "default");
    else if (row->fallback)
        text_print(p, depth, key, row->fallback, 1, "default");
}

static void body_print(struct printer *p, const struct setting *row, const char *name, const struct yaml_node *node, int depth);

// The header of a map, and what is below it; neither when the file doesn't have it and nothing below has a default.
static void header_print(struct printer *p, const struct setting *row, const char *key, const struct yaml_node *node, int depth)
{
    char *body = NULL;
    size_t size = 0;
    struct printer inner = *p;
    inner.out = open_memstream(&body, &size);
    must(inner.out);
    body_print(&inner, row, key, node, depth + 1);
    must(fclose(inner.out) == 0);
    if (size || node) {
        fprintf(p->out, "%*s", 2 * depth, "");
        key_write(p->out, key);
        fprintf(p->out, size ? ":\n%s" : ": {}\n", body);
    }
    free(body);
}

static void body_print(struct printer *p, const struct setting *row, const char *name, const struct yaml_node *node, int depth)
{
    int is_clusters = strcmp(row->path, "clusters") == 0, count = is_clusters ? p->config->cluster_count : node ? node->count : 0;
    if (row->kind == SETTING_MAP)
        map_print(p, row->path, name, node, depth);
    for (int i = 0; row->kind == SETTING_NAMED && i < count; i++) {
        const char *own = is_clusters ? p->config->clusters[i].name : node->items[2 * i]->text;
        header_print(p, row + 1, own, yaml_get(node, own), depth); // `path.*` stands below its map
    }
}

static void row_print(struct printer *p, const struct setting *row, const char *name, const struct yaml_node *node, int depth)
{
    if (row->kind == SETTING_MAP || row->kind == SETTING_NAMED) {
        if (node || (!strchr(row->path, '*') && !setting_needs(p->table, row->path)))
            header_print(p, row, setting_last(row), node, depth);
    } else if (row->kind > SETTING_TEXTS) {
        value_print(p, row, name, node, depth);
    } else if (node && node->count) {
        free_map_print(p, depth, setting_last(row), node);
    }
}

// name: the key of the map itself, which the user may have chosen.
static void map_print(struct printer *p, const char *path, const char *name, const struct yaml_node *map, int depth)
{
    for (const struct setting *row = p->table; row->path; row++)
        if (setting_is_below(row, path))
            row_print(p, row, name, yaml_get(map, setting_last(row)), depth);
    for (int i = 0; strcmp(path, "outputs.*") == 0 && i < p->pipeline->output_count; i++) {
        const struct config_output *output = &p->pipeline->outputs[i];
        if (output->variable && strcmp(output->name, name) == 0)
            line_print(p, depth, output->variable, yaml_get(map, output->variable), 0, NULL);
    }
}

void config_print(const struct config *config, int with_origins, FILE *out)
{
    const struct config_whole *whole = (const struct config_whole *)config;
    struct printer p = {.out = out, .config = config, .table = settings_service, .with_origins = with_origins};
    fprintf(out, "# %s\n", config->file ? config->file : "no service file");
    map_print(&p, "", "", whole->service, 0);
    p.table = settings_pipeline;
    for (int i = 0; i < config->pipeline_count; i++) {
        p.pipeline = &config->pipelines[i];
        fprintf(out, "---\n# %s\n", p.pipeline->file);
        map_print(&p, "", "", whole->pipelines[i].root, 0);
    }
}
