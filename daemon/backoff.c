// SPDX-License-Identifier: MIT
#include "backoff.h"

enum { FIRST_MS = 100, MOST_MS = 10000, SOME_SECONDS_MS = 2000, HEALTHY_MS = 60000 };

int64_t backoff_wait(struct backoff *backoff, int64_t life_ms)
{
    if (life_ms >= HEALTHY_MS)
        backoff->next_ms = 0;
    int64_t wait = backoff->next_ms;
    if (life_ms >= SOME_SECONDS_MS && wait > 0)
        return 0; // without forgetting: the next short life waits as long as it would have
    backoff->next_ms = wait == 0 ? FIRST_MS : wait * 2 < MOST_MS ? wait * 2 : MOST_MS;
    return wait;
}
