// SPDX-License-Identifier: MIT
// May this be a pattern of input topics? librdkafka takes those that begin with ^ as POSIX extended regular expressions, by the C
// library's regcomp, which has no bounds of its own: "^(){0,255}" takes it seconds, "^(a{0,255}){0,255}" gigabytes.
#pragma once
#include <stddef.h>

// NULL: it compiles, soon. Otherwise what is to be said of the pattern, put behind its text; lent until the next call, or `text`.
const char *config_pattern_problem(const char *pattern, char *text, size_t size);
