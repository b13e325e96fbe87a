// SPDX-License-Identifier: MIT
// A YAML file as a tree whose every node knows its file, line and column. YAML 1.2 core only: tags, duplicate keys, several documents
// and alias bombs are errors; aliases share the node they name. Only yaml_tree.c knows libyaml. (Not yaml.h: that is libyaml's name.)
#pragma once
#include "pool.h"
#include "report.h"

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    struct report_place place;
    int end_line;
    const char *text; // YAML_TEXT: the scalar, without NUL bytes in it
    int plain;        // not quoted: may be read as a core type
    int secret;       // its text came from a credential or a file: never print it
    int is_key;
    int unknown;              // what it says couldn't be put together (reported): don't judge it
    struct yaml_node **items; // YAML_LIST: count of them; YAML_MAP: count pairs, key and value in turn
    int count;
    long weight;            // nodes in it, aliases expanded
    struct yaml_node *next; // all nodes of the file, in order; each once
};

struct yaml_file {
    const char *name;
    struct yaml_node *root; // NULL: the file could not be read, or is empty; then there was an error
    struct yaml_node *first;
};

// Reads the file; every error goes to `report`. What is returned belongs to `pool`.
struct yaml_file *yaml_read(struct pool *pool, struct report *report, const char *name);
// The value of a key, NULL: none.
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
