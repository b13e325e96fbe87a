// SPDX-License-Identifier: MIT
// Builds the tree from libyaml's events. The depth and the size of a file are bounded, and so is what its aliases expand to, so a
// hostile file costs no more than an honest one. Called by config.c only.
#include "yaml_tree.h"

#include "err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

enum { SIZE_MOST = 1 << 20, DEPTH_MOST = 64, WEIGHT_MOST = 100000 };

struct anchor {
    const char *name;
    struct yaml_node *node; // NULL while it is being built: an alias inside would be a loop
};

struct builder {
    struct pool *pool;
    struct report *report;
    struct yaml_file *file;
    struct yaml_node *last;
    struct anchor *anchors;
    int anchor_count, depth, failed;
    long weight;
    yaml_parser_t parser;
};

static struct report_place place_of(const struct builder *b, yaml_mark_t start, yaml_mark_t end)
{
    int width = end.line == start.line ? (int)(end.column - start.column) : 1;
    return (struct report_place){b->file->name, (int)start.line + 1, (int)start.column + 1, width};
}

// libyaml's reader errors (bad UTF-8, control characters) have a byte offset and no mark.
static struct report_place place_of_byte(const struct builder *b, const char *text, size_t at)
{
    int line = 1, column = 1;
    for (size_t i = 0; i < at; i++)
        if (text[i] == '\n')
            line++, column = 1;
        else if (((unsigned char)text[i] & 0xc0) != 0x80)
            column++;
    return (struct report_place){b->file->name, line, column, 1};
}

static struct yaml_node *node_new(struct builder *b, enum yaml_kind kind, const yaml_event_t *event)
{
    struct yaml_node *node = pool_take(b->pool, sizeof *node);
    node->kind = kind;
    node->place = place_of(b, event->start_mark, event->end_mark);
    node->end_line = (int)event->end_mark.line + 1;
    node->weight = 1;
    if (b->last)
        b->last->next = node;
    else
        b->file->first = node;
    b->last = node;
    return node;
}

static void refuse_tag(struct builder *b, const yaml_event_t *event, const yaml_char_t *tag)
{
    static const char core[] = "tag:yaml.org,2002:";
    const char *name = (const char *)tag;
    int is_core = tag && strncmp(name, core, sizeof core - 1) == 0;
    if (tag)
        report_error(b->report, place_of(b, event->start_mark, event->end_mark), NULL,
                     "tags are not supported, here \"%s%s\": write the plain value", is_core ? "!!" : "",
                     is_core ? name + sizeof core - 1 : name);
}

static struct anchor *anchor_add(struct builder *b, const yaml_char_t *name)
{
    if (!name)
        return NULL;
    b->anchors = pool_grow(b->pool, b->anchors, b->anchor_count, sizeof *b->anchors);
    b->anchors[b->anchor_count] = (struct anchor){pool_text(b->pool, (const char *)name, strlen((const char *)name)), NULL};
    return &b->anchors[b->anchor_count++];
}

static struct yaml_node *alias_resolve(struct builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct report_place place = place_of(b, event->start_mark, event->end_mark);
    for (int i = b->anchor_count; i-- > 0;)
        if (strcmp(b->anchors[i].name, name) == 0) {
            if (b->anchors[i].node)
                return b->anchors[i].node;
            report_error(b->report, place, NULL, "alias \"*%s\" stands inside of what it names", name);
            return NULL;
        }
    report_error(b->report, place, NULL, "alias \"*%s\" names nothing above it", name);
    return NULL;
}

static int next_event(struct builder *b, yaml_event_t *event)
{
    if (b->failed || !yaml_parser_parse(&b->parser, event)) {
        if (!b->failed) {
            const yaml_parser_t *p = &b->parser;
            // Of something that never ends the beginning is what helps.
            int endless = p->context && p->problem && strstr(p->problem, "end of stream");
            yaml_mark_t mark = endless ? p->context_mark : p->problem_mark;
            struct report_place place = place_of(b, mark, mark);
            if (p->error == YAML_READER_ERROR)
                report_error(b->report, place_of_byte(b, (const char *)p->input.string.start, p->problem_offset), NULL,
                             "not UTF-8 text: %s", p->problem);
            else
                report_error(b->report, place, NULL, "not YAML: %s%s%s", p->context ? p->context : "", p->context ? ", " : "",
                             p->problem ? p->problem : "out of memory");
        }
        b->failed = 1;
        return -1;
    }
    return 0;
}

