// SPDX-License-Identifier: MIT
// See observer.h. Told by transform, set by rehearsal.
#include "observer.h"

static struct observer *present;

void observer_set(struct observer *observer)
{
    present = observer;
}

int observer_said(int level, const char *text, int64_t size)
{
    if (present)
        present->said(present, level, text, size);
    return present != NULL;
}

void observer_dropped(int32_t first, int32_t last, const char *reason)
{
    if (present)
        present->dropped(present, first, last, reason);
}

void observer_failed(int32_t record, enum config_policy policy, const struct failure *failure)
{
    if (present)
        present->failed(present, record, policy, failure);
}
