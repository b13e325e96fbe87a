// SPDX-License-Identifier: MIT
// What is wrong with the configuration, as people and machines want to read it: collected first, so that all of it is told, then
// printed in the order of the files. Neither messages nor excerpts show a secret. Used by yaml_tree, the config files and the command line.
#pragma once
#include <stddef.h>
#include <stdio.h>

enum report_format { REPORT_TEXT, REPORT_JSON, REPORT_GITHUB };

struct report_place {
    const char *file;
    int line, column, width; // from 1, in characters; line 0: the file as a whole
};

struct report;

struct report *report_new(enum report_format format, FILE *out);
void report_free(struct report **report);
// The text that excerpts of `file` are taken from; both are borrowed until the report is freed.
void report_source(struct report *report, const char *file, const char *text, size_t size);
// The token at `place` is masked in excerpts, up to and with `end_line`.
void report_secret(struct report *report, struct report_place place, int end_line);
// A text that no message may have in it, of at least four bytes: a shorter one is in many words.
void report_conceal(struct report *report, const char *text, size_t size);
// Is what this key holds a secret by its looks? Then excerpts mask it in any file.
int report_names_secret(const char *key);
// `suggestion` (NULL: none) becomes `; did you mean "..."?`.
void report_error(struct report *report, struct report_place place, const char *suggestion, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void report_warning(struct report *report, struct report_place place, const char *format, ...) __attribute__((format(printf, 3, 4)));
int report_errors(const struct report *report);
// Writes what was collected since the last call, sorted by file (in the order of report_source), line and column.
void report_print(struct report *report);