static struct yaml_node *build(struct builder *b, const yaml_event_t *event);

static void item_add(struct builder *b, struct yaml_node *node, int used, struct yaml_node *item)
{
    node->items = pool_grow(b->pool, node->items, used, sizeof *node->items);
    node->items[used] = item;
    node->weight += item->weight;
    if (node->weight > WEIGHT_MOST && !b->failed) {
        report_error(b->report, node->place, NULL, "aliases expand this to more than %d values", WEIGHT_MOST);
        b->failed = 1;
    }
}

// Nodes of the list until `end`; NULL items (bad aliases) are left out, their error is reported.
static void build_list(struct builder *b, struct yaml_node *list)
{
    for (;;) {
        yaml_event_t event;
        if (next_event(b, &event))
            return;
        int end = event.type == YAML_SEQUENCE_END_EVENT;
        struct yaml_node *item = end ? NULL : build(b, &event);
        yaml_event_delete(&event);
        if (end)
            return;
        if (item)
            item_add(b, list, list->count++, item);
    }
}

static int key_accept(struct builder *b, struct yaml_node *map, struct yaml_node *key)
{
    if (!key)
        return 0;
    if (key->kind != YAML_TEXT) {
        report_error(b->report, key->place, NULL, "a key must be text");
        return 0;
    }
    key->is_key = 1;
    for (int i = 0; i < map->count; i++)
        if (strcmp(map->items[2 * i]->text, key->text) == 0) {
            report_error(b->report, key->place, NULL, "duplicate key \"%s\", first on line %d", key->text, map->items[2 * i]->place.line);
            return 0;
        }
    return 1;
}

static void build_map(struct builder *b, struct yaml_node *map)
{
    for (;;) {
        yaml_event_t event;
        if (next_event(b, &event))
            return;
        int end = event.type == YAML_MAPPING_END_EVENT;
        struct yaml_node *key = end ? NULL : build(b, &event);
        yaml_event_delete(&event);
        if (end || next_event(b, &event))
            return;
        struct yaml_node *value = build(b, &event);
        yaml_event_delete(&event);
        if (!key_accept(b, map, key) || !value)
            continue;
        item_add(b, map, 2 * map->count, key);
        item_add(b, map, 2 * map->count + 1, value);
        map->count++;
    }
}

static struct yaml_node *build_text(struct builder *b, const yaml_event_t *event)
{
    struct yaml_node *node = node_new(b, YAML_TEXT, event);
    refuse_tag(b, event, event->data.scalar.tag);
    node->text = pool_text(b->pool, (const char *)event->data.scalar.value, event->data.scalar.length);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (memchr(node->text, 0, event->data.scalar.length))
        report_error(b->report, node->place, NULL, "text with a NUL character");
    return node;
}

