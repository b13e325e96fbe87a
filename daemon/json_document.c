// SPDX-License-Identifier: MIT
// Opening, and reading by JSON Pointer (RFC 6901). A place that a pending edit has touched is read from the settled text (json_edit).
// Called by Lua (bridge.h).
#include "json_document.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "err.h"
#include "json_number.h"

enum { DEPTH_MOST = 1000, SIZE_MOST = 256 << 20, NODES_KEPT = 1 << 16, BUFFERS_KEPT = 1 << 20 };

struct onced_json *onced_json_new(void)
{
    struct json_document *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    json_number_prepare();
    if (getrandom(&d->seed, sizeof d->seed, GRND_NONBLOCK) != sizeof d->seed)
        d->seed = (uint64_t)(uintptr_t)d ^ (uint64_t)time(NULL) << 32;
    d->lent.depth_most = DEPTH_MOST;
    d->lent.size_most = SIZE_MOST;
    d->lent.record = -1;
    return &d->lent;
}

static void memory_free(struct json_document *d)
{
    struct onced_json_buffer *buffers[] = {&d->lent.out, &d->own, &d->spare, &d->scratch, &d->other};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        free(buffers[i]->data);
        *buffers[i] = (struct onced_json_buffer){0};
    }
    free(d->lent.nodes);
    free(d->slots);
    d->lent.nodes = NULL;
    d->slots = NULL;
    d->node_capacity = d->slot_count = 0;
}

void onced_json_free(struct onced_json *json)
{
    if (!json)
        return;
    memory_free(json_document_of(json));
    free(json);
}

// One huge record must not cost its index for ever.
static void shrink(struct json_document *d)
{
    int64_t buffers = d->lent.out.capacity + d->own.capacity + d->spare.capacity + d->scratch.capacity + d->other.capacity;
    if (d->node_capacity > NODES_KEPT || d->slot_count > NODES_KEPT || buffers > BUFFERS_KEPT)
        memory_free(d);
}

int onced_json_open(struct onced_json *json, const char *text, int64_t size)
{
    struct json_document *d = json_document_of(json);
    if (size <= NODES_KEPT) // small: what a large one took isn't needed
        shrink(d);
    int failed = json_index(d, text, size);
    json_edits_clear(d);
    return failed;
}

// --- pointers ---------------------------------------------------------------------------------------------------------------------------

// The part of the pointer from p to the next slash, "~0" and "~1" resolved. NULL: invalid.
static const char *part_read(struct json_document *d, const char *p, const char *end, struct json_place *place)
{
    const char *stop = memchr(p, '/', (size_t)(end - p));
    stop = stop ? stop : end;
    place->name = p;
    place->name_size = (size_t)(stop - p);
    if (!memchr(p, '~', place->name_size))
        return stop;
    d->scratch.size = 0;
    char *out = json_buffer_room(&d->scratch, place->name_size);
    if (!out)
        return NULL;
    place->name = out;
    for (; p < stop; p++) {
        if (*p == '~' && (p + 1 == stop || (p[1] != '0' && p[1] != '1')))
            return NULL;
        *out++ = (char)(*p != '~' ? *p : *++p == '0' ? '~' : '/');
    }
    place->name_size = (size_t)(out - place->name);
    return stop;
}

static int32_t element_find(const struct json_document *d, uint32_t array, const char *name, size_t size)
{
    uint64_t index = 0;
    const struct onced_json_node *nodes = d->lent.nodes;
    if (size == 0 || size > 10 || (size > 1 && name[0] == '0'))
        return JSON_NONE;
    for (size_t i = 0; i < size; i++) {
        if (name[i] < '0' || name[i] > '9')
            return JSON_NONE;
        index = index * 10 + (uint64_t)(name[i] - '0');
    }
    uint32_t node = array + 1, behind = nodes[array].next;
    for (; node < behind && index > 0; index--)
        node = nodes[node].next;
    return node < behind ? (int32_t)node : JSON_NONE;
}

static int32_t child_find(struct json_document *d, int32_t parent, struct json_place *place)
{
    uint32_t at = (uint32_t)parent;
    if (d->lent.nodes[at].kind == ONCED_JSON_ARRAY)
        return element_find(d, at, place->name, place->name_size);
    place->hash = json_hash(d, at, place->name, place->name_size);
    int32_t key = json_key_find(d, at, place->hash, place->name, place->name_size);
    return key == JSON_NONE ? JSON_NONE : key + 1;
}

static int is_container(const struct json_document *d, int32_t node)
{
    return node >= 0 && (d->lent.nodes[node].kind == ONCED_JSON_ARRAY || d->lent.nodes[node].kind == ONCED_JSON_OBJECT);
}

