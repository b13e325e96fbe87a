// SPDX-License-Identifier: MIT
// The process's malloc: tcmalloc where the build found it, else the C library's.
#pragma once

#include <stdint.h>

// To be called every second or so while nothing is underway: gives pages that hold nothing back to the kernel, every ten seconds at most.
// Batches are freed as a whole and allocated anew a moment later, so doing it more often costs a fault a page.
void allocator_rest(int64_t now_ms);