static struct yaml_node *build_collection(struct builder *b, const yaml_event_t *event)
{
    int is_map = event->type == YAML_MAPPING_START_EVENT;
    struct yaml_node *node = node_new(b, is_map ? YAML_MAP : YAML_LIST, event);
    refuse_tag(b, event, is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    if (++b->depth > DEPTH_MOST) {
        report_error(b->report, node->place, NULL, "nested deeper than %d levels", DEPTH_MOST);
        b->failed = 1;
    }
    (is_map ? build_map : build_list)(b, node);
    b->depth--;
    if (is_map && node->place.width < 1 && node->count) // a block map starts where its first key does
        node->place = node->items[0]->place;
    return node;
}

// The node that starts with `event`; NULL: a bad alias.
static struct yaml_node *build(struct builder *b, const yaml_event_t *event)
{
    if (event->type == YAML_ALIAS_EVENT)
        return alias_resolve(b, event);
    int is_text = event->type == YAML_SCALAR_EVENT;
    const yaml_char_t *name = is_text                                   ? event->data.scalar.anchor
                              : event->type == YAML_MAPPING_START_EVENT ? event->data.mapping_start.anchor
                                                                        : event->data.sequence_start.anchor;
    anchor_add(b, name);
    int anchor = b->anchor_count - 1; // by index: the array moves when it grows
    struct yaml_node *node = is_text ? build_text(b, event) : build_collection(b, event);
    if (name)
        b->anchors[anchor].node = node;
    return node;
}

static void build_document(struct builder *b)
{
    for (int documents = 0;;) {
        yaml_event_t event;
        if (next_event(b, &event))
            return;
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
            report_error(b->report, place_of(b, event.start_mark, event.end_mark), NULL, "a second document: one file is one document");
            b->failed = 1;
        } else if (type == YAML_SCALAR_EVENT || type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                   type == YAML_ALIAS_EVENT) {
            b->file->root = build(b, &event);
        }
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            return;
    }
}

// libyaml and editors count lines alike only where these characters are none: places would be off, and so would be what a report hides.
static int breaks_accept(const struct builder *b, const char *text, size_t size)
{
    static const struct {
        const char *bytes, *name;
    } breaks[] = {{"\r", "a carriage return that ends no line"},
                  {"\xc2\x85", "the character U+0085"},
                  {"\xe2\x80\xa8", "the character U+2028"},
                  {"\xe2\x80\xa9", "the character U+2029"}};
    for (size_t at = 0; at < size; at++)
        for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
            size_t width = strlen(breaks[i].bytes);
            int is_odd = at + width <= size && memcmp(text + at, breaks[i].bytes, width) == 0;
            if (!is_odd || (i == 0 && at + 1 < size && text[at + 1] == '\n'))
                continue;
            report_error(b->report, place_of_byte(b, text, at), NULL, "%s: lines end with a line feed here", breaks[i].name);
            return 0;
        }
    return 1;
}

static char *file_text(struct pool *pool, struct report *report, const char *name, size_t *size)
{
    struct report_place place = {.file = name};
    FILE *stream = fopen(name, "re");
    struct stat status;
    if (!stream || fstat(fileno(stream), &status) || S_ISDIR(status.st_mode)) {
        report_error(report, place, NULL, "can't be read: %s", stream && !errno ? strerror(EISDIR) : strerror(errno));
        if (stream)
            fclose(stream);
        return NULL;
    }
    char *text = pool_take(pool, SIZE_MOST + 1);
    *size = fread(text, 1, SIZE_MOST + 1, stream);
    int bad = ferror(stream);
    fclose(stream);
    if (!bad && *size <= SIZE_MOST)
        return text;
    report_error(report, place, NULL, bad ? "can't be read: input/output error" : "larger than 1 MiB");
    return NULL;
}

struct yaml_file *yaml_read(struct pool *pool, struct report *report, const char *name)
{
    struct yaml_file *file = pool_take(pool, sizeof *file);
    file->name = pool_text(pool, name, strlen(name));
    struct builder b = {.pool = pool, .report = report, .file = file};
    size_t size = 0;
    errno = 0;
    char *text = file_text(pool, report, file->name, &size);
    if (!text)
        return file;
    report_source(report, file->name, text, size);
    if (!breaks_accept(&b, text, size))
        return file;
    must(yaml_parser_initialize(&b.parser));
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, size);
    build_document(&b);
    yaml_parser_delete(&b.parser);
    if (b.failed)
        file->root = NULL;
    else if (!file->root)
        report_error(report, (struct report_place){.file = file->name, .line = 1, .column = 1, .width = 1}, NULL, "the file is empty");
    return file;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    for (int i = 0; map && map->kind == YAML_MAP && i < map->count; i++)
        if (strcmp(map->items[2 * i]->text, key) == 0)
            return map->items[2 * i + 1];
    return NULL;
}
