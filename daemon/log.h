// SPDX-License-Identifier: MIT
// Log lines on stderr: `orders#0: committed records=500 ms=12`, with a <N> priority prefix under journald (JOURNAL_STREAM). One
// write per line, from any thread; never blocks on anything but stderr and never allocates.
#pragma once
#include <stdarg.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_NOTICE = 5, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_init(enum log_level most);    // lines above `most` are dropped; looks at JOURNAL_STREAM
void log_name(const char *format, ...) // who speaks: "onced" or "orders#0"; copied
    __attribute__((format(printf, 1, 2)));
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
// True at most once in `seconds` for each *last (monotonic ms, 0 at first): keeps a repeated message from flooding.
int log_due(long long *last, int seconds);

static inline const char *plural(long long count) // "%d partition%s"
{
    return count == 1 ? "" : "s";
}

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
