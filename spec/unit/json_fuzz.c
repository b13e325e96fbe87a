// SPDX-License-Identifier: MIT
// JSON documents against jansson, an independent strict parser: a text must be accepted by both or refused by both; all values must be the
// same; and edits must leave what the same edits make of jansson's tree. The input is the text, followed by bytes that choose the edits
// and by one that counts those. A target of libFuzzer; json_texts.c makes inputs of its own.
//
// Where the two may differ, the text is only counted: jansson has no integers beyond int64 and no reals beyond double (RFC 8259,
// section 6, leaves both open), and no U+0000 in keys; it nests deeper; and it overlooks a zero byte behind a number, which RFC 8259
// doesn't (the specs of the grammar have that).
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "json_document.h"
#include "json_fuzz.h"

enum { POINTER_MOST = 1 << 15, EDITS_MOST = 20 };

struct json_tally json_tally;
static const uint8_t *choices, *choices_end;
static uint64_t state; // where the choices go on when those are used up
static char *text;
static size_t size;
static struct onced_json *doc;

static uint32_t chance(uint32_t n)
{
    if (choices < choices_end && n <= 256)
        return (state += *choices, *choices++) % n;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((state >> 32) * n) >> 32);
}

#define PICK(list) (list)[chance(sizeof(list) / sizeof *(list))]

static _Noreturn void lost(const char *what)
{
    printf("%.*s\n", (int)size, text);
    for (size_t i = 0; i < size; i++)
        printf("%02x", (unsigned char)text[i]);
    printf("\nonced: %s at %lld\n", doc->error ? doc->error : "-", (long long)doc->error_at);
    fflush(stdout);
    finding("%s", what);
}

// --- values
// -------------------------------------------------------------------------------------------------------------------------------

static void same(int32_t node, const json_t *value);

static void same_children(int32_t node, const json_t *value)
{
    uint32_t child = (uint32_t)node + 1, stop = doc->nodes[node].next;
    int object = json_is_object(value);
    size_t count = 0;
    while (child < stop) {
        const json_t *expected = object ? NULL : json_array_get(value, count);
        if (object) {
            if (onced_json_value(doc, (int32_t)child) != ONCED_JSON_STRING)
                lost("a key isn't a string");
            expected = json_object_getn(value, doc->data, (size_t)doc->data_size);
            child++;
        }
        if (!expected)
            lost("an element too many");
        same((int32_t)child, expected);
        child = doc->nodes[child].next;
        count++;
    }
    if (count != (object ? json_object_size(value) : json_array_size(value)))
        lost("elements are missing");
}

// What json_value (onced) last answered, against jansson's.
static int is_same_scalar(int kind, const json_t *value)
{
    switch (kind) {
    case ONCED_JSON_STRING:
        return json_is_string(value) && json_string_length(value) == (size_t)doc->data_size &&
               memcmp(json_string_value(value), doc->data, (size_t)doc->data_size) == 0;
    case ONCED_JSON_NUMBER:
        return json_is_integer(value) ? doc->number == (double)json_integer_value(value) && llabs(json_integer_value(value)) <= 1ll << 53
                                      : json_is_real(value) && doc->number == json_real_value(value);
    case ONCED_JSON_INT64:
        return json_is_integer(value) && doc->integer == json_integer_value(value);
    case ONCED_JSON_NULL:
        return json_is_null(value);
    case ONCED_JSON_TRUE:
        return json_is_true(value);
    case ONCED_JSON_FALSE:
        return json_is_false(value);
    default:
        return 0;
    }
}

static void same(int32_t node, const json_t *value)
{
    int kind = onced_json_value(doc, node);
    if (kind == ONCED_JSON_ARRAY || kind == ONCED_JSON_OBJECT) {
        if (kind == ONCED_JSON_ARRAY ? !json_is_array(value) : !json_is_object(value))
            lost("another kind");
        same_children(node, value);
    } else if (!is_same_scalar(kind, value)) {
        lost("another value");
    }
}

// --- edits
// --------------------------------------------------------------------------------------------------------------------------------

