// SPDX-License-Identifier: MIT
// See allocator.h.
#include "allocator.h"

#include <malloc.h>

enum { REST_MS = 10000 };

// gperftools/malloc_extension_c.h: there when the program is linked with tcmalloc, or tcmalloc preloaded.
void MallocExtension_ReleaseFreeMemory(void) __attribute__((weak));

void allocator_rest(int64_t now_ms)
{
    static int64_t rested_ms;
    if (now_ms - rested_ms < REST_MS)
        return;
    rested_ms = now_ms;
    if (MallocExtension_ReleaseFreeMemory)
        MallocExtension_ReleaseFreeMemory();
    else
        malloc_trim(0);
}
