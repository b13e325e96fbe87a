// SPDX-License-Identifier: MIT
// Records that a worker died over, for its next life: the script caused the death, so another one is to be expected. They lie in the
// worker's shared page, written by the master while there is no process, read by the process. A topic is told by a hash of its name.
#pragma once
#include <stdint.h>

enum {
    SUSPECTS_MOST = 32, // at most one a partition is alive: what has killed is committed before more is run. The oldest gives way
    SUSPECT_DEATHS = 2, // so often a record may kill
};

enum death {
    DEATH_TIME,   // killed by the master for transform.limits.record_time
    DEATH_MEMORY, // by the kernel, for want of memory
    DEATH_CRASH,
};

struct suspect {
    uint64_t topic;
    int64_t first, last; // offsets: a stretch whose culprit isn't known, or one record
    int32_t partition;
    int16_t deaths; // of the one record; 0: a stretch
    int16_t cause;  // enum death, of the latest
};

struct suspects {
    struct suspect list[SUSPECTS_MOST];
    int32_t count;
};

// A death over records [first, last]; returns how many are held against a single one, 0 for a stretch. Earlier suspects of the partition
// are forgotten: they were passed.
int suspects_add(struct suspects *suspects, const char *topic, int32_t partition, int64_t first, int64_t last, enum death cause);
// The suspect that a record is, or is a part of; the one with most deaths. NULL: none.
const struct suspect *suspects_find(const struct suspects *suspects, const char *topic, int32_t partition, int64_t offset);