int json_walk(struct json_document *d, const char *pointer, int64_t size, struct json_place *place)
{
    const char *p = pointer, *end = pointer + size;
    *place = (struct json_place){.node = 0, .parent = JSON_NONE};
    if (!d->lent.text)
        return json_fail(d, "no document is open", -1);
    while (p < end) {
        if (*p != '/')
            return json_fail(d, "a JSON Pointer is empty or starts with a slash", -1);
        p = part_read(d, p + 1, end, place);
        if (!p)
            return json_fail(d, "a JSON Pointer writes ~ as ~0 and / as ~1", -1);
        place->parent = is_container(d, place->node) ? place->node : JSON_NONE;
        place->node = place->parent == JSON_NONE ? JSON_NONE : child_find(d, place->parent, place);
    }
    return 0;
}

static int is_covered(const struct json_document *d, int32_t node)
{
    const struct onced_json_node *n = &d->lent.nodes[node];
    for (int32_t i = 0; i < d->lent.edits; i++)
        if (d->edits[i].at <= n->at && n->end <= d->edits[i].at + d->edits[i].cut)
            return 1;
    return 0;
}

static int is_changed_inside(const struct json_document *d, int32_t node)
{
    const struct onced_json_node *n = &d->lent.nodes[node];
    for (int32_t i = 0; i < d->lent.edits; i++)
        if (d->edits[i].at > n->at && d->edits[i].at < n->end)
            return 1;
    return 0;
}

static int may_be_added(const struct json_document *d, const struct json_place *place)
{
    for (int32_t i = 0; i < d->lent.edits; i++)
        if (d->edits[i].parent == place->parent &&
            (d->edits[i].hash == place->hash || d->lent.nodes[place->parent].kind == ONCED_JSON_ARRAY))
            return 1;
    return 0;
}

// True when what the index says of that place isn't the whole truth.
static int is_touched(const struct json_document *d, const struct json_place *place)
{
    if (d->lent.edits == 0)
        return 0;
    if (place->node >= 0)
        return is_covered(d, place->node) || is_changed_inside(d, place->node);
    return place->parent < 0 || is_covered(d, place->parent) || may_be_added(d, place);
}

int json_find(struct json_document *d, const char *pointer, int64_t size, struct json_place *place)
{
    if (json_walk(d, pointer, size, place))
        return -1;
    if (!is_touched(d, place))
        return 0;
    return onced_json_settle(&d->lent) || json_walk(d, pointer, size, place) ? -1 : 0;
}

// --- reading ----------------------------------------------------------------------------------------------------------------------------

static int string_value(struct json_document *d, const struct onced_json_node *node)
{
    const char *text = d->lent.text + node->at + 1;
    size_t size = node->end - node->at - 2;
    if (node->flags & JSON_ESCAPED) {
        d->scratch.size = 0;
        if (json_unescape(&d->scratch, text, size))
            return json_fail(d, "out of memory", -1);
        text = d->scratch.data;
        size = (size_t)d->scratch.size;
    }
    d->lent.data = text;
    d->lent.data_size = (int64_t)size;
    return ONCED_JSON_STRING;
}

static int number_value(struct json_document *d, const struct onced_json_node *node)
{
    const uint64_t exact = UINT64_C(1) << 53;
    const char *text = d->lent.text + node->at;
    size_t size = node->end - node->at;
    uint64_t whole;
    if ((node->flags & JSON_WHOLE) && json_number_whole(text, size, &whole) == 0) {
        int negative = *text == '-';
        if (whole > exact) {
            d->lent.integer = (int64_t)(negative ? -whole : whole);
            return negative || whole <= INT64_MAX ? ONCED_JSON_INT64 : ONCED_JSON_UINT64;
        }
        d->lent.number = negative ? -(double)whole : (double)whole;
        return ONCED_JSON_NUMBER;
    }
    if (json_number_double(text, size, &d->lent.number))
        return json_fail(d, "number too large", node->at);
    return ONCED_JSON_NUMBER;
}

int onced_json_value(struct onced_json *json, int32_t node)
{
    struct json_document *d = json_document_of(json);
    must(node >= 0 && (uint32_t)node < d->node_count);
    const struct onced_json_node *n = &json->nodes[node];
    json->node = node;
    if (n->kind == ONCED_JSON_STRING || n->kind == ONCED_JSON_KEY)
        return string_value(d, n);
    return n->kind == ONCED_JSON_NUMBER ? number_value(d, n) : n->kind;
}

int onced_json_get(struct onced_json *json, const char *pointer, int64_t pointer_size)
{
    struct json_place place;
    if (json_find(json_document_of(json), pointer, pointer_size, &place))
        return ONCED_JSON_FAILED;
    return place.node < 0 ? ONCED_JSON_MISSING : onced_json_value(json, place.node);
}

int32_t onced_json_member(struct onced_json *json, int32_t object, const char *name, int64_t size)
{
    struct json_document *d = json_document_of(json);
    struct json_place place = {.name = name, .name_size = (size_t)size};
    must(object >= 0 && (uint32_t)object < d->node_count && json->nodes[object].kind == ONCED_JSON_OBJECT);
    return child_find(d, object, &place);
}
