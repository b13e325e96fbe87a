// SPDX-License-Identifier: MIT
// A configuration while it is being read; private to the config files. Every stage goes on after an error, with defaults in place of what
// is wrong, so that one run reports everything. The stages: config.c reads, config_check.c holds each value against the settings table,
// config_cluster.c and config_pipeline.c fill the structs, config_rules.c compares pipelines with each other.
#pragma once
#include "config.h"
#include "settings.h"
#include "yaml_tree.h"

struct config_draft_pipeline {
    const struct yaml_node *root;
    struct report_place name_place, group_place;
    struct report_place *input_places, *topic_places; // of input.topics and config_pipeline.topics, by index
};

// What config_free frees; the struct that others see comes first.
struct config_whole {
    struct config config;
    struct pool pool;
    const struct yaml_node *service; // the trees that it was made of, for config_print.c
    const struct config_draft_pipeline *pipelines;
};

struct config_draft {
    struct pool *pool;
    struct report *report;
    struct config *config;
    const struct config_request *request;
    const struct yaml_node *service;         // NULL: no service file
    struct config_draft_pipeline *pipelines; // by the index of config->pipelines
};

// config_value.c: a value by its setting. Neither writes to the report.
struct config_value {
    int64_t integer; // also SETTING_BOOLEAN, SETTING_DURATION (ms), SETTING_SIZE (bytes); SETTING_CHOICE: the index of the word
    double number;
    const char *text;
};
// 0; or -1 with the end of a sentence that starts with the setting's name: "must be a whole number"; empty: it was reported before.
int config_value_read(const struct setting *setting, const struct yaml_node *node, struct config_value *value, char *problem, size_t size);
// The value, or the default when the node is missing (NULL) or wrong.
struct config_value config_value(const struct setting *table, const char *path, const struct yaml_node *node);
// The node at a dotted path without names of the user in it, NULL: none.
const struct yaml_node *config_node(const struct yaml_node *root, const char *path);
// A number as its kind is written: 1500 ms are "1500ms", 60000 "1m".
void config_quantity(enum setting_kind kind, double value, char *text, size_t size);
int config_is_null(const struct yaml_node *node);
// The texts of a list, or of a lone text.
const char **config_texts(struct config_draft *draft, const struct yaml_node *node, int *count);
// `path` as seen from the folder of `file`.
const char *config_beside(struct config_draft *draft, const char *file, const char *path);

// config_check.c: reports every key that the table doesn't know and every value of the wrong type.
void config_check(struct config_draft *draft, const struct setting *table, const struct yaml_node *root);

// config_data.c: the files of transform.data as one JSON object; "{}" when there are none. Every error is reported.
const char *config_data(struct config_draft *draft, const char *yaml, const struct yaml_node *map, int64_t *size);

// config_property.c: raw librdkafka properties. `name` is how users know the map; nested: it may hold `consumer` and `producer`.
void config_property_check(struct config_draft *draft, const char *name, const struct yaml_node *map, int nested);
// The name of the i-th property that is always refused, and why; NULL: there are no more.
const char *config_property_refused(int index, const char **reason);
int config_property_is_secret(const char *name);
void config_property_set(struct config_draft *draft, struct config_properties *properties, const char *name, const char *value);
// `kafka:` of a file into the three lists; what they say about a name replaces what was there.
void config_property_read(struct config_draft *draft, const struct yaml_node *map, struct config_properties *both,
                          struct config_properties *consumer, struct config_properties *producer);

// config_cluster.c: fills config->clusters and config->instance.
void config_cluster_build(struct config_draft *draft);
// config_pipeline.c: appends to config->pipelines.
void config_pipeline_build(struct config_draft *draft, const struct yaml_file *file);
// config_rules.c: groups, names, loops.
void config_rules_check(struct config_draft *draft);

// params.c: a tree as JSON. Core types keep their text where JSON allows it.
const char *params_json(struct config_draft *draft, const struct yaml_node *node);
