// SPDX-License-Identifier: MIT
// The master: forks a process for each worker, restarts it with backoff, watches heartbeats, owns signals and sd_notify. One thread,
// epoll, no librdkafka handle and no lua_State, so that fork is safe at any time.
#pragma once
#include "config.h"

// Runs all pipelines until SIGTERM or SIGINT (drain; a second one ends at once) or until every pipeline has halted.
// SIGHUP and the control socket's reload take over what has changed in the files of `request`. Owns the configuration.
// Returns the process's exit code (sysexits.h).
int supervisor_run(struct config *config, const struct config_request *request);
