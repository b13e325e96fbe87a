// SPDX-License-Identifier: MIT
// Reads a text once, strictly by RFC 8259, and leaves a node for each value and key. Containers are no recursion: an open one keeps
// its parent in `next` until it is closed. Every read is checked against the end, for the bytes belong to somebody else.
// Called by json_document.
#include <stdlib.h>

#include "err.h"
#include "json_document.h"
#include "json_number.h"

enum { NODES_FIRST = 256, SLOTS_FIRST = 256, NOTHING_OPEN = -1 };

struct reader {
    struct json_document *document;
    struct onced_json_node *nodes;
    const char *text, *p, *end;
    uint32_t count;
    int32_t open; // the innermost container
    int depth, in_object;
};

int json_fail(struct json_document *document, const char *error, int64_t at)
{
    document->lent.error = error;
    document->lent.error_at = at;
    return -1;
}

static int failed(struct reader *r, const char *error)
{
    return json_fail(r->document, error, r->p - r->text);
}

static int unexpected(struct reader *r)
{
    return failed(r, r->p == r->end ? "unexpected end" : "unexpected character");
}

static int nodes_grow(struct reader *r)
{
    struct json_document *d = r->document;
    uint32_t capacity = d->node_capacity ? d->node_capacity * 2 : NODES_FIRST;
    struct onced_json_node *nodes = capacity > INT32_MAX ? NULL : realloc(d->lent.nodes, capacity * sizeof *nodes);
    if (!nodes)
        return json_fail(d, "out of memory", -1);
    d->lent.nodes = r->nodes = nodes;
    d->node_capacity = capacity;
    return 0;
}

// --- keys -------------------------------------------------------------------------------------------------------------------------------

