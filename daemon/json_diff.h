// SPDX-License-Identifier: MIT
// What became of a JSON text: which values were added, removed or changed, each by its pointer. Arrays are compared place by place.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "bridge.h"

struct json_difference {
    const char *pointer; // JSON Pointer, "" for the whole; valid during the call
    size_t pointer_size;
    const char *before, *after; // JSON text, NULL: wasn't there, isn't there any more
    size_t before_size, after_size;
};

// Calls `differs` for each difference between two open documents without edits, in the order of `before`, additions behind.
void json_diff(struct onced_json *before, struct onced_json *after, void (*differs)(void *opaque, const struct json_difference *d),
               void *opaque);
