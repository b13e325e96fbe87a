// SPDX-License-Identifier: MIT
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum verdict err_set(struct err *e, enum verdict verdict, int code, const char *format, ...)
{
    char text[sizeof e->text];
    va_list arguments;
    e->verdict = verdict;
    e->code = code;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(e->text, text, strlen(text) + 1);
    return verdict;
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"OK", "RETRY", "RESEND", "RESTART", "HALT"};
    return (unsigned)verdict < sizeof names / sizeof *names ? names[verdict] : "?";
}

void must_fail(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "<2>onced: broken invariant: %s (%s:%d, %s); the process ends, its transaction is aborted\n", condition, file, line,
            function);
    abort();
}
