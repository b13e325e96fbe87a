// SPDX-License-Identifier: MIT
// What the master knows of its pipelines and workers, as text for people or as JSON. Master only.
#pragma once
#include <stdio.h>

#include "roster.h"

// All pipelines, or the one of that name ("": all). `problem`: why the last reload wasn't taken, NULL: it was. 1; 0: no such pipeline.
int status_write(const struct roster *roster, const char *name, const char *problem, int as_json, FILE *out);
