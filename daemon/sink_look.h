// SPDX-License-Identifier: MIT
// Do readers see what a transaction wrote? Its outputs and its offsets are in one transaction, so where the group's offsets say that it
// wasn't committed its outputs can't be seen, unless brokers have lost what they had acknowledged (one replica in sync is the default
// minimum, also of __consumer_offsets). Used by the sink only, on its thread.
#pragma once
#include <librdkafka/rdkafka.h>

#include "batch.h"
#include "config.h"
#include "err.h"
#include "sink.h"

enum { SINK_LOOK_MOST = 64 }; // partitions

// The first and the last record that were delivered to each partition in a transaction: a log that was cut short lacks its end. All zero:
// none yet.
struct sink_ends {
    struct sink_end {
        const rd_kafka_topic_t *rkt; // to tell topics apart, while the handle lives
        int32_t partition;
        int32_t outputs[2]; // indices in the batch
        int64_t offsets[2];
    } list[SINK_LOOK_MOST];
    int count;
    int more;                    // partitions that found no room, or have no known offset
    int latest;                  // index, -1: none
    const rd_kafka_topic_t *rkt; // of the report before
    int32_t partition;
    int64_t counted; // the offset that the next report has if its own isn't known, -1: known ones
};

// Of a delivery report without error, whose opaque is the output's index.
void sink_ends_note(struct sink_ends *ends, const rd_kafka_message_t *report);

struct sink_look;

// Reads those offsets as a committed reader, by a handle of its own, all first ones and then all last ones. `batch` must outlive the look.
// NULL: *e is HALT or RETRY.
struct sink_look *sink_look_new(const struct config_pipeline *pipeline, const struct batch *batch, const struct sink_ends *ends,
                                struct err *e);
void sink_look_free(struct sink_look **look); // NULL is fine
// Readers must have come past all that was written before (sink_markers.h). OK: *seen; what may not be read the log names. RETRY: not all
// partitions are through within `timeout_ms` and a few seconds for their bounds, call again.
enum verdict sink_look_poll(struct sink_look *look, int timeout_ms, enum sink_seen *seen, struct err *e);
