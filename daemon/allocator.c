// SPDX-License-Identifier: MIT
// See allocator.h.
#include "allocator.h"

#ifdef ONCED_MIMALLOC
#include <mimalloc.h>

enum { KEEP_MS = 10000 }; // an idle worker gives back what its largest batch took after so long

void allocator_tune(void)
{
#if MI_MALLOC_VERSION < 210
    mi_option_set(mi_option_decommit_delay, KEEP_MS);
    mi_option_set(mi_option_segment_decommit_delay, KEEP_MS);
#else
    mi_option_set(mi_option_purge_delay, KEEP_MS);
#endif
}
#else
void allocator_tune(void)
{
}
#endif
