// SPDX-License-Identifier: MIT
#include "clock.h"

static int64_t fixed = -1;

void clock_wall_fix(int64_t ms)
{
    fixed = ms;
}

int64_t clock_wall_ms(void)
{
    struct timespec t;
    if (fixed >= 0)
        return fixed;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
