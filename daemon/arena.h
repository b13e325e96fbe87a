// SPDX-License-Identifier: MIT
// Bump allocation for what a batch owns: emptied as a whole, chunks kept for the next batch. Not thread-safe.
#pragma once
#include <stddef.h>

enum { ARENA_CHUNK = 256 * 1024 }; // bytes, at least

struct arena_chunk;
struct arena {
    struct arena_chunk *first, *current;
    size_t held; // bytes of all chunks
};

void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);
// Empties; keeps at most `keep` bytes of chunks for the next use.
void arena_reset(struct arena *arena, size_t keep);
// Makes a chunk with room for at least `size` contiguous bytes current and lends it: *next and *end. 0, or -1 when out of memory.
int arena_more(struct arena *arena, size_t size, char **next, char **end);
