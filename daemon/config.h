// SPDX-License-Identifier: MIT
// The pipeline and service files (interface.md section 1), read, checked and typed. Every error is collected with file, line and
// column; nothing is returned half-checked. All memory belongs to the config and lives as long as it. Read-only after loading, so
// the master's copy serves every worker it forks.
#pragma once
#include "err.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct config_property {
    const char *name, *value;
    int secret;
    const char *file; // where it was written, NULL: it comes from another setting
    int line, column;
}; // a raw librdkafka property
struct config_properties {
    struct config_property *items;
    int count;
};

struct config_cluster {
    const char *name;
    struct config_properties both, consumer, producer; // brokers, tls and sasl already translated into `both`
    const char *brokers_from;                          // what set them instead of the service file: "--brokers"; NULL: nothing
};

struct config_param {
    const char *name; // NULL ends the list, and is where one that is missing should be
    int line, column;
};

enum config_start { START_EARLIEST, START_LATEST, START_TIME };
enum config_policy { POLICY_STOP, POLICY_SKIP, POLICY_DLQ };

struct config_header {
    const char *name, *value;
};

struct config_output {
    const char *name;     // as scripts know it: out.NAME
    const char *topic;    // template, "orders-{region}", or the topic itself
    const char *variable; // "region", or NULL
    const char **values;  // the listed values, value_count of them
    int value_count;
    int first_topic;               // index in config_pipeline.topics; value i's topic is first_topic + i (1 topic without a variable)
    struct config_header *headers; // static ones
    int header_count;
    const char *compression; // none, gzip, snappy, lz4, zstd
    int create_partitions;   // 0: the topic must exist
};

struct config_topic {
    const char *name;
    const char *compression;
    int create_partitions;
}; // an output topic, expanded

struct config_pipeline {
    const char *file; // the YAML file, as it was named
    const char *name, *group, *instance;
    int workers;
    const struct config_cluster *cluster;
    struct config_properties both, consumer, producer; // cluster's and pipeline's merged; pipeline wins
    struct {
        const char **topics; // a leading ^ is a regex
        int topic_count;
        enum config_start start;
        int64_t start_ms; // START_TIME: milliseconds since 1970
        int64_t session_timeout_ms;
        int gap_continue; // on_gap: continue
    } input;
    struct {
        const char *script;                // path, resolved
        const char *params_json;           // the params mapping as JSON text ("{}" when none)
        const struct config_param *params; // where each was written, in the pipeline's file; for check
        const char *allow_json;            // list of names as JSON
        const char *data_json;             // the files of `data` as one JSON object, checked; data_size bytes
        int64_t data_size;
        int64_t memory_bytes, record_time_ms, outputs_per_record;
        const char **lua_path; // directories where require() looks after the script's own
        int lua_path_count;
        const char *texts; // its files as they were validated (texts.h); texts_size 0: as they are now
        size_t texts_size;
        uint64_t edition; // of the script, grows with each that a worker is given
    } transform;
    struct config_output *outputs; // as declared; `default` is found by name
    int output_count;
    struct config_topic *topics; // every output topic, expanded; the dead-letter topic last where there is one
    int topic_count;
    int dlq_topic; // index in topics, -1: none
    enum config_policy on_error, on_reject;
    double dlq_max_ratio; // 0: no limit
    int64_t dlq_min, dlq_per_ms;
    struct {
        int64_t commit_every_ms, max_records, max_bytes, timeout_ms;
    } transaction;
    int allow_loop;
};

struct config {
    const char *file;                     // the service file, NULL: none
    const char *instance, *instance_from; // from: "ONCED_INSTANCE" or "default"; NULL: the service file
    struct config_cluster *clusters;
    int cluster_count;
    struct config_pipeline *pipelines;
    int pipeline_count;
    const char *control_socket, *http_listen, *state_directory; // NULL: none
    int64_t drain_timeout_ms;
    int leave_on_stop;
    int log_level; // enum log_level
};

struct config_request {
    const char *service_file;     // -c, NULL: none was named
    const char *const *pipelines; // pipeline files named on the command line; with any, the service file's list is ignored
    int pipeline_count;
    const char *brokers;  // --brokers or ONCED_BROKERS, NULL: from the service file; replaces those of the cluster `main` or the only one
    int brokers_yield;    // ONCED_BROKERS: only where the service file names no cluster
    int brokers_optional; // check: brokers may be unknown
    int checked;          // the same files were found good by another process just now
    const char *instance; // ONCED_INSTANCE: beats the service file; NULL: none
};

enum config_format { CONFIG_TEXT, CONFIG_JSON, CONFIG_GITHUB };

// Reads, interpolates and checks everything. NULL when there was any error; all of them are written to `report` in `format`
// (warnings too), and *errors counts them.
struct config *config_load(const struct config_request *request, enum config_format format, FILE *report, int *errors);
// The whole of it as YAML that onced would read: each file's keys and the defaults of those that are missing. Secrets are redacted.
// with_origins: behind each value where it was written, or "default".
void config_print(const struct config *config, int with_origins, FILE *out);
void config_free(struct config **config);
// What a service file says of control.socket, whatever else may be wrong with it; NULL: nothing. To be freed.
char *config_socket(const char *service_file);
