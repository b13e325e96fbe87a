// SPDX-License-Identifier: MIT
// How long to wait before something that ended is started again. The first restart is immediate (a killed worker is to commit again
// within a second), and so is one after a life of some seconds, which can't become a busy loop; short lives wait 100 ms, doubling to
// 10 s; a minute of life forgets what was before.
#pragma once
#include <stdint.h>

struct backoff {
    int64_t next_ms; // of the next short life; zeroed = nothing ended yet
};

// Milliseconds to wait after a life of life_ms.
int64_t backoff_wait(struct backoff *backoff, int64_t life_ms);
