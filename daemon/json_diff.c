// SPDX-License-Identifier: MIT
// See json_diff.h. Called by `onced try`.
#include "json_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

struct walk {
    struct onced_json *before, *after;
    char *pointer;
    size_t size, capacity;
    void (*differs)(void *opaque, const struct json_difference *d);
    void *opaque;
};

static void pointer_put(struct walk *walk, char c)
{
    if (walk->size == walk->capacity) {
        walk->capacity = walk->capacity ? walk->capacity * 2 : 256;
        must((walk->pointer = realloc(walk->pointer, walk->capacity)));
    }
    walk->pointer[walk->size++] = c;
}

// Goes down to a member; the caller sets the size back.
static void pointer_add(struct walk *walk, const char *name, size_t size)
{
    pointer_put(walk, '/');
    for (size_t i = 0; i < size; i++) {
        int is_escaped = name[i] == '~' || name[i] == '/';
        pointer_put(walk, is_escaped ? '~' : name[i]);
        if (is_escaped)
            pointer_put(walk, name[i] == '~' ? '0' : '1');
    }
}

static size_t text_of(const struct onced_json *json, int32_t node, const char **text)
{
    *text = node < 0 ? NULL : json->text + json->nodes[node].at;
    return node < 0 ? 0 : json->nodes[node].end - json->nodes[node].at;
}

// Of nodes that aren't the same; -1: there is none.
static void difference_tell(struct walk *walk, int32_t before, int32_t after)
{
    struct json_difference d = {.pointer = walk->pointer, .pointer_size = walk->size};
    d.before_size = text_of(walk->before, before, &d.before);
    d.after_size = text_of(walk->after, after, &d.after);
    walk->differs(walk->opaque, &d);
}

static void nodes_compare(struct walk *walk, int32_t before, int32_t after);

// The members of `object` in one document, each beside the other's of that name; `added`: only those that the other lacks.
static void members_compare(struct walk *walk, int32_t object, int32_t other, int added)
{
    struct onced_json *here = added ? walk->after : walk->before, *there = added ? walk->before : walk->after;
    size_t size = walk->size;
    for (int32_t key = object + 1; key < (int32_t)here->nodes[object].next; key = (int32_t)here->nodes[key + 1].next) {
        must(onced_json_value(here, key) == ONCED_JSON_STRING);
        int32_t found = onced_json_member(there, other, here->data, here->data_size);
        pointer_add(walk, here->data, (size_t)here->data_size);
        if (!added && found >= 0)
            nodes_compare(walk, key + 1, found);
        else if (!added)
            difference_tell(walk, key + 1, -1);
        else if (found < 0)
            difference_tell(walk, -1, key + 1);
        walk->size = size;
    }
}

static void elements_compare(struct walk *walk, int32_t before, int32_t after)
{
    int32_t one = before + 1, two = after + 1, end = (int32_t)walk->before->nodes[before].next,
            behind = (int32_t)walk->after->nodes[after].next;
    size_t size = walk->size;
    for (int index = 0; one < end || two < behind; index++) {
        char name[16];
        pointer_add(walk, name, (size_t)snprintf(name, sizeof name, "%d", index));
        if (one < end && two < behind)
            nodes_compare(walk, one, two);
        else
            difference_tell(walk, one < end ? one : -1, two < behind ? two : -1);
        one = one < end ? (int32_t)walk->before->nodes[one].next : one;
        two = two < behind ? (int32_t)walk->after->nodes[two].next : two;
        walk->size = size;
    }
}

static void nodes_compare(struct walk *walk, int32_t before, int32_t after)
{
    const char *one, *two;
    int kind = walk->before->nodes[before].kind, same_kind = kind == walk->after->nodes[after].kind;
    size_t size = text_of(walk->before, before, &one);
    if (size == text_of(walk->after, after, &two) && one && two && memcmp(one, two, size) == 0)
        return;
    if (same_kind && kind == ONCED_JSON_OBJECT) {
        members_compare(walk, before, after, 0);
        members_compare(walk, after, before, 1);
    } else if (same_kind && kind == ONCED_JSON_ARRAY) {
        elements_compare(walk, before, after);
    } else {
        difference_tell(walk, before, after);
    }
}

void json_diff(struct onced_json *before, struct onced_json *after, void (*differs)(void *opaque, const struct json_difference *d),
               void *opaque)
{
    struct walk walk = {.before = before, .after = after, .differs = differs, .opaque = opaque};
    nodes_compare(&walk, 0, 0);
    free(walk.pointer);
}