static size_t pointer_add(char *pointer, size_t at, const char *name)
{
    pointer[at++] = '/';
    for (; *name && at < POINTER_MOST - 2; name++) {
        if (*name == '~' || *name == '/') {
            pointer[at++] = '~';
            pointer[at++] = *name == '~' ? '0' : '1';
        } else {
            pointer[at++] = *name;
        }
    }
    return at;
}

struct target {
    json_t *parent; // NULL: the root
    char name[POINTER_MOST];
    char pointer[POINTER_MOST * 2];
    size_t pointer_size, index;
};

// A random place: an element that is there, or a new one of a container.
static json_t *target_find(struct target *t, json_t *root)
{
    json_t *at = root;
    t->parent = NULL;
    t->pointer_size = 0;
    while ((json_is_object(at) || json_is_array(at)) && chance(5) && t->pointer_size < POINTER_MOST / 2) {
        t->parent = at;
        size_t count = json_is_object(at) ? json_object_size(at) : json_array_size(at);
        uint32_t pick = chance((uint32_t)count + 1);
        if (json_is_object(at)) {
            void *i = json_object_iter(at);
            for (uint32_t n = pick; n && i; n--)
                i = json_object_iter_next(at, i);
            snprintf(t->name, sizeof t->name, i ? "%s" : "new%s%u", i ? json_object_iter_key(i) : chance(2) ? "/" : "~é\"\n", chance(5));
            at = json_object_get(at, t->name);
        } else {
            t->index = pick;
            snprintf(t->name, sizeof t->name, pick < count ? "%zu" : "-", t->index);
            at = json_array_get(at, pick);
        }
        t->pointer_size = pointer_add(t->pointer, t->pointer_size, t->name);
    }
    return at;
}

// Any double but whole ones beyond 2^53, which jansson reads as integers, or not at all.
static double real_any(void)
{
    static const double reals[] = {0.1, -1.5, 119.5 * 1.19, 1e300, 5e-324, 1e-7};
    uint64_t bits = 0;
    double real;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | chance(256);
    memcpy(&real, &bits, sizeof real);
    return chance(2) || (isfinite(real) && real == floor(real) && fabs(real) > 1ll << 53) ? PICK(reals) : real;
}

static json_t *put_number(int *failed)
{
    double real = real_any();
    *failed = onced_json_put_number(doc, real);
    int is_whole = real == floor(real) && fabs(real) <= 1ll << 53 && (real != 0 || !signbit(real)); // -0.0 is written as that
    return is_whole ? json_integer((json_int_t)real) : json_real(real);
}

// Of the text itself too, whatever bytes that has.
static json_t *put_string(int *failed)
{
    static const char *const strings[] = {"", "x", "a\"b\\c\n\x01\x7f", "é€😀", "a longer string of more than sixteen bytes"};
    const char *s = PICK(strings);
    size_t length = strlen(s);
    if (chance(2) && size) {
        size_t from = chance((uint32_t)size);
        s = text + from;
        length = chance((uint32_t)(size - from) + 1);
    }
    *failed = onced_json_put_string(doc, s, (int64_t)length);
    return json_stringn(s, length);
}

// NULL: it can't be put.
static json_t *put(void)
{
    uint64_t magnitude = (uint64_t)chance(UINT32_MAX) << chance(33);
    int64_t whole = (int64_t)(chance(2) ? magnitude : -magnitude);
    int failed = 0;
    json_t *value;
    switch (chance(6)) {
    case 0:
        value = put_number(&failed);
        break;
    case 1:
        failed = onced_json_put_int64(doc, whole);
        value = json_integer(whole);
        break;
    case 2:
        value = put_string(&failed);
        break;
    case 3:
        failed = onced_json_put(doc, "[]", 2);
        value = json_array();
        break;
    case 4:
        failed = onced_json_put(doc, "{\"k\": [true]}", 13);
        value = json_pack("{s:[b]}", "k", 1);
        break;
    default:
        failed = onced_json_put(doc, "null", 4);
        value = json_null();
    }
    if (failed != (value ? 0 : -1))
        lost(failed ? "a value can't be put" : "a value that isn't one is put");
    return value;
}

