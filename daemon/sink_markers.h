// SPDX-License-Identifier: MIT
// Has what this worker wrote been ended everywhere? Kafka 4 (seen on 4.3.1) writes no marker to a partition that has no leader at the
// moment, as while a lone broker starts ("likely deleted already"), and calls the transaction complete: what stands there is ended by the
// next transaction of the same producer, as that one ends. After a transaction that wasn't cleanly committed readers must therefore have
// come past all of it before the next one begins. Used by the sink only, on its thread.
#pragma once
#include <librdkafka/rdkafka.h>

#include "bridge.h"
#include "config.h"
#include "err.h"

struct sink_markers;

struct sink_markers *sink_markers_new(const struct config_pipeline *pipeline);
void sink_markers_free(struct sink_markers **markers);
// The transactions up to now are to be checked, from the next sink_markers_check on. Call when the handle that wrote them goes.
void sink_markers_doubt(struct sink_markers *markers);
// `rk` is the initialised successor of that handle: nothing of the old one can be appended any more. `topics` are those of the pipeline.
// Waits a few seconds for transactions of others, which hold readers back as well. OK; RETRY: not yet, call again with a later successor.
enum verdict sink_markers_check(struct sink_markers *markers, rd_kafka_t *rk, const struct onced_topic *topics, struct err *e);
