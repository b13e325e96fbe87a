// SPDX-License-Identifier: MIT
// JSON documents against jansson, an independent strict parser: random texts (grown from the grammar, mutated, or soup of tokens) must
// be accepted by both or refused by both; all values must be the same; and random edits must leave what the same edits make of
// jansson's tree. usage: json_fuzz EXECUTIONS [SEED]; prints a tally, or the first finding and fails.
//
// Where the two may differ, the text is only counted: jansson has no integers beyond int64 and no reals beyond double (RFC 8259,
// section 6, leaves both open), and no U+0000 in keys; and it overlooks a zero byte behind a number, which RFC 8259 doesn't (the specs of
// the grammar have that).
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_document.h"

enum { TEXT_MOST = 1 << 16, POINTER_MOST = 4096, EDITS_MOST = 20 };

static uint64_t state;
static char text[TEXT_MOST * 2];
static size_t size;
static struct onced_json *doc;
static char *bytes;

static uint32_t chance(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((state >> 32) * n) >> 32);
}

static _Noreturn void finding(const char *what)
{
    printf("finding: %s\n%.*s\n", what, (int)size, text);
    for (size_t i = 0; i < size; i++)
        printf("%02x", (unsigned char)text[i]);
    printf("\nonced: %s at %lld\n", doc->error ? doc->error : "-", (long long)doc->error_at);
    exit(1);
}

// --- texts
// --------------------------------------------------------------------------------------------------------------------------------

static void add_bytes(const char *s, size_t n)
{
    if (size + n < TEXT_MOST) {
        memcpy(text + size, s, n);
        size += n;
    }
}

static void add(const char *s)
{
    add_bytes(s, strlen(s));
}

#define PICK(list) (list)[chance(sizeof(list) / sizeof *(list))]

static const char *const good_parts[] = {"a",
                                         "b",
                                         "key",
                                         " ",
                                         "/",
                                         "~",
                                         "é",
                                         "€",
                                         "😀",
                                         "\\n",
                                         "\\\"",
                                         "\\\\",
                                         "\\/",
                                         "\\b",
                                         "\\f",
                                         "\\r",
                                         "\\t",
                                         "\\u0041",
                                         "\\u00e9",
                                         "\\u20AC",
                                         "\\ud83d\\ude00",
                                         "\\u0000",
                                         "\\uFFFF",
                                         "\x7f",
                                         "0123456789",
                                         "\xf4\x8f\xbf\xbf",
                                         "\xed\x9f\xbf"};
static const char *const bad_parts[] = {"\x01",
                                        "\n",
                                        "\x80",
                                        "\xc0\x80",
                                        "\xed\xa0\x80",
                                        "\xff",
                                        "\\x",
                                        "\\u12",
                                        "\\ud800",
                                        "\\udc00",
                                        "\"",
                                        "\\",
                                        "\\ud800\\u0041",
                                        "\xf4\x90\x80\x80",
                                        "\xe2\x82",
                                        "\\uD83D\\uD83D",
                                        "\xf0\x80\x80\x80",
                                        "\xc3"};
static const char *const numbers[] = {"0",
                                      "-0",
                                      "1",
                                      "-1",
                                      "12",
                                      "1.5",
                                      "-0.25",
                                      "1e5",
                                      "1E-5",
                                      "2.5e+3",
                                      "123456789012345678",
                                      "9223372036854775807",
                                      "-9223372036854775808",
                                      "0.1",
                                      "1e308",
                                      "5e-324",
                                      "1e-400",
                                      "0.30000000000000004",
                                      "9007199254740993",
                                      "1.0",
                                      "100e-2"};
static const char *const odd_numbers[] = {"9223372036854775808",  "1e400", "01",   "1.", ".5", "-", "+1", "1e", "0x1",
                                          "18446744073709551616", "-01",   "1.e1", "1e+"};
static const char *const tokens[] = {"{",  "}", "[",  "]",  ",", ":", "\"", "null", "true", "false",        "1",  "\"a\"", "\"b\":", "{}",
                                     "[]", " ", "\n", "\\", "-", "0", "e",  ".",    "nul",  "\xef\xbb\xbf", "\v", "\"\\u"};

static void space(void)
{
    while (chance(8) == 0)
        add(&" \0\t\0\n\0\r"[chance(4) * 2]);
}

static void string(void)
{
    add("\"");
    for (uint32_t n = chance(6) ? chance(4) : chance(30); n; n--)
        add(chance(400) ? PICK(good_parts) : PICK(bad_parts));
    add("\"");
}

static void value(int depth)
{
    uint32_t kind = chance(depth > 6 ? 5 : 9);
    space();
    if (kind == 0) {
        static const char *const words[] = {"null", "true", "false"};
        add(PICK(words));
    } else if (kind < 3) {
        add(chance(150) ? PICK(numbers) : PICK(odd_numbers));
    } else if (kind < 5) {
        string();
    } else {
        int object = kind < 7;
        add(object ? "{" : "[");
        space();
        for (uint32_t i = 0, n = chance(5) ? chance(4) : chance(40); i < n; i++) {
            char name[16];
            if (i)
                add(",");
            if (object) {
                space();
                snprintf(name, sizeof name, "\"k%u\"", i);
                if (chance(4))
                    add(name);
                else
                    string();
                space();
                add(":");
            }
            value(depth + 1);
        }
        space();
        add(object ? "}" : "]");
    }
    space();
}

