// SPDX-License-Identifier: MIT
// JSON numbers: integers exact, doubles by the fewest digits that read back as the same double.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { JSON_NUMBER_BYTES = 32 }; // no number that is written is longer

// The end of the number that starts at p (RFC 8259's grammar); NULL: there is none. *whole: without fraction and exponent.
const char *json_number_end(const char *p, const char *end, int *whole);
// Of a checked number. json_number_whole: 0, or -1 when it is beyond uint64, or negative and beyond int64.
int json_number_whole(const char *text, size_t size, uint64_t *magnitude);
// 0, or -1 when it is too large for a double. *number is the nearest one.
int json_number_double(const char *text, size_t size, double *number);

// Each returns the number of bytes written. `number` is finite.
size_t json_write_double(char *to, double number);
size_t json_write_uint64(char *to, uint64_t number);
size_t json_write_int64(char *to, int64_t number);

// Before the first json_write_double; any number of times.
void json_number_prepare(void);
