// SPDX-License-Identifier: MIT
// Records for `onced try` out of lines of text.
#pragma once
#include <stdio.h>

#include "kafka_sample.h"

struct try_input {
    FILE *in;
    const char *topic;   // of records that name none
    int is_json;         // a line is an object with value, key, headers, timestamp, partition, topic; else it is a value
    char problem[256];   // of the line that can't be read
    int line;            // of the present record, from 1
    int64_t next_offset; // records are numbered
};

// Calls `take` for each line until it answers non-zero. 0; or -1: `problem` says what is wrong with `line`.
int try_input_read(struct try_input *input, int (*take)(void *opaque, const struct kafka_sample *sample), void *opaque);
