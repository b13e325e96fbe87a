// SPDX-License-Identifier: MIT
// The mapping is anonymous and shared, so it needs no name that could collide or be left behind, and a worker's death leaves it
// readable in the master. Called by the master before its forks, and by specs.
#include "stats.h"

#include <stddef.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct stats) <= 4096, "one page for each worker");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock inside shared memory would die with its holder");

struct stats *stats_new(void)
{
    void *page = mmap(NULL, sizeof(struct stats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? NULL : page;
}

void stats_free(struct stats *stats)
{
    if (stats)
        munmap(stats, sizeof *stats);
}

const char *worker_state_name(int state)
{
    static const char *const names[] = {"new", "starting", "joining", "standby", "running", "blocked", "draining", "halted"};
    return state >= 0 && (size_t)state < sizeof names / sizeof *names ? names[state] : "?";
}
