// SPDX-License-Identifier: MIT
// A JSON document over somebody's bytes: no tree, but an array of nodes (span and kind) that is reused from document to document, and
// a table of the keys that finds duplicates while reading and members afterwards. bridge.h declares what is done with it.
#pragma once
#include "json_text.h"

enum {
    JSON_EDITS = 16, // pending ones; more make the text settle first
    JSON_ESCAPED = 1,
    JSON_WHOLE = 2,
    JSON_NONE = -1,
};

// A key of an object: of value only while its stamp is the document's.
struct json_slot {
    uint32_t stamp, object, hash, key; // nodes
};

// Bytes [at, at + cut) of the text make way for a value (and its key): parts of lent.out.
struct json_edit {
    uint32_t at, cut;
    int32_t parent; // the container that is added to, JSON_NONE: a value is replaced
    uint32_t hash;  // of the key
    int comma;
    int64_t value, value_end, key_end; // the key stands behind the value
};

struct json_document {
    struct onced_json lent; // must stay first: onced_json_* functions get a pointer to it
    struct json_slot *slots;
    uint32_t slot_count, key_count, stamp;
    uint32_t node_count, node_capacity;
    uint64_t seed;                           // of the hash: nobody can choose keys that collide
    struct onced_json_buffer own, spare;     // settled texts
    struct onced_json_buffer scratch, other; // strings without escapes
    struct json_edit edits[JSON_EDITS];
};

// Checks the text and makes nodes and keys of it. 0, or -1 with error.
int json_index(struct json_document *document, const char *text, int64_t size);
uint32_t json_hash(const struct json_document *document, uint32_t object, const char *name, size_t size);
// The key of that name in an object, JSON_NONE: it has none.
int32_t json_key_find(struct json_document *document, uint32_t object, uint32_t hash, const char *name, size_t size);
int json_fail(struct json_document *document, const char *error, int64_t at);

static inline struct json_document *json_document_of(struct onced_json *json)
{
    return (struct json_document *)json;
}

// Where a pointer leads: a node, or the container that lacks it, or nowhere.
struct json_place {
    int32_t node, parent;
    const char *name; // the last part
    size_t name_size;
    uint32_t hash; // of it, where the parent is an object
};

// By the index alone.
int json_walk(struct json_document *document, const char *pointer, int64_t size, struct json_place *place);
// As it is with all edits: settles where the index isn't the whole truth.
int json_find(struct json_document *document, const char *pointer, int64_t size, struct json_place *place);
void json_edits_clear(struct json_document *document);
