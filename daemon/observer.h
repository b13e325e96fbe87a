// SPDX-License-Identifier: MIT
// Is told what scripts say, instead of the log, and what becomes of records that aren't sent: a rehearsal's ears. One for the process,
// which then has one thread; the daemon has none. Texts are valid during the call only.
#pragma once
#include "config.h"

struct failure;
struct observer {
    void (*said)(struct observer *observer, int level, const char *text, int64_t size);
    void (*dropped)(struct observer *observer, int32_t first, int32_t last, const char *reason);
    void (*failed)(struct observer *observer, int32_t record, enum config_policy policy, const struct failure *failure);
};

void observer_set(struct observer *observer);                 // NULL: nobody
int observer_said(int level, const char *text, int64_t size); // false: nobody was there to hear it
void observer_dropped(int32_t first, int32_t last, const char *reason);
void observer_failed(int32_t record, enum config_policy policy, const struct failure *failure);
