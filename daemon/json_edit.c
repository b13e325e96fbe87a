// SPDX-License-Identifier: MIT
// Editing by splicing. Edits are kept beside the text, sorted and never overlapping; what they don't touch stays byte for byte.
// Whatever asks for a place that an edit has touched makes the text settle first: composed and indexed anew. So a few edits of
// separate places, the usual case, cost one index and one composition. Called by Lua (bridge.h) and json_document.
#include "err.h"
#include "json_document.h"
#include "json_number.h"

void json_edits_clear(struct json_document *d)
{
    d->lent.edits = 0;
    d->lent.out.size = d->lent.mark = 0;
    d->lent.composed_size = d->lent.size;
}

static char *bytes_add(char *to, const char *bytes, int64_t size)
{
    memcpy(to, bytes, (size_t)size);
    return to + size;
}

void onced_json_compose(const struct onced_json *json, char *to)
{
    const struct json_document *d = (const struct json_document *)json;
    const char *out = json->out.data, *start = to;
    int64_t from = 0;
    for (int32_t i = 0; i < json->edits; i++) {
        const struct json_edit *e = &d->edits[i];
        to = bytes_add(to, json->text + from, e->at - from);
        if (e->comma)
            *to++ = ',';
        if (e->key_end > e->value_end) {
            to = bytes_add(to, out + e->value_end, e->key_end - e->value_end);
            *to++ = ':';
        }
        if (e->value_end > e->value)
            to = bytes_add(to, out + e->value, e->value_end - e->value);
        from = (int64_t)e->at + e->cut;
    }
    to = bytes_add(to, json->text + from, json->size - from);
    must(to - start == json->composed_size);
}

int onced_json_settle(struct onced_json *json)
{
    struct json_document *d = json_document_of(json);
    struct onced_json_buffer settled = d->spare;
    if (json->edits == 0)
        return 0;
    settled.size = 0;
    if (json->composed_size > json->size_most || !json_buffer_room(&settled, (size_t)json->composed_size))
        return json_fail(d, json->composed_size > json->size_most ? "too large" : "out of memory", -1);
    onced_json_compose(json, settled.data);
    d->spare = d->own;
    d->own = settled;
    d->node_count = 0;
    // What was put for the next edit outlives this one's.
    int64_t put = json->out.size - d->lent.mark;
    if (put > 0)
        memmove(json->out.data, json->out.data + d->lent.mark, (size_t)put);
    int failed = json_index(d, d->own.data, json->composed_size);
    json_edits_clear(d);
    json->out.size = put;
    return failed;
}

// The last edit of lent.out takes its place among the others.
static void edit_add(struct json_document *d, struct json_edit edit)
{
    int32_t i = d->lent.edits++;
    must(i < JSON_EDITS);
    for (; i > 0 && d->edits[i - 1].at > edit.at; i--)
        d->edits[i] = d->edits[i - 1];
    d->edits[i] = edit;
    d->lent.composed_size += edit.comma + (edit.value_end - edit.value) - edit.cut;
    if (edit.key_end > edit.value_end)
        d->lent.composed_size += edit.key_end - edit.value_end + 1;
    d->lent.mark = d->lent.out.size;
}

static int is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// Behind a container's last value, or behind its bracket.
static uint32_t last_end(const struct json_document *d, const struct onced_json_node *container)
{
    uint32_t at = container->end - 1;
    while (is_space(d->lent.text[at - 1]))
        at--;
    return at;
}

static int is_added_to(const struct json_document *d, int32_t container)
{
    for (int32_t i = 0; i < d->lent.edits; i++)
        if (d->edits[i].parent == container)
            return 1;
    return 0;
}

