// SPDX-License-Identifier: MIT
// JSON strings: scanning, UTF-8, escapes. Everything works on spans; nothing is terminated by a zero byte.
#pragma once
#include <endian.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "bridge.h"

// Room for `more` bytes behind the buffer's; NULL: out of memory.
char *json_buffer_room(struct onced_json_buffer *buffer, size_t more);

// The first byte that isn't plain: a quote, a backslash, a control character, or one from 0x80 on; `end` when all are.
static inline const char *json_plain_end(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)p);
        // Signed: what is beyond ASCII is below 0x20 as well.
        unsigned found = (unsigned)_mm_movemask_epi8(
            _mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)),
                         _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')))));
        if (found)
            return p + __builtin_ctz(found);
    }
#endif
    const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    for (; end - p >= 8; p += 8) {
        uint64_t word, quote, slash;
        memcpy(&word, p, 8);
        word = le64toh(word);
        quote = word ^ ones * '"';
        slash = word ^ ones * '\\';
        // A byte's top bit comes out set when it is zero (or below 0x20); a borrow spoils only bytes behind the first that counts.
        uint64_t found = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | (word - ones * 0x20) | word) & highs;
        if (found)
            return p + __builtin_ctzll(found) / 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

// Bytes of the UTF-8 sequence at p (2 to 4, for p's byte is from 0x80 on), 0: it isn't one.
int json_utf8_size(const char *p, const char *end);
// Bytes of the escape at p, which is a backslash; 0: it isn't one, and *error says why.
int json_escape_size(const char *p, const char *end, const char **error);
// A checked string's bytes without its escapes, appended. 0, or -1: out of memory.
int json_unescape(struct onced_json_buffer *to, const char *text, size_t size);
// Any bytes as a JSON string with its quotes, appended. 0, or -1 with *error, and *at the offending byte.
int json_quote(struct onced_json_buffer *to, const char *text, size_t size, const char **error, int64_t *at);
