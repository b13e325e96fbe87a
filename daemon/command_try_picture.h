// SPDX-License-Identifier: MIT
// What `onced try` shows: a record, and below it what became of it.
#pragma once
#include <stdio.h>

#include "batch.h"
#include "rehearsal.h"

struct try_picture {
    FILE *out;
    int coloured;
    struct onced_json *before, *after; // for differences
    int64_t records, sent, dropped, rejected, failed;
};

// Coloured where `out` is a terminal and NO_COLOR isn't set.
void try_picture_init(struct try_picture *picture, FILE *out);
void try_picture_fini(struct try_picture *picture);
// The one record of the rehearsal's last run.
void try_picture_record(struct try_picture *picture, const struct onced_rehearsal *rehearsal);
// Says in a line what became of all.
void try_picture_sum(const struct try_picture *picture);
