// SPDX-License-Identifier: MIT
// The user's transform: one lua_State, one script, used by the front thread only. It knows batches and nothing of Kafka. Failures of
// a record are answered by the pipeline's policy here: skip and dlq leave the batch whole, stop comes back as HALT.
#pragma once
#include "batch.h"
#include "config.h"
#include "stats.h"

struct texts;
struct transform;

// Loads the script and runs its init. `pipeline` and `stats` must outlive it. NULL: *e is HALT with the script's file and line.
// stats may be NULL (check, specs): the transform then has its own.
struct transform *transform_new(const struct config_pipeline *pipeline, int worker, struct stats *stats, struct err *e);
void transform_free(struct transform **transform);                      // runs close()
const struct texts *transform_texts(const struct transform *transform); // the files it is made of

// Transforms records [batch->transformed, batch->transformed + count) and advances batch->transformed over those that are done.
// OK; or HALT: on_error or on_reject is stop; `transformed` then stands before the culprit, whose outputs are taken back, and
// *e names the script's line and the record's topic, partition and offset.
// Stops early, with OK, after about 100 ms: the caller goes on polling and calls again; and with batch->cut behind a record that killed
// the worker twice, and was answered by on_error without being run.
enum verdict transform_run(struct transform *transform, struct batch *batch, int32_t count, struct err *e);

// The outputs of record `source` were refused by the broker for good (R15): takes them back and applies on_error to the record.
// Touches no lua_State: back may call it, for a batch that it owns. OK or HALT as above.
enum verdict transform_refuse(const struct config_pipeline *pipeline, struct batch *batch, int32_t source, const char *kind,
                              const char *message, struct err *e);

// The Lua it was built with, "LuaJIT 2.1.0-beta3".
const char *transform_runtime(void);