static json_t *edit_set(struct target *t, json_t *root)
{
    json_t *value = put();
    if (!value)
        return root;
    if (onced_json_set(doc, t->pointer, (int64_t)t->pointer_size))
        lost("an edit is refused");
    if (!t->parent) {
        json_decref(root);
        return value;
    }
    if (json_is_object(t->parent))
        json_object_set_new(t->parent, t->name, value);
    else if (t->index < json_array_size(t->parent))
        json_array_set_new(t->parent, t->index, value);
    else
        json_array_append_new(t->parent, value);
    return root;
}

static void edit_remove(struct target *t, json_t *there)
{
    int removed = onced_json_remove(doc, t->pointer, (int64_t)t->pointer_size);
    if (removed != (!t->parent ? -1 : there != NULL))
        lost("a removal went wrong");
    if (!there || !t->parent)
        return;
    if (json_is_object(t->parent))
        json_object_del(t->parent, t->name);
    else
        json_array_remove(t->parent, t->index);
}

static void look(struct target *t, json_t *there)
{
    int kind = onced_json_get(doc, t->pointer, (int64_t)t->pointer_size);
    if (kind == ONCED_JSON_FAILED || (kind == ONCED_JSON_MISSING) != !there)
        lost("a pointer leads elsewhere");
    if (there && kind != ONCED_JSON_ARRAY && kind != ONCED_JSON_OBJECT && !is_same_scalar(kind, there))
        lost("a pointer leads to another value");
    if (kind == ONCED_JSON_ARRAY || kind == ONCED_JSON_OBJECT)
        same(doc->node, there);
}

static void composed_is(const json_t *root)
{
    json_error_t error;
    size_t length = (size_t)doc->composed_size;
    char *to = malloc(length);
    onced_json_compose(doc, to);
    json_t *back = json_loadb(to, length, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!back || !json_equal(back, root)) {
        printf("composed: %.*s\n", (int)length, to);
        lost("the edited text is another");
    }
    json_decref(back);
    free(to);
}

static void edits(json_t *root)
{
    static struct target t;
    for (uint32_t n = chance(3) ? chance(4) : chance(EDITS_MOST * 2); n; n--) {
        json_t *there = target_find(&t, root);
        switch (chance(5)) {
        case 0:
            look(&t, there);
            break;
        case 1:
            edit_remove(&t, there);
            break;
        default:
            root = edit_set(&t, root);
        }
    }
    composed_is(root);
    if (onced_json_settle(doc))
        lost("the edited text doesn't settle");
    same(0, root);
    json_decref(root);
}

// --- executions
// -----------------------------------------------------------------------------------------------------------------------------

static int may_differ(const json_error_t *error)
{
    return json_error_code(error) == json_error_numeric_overflow || json_error_code(error) == json_error_null_byte_in_key;
}

// Of a text that onced refuses.
static int is_beyond_jansson(void)
{
    return strstr(doc->error, "nested") || (doc->error_at >= 0 && doc->error_at < (int64_t)size && text[doc->error_at] == 0);
}

static void document_check(void)
{
    json_error_t error;
    int refused = onced_json_open(doc, text, (int64_t)size);
    json_t *root = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if ((!root && may_differ(&error)) || (root && refused && is_beyond_jansson())) {
        json_decref(root);
        json_tally.apart++;
        return;
    }
    if (refused != (root ? 0 : -1))
        lost(refused ? "jansson accepts it" : "jansson refuses it");
    if (refused && (doc->error_at < 0 || doc->error_at > (int64_t)size))
        lost("the error's byte is beyond the text");
    if (refused) {
        json_tally.refused++;
        return;
    }
    json_tally.accepted++;
    same(0, root);
    edits(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_size)
{
    size_t chosen = data_size ? data[data_size - 1] : 0;
    doc = doc ? doc : onced_json_new();
    if (chosen >= data_size)
        chosen = data_size ? data_size - 1 : 0;
    choices_end = data + data_size - (data_size != 0);
    choices = choices_end - chosen;
    state = 0;
    size = (size_t)(choices - data);
    text = malloc(size ? size : 1); // of exactly that size: the sanitizer sees what reads beyond
    memcpy(text, data, size);
    document_check();
    onced_json_open(doc, "0", 1);
    free(text);
    return 0;
}
