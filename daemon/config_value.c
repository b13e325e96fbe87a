// SPDX-License-Identifier: MIT
#include "config_draft.h"

#include "err.h"
#include "scalar.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int config_is_null(const struct yaml_node *node)
{
    return node->kind == YAML_TEXT && node->plain && scalar_type(node->text) == SCALAR_NULL;
}

static const char *kind_of(const struct yaml_node *node)
{
    static const char *const names[] = {"nothing", "a boolean", "a whole number", "a decimal number", "text"};
    if (node->kind != YAML_TEXT)
        return node->kind == YAML_MAP ? "a map" : "a list";
    return names[node->plain ? scalar_type(node->text) : SCALAR_STRING];
}

// The value as it may be printed.
static const char *shown(const struct setting *setting, const struct yaml_node *node)
{
    return node->secret || setting->flags & SETTING_SECRET ? "(redacted)" : node->text;
}

void config_quantity(enum setting_kind kind, double value, char *text, size_t size)
{
    static const struct {
        const char *name;
        double factor;
    } times[] = {{"h", 3.6e6}, {"m", 6e4}, {"s", 1e3}, {"ms", 1}},
      sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
    int i = 0;
    if (kind == SETTING_DURATION || kind == SETTING_SIZE) {
        while (i < 3 && (long long)value % (long long)(kind == SETTING_SIZE ? sizes : times)[i].factor)
            i++;
        if (value == 0)
            i = 3;
        snprintf(text, size, "%.0f%s", value / (kind == SETTING_SIZE ? sizes : times)[i].factor,
                 (kind == SETTING_SIZE ? sizes : times)[i].name);
    } else {
        snprintf(text, size, "%g", value);
        if (kind == SETTING_INTEGER)
            snprintf(text, size, "%.0f", value);
    }
}

static int in_range(const struct setting *setting, double value, char *problem, size_t size)
{
    char least[40], most[40];
    if (setting->least >= setting->most && setting->most == 0) // no range
        return 0;
    if (value >= setting->least && value <= setting->most)
        return 0;
    config_quantity(setting->kind, setting->least, least, sizeof least);
    config_quantity(setting->kind, setting->most, most, sizeof most);
    if (setting->least == setting->most)
        snprintf(problem, size, "must be %s", least);
    else
        snprintf(problem, size, "must be between %s and %s", least, most);
    return -1;
}

static int read_choice(const struct setting *setting, const struct yaml_node *node, struct config_value *value, char *problem, size_t size)
{
    int index = 0;
    size_t length = strlen(node->text), used = 0;
    for (const char *word = setting->choices;; index++) {
        size_t word_length = strcspn(word, "|");
        if (word_length == length && memcmp(word, node->text, length) == 0) {
            value->integer = index;
            value->text = node->text;
            return 0;
        }
        used += (size_t)snprintf(problem + used, used < size ? size - used : 0, "%s%.*s", index ? ", " : "must be one of ",
                                 (int)word_length, word);
        if (!word[word_length])
            break;
        word += word_length + 1;
    }
    if (used < size)
        snprintf(problem + used, size - used, ", not \"%s\"", shown(setting, node));
    return -1;
}

static int read_text(const struct setting *setting, const struct yaml_node *node, struct config_value *value, char *problem, size_t size)
{
    enum scalar_type type = node->plain ? scalar_type(node->text) : SCALAR_STRING;
    if (type != SCALAR_STRING && type != SCALAR_NULL) {
        snprintf(problem, size, "must be text, not %s: quote it, \"%s\"", kind_of(node), shown(setting, node));
        return -1;
    }
    if (type == SCALAR_NULL || !*node->text) {
        snprintf(problem, size, "has no value");
        return -1;
    }
    size_t length = strlen(node->text);
    if (setting->kind == SETTING_NAME && strspn(node->text, "abcdefghijklmnopqrstuvwxyz0123456789-") != length) {
        snprintf(problem, size, "must consist of a-z, 0-9 and -");
        return -1;
    }
    value->text = node->text;
    return setting->kind == SETTING_NAME && length > setting->most
               ? (snprintf(problem, size, "is longer than %.0f characters", setting->most), -1)
               : 0;
}

static int read_start(const struct yaml_node *node, struct config_value *value, char *problem, size_t size)
{
    const char *time_problem;
    value->text = node->text;
    if (strcmp(node->text, "earliest") == 0 || strcmp(node->text, "latest") == 0 ||
        scalar_time(node->text, &value->integer, &time_problem) == 0)
        return 0;
    snprintf(problem, size, "must be earliest, latest or a time as in 2026-01-31T10:00:00Z, not \"%s\"",
             node->secret ? "(redacted)" : node->text);
    return -1;
}