static uint64_t mixed(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// The next up to eight bytes; `most` of them may be read.
static inline uint64_t word_at(const char *p, size_t size, size_t most)
{
    uint64_t word = 0;
    if (size >= 8 || most < 8) {
        memcpy(&word, p, size < 8 ? size : 8);
        return le64toh(word);
    }
    memcpy(&word, p, 8);
    return le64toh(word) & ((1ull << 8 * size) - 1);
}

static inline uint32_t name_hash(const struct json_document *document, uint32_t object, const char *name, size_t size, size_t most)
{
    const uint64_t odd = 0x9E3779B97F4A7C15;
    uint64_t h = document->seed ^ ((uint64_t)object << 32 | size);
    for (; size > 8; name += 8, size -= 8, most -= 8)
        h = mixed(h ^ word_at(name, 8, 8), odd);
    return (uint32_t)mixed(h ^ word_at(name, size, most), odd);
}

uint32_t json_hash(const struct json_document *document, uint32_t object, const char *name, size_t size)
{
    return name_hash(document, object, name, size, size);
}

static int name_is(struct json_document *d, uint32_t key, const char *name, size_t size)
{
    const struct onced_json_node *n = &d->lent.nodes[key];
    const char *bytes = d->lent.text + n->at + 1;
    size_t length = n->end - n->at - 2;
    if (n->flags & JSON_ESCAPED) {
        d->other.size = 0;
        must(json_unescape(&d->other, bytes, length) == 0);
        bytes = d->other.data;
        length = (size_t)d->other.size;
    }
    return length == size && memcmp(bytes, name, size) == 0;
}

// Its slot, or the free one where it belongs.
static struct json_slot *slot_find(struct json_document *d, uint32_t object, uint32_t hash, const char *name, size_t size)
{
    for (uint32_t i = hash;; i++) {
        struct json_slot *s = &d->slots[i & (d->slot_count - 1)];
        if (s->stamp != d->stamp || (s->hash == hash && s->object == object && name_is(d, s->key, name, size)))
            return s;
    }
}

int32_t json_key_find(struct json_document *document, uint32_t object, uint32_t hash, const char *name, size_t size)
{
    struct json_slot *slot = slot_find(document, object, hash, name, size);
    return slot->stamp == document->stamp ? (int32_t)slot->key : JSON_NONE;
}

static int slots_grow(struct json_document *d)
{
    must((d->slots != NULL) == (d->slot_count > 0));
    uint32_t count = d->slot_count ? d->slot_count * 2 : SLOTS_FIRST;
    struct json_slot *slots = calloc(count, sizeof *slots);
    if (!slots)
        return json_fail(d, "out of memory", -1);
    for (uint32_t i = 0; i < d->slot_count; i++) {
        if (d->slots[i].stamp != d->stamp)
            continue;
        uint32_t to = d->slots[i].hash;
        while (slots[to & (count - 1)].stamp == d->stamp)
            to++;
        slots[to & (count - 1)] = d->slots[i];
    }
    free(d->slots);
    d->slots = slots;
    d->slot_count = count;
    return 0;
}

static int key_note(struct reader *r, uint32_t key, const char *name, size_t size)
{
    struct json_document *d = r->document;
    uint32_t object = (uint32_t)r->open;
    size_t most = (size_t)(r->end - name);
    if (2 * d->key_count >= d->slot_count && slots_grow(d))
        return -1;
    if (r->nodes[key].flags & JSON_ESCAPED) {
        d->scratch.size = 0;
        if (json_unescape(&d->scratch, name, size))
            return json_fail(d, "out of memory", -1);
        name = d->scratch.data;
        size = most = (size_t)d->scratch.size;
    }
    uint32_t hash = name_hash(d, object, name, size, most);
    struct json_slot *slot = slot_find(d, object, hash, name, size);
    if (slot->stamp == d->stamp)
        return json_fail(d, "duplicate key", r->nodes[key].at);
    *slot = (struct json_slot){.stamp = d->stamp, .object = object, .hash = hash, .key = key};
    d->key_count++;
    return 0;
}

// --- values -----------------------------------------------------------------------------------------------------------------------------

static inline void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

// Passes what isn't plain in a string: an escape, or a run of characters beyond ASCII. -1: *p is the culprit, *error says why.
static int pass_special(const char **p, const char *end, uint16_t *flags, const char **error)
{
    *error = "string without end";
    if (*p == end)
        return -1;
    if (**p == '\\') {
        int size = json_escape_size(*p, end, error);
        *flags |= JSON_ESCAPED;
        *p += size;
        return size ? 0 : -1;
    }
    *error = "control character in a string";
    if ((unsigned char)**p < 0x20)
        return -1;
    *error = "invalid UTF-8";
    while (*p < end && (unsigned char)**p >= 0x80) {
        int size = json_utf8_size(*p, end);
        if (!size)
            return -1;
        *p += size;
    }
    return 0;
}

// Behind the closing quote of the string that starts at r->p; NULL: failed.
static inline const char *string_end(struct reader *r, uint16_t *flags)
{
    const char *p = r->p + 1, *error;
    for (;;) {
        p = json_plain_end(p, r->end);
        if (p < r->end && *p == '"')
            return p + 1;
        if (pass_special(&p, r->end, flags, &error)) {
            r->p = p;
            failed(r, error);
            return NULL;
        }
    }
}

static inline int node_add(struct reader *r, const char *end, uint16_t kind, uint16_t flags)
{
    if (r->count == r->document->node_capacity && nodes_grow(r))
        return -1;
    r->nodes[r->count] = (struct onced_json_node){
        .at = (uint32_t)(r->p - r->text), .end = (uint32_t)(end - r->text), .next = r->count + 1, .kind = kind, .flags = flags};
    r->count++;
    r->p = end;
    return 0;
}

static int read_word(struct reader *r, const char *word, size_t size, uint16_t kind)
{
    if ((size_t)(r->end - r->p) < size || memcmp(r->p, word, size) != 0)
        return failed(r, "unexpected character");
    return node_add(r, r->p + size, kind, 0);
}

static int read_number(struct reader *r)
{
    int whole;
    if (*r->p != '-' && (unsigned char)(*r->p - '0') > 9)
        return unexpected(r);
    const char *end = json_number_end(r->p, r->end, &whole);
    if (!end)
        return failed(r, "invalid number");
    return node_add(r, end, ONCED_JSON_NUMBER, whole ? JSON_WHOLE : 0);
}

static int read_string(struct reader *r)
{
    uint16_t flags = 0;
    const char *end = string_end(r, &flags);
    return end ? node_add(r, end, ONCED_JSON_STRING, flags) : -1;
}

static int read_open(struct reader *r, uint16_t kind)
{
    int32_t parent = r->open;
    if (++r->depth > r->document->lent.depth_most)
        return failed(r, "nested too deep");
    if (node_add(r, r->p + 1, kind, 0))
        return -1;
    r->open = (int32_t)r->count - 1;
    r->nodes[r->open].next = (uint32_t)parent;
    r->in_object = kind == ONCED_JSON_OBJECT;
    return 0;
}

static inline void read_close(struct reader *r)
{
    struct onced_json_node *container = &r->nodes[r->open];
    r->p++;
    r->depth--;
    r->open = (int32_t)container->next;
    r->in_object = r->open >= 0 && r->nodes[r->open].kind == ONCED_JSON_OBJECT;
    container->next = r->count;
    container->end = (uint32_t)(r->p - r->text);
}

// A scalar is read whole, of a container its bracket.
static int read_value(struct reader *r)
{
    if (r->p == r->end)
        return unexpected(r);
    switch (*r->p) {
    case '"':
        return read_string(r);
    case '{':
        return read_open(r, ONCED_JSON_OBJECT);
    case '[':
        return read_open(r, ONCED_JSON_ARRAY);
    case 't':
        return read_word(r, "true", 4, ONCED_JSON_TRUE);
    case 'f':
        return read_word(r, "false", 5, ONCED_JSON_FALSE);
    case 'n':
        return read_word(r, "null", 4, ONCED_JSON_NULL);
    default:
        return read_number(r);
    }
}

static int read_key(struct reader *r)
{
    uint16_t flags = 0;
    const char *from = r->p + 1;
    if (r->p == r->end || *r->p != '"')
        return unexpected(r);
    const char *end = string_end(r, &flags);
    if (!end || node_add(r, end, ONCED_JSON_KEY, flags) || key_note(r, r->count - 1, from, (size_t)(end - 1 - from)))
        return -1;
    skip_space(r);
    if (r->p == r->end || *r->p != ':')
        return unexpected(r);
    r->p++;
    skip_space(r);
    return 0;
}

static char closing(const struct reader *r)
{
    return r->in_object ? '}' : ']';
}

// Behind a value: brackets that close, then a comma. 1: another value follows; 0: the whole is read.
static int read_after(struct reader *r)
{
    while (r->open != NOTHING_OPEN) {
        skip_space(r);
        if (r->p == r->end)
            return unexpected(r);
        if (*r->p == ',') {
            r->p++;
            skip_space(r);
            return 1;
        }
        if (*r->p != closing(r))
            return unexpected(r);
        read_close(r);
    }
    return 0;
}

static int read_all(struct reader *r)
{
    int more;
    do {
        if (r->in_object && read_key(r))
            return -1;
        uint32_t before = r->count;
        if (read_value(r))
            return -1;
        if (r->open == (int32_t)before) { // just opened
            skip_space(r);
            more = 1;
            if (r->p < r->end && *r->p == closing(r)) {
                read_close(r);
                more = read_after(r);
            }
        } else {
            more = read_after(r);
        }
    } while (more > 0);
    return more;
}

static int begin(struct json_document *d, int64_t size)
{
    d->key_count = 0;
    if (size > d->lent.size_most || size > INT32_MAX)
        return json_fail(d, "too large", -1);
    if (!d->slots && slots_grow(d))
        return -1;
    if (++d->stamp == 0) { // it has come around: old slots would look new
        memset(d->slots, 0, d->slot_count * sizeof *d->slots);
        d->stamp = 1;
    }
    return 0;
}

static int index_make(struct reader *r)
{
    if (begin(r->document, r->end - r->text))
        return -1;
    if (r->end - r->text >= 3 && memcmp(r->text, "\xEF\xBB\xBF", 3) == 0)
        return failed(r, "a byte order mark");
    skip_space(r);
    if (read_all(r))
        return -1;
    skip_space(r);
    return r->p < r->end ? failed(r, "something follows the value") : 0;
}

int json_index(struct json_document *document, const char *text, int64_t size)
{
    struct reader r = {.document = document, .text = text, .p = text, .end = text + size, .open = NOTHING_OPEN};
    r.nodes = document->lent.nodes;
    document->lent.text = text; // names are compared while it is read
    document->lent.size = size;
    int bad = index_make(&r);
    document->node_count = bad ? 0 : r.count;
    if (bad)
        document->lent.text = NULL;
    return bad;
}
