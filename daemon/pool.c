// SPDX-License-Identifier: MIT
#include "pool.h"

#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pool_piece {
    struct pool_piece *next;
    max_align_t data[];
};

void *pool_take(struct pool *pool, size_t size)
{
    struct pool_piece *piece = calloc(1, sizeof *piece + size);
    must(piece);
    piece->next = pool->pieces;
    pool->pieces = piece;
    return piece->data;
}

char *pool_text(struct pool *pool, const char *text, size_t size)
{
    char *copy = pool_take(pool, size + 1);
    memcpy(copy, text, size);
    return copy;
}

char *pool_format(struct pool *pool, const char *format, ...)
{
    va_list arguments;
    must(format);
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    must(size >= 0);
    char *text = pool_take(pool, (size_t)size + 1);
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}

void *pool_grow(struct pool *pool, void *items, int count, size_t item_size)
{
    must(count >= 0);
    if (count & (count - 1))
        return items;
    char *bigger = pool_take(pool, item_size * (count ? 2 * (size_t)count : 1));
    if (count)
        memcpy(bigger, items, item_size * (size_t)count);
    return bigger;
}

void pool_fini(struct pool *pool)
{
    while (pool->pieces) {
        struct pool_piece *piece = pool->pieces;
        pool->pieces = piece->next;
        free(piece);
    }
}
