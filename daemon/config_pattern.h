// SPDX-License-Identifier: MIT
// May this be a pattern of input topics? librdkafka takes those that begin with ^ as POSIX extended regular expressions, by the C
// library's regcomp, which has no bounds of its own: "^(){0,255}" takes it seconds, "^(a{0,255}){0,255}" gigabytes.
#pragma once
#include <stddef.h>

// NULL: it compiles, soon. Otherwise what is to be said of the pattern, put behind its text; lent until the next call, or `text`.
// checked: another process has had that answer for the same pattern just now; nothing is tried again, nor waited for.
const char *config_pattern_problem(const char *pattern, int checked, char *text, size_t size);
