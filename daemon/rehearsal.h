// SPDX-License-Identifier: MIT
// A pipeline without Kafka: one config, one transform, one batch a run, and notes of what became of the records. Read by gcc, and by
// ffi.cdef behind bridge.h (this text is embedded): lua/onced/testing.lua is what calls it. No includes, no macros. One thread, any
// number at once; the struct's texts live as long as it, what lies in the batch or the notes until the next onced_rehearsal_clear.
#pragma once

enum { ONCED_REHEARSAL_VERSION = 1 }; // onced.testing refuses another one

struct onced_rehearsal_output {
    const char *name;
    int32_t first_topic, topic_count; // in onced_rehearsal.topics
};

struct onced_rehearsal_note {
    const char *kind;    // "said", "counted", "dropped", "rejected", else what a dead letter's header would say: "error", "limit", ...
    const char *policy;  // "stop", "skip" or "dlq" of what failed or was rejected
    const char *place;   // script:line of what failed
    const char *text;    // message or reason
    int64_t text_size;   // bytes, without the terminator
    double amount;       // of what the script counted in a counter, whose name and labels are the text
    int32_t first, last; // of what failed or was dropped: the batch's records [first, last)
};

struct onced_rehearsal {
    const char *problem;                        // of the call that failed
    const char *name, *params_json, *data_json; // transform's params and data
    int64_t data_size;
    const char *const *inputs; // topics as in the file, input_count of them
    const struct onced_rehearsal_output *outputs;
    struct onced_topic *topics; // all that are written; their limits may be changed
    struct onced_batch *batch;  // of the present run
    int64_t now_ms;             // the wall clock stands there, -1: it runs
    int32_t input_count, output_count, topic_count;
    int32_t dlq_topic; // -1: none
    int32_t note_count;
    struct onced_rehearsal_note *notes;
};

// Reads and checks a pipeline file as the daemon does; no brokers need be known. Never NULL; `problem` isn't NULL: it can't be started.
struct onced_rehearsal *onced_rehearsal_new(const char *pipeline_file, const char *service_file);
// The same for a command, whose request must name one pipeline file.
struct config_request;
struct onced_rehearsal *rehearsal_new(const struct config_request *request);
// Of a rehearsal without `problem`: what the file says, valid as long as the rehearsal.
struct config_pipeline;
const struct config_pipeline *rehearsal_pipeline(const struct onced_rehearsal *rehearsal);
// Loads the script and runs its init with this data and these params. Started before: that one's close runs first. 0, or -1 with problem.
int onced_rehearsal_start(struct onced_rehearsal *rehearsal, const char *params_json, const char *data_json, int64_t data_size);
// Lets go of the last run's records, outputs and notes.
void onced_rehearsal_clear(struct onced_rehearsal *rehearsal);
// Copies a record; its topic_index is ignored. 0; or -1 with problem: the file doesn't name its topic.
int onced_rehearsal_add(struct onced_rehearsal *rehearsal, const char *topic, const struct onced_record *record,
                        const struct onced_header *headers, int32_t header_count);
// Runs what was added. 0; or -1: the pipeline has halted, `problem` says why; records from *done on weren't run.
int onced_rehearsal_run(struct onced_rehearsal *rehearsal, int32_t *done);
void onced_rehearsal_free(struct onced_rehearsal *rehearsal); // runs close
// RFC 3339 to milliseconds since 1970. 0, or -1.
int onced_rehearsal_time(const char *text, int64_t *ms);
