// SPDX-License-Identifier: MIT
// What of a cluster the promise rests on (R9): one table of what can be found, how grave each is and what is said of it. Found by sink
// and source; said by the log when a pipeline starts, by `onced check --online` when somebody asks.
#pragma once
#include "err.h"

enum audit_level { AUDIT_PRINTS, AUDIT_WARNS, AUDIT_REFUSES };

enum audit_finding {
    AUDIT_UNREACHABLE, // each with the arguments of its text in audit.c
    AUDIT_INPUT_MISSING,
    AUDIT_PATTERN_MATCHES_NONE,
    AUDIT_OUTPUT_MISSING,
    AUDIT_OUTPUT_CREATED,
    AUDIT_TOPIC_REFUSED,
    AUDIT_GROUP_REFUSED,
    AUDIT_TIMEOUT,
    AUDIT_UNVERIFIED,
    AUDIT_UNCLEAN,
    AUDIT_ONE_REPLICA,
    AUDIT_MIN_ISR,
    AUDIT_TRANSACTIONS_REPLICA,
    AUDIT_OFFSETS_REPLICA,
    AUDIT_OFFSETS_MIN_ISR,
    AUDIT_COMPACTED,
    AUDIT_UNREADABLE,
    AUDIT_TOPIC,
    AUDIT_GROUP,
    AUDIT_FINDINGS
};

// Who is told.
struct audit {
    void (*found)(struct audit *audit, enum audit_level level, const char *text);
};

void audit_found(struct audit *audit, enum audit_finding finding, ...);
// The log: what is refused is a warning there, for the brokers' own refusal follows or they may mend it.
extern struct audit audit_log;
