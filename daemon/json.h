// SPDX-License-Identifier: MIT
// Writing JSON to a stream: only what the configuration and its reports need.
#pragma once
#include <stddef.h>
#include <stdio.h>

// The text as a JSON string, quotes included. Bytes from 0x80 on pass as they are: the caller has checked that it is UTF-8.
void json_write_string(FILE *out, const char *text, size_t size);
