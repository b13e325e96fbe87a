// SPDX-License-Identifier: MIT
// Monotonic milliseconds: the only clock that timers and deadlines may use (design: all waits have a deadline of our own).
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void); // for record timestamps only
// The wall clock stands still there, -1: it runs. For rehearsals, whose process has one thread.
void clock_wall_fix(int64_t ms);
