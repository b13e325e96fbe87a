// SPDX-License-Identifier: MIT
// Kafka's wire format as far as the fault proxy reads it: request headers, who wrote a transactional request, and where the error codes
// of an answer stand. Unknown keys and versions are frames without details; nothing here fails on a frame that makes no sense.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    KEY_PRODUCE = 0,
    KEY_INIT_PRODUCER_ID = 22,
    KEY_ADD_PARTITIONS = 24,
    KEY_ADD_OFFSETS = 25,
    KEY_END_TXN = 26,
    KEY_TXN_OFFSET_COMMIT = 28,
    FRAME_ERRORS = 64, // error codes looked at in one answer
};

struct request {
    int key, version;
    int32_t correlation;
    int has_producer; // pid and epoch are there
    int64_t pid;
    int epoch;
    int commit;    // EndTxn: 1 commit, 0 abort; -1 others
    int has_batch; // Produce, first batch: the fields below
    int32_t partition, sequence, records;
    char who[128];  // transactional id
    char what[128]; // topic (Produce) or group (TxnOffsetCommit, AddOffsets)
};

// The frame without its length. Returns 0, or -1 if not even the header is there.
int frame_request(const uint8_t *frame, size_t size, struct request *out);

// Offsets in an answer's frame at which error codes (int16) stand; returns how many. 0 for keys that aren't known.
int frame_errors(const uint8_t *frame, size_t size, int key, int version, size_t at[FRAME_ERRORS]);

int frame_known(int key);         // can frame_errors read it?
int frame_transactional(int key); // is it one of those that the log shows?
const char *frame_name(int key);
int frame_i16(const uint8_t *p);
int32_t frame_i32(const uint8_t *p);
