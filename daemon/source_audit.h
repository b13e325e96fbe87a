// SPDX-License-Identifier: MIT
// The audit's questions about what a pipeline reads: its input topics and its group. Joins nothing, commits nothing.
#pragma once
#include "audit.h"
#include "config.h"

// OK; RETRY: the brokers don't answer; HALT: a setting was refused.
enum verdict source_audit_run(struct audit *audit, const struct config_pipeline *pipeline, struct err *e);
