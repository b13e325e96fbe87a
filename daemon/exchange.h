// SPDX-License-Identifier: MIT
// What one worker's front runs with, recipe and transform, and how it comes to newer ones: they are made beside the running ones, on a
// thread of their own, so that a script that takes long to load keeps no record waiting; the pipeline says when to change over.
#pragma once
#include <pthread.h>

#include "recipe.h"
#include "stats.h"
#include "transform.h"

struct exchange {
    const struct config *config; // as the worker was started with
    const struct config_pipeline *pipeline;
    struct stats *stats;
    int number, shelf;
    struct recipe *recipe; // in force, and the transform made of it
    struct transform *transform;
    uint64_t next_place; // 0: nothing is being made
    struct recipe *next_recipe;
    struct transform *next; // NULL after the thread has ended: `failure` says why
    struct err failure;
    pthread_t maker;
    int64_t began_ms;
    int made, due; // its thread has ended; or it takes too long
};

// Takes what the shelf has for the worker at its start. OK, or HALT: the script can't be loaded.
enum verdict exchange_init(struct exchange *exchange, const struct config *config, const struct config_pipeline *pipeline, int number,
                           int shelf, struct stats *stats, struct err *e);
// Looks for a newer recipe and has it made. 1: exchange_take is due.
int exchange_is_due(struct exchange *exchange);
// Changes over; nothing that the old transform has made may be in use. OK, or HALT: it can't be loaded, or not in time,
// although it could be where it was validated.
enum verdict exchange_take(struct exchange *exchange, struct err *e);
