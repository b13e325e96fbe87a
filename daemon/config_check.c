// SPDX-License-Identifier: MIT
// Holds a file against its settings table. Knows nothing of what the settings mean, but for two things that a table can't say: the
// variable of an output's topic is a key beside it, and raw properties are checked by name (config_property.c).
#include "config_draft.h"

#include "spelling.h"

#include <string.h>

struct checker {
    struct config_draft *draft;
    const struct setting *table;
};

// What is being checked: its pattern in the table, its name as users know it, and where to point when it has no place of its own.
struct subject {
    const struct setting *setting; // NULL: the file itself
    const char *pattern, *name;
    struct report_place place, key_place; // of its value, and of its key, where what it lacks is reported
};

static void check_map(struct checker *c, struct subject *subject, const struct yaml_node *map);

static const char *nearest_choice(struct checker *c, const struct setting *setting, const char *text)
{
    const char *meant = NULL;
    int near = 1000;
    for (const char *word = setting->choices; word;) {
        size_t size = strcspn(word, "|");
        const char *choice = pool_text(c->draft->pool, word, size);
        int distance = spelling_distance(text, choice);
        if (distance < near && spelling_close(text, distance))
            near = distance, meant = choice;
        word = word[size] ? word + size + 1 : NULL;
    }
    return meant;
}

static void check_scalar(struct checker *c, struct subject *subject, const struct yaml_node *node)
{
    struct config_value value;
    char problem[256];
    if (config_value_read(subject->setting, node, &value, problem, sizeof problem) == 0 || !*problem)
        return;
    const char *meant = subject->setting->kind == SETTING_CHOICE && node->kind == YAML_TEXT && !node->secret
                            ? nearest_choice(c, subject->setting, node->text)
                            : NULL;
    report_error(c->draft->report, subject->place, meant, "%s %s", subject->name, problem);
}

// The items of a list of text, each one of the choices where there are some.
static void check_list(struct checker *c, struct subject *subject, const struct yaml_node *list)
{
    struct setting item = *subject->setting;
    item.kind = item.choices ? SETTING_CHOICE : SETTING_TEXT;
    if (subject->setting->kind == SETTING_LIST_OR_TEXT && list->kind == YAML_TEXT) {
        subject->setting = &item;
        check_scalar(c, subject, list);
        return;
    }
    if (list->kind != YAML_LIST) {
        report_error(c->draft->report, subject->place, NULL, "%s must be %s", subject->name, setting_kind_name(subject->setting->kind));
        return;
    }
    if (list->count == 0 && subject->setting->flags & SETTING_REQUIRED)
        report_error(c->draft->report, subject->place, NULL, "%s is empty", subject->name);
    for (int i = 0; i < list->count; i++) {
        const struct yaml_node *node = list->items[i];
        struct subject entry = {&item, subject->pattern, pool_format(c->draft->pool, "%s[%d]", subject->name, i + 1),
                                node->place.width ? node->place : subject->place, subject->key_place};
        if (item.choices && node->kind == YAML_TEXT && (strcmp(node->text, "debug") == 0 || strcmp(node->text, "ffi") == 0))
            report_error(c->draft->report, entry.place, NULL, "%s: %s can't be allowed: it voids the promise of exactly-once",
                         subject->name, node->text);
        else
            check_scalar(c, &entry, node);
    }
}

static void check_texts(struct checker *c, struct subject *subject, const struct yaml_node *map)
{
    static const struct setting text = {.path = "", .kind = SETTING_TEXT};
    for (int i = 0; i < map->count; i++) {
        const struct yaml_node *key = map->items[2 * i], *value = map->items[2 * i + 1];
        struct subject entry = {&text, "", pool_format(c->draft->pool, "%s.%s", subject->name, key->text),
                                value->place.width ? value->place : key->place, key->place};
        if (value->kind != YAML_TEXT || *value->text || value->plain) // a quoted empty text is a text
            check_scalar(c, &entry, value);
    }
}

static void check_value(struct checker *c, struct subject *subject, const struct yaml_node *node)
{
    enum setting_kind kind = subject->setting->kind;
    int is_map = kind <= SETTING_TEXTS;
    if (is_map && node->kind != YAML_MAP && !config_is_null(node)) {
        report_error(c->draft->report, subject->place, NULL, "%s must be %s", subject->name, setting_kind_name(kind));
        return;
    }
    if (kind == SETTING_MAP || kind == SETTING_NAMED)
        check_map(c, subject, node);
    else if (kind == SETTING_PROPERTIES)
        config_property_check(c->draft, subject->name, node,
                              strcmp(subject->pattern, "kafka") == 0 || strcmp(subject->pattern, "clusters.*.kafka") == 0);
    else if (kind == SETTING_TEXTS)
        check_texts(c, subject, node);
    else if (kind == SETTING_LIST || kind == SETTING_LIST_OR_TEXT)
        check_list(c, subject, node);
    else if (!is_map)
        check_scalar(c, subject, node);
}

