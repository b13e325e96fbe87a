// SPDX-License-Identifier: MIT
// Scalars of the YAML 1.2 core schema and the values with units that settings are written in. Pure functions.
#pragma once
#include <stdint.h>

enum scalar_type { SCALAR_NULL, SCALAR_BOOLEAN, SCALAR_INTEGER, SCALAR_FLOAT, SCALAR_STRING };

// What an unquoted scalar is: `no`, `on` and `12:30` are strings, as YAML 1.2 says.
enum scalar_type scalar_type(const char *text);
// An integer of the core schema (also 0x.., 0o..). 0, or -1: beyond 64 bits.
int scalar_integer(const char *text, int64_t *value);
// A whole number with a unit; a bare 0 needs none. 0, or -1 with *problem set (static text).
int scalar_duration(const char *text, int64_t *ms, const char **problem);
int scalar_size(const char *text, int64_t *bytes, const char **problem);
// RFC 3339 to milliseconds since 1970; digits beyond them are cut off, a leap second is the next minute's first. 0, or -1 with *problem set
// (static text).
int scalar_time(const char *text, int64_t *ms, const char **problem);
enum { SCALAR_TIME_SIZE = 24 };
// "2026-01-31T10:00:00.000Z", not terminated. 0, or -1: outside of the years 0 to 9999.
int scalar_time_write(int64_t ms, char text[SCALAR_TIME_SIZE]);
