// SPDX-License-Identifier: MIT
// The settings tables for others' eyes: editors take the JSON Schema, people the Markdown page. Both are checked in under conf/.
#pragma once
#include "settings.h"
#include <stdio.h>

// Draft 07. What it refuses onced refuses too; what it can't tell (ranges of durations, files, other pipelines) it lets pass.
void config_schema_write(const struct setting *table, const char *title, FILE *out);
// A table of every key: value, default, meaning.
void config_page_write(const struct setting *table, FILE *out);
// A table of the raw librdkafka properties that are refused, with the reasons.
void config_page_write_refused(FILE *out);
