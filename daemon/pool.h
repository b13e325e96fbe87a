// SPDX-License-Identifier: MIT
// The memory of a configuration: pieces that are freed together, when the configuration goes. Each is an allocation of its own, since
// loading is rare and a sanitizer then sees the bounds. Out of memory ends the process: nothing has been started yet.
#pragma once
#include <stddef.h>

struct pool_piece;
struct pool {
    struct pool_piece *pieces;
};

void *pool_take(struct pool *pool, size_t size); // zeroed
char *pool_text(struct pool *pool, const char *text, size_t size);
char *pool_format(struct pool *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A bigger copy of `items` when `count` has reached a power of two (or nothing is there): room for one more item is then certain.
void *pool_grow(struct pool *pool, void *items, int count, size_t item_size);
void pool_fini(struct pool *pool);