static void mutate(void)
{
    for (uint32_t n = 1 + chance(3); n && size; n--) {
        size_t at = chance((uint32_t)size), run = 1 + chance(8);
        switch (chance(5)) {
        case 0:
            text[at] = (char)chance(256);
            break;
        case 1: // remove
            run = run < size - at ? run : size - at;
            memmove(text + at, text + at + run, size - at - run);
            size -= run;
            break;
        case 2: // repeat
            run = run < size - at ? run : size - at;
            memmove(text + at + run, text + at, size - at);
            size += run;
            break;
        case 3:
            size = at;
            break;
        default: {
            const char *token = chance(2) ? PICK(tokens) : PICK(bad_parts);
            memmove(text + at + strlen(token), text + at, size - at);
            memcpy(text + at, token, strlen(token));
            size += strlen(token);
        }
        }
    }
}

static void text_make(void)
{
    size = 0;
    if (chance(8) == 0) {
        for (uint32_t n = chance(24); n; n--)
            add(PICK(tokens));
        return;
    }
    value(0);
    if (chance(3) == 0)
        mutate();
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
                finding("a key isn't a string");
            expected = json_object_getn(value, doc->data, (size_t)doc->data_size);
            child++;
        }
        if (!expected)
            finding("an element too many");
        same((int32_t)child, expected);
        child = doc->nodes[child].next;
        count++;
    }
    if (count != (object ? json_object_size(value) : json_array_size(value)))
        finding("elements are missing");
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
            finding("another kind");
        same_children(node, value);
    } else if (!is_same_scalar(kind, value)) {
        finding("another value");
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

static json_t *put(void)
{
    static const char *const strings[] = {"", "x", "a\"b\\c\n\x01\x7f", "é€😀", "a longer string of more than sixteen bytes"};
    static const double reals[] = {0.1, -1.5, 119.5 * 1.19, 1e300, 5e-324, 1e-7};
    double real = PICK(reals);
    const char *s = PICK(strings);
    int64_t whole = (int64_t)((uint64_t)chance(UINT32_MAX) << chance(33)) * (chance(2) ? 1 : -1);
    int failed = 0;
    json_t *value;
    switch (chance(6)) {
    case 0:
        failed = onced_json_put_number(doc, real);
        value = json_real(real);
        break;
    case 1:
        failed = onced_json_put_int64(doc, whole);
        value = json_integer(whole);
        break;
    case 2:
        failed = onced_json_put_string(doc, s, (int64_t)strlen(s));
        value = json_string(s);
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
    if (failed)
        finding("a value can't be put");
    return value;
}

static json_t *edit_set(struct target *t, json_t *root)
{
    json_t *value = put();
    if (onced_json_set(doc, t->pointer, (int64_t)t->pointer_size))
        finding("an edit is refused");
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
        finding("a removal went wrong");
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
        finding("a pointer leads elsewhere");
    if (there && kind != ONCED_JSON_ARRAY && kind != ONCED_JSON_OBJECT && !is_same_scalar(kind, there))
        finding("a pointer leads to another value");
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
        finding("the edited text is another");
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
        finding("the edited text doesn't settle");
    same(0, root);
    json_decref(root);
}

// --- executions
// -----------------------------------------------------------------------------------------------------------------------------

static struct {
    unsigned long long accepted, refused, apart;
} tally;

static int may_differ(const json_error_t *error)
{
    return json_error_code(error) == json_error_numeric_overflow || json_error_code(error) == json_error_null_byte_in_key;
}

static void execute(void)
{
    json_error_t error;
    text_make();
    free(bytes);
    bytes = malloc(size ? size : 1); // of exactly that size: the sanitizer sees what reads beyond
    memcpy(bytes, text, size);
    int refused = onced_json_open(doc, bytes, (int64_t)size);
    json_t *root = json_loadb(bytes, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!root && may_differ(&error)) {
        tally.apart++;
        return;
    }
    if (root && refused && doc->error_at >= 0 && doc->error_at < (int64_t)size && text[doc->error_at] == 0) {
        json_decref(root);
        tally.apart++;
        return;
    }
    if (refused != (root ? 0 : -1))
        finding(refused ? "jansson accepts it" : "jansson refuses it");
    if (refused && (doc->error_at < 0 || doc->error_at > (int64_t)size))
        finding("the error's byte is beyond the text");
    if (refused) {
        tally.refused++;
        return;
    }
    tally.accepted++;
    same(0, root);
    edits(root);
}

int main(int argc, char **argv)
{
    unsigned long long executions = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    doc = onced_json_new();
    for (unsigned long long i = 0; i < executions; i++)
        execute();
    printf("%llu executions: %llu accepted and edited, %llu refused, %llu apart\n", executions, tally.accepted, tally.refused, tally.apart);
    free(bytes);
    onced_json_free(doc);
    return 0;
}
