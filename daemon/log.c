// SPDX-License-Identifier: MIT
// A line is put together on the stack and leaves in one write: shorter than PIPE_BUF, so lines of several threads and processes
// never mix. Bytes that could forge a line or steer a terminal (texts come from brokers and scripts) become '?' and ' '.
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

enum { LINE_MAX_BYTES = 2048 };

static enum log_level most = LOG_LEVEL_INFO;
static int to_journal;
static char name[128] = "onced";

// journald says in JOURNAL_STREAM which device and inode it reads; after a redirection stderr is another one and wants no prefix.
static int journal_reads_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat now;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &now) == 0 && now.st_dev == device &&
           now.st_ino == inode;
}

void log_init(enum log_level most_verbose)
{
    most = most_verbose;
    to_journal = journal_reads_stderr();
}

void log_name(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
}

// snprintf returns what it would have written; this is what it did.
static size_t written(int result, size_t room)
{
    return result < 0 ? 0 : (size_t)result < room ? (size_t)result : room - 1;
}

static void line_clean(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '\n' || byte == '\r' || byte == '\t')
            text[i] = ' ';
        else if (byte < 0x20 || byte == 0x7f)
            text[i] = '?';
    }
}

void log_line(enum log_level level, const char *format, ...)
{
    static const char cut[] = " [cut]";
    if (level > most)
        return;
    int saved = errno;
    char line[LINE_MAX_BYTES];
    size_t size = 0;
    if (to_journal)
        size = written(snprintf(line, sizeof line, "<%d>", (int)level), sizeof line);
    size += written(snprintf(line + size, sizeof line - size, "%s: ", name), sizeof line - size);

    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(line + size, sizeof line - size, format, arguments);
    va_end(arguments);
    size_t text = written(wanted, sizeof line - size);
    if (wanted >= 0 && (size_t)wanted > text)
        memcpy(line + size + text - (sizeof cut - 1), cut, sizeof cut - 1);
    line_clean(line, size + text);
    size += text;
    line[size++] = '\n'; // over the terminator, which there is always room for

    while (write(STDERR_FILENO, line, size) < 0 && errno == EINTR)
        ;
    errno = saved;
}

int log_due(long long *last, int seconds)
{
    long long now = clock_ms(), before = __atomic_load_n(last, __ATOMIC_RELAXED);
    if (before && now - before < seconds * 1000LL)
        return 0;
    return __atomic_compare_exchange_n(last, &before, now ? now : 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
