// SPDX-License-Identifier: MIT
// The part of `onced check` that asks the brokers.
#pragma once
#include <stdio.h>

#include "config.h"
#include "report.h"

// Prints what was found of the pipeline, and in text the ACLs that it needs. Blocks for some seconds where no broker answers. True:
// something refuses.
int check_online(const struct config_pipeline *pipeline, enum report_format format, FILE *out);
