// SPDX-License-Identifier: MIT
// Base64 (RFC 4648), hexadecimal, digests and times for scripts: what Lua would be slow at. Pure functions; bridge.h declares them.
// Decoding is strict: what wouldn't be encoded that way isn't decoded. Called by Lua.
#include <stdint.h>
#include <string.h>

#include "bridge.h"
#include "digest.h"
#include "scalar.h"

enum { NONE = -1 };

static const char *const ALPHABETS[] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

int64_t onced_base64_encode(const char *data, int64_t size, int url, char *to)
{
    const unsigned char *p = (const unsigned char *)data;
    const char *alphabet = ALPHABETS[url != 0];
    char *out = to;
    for (; size > 0; p += 3, size -= 3) {
        uint32_t group = (uint32_t)p[0] << 16 | (size > 1 ? (uint32_t)p[1] << 8 : 0) | (size > 2 ? p[2] : 0);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        if (size > 1 || !url)
            *out++ = size > 1 ? alphabet[group >> 6 & 63] : '=';
        if (size > 2 || !url)
            *out++ = size > 2 ? alphabet[group & 63] : '=';
    }
    return out - to;
}

static int base64_digit(char c, int url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == (url ? '-' : '+') ? 62 : c == (url ? '_' : '/') ? 63 : NONE;
}

static int64_t fail(const char **error, int64_t *at, const char *problem, int64_t place)
{
    *error = problem;
    *at = place;
    return -1;
}

int64_t onced_base64_decode(const char *data, int64_t size, int url, char *to, const char **error, int64_t *at)
{
    int64_t digits = size;
    char *out = to;
    if (!url && size % 4)
        return fail(error, at, "the length isn't a multiple of 4: is the padding missing?", size);
    for (int i = 0; !url && i < 2 && digits > 0 && data[digits - 1] == '='; i++)
        digits--;
    if (digits % 4 == 1)
        return fail(error, at, "one character is left over", digits - 1);
    uint32_t group = 0;
    for (int64_t i = 0; i < digits; i++) {
        int digit = base64_digit(data[i], url);
        if (digit == NONE)
            return fail(error, at, "unexpected character", i);
        group = group << 6 | (uint32_t)digit;
        if (i % 4)
            *out++ = (char)(group >> (6 - 2 * (i % 4)));
    }
    if (digits % 4 && group & ((1U << (6 - 2 * (digits % 4 - 1))) - 1))
        return fail(error, at, "bits are left over behind the last byte", digits - 1);
    return out - to;
}

void onced_hex_encode(const char *data, int64_t size, char *to)
{
    static const char digits[] = "0123456789abcdef";
    for (int64_t i = 0; i < size; i++) {
        *to++ = digits[(unsigned char)data[i] >> 4];
        *to++ = digits[data[i] & 15];
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : NONE;
}

int64_t onced_hex_decode(const char *data, int64_t size, char *to, const char **error, int64_t *at)
{
    if (size % 2)
        return fail(error, at, "the length is odd", size);
    for (int64_t i = 0; i < size; i++) {
        int digit = hex_digit(data[i]);
        if (digit == NONE)
            return fail(error, at, "unexpected character", i);
        to[i / 2] = (char)(i % 2 ? to[i / 2] | digit : digit << 4);
    }
    return size / 2;
}

void onced_sha256(const char *key, int64_t key_size, const char *data, int64_t size, char *digest)
{
    if (key) {
        hmac_sha256(key, (size_t)key_size, data, (size_t)size, (unsigned char *)digest);
        return;
    }
    struct sha256 sha;
    sha256_init(&sha);
    sha256_add(&sha, data, (size_t)size);
    sha256_end(&sha, (unsigned char *)digest);
}

int onced_time_parse(const char *text, int64_t size, int64_t *ms, const char **error)
{
    if ((int64_t)strlen(text) == size)
        return scalar_time(text, ms, error);
    *error = "holds a zero byte";
    return -1;
}

int onced_time_format(int64_t ms, char *to)
{
    return scalar_time_write(ms, to);
}
