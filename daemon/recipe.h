// SPDX-License-Identifier: MIT
// A pipeline's configuration as flat bytes, in two parts: the seat is what its Kafka clients were made with, so that a worker has to be
// started anew when it changes; the recipe is all that a running worker can exchange, settings and the texts of the script's files.
// Equal bytes mean equal behaviour. The master writes, workers read.
#pragma once
#include "config.h"

struct recipe_bytes {
    char *data;
    size_t size;
};

struct recipe_bytes recipe_seat(const struct config_pipeline *pipeline);
struct recipe_bytes recipe_write(const struct config *config, const struct config_pipeline *pipeline, const char *texts, size_t texts_size);
int recipe_equal(const struct recipe_bytes *a, const struct recipe_bytes *b);

// A configuration with the recipe's part replaced; it lives as long as the recipe.
struct recipe {
    struct config config;
    struct config_pipeline pipeline;
    struct recipe_bytes bytes;
    const char **lua_path;
};

// Takes `bytes` over.
struct recipe *recipe_read(struct recipe_bytes bytes, const struct config *config, const struct config_pipeline *pipeline);
void recipe_free(struct recipe **recipe);

// The shelf is a file in memory that a pipeline's workers inherit. Only the master writes to it, so that a place once told is final.
enum { RECIPE_FIRST = 8 };                                        // the first place; 0 is none
int recipe_shelf(void);                                           // a descriptor, or -1 with errno
uint64_t recipe_put(int shelf, const struct recipe_bytes *bytes); // its place, or 0 with errno
struct recipe_bytes recipe_take(int shelf, uint64_t place);
void recipe_clear(int shelf, uint64_t before); // lets go of the memory of what lies before a place