static int read_number(const struct setting *setting, const struct yaml_node *node, enum scalar_type type, struct config_value *value,
                       char *problem, size_t size)
{
    const char *unit_problem = NULL;
    int bad = 0;
    if (setting->kind == SETTING_DURATION || setting->kind == SETTING_SIZE) {
        bad = (setting->kind == SETTING_SIZE ? scalar_size : scalar_duration)(node->text, &value->integer, &unit_problem);
        snprintf(problem, size, "%s", unit_problem);
    } else if (type == SCALAR_INTEGER) {
        bad = scalar_integer(node->text, &value->integer);
        snprintf(problem, size, "is too large");
    } else {
        bad = setting->kind == SETTING_INTEGER || type != SCALAR_FLOAT;
        snprintf(problem, size, "must be %s, not %s%s", setting_kind_name(setting->kind), kind_of(node),
                 node->plain ? "" : ": it is quoted");
    }
    if (bad)
        return -1;
    value->number = type == SCALAR_FLOAT ? strtod(node->text, NULL) : (double)value->integer;
    return in_range(setting, value->number, problem, size);
}

int config_value_read(const struct setting *setting, const struct yaml_node *node, struct config_value *value, char *problem, size_t size)
{
    memset(value, 0, sizeof *value);
    problem[0] = 0;
    if (node->unknown)
        return -1;
    if (node->kind != YAML_TEXT) {
        snprintf(problem, size, "must be %s, not %s", setting_kind_name(setting->kind), kind_of(node));
        return -1;
    }
    enum scalar_type type = node->plain ? scalar_type(node->text) : SCALAR_STRING;
    if (type == SCALAR_NULL) {
        snprintf(problem, size, "has no value");
        return -1;
    }
    switch (setting->kind) {
    case SETTING_CHOICE:
        return read_choice(setting, node, value, problem, size);
    case SETTING_START:
        return read_start(node, value, problem, size);
    case SETTING_BOOLEAN:
        value->integer = strcasecmp(node->text, "true") == 0;
        snprintf(problem, size, "must be true or false, not %s%s", kind_of(node), node->plain ? "" : ": it is quoted");
        return type == SCALAR_BOOLEAN ? 0 : -1;
    case SETTING_TEXT:
    case SETTING_NAME:
        return read_text(setting, node, value, problem, size);
    default:
        return read_number(setting, node, type, value, problem, size);
    }
}

struct config_value config_value(const struct setting *table, const char *path, const struct yaml_node *node)
{
    struct config_value value = {0};
    char problem[256];
    const struct setting *setting = setting_find(table, path);
    must(setting);
    if (node && config_value_read(setting, node, &value, problem, sizeof problem) == 0)
        return value;
    struct yaml_node fallback = {.kind = YAML_TEXT, .text = setting->fallback, .plain = 1};
    memset(&value, 0, sizeof value);
    if (setting->fallback)
        must(config_value_read(setting, &fallback, &value, problem, sizeof problem) == 0);
    return value;
}

const struct yaml_node *config_node(const struct yaml_node *root, const char *path)
{
    char key[64];
    while (root && *path) {
        size_t size = strcspn(path, ".");
        must(size < sizeof key);
        memcpy(key, path, size);
        key[size] = 0;
        root = yaml_get(root, key);
        path += size + (path[size] == '.');
    }
    return root;
}

const char **config_texts(struct config_draft *draft, const struct yaml_node *node, int *count)
{
    const char **texts = NULL;
    *count = 0;
    for (int i = 0; node && node->kind == YAML_LIST && i < node->count; i++)
        if (node->items[i]->kind == YAML_TEXT) {
            texts = pool_grow(draft->pool, texts, *count, sizeof *texts);
            texts[(*count)++] = node->items[i]->text;
        }
    if (node && node->kind == YAML_TEXT && !config_is_null(node)) {
        texts = pool_take(draft->pool, sizeof *texts);
        texts[(*count)++] = node->text;
    }
    return texts;
}

const char *config_beside(struct config_draft *draft, const char *file, const char *path)
{
    const char *slash = file && *path != '/' ? strrchr(file, '/') : NULL;
    return slash ? pool_format(draft->pool, "%.*s/%s", (int)(slash - file), file, path) : pool_text(draft->pool, path, strlen(path));
}
