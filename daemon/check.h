// SPDX-License-Identifier: MIT
// `onced check`: the configuration as `run` would read it, then each script, loaded and initialised in a child process within a time
// limit, and the librdkafka properties, as that library judges them. Connects to nothing.
#pragma once
#include "config.h"

// Writes what it finds, and a line for each file that is well, to `out`. EX_OK or EX_CONFIG.
int check_run(const struct config_request *request, enum config_format format, FILE *out);
