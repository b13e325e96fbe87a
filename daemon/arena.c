// SPDX-License-Identifier: MIT
// A list of chunks. Those before `current` are full, `current` is being filled by its borrower, those behind it are free: reset
// only moves `current` back to the first. Who bumps the pointers (C or Lua) asks for more here and nowhere else. Called by batch.
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>

#include "err.h"

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    _Alignas(16) char bytes[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

static void chunks_free(struct arena *arena, struct arena_chunk **link)
{
    struct arena_chunk *chunk = *link;
    *link = NULL;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        arena->held -= chunk->size;
        free(chunk);
        chunk = next;
    }
}

void arena_fini(struct arena *arena)
{
    chunks_free(arena, &arena->first);
    must(arena->held == 0);
    arena->current = NULL;
}

void arena_reset(struct arena *arena, size_t keep)
{
    size_t kept = 0;
    struct arena_chunk **link = &arena->first;
    while (*link && kept + (*link)->size <= keep) {
        kept += (*link)->size;
        link = &(*link)->next;
    }
    chunks_free(arena, link);
    arena->current = NULL;
}

int arena_more(struct arena *arena, size_t size, char **next, char **end)
{
    // A free chunk that is too small is passed over and lies idle until the next reset.
    struct arena_chunk **link = arena->current ? &arena->current->next : &arena->first;
    while (*link && (*link)->size < size)
        link = &(*link)->next;
    if (!*link) {
        size_t bytes = size > ARENA_CHUNK ? size : ARENA_CHUNK;
        if (bytes > SIZE_MAX / 2)
            return -1;
        struct arena_chunk *chunk = malloc(sizeof *chunk + bytes);
        if (!chunk)
            return -1;
        *chunk = (struct arena_chunk){.size = bytes};
        arena->held += bytes;
        *link = chunk;
    }
    arena->current = *link;
    *next = arena->current->bytes;
    *end = arena->current->bytes + arena->current->size;
    return 0;
}
