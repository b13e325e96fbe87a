// SPDX-License-Identifier: MIT
// What the targets of spec/fuzz share.
#pragma once
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// libFuzzer calls these.
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Something that may not be, whatever the input: says what, and ends the run, which keeps the input.
static inline _Noreturn __attribute__((format(printf, 1, 2))) void finding(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("finding: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}