static int edit_make(struct json_document *d, const struct json_place *place, struct json_edit *edit)
{
    *edit = (struct json_edit){.parent = JSON_NONE, .value = d->lent.mark, .value_end = d->lent.out.size, .key_end = d->lent.out.size};
    if (place->node >= 0) {
        const struct onced_json_node *n = &d->lent.nodes[place->node];
        edit->at = n->at;
        edit->cut = n->end - n->at;
        return 0;
    }
    if (place->parent < 0)
        return json_fail(d, "there is no object or array to put it into", -1);
    const struct onced_json_node *container = &d->lent.nodes[place->parent];
    edit->parent = place->parent;
    edit->at = last_end(d, container);
    edit->comma = edit->at > container->at + 1 || is_added_to(d, place->parent);
    if (container->kind == ONCED_JSON_ARRAY)
        return place->name_size == 1 && place->name[0] == '-' ? 0 : json_fail(d, "the array has no such element (\"-\" appends)", -1);
    const char *error;
    int64_t at;
    if (json_quote(&d->lent.out, place->name, place->name_size, &error, &at))
        return json_fail(d, error, -1);
    edit->hash = place->hash;
    edit->key_end = d->lent.out.size;
    return 0;
}

int onced_json_set(struct onced_json *json, const char *pointer, int64_t pointer_size)
{
    struct json_document *d = json_document_of(json);
    struct json_place place;
    struct json_edit edit;
    int failed = json_find(d, pointer, pointer_size, &place);
    if (!failed && json->edits == JSON_EDITS)
        failed = onced_json_settle(json) || json_walk(d, pointer, pointer_size, &place);
    if (failed || edit_make(d, &place, &edit)) {
        json->out.size = d->lent.mark;
        return -1;
    }
    must(edit.value_end > edit.value);
    edit_add(d, edit);
    return 0;
}

// Bytes that go with a value: its key, and the comma behind it, or that in front of it where it is the last.
static struct json_edit cut_make(const struct json_document *d, const struct json_place *place)
{
    const struct onced_json_node *nodes = d->lent.nodes, *parent = &nodes[place->parent];
    int32_t first = place->node - (parent->kind == ONCED_JSON_OBJECT);
    uint32_t next = nodes[place->node].next, from = nodes[first].at, to = nodes[place->node].end;
    if (next < parent->next) {
        to = nodes[next].at;
    } else if (first > place->parent + 1) {
        do // back over the comma
            from--;
        while (d->lent.text[from] != ',');
        while (is_space(d->lent.text[from - 1]))
            from--;
    }
    return (struct json_edit){.at = from, .cut = to - from, .parent = JSON_NONE};
}

int onced_json_remove(struct onced_json *json, const char *pointer, int64_t pointer_size)
{
    struct json_document *d = json_document_of(json);
    struct json_place place;
    if (onced_json_settle(json) || json_walk(d, pointer, pointer_size, &place))
        return -1;
    if (place.node < 0)
        return 0;
    if (place.parent < 0)
        return json_fail(d, "the whole document can't be removed", -1);
    edit_add(d, cut_make(d, &place));
    return onced_json_settle(json) ? -1 : 1;
}

int onced_json_put(struct onced_json *json, const char *raw, int64_t size)
{
    char *out = json_buffer_room(&json->out, (size_t)size);
    if (!out)
        return json_fail(json_document_of(json), "out of memory", -1);
    memcpy(out, raw, (size_t)size);
    json->out.size += size;
    return 0;
}

int onced_json_put_string(struct onced_json *json, const char *text, int64_t size)
{
    return json_quote(&json->out, text, (size_t)size, &json->error, &json->error_at);
}

// Room for a number.
static char *number_room(struct onced_json *json)
{
    char *out = json_buffer_room(&json->out, JSON_NUMBER_BYTES);
    if (!out)
        json_fail(json_document_of(json), "out of memory", -1);
    return out;
}

int onced_json_put_number(struct onced_json *json, double number)
{
    if (number - number != 0)
        return json_fail(json_document_of(json), "NaN and infinity aren't JSON", -1);
    char *out = number_room(json);
    if (!out)
        return -1;
    json->out.size += (int64_t)json_write_double(out, number);
    return 0;
}

int onced_json_put_int64(struct onced_json *json, int64_t number)
{
    char *out = number_room(json);
    if (!out)
        return -1;
    json->out.size += (int64_t)json_write_int64(out, number);
    return 0;
}

int onced_json_put_uint64(struct onced_json *json, uint64_t number)
{
    char *out = number_room(json);
    if (!out)
        return -1;
    json->out.size += (int64_t)json_write_uint64(out, number);
    return 0;
}
