// SPDX-License-Identifier: MIT
// Random texts for json_fuzz.c, without a fuzzer: grown from the grammar, mutated, or soup of tokens; the same each time.
// usage: json_texts EXECUTIONS [SEED]; prints a tally, or json_fuzz.c its finding.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "json_fuzz.h"

enum { TEXT_MOST = 1 << 16, CHOICES = 8 };

static uint64_t state;
static char text[TEXT_MOST * 2];
static size_t size;

static uint32_t chance(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((state >> 32) * n) >> 32);
}

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

int main(int argc, char **argv)
{
    unsigned long long executions = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    for (unsigned long long i = 0; i < executions; i++) {
        text_make();
        for (int choice = 0; choice < CHOICES; choice++)
            text[size++] = (char)chance(256);
        text[size++] = CHOICES;
        LLVMFuzzerTestOneInput((const uint8_t *)text, size);
    }
    printf("%llu executions: %llu accepted and edited, %llu refused, %llu apart\n", executions, json_tally.accepted, json_tally.refused,
           json_tally.apart);
    return 0;
}
