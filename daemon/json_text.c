// SPDX-License-Identifier: MIT
// Strings as RFC 8259 has them, strictly: UTF-8 without surrogates and overlong forms, escapes in pairs where UTF-16 needs pairs.
// Called by json_index (check), json_document (read and write).
#include "json_text.h"

#include <stddef.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

char *json_buffer_room(struct onced_json_buffer *buffer, size_t more)
{
    size_t needed = (size_t)buffer->size + more;
    if (needed > (size_t)buffer->capacity || !buffer->data) {
        size_t capacity = needed < FIRST_CAPACITY / 2 ? FIRST_CAPACITY : needed * 2;
        char *data = needed > INT64_MAX / 4 ? NULL : realloc(buffer->data, capacity);
        if (!data)
            return NULL;
        buffer->data = data;
        buffer->capacity = (int64_t)capacity;
    }
    return buffer->data + buffer->size;
}

static int is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

int json_utf8_size(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    ptrdiff_t left = end - p;
    if (u[0] < 0xC2)
        return 0;
    if (u[0] < 0xE0)
        return left >= 2 && is_tail(u[1]) ? 2 : 0;
    if (u[0] < 0xF0) {
        if (left < 3 || !is_tail(u[1]) || !is_tail(u[2]))
            return 0;
        return (u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xED && u[1] > 0x9F) ? 0 : 3;
    }
    if (left < 4 || u[0] > 0xF4 || !is_tail(u[1]) || !is_tail(u[2]) || !is_tail(u[3]))
        return 0;
    return (u[0] == 0xF0 && u[1] < 0x90) || (u[0] == 0xF4 && u[1] > 0x8F) ? 0 : 4;
}

// Four hexadecimal digits; -1: they aren't.
static int hex4(const char *p)
{
    int code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i], letter = (unsigned char)((c | 0x20) - 'a');
        if ((unsigned char)(c - '0') < 10)
            code = code << 4 | (c - '0');
        else if (letter < 6)
            code = code << 4 | (letter + 10);
        else
            return -1;
    }
    return code;
}

static int is_high(int code)
{
    return code >= 0xD800 && code < 0xDC00;
}

static int is_low(int code)
{
    return code >= 0xDC00 && code < 0xE000;
}

static int is_escape_letter(char c)
{
    static const char letters[256] = {['"'] = 1, ['\\'] = 1, ['/'] = 1, ['b'] = 1, ['f'] = 1, ['n'] = 1, ['r'] = 1, ['t'] = 1};
    return letters[(unsigned char)c];
}

int json_escape_size(const char *p, const char *end, const char **error)
{
    *error = "invalid escape";
    if (end - p < 2)
        return 0;
    if (p[1] != 'u')
        return is_escape_letter(p[1]) ? 2 : 0;
    int code = end - p < 6 ? -1 : hex4(p + 2);
    if (code < 0)
        return 0;
    if (!is_high(code) && !is_low(code))
        return 6;
    *error = "lone surrogate";
    return is_high(code) && end - p >= 12 && p[6] == '\\' && p[7] == 'u' && is_low(hex4(p + 8)) ? 12 : 0;
}

static char *utf8_write(char *to, int code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    }
    return to;
}

static char unescaped(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

int json_unescape(struct onced_json_buffer *to, const char *text, size_t size)
{
    const char *p = text, *end = text + size;
    char *out = json_buffer_room(to, size);
    if (!out)
        return -1;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash ? slash : end) - p);
        memcpy(out, p, plain);
        out += plain;
        p += plain;
        if (p == end)
            break;
        if (p[1] != 'u') {
            *out++ = unescaped(p[1]);
            p += 2;
            continue;
        }
        int code = hex4(p + 2), high = is_high(code);
        if (high)
            code = 0x10000 + (code - 0xD800) * 0x400 + hex4(p + 8) - 0xDC00;
        out = utf8_write(out, code);
        p += high ? 12 : 6;
    }
    to->size = out - to->data;
    return 0;
}

static char *escape_write(char *to, unsigned char c)
{
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    *to++ = '\\';
    for (const char *l = letters; *l; l += 2)
        if ((unsigned char)*l == c) {
            *to++ = l[1];
            return to;
        }
    *to++ = 'u';
    *to++ = '0';
    *to++ = '0';
    *to++ = "0123456789abcdef"[c >> 4];
    *to++ = "0123456789abcdef"[c & 15];
    return to;
}

// Bytes that it can take as a JSON string; what is long is counted, not guessed.
static size_t quoted_most(const char *text, size_t size)
{
    enum { ESCAPE_MOST = 6, SHORT = 1024 };
    if (size <= SHORT)
        return size * ESCAPE_MOST + 2;
    size_t escapes = 0;
    for (size_t i = 0; i < size; i++)
        escapes += (unsigned char)text[i] < 0x20 || text[i] == '"' || text[i] == '\\';
    return size + escapes * (ESCAPE_MOST - 1) + 2;
}

int json_quote(struct onced_json_buffer *to, const char *text, size_t size, const char **error, int64_t *at)
{
    const char *p = text, *end = text + size;
    *error = "out of memory";
    *at = -1;
    char *out = size > INT32_MAX ? NULL : json_buffer_room(to, quoted_most(text, size));
    if (!out)
        return -1;
    *out++ = '"';
    while (p < end) {
        const char *stop = json_plain_end(p, end);
        memcpy(out, p, (size_t)(stop - p));
        out += stop - p;
        p = stop;
        if (p == end)
            break;
        if ((unsigned char)*p < 0x80) {
            out = escape_write(out, (unsigned char)*p++);
            continue;
        }
        int bytes = json_utf8_size(p, end);
        if (!bytes) {
            *error = "invalid UTF-8";
            *at = p - text;
            return -1;
        }
        memcpy(out, p, (size_t)bytes);
        out += bytes;
        p += bytes;
    }
    *out++ = '"';
    to->size = out - to->data;
    return 0;
}
