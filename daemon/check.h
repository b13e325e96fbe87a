// SPDX-License-Identifier: MIT
// What can be said of a configuration beyond its files: each script is loaded and initialised in a child process within a time limit,
// and the librdkafka properties are judged by that library. Connects to nothing. May be called where nobody waits for other children.
#pragma once
#include "config.h"

// 1: all is well; else what is wrong is written to `out`.
int check_pipeline(const struct config_pipeline *pipeline, enum config_format format, FILE *out);
// What the master hands to its workers: seat and recipe of each pipeline are put on the shelf, in their order, with the files of each
// script that could be loaded. Returns the number of errors, which are written to `out`.
int check_recipes(const struct config *config, FILE *out, int shelf);
