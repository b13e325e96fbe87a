// SPDX-License-Identifier: MIT
// Every key of the two files in one table each: what the checker accepts, what is assumed when it is missing, what it means. The checker,
// the defaults, did-you-mean and the specs read it; a key that isn't here doesn't exist. Only plain C: the specs give this text to
// ffi.cdef.
#pragma once

enum setting_kind {
    SETTING_MAP,        // keys of this table below it
    SETTING_NAMED,      // a map whose keys the user names; what they hold is the row `path.*`
    SETTING_ANY_MAP,    // a map of anything: params
    SETTING_PROPERTIES, // raw librdkafka properties: scalars
    SETTING_TEXTS,      // a map of text
    SETTING_LIST,       // a list of text
    SETTING_LIST_OR_TEXT,
    SETTING_TEXT,
    SETTING_NAME,    // [a-z0-9-]
    SETTING_INTEGER, // least..most
    SETTING_NUMBER,  // least..most
    SETTING_BOOLEAN,
    SETTING_DURATION, // milliseconds, least..most
    SETTING_SIZE,     // bytes, least..most
    SETTING_CHOICE,
    SETTING_START,   // earliest, latest or a time
    SETTING_REFUSED, // known and never accepted: `doc` is the reason
};

enum setting_flags {
    SETTING_REQUIRED = 1,
    SETTING_SECRET = 2,
    SETTING_LATER = 4, // accepted, without effect in this version: a warning
};

struct setting {
    const char *path; // "*" stands for a key that the user names
    enum setting_kind kind;
    int flags;
    const char *fallback; // the default, as it would be written; NULL: none
    const char *choices;  // SETTING_CHOICE: "stop|skip|dlq"
    double least, most;
    const char *doc;
};

// Both end with a row whose path is NULL.
extern const struct setting settings_pipeline[], settings_service[];

// The row of `path`, NULL: none.
const struct setting *setting_find(const struct setting *table, const char *path);
// The row that was meant by `key` below the path `parent` ("" at the top): a sibling, or else the only key of that name elsewhere in the
// table. NULL: nothing is near. Where it isn't a sibling the whole path is the suggestion.
const struct setting *setting_suggest(const struct setting *table, const char *parent, const char *key, int *is_sibling);
const char *setting_kind_name(enum setting_kind kind);                   // "a duration such as 10s"
const char *setting_last(const struct setting *setting);                 // the key itself
int setting_is_below(const struct setting *setting, const char *parent); // directly; "" is the file
int setting_needs(const struct setting *table, const char *path);        // true: a key directly below is required