// `region` of an output whose topic is "orders-{region}"; NULL: it has no variable.
static const char *variable_of(struct checker *c, const struct subject *output, const struct yaml_node *map)
{
    const struct yaml_node *topic = strcmp(output->pattern, "outputs.*") == 0 ? yaml_get(map, "topic") : NULL;
    const char *open = topic && topic->kind == YAML_TEXT ? strchr(topic->text, '{') : NULL, *close = open ? strchr(open, '}') : NULL;
    return close ? pool_text(c->draft->pool, open + 1, (size_t)(close - open - 1)) : NULL;
}

static void unknown_key(struct checker *c, const struct subject *subject, const struct yaml_node *map, int index)
{
    const struct yaml_node *key = map->items[2 * index], *value = map->items[2 * index + 1];
    int is_sibling = 0;
    const struct setting *meant = setting_suggest(c->table, subject->pattern, key->text, &is_sibling);
    const char *suggestion = meant && is_sibling ? setting_last(meant) : meant ? meant->path : NULL;
    const char *variable = variable_of(c, subject, map);
    if (variable && spelling_close(key->text, spelling_distance(key->text, variable)))
        suggestion = variable;
    if ((meant && meant->flags & SETTING_SECRET) || strstr(subject->pattern, ".sasl"))
        report_secret(c->draft->report, value->place, value->end_line);
    report_error(c->draft->report, key->place, suggestion, "unknown key \"%s\"%s%s", key->text, *subject->name ? " in " : "",
                 subject->name);
}

static void check_key(struct checker *c, struct subject *parent, const struct yaml_node *map, int index)
{
    static const struct setting variable = {.path = "", .kind = SETTING_LIST, .flags = SETTING_REQUIRED};
    const struct yaml_node *key = map->items[2 * index], *value = map->items[2 * index + 1];
    int is_named = parent->setting && parent->setting->kind == SETTING_NAMED;
    struct subject subject = {
        .pattern = pool_format(c->draft->pool, "%s%s%s", parent->pattern, *parent->pattern ? "." : "", is_named ? "*" : key->text),
        .name = pool_format(c->draft->pool, "%s%s%s", parent->name, *parent->name ? "." : "", key->text),
        .place = value->place.width > 0 && !config_is_null(value) ? value->place : key->place,
        .key_place = key->place,
    };
    subject.setting = strcmp(key->text, "*") == 0 && !is_named ? NULL : setting_find(c->table, subject.pattern);
    const char *name = subject.setting ? NULL : variable_of(c, parent, map);
    if (name && strcmp(name, key->text) == 0)
        subject.setting = &variable;
    if (!subject.setting) {
        unknown_key(c, parent, map, index);
        return;
    }
    int flags = subject.setting->flags;
    if (flags & SETTING_SECRET)
        report_secret(c->draft->report, value->place, value->end_line);
    if (subject.setting->kind == SETTING_REFUSED)
        report_error(c->draft->report, key->place, NULL, "%s: %s", subject.name, subject.setting->doc);
    else
        check_value(c, &subject, value);
    if (flags & SETTING_LATER)
        report_warning(c->draft->report, key->place, "%s has no effect in this version", subject.name);
}

// A key that is there with a slip of the pen is reported as that, not as missing too.
static int is_misspelt(struct checker *c, const struct subject *subject, const struct yaml_node *map, const struct setting *row)
{
    int is_sibling = 0;
    for (int i = 0; i < map->count; i++) {
        const char *pattern =
            pool_format(c->draft->pool, "%s%s%s", subject->pattern, *subject->pattern ? "." : "", map->items[2 * i]->text);
        if (!setting_find(c->table, pattern) && setting_suggest(c->table, subject->pattern, map->items[2 * i]->text, &is_sibling) == row)
            return 1;
    }
    return 0;
}

static void check_required(struct checker *c, const struct subject *subject, const struct yaml_node *map)
{
    for (const struct setting *row = c->table; row->path; row++) {
        const char *key = setting_last(row);
        if (!(row->flags & SETTING_REQUIRED) || !setting_is_below(row, subject->pattern))
            continue;
        if (!yaml_get(map, key) && !is_misspelt(c, subject, map, row))
            report_error(c->draft->report, subject->key_place, NULL, "%s%s%s is missing: %s", subject->name, *subject->name ? "." : "", key,
                         row->doc);
    }
}

static void check_map(struct checker *c, struct subject *subject, const struct yaml_node *map)
{
    if (subject->setting && subject->setting->kind == SETTING_NAMED && map->count == 0 && subject->setting->flags & SETTING_REQUIRED)
        report_error(c->draft->report, subject->place, NULL, "%s is empty: %s", subject->name, subject->setting->doc);
    for (int i = 0; i < map->count; i++)
        check_key(c, subject, map, i);
    check_required(c, subject, map);
}

void config_check(struct config_draft *draft, const struct setting *table, const struct yaml_node *root)
{
    struct checker c = {draft, table};
    struct subject file = {NULL, "", "", root->place, root->place};
    if (root->kind != YAML_MAP)
        report_error(draft->report, root->place, NULL, "the file must be a map of keys, such as `version: 1`");
    else
        check_map(&c, &file, root);
}
