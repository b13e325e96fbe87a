// SPDX-License-Identifier: MIT
// Faults by script, for the test build only: the shipped binary holds nothing of this file. The environment is read once, before
// main and any thread; afterwards only the pass counters change, atomically. Passes count per process: a restarted worker begins
// at one again. An unknown name or action ends the process at once: a misspelt fault would make a spec that can't fail.
#ifdef FAILPOINTS
#include "failpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum action { ACTION_NONE, ACTION_KILL, ACTION_STOP, ACTION_SLEEP, ACTION_HOLD };

static struct point {
    const char *name;
    enum action action;
    unsigned long number; // the pass for kill and stop, milliseconds for sleep
    const char *file;     // of hold
    atomic_ulong passes;
} points[] = {
    {.name = "after-poll"},     {.name = "after-lua"},     {.name = "after-begin"},   {.name = "after-produce"},
    {.name = "before-offsets"}, {.name = "after-offsets"}, {.name = "before-endtxn"}, {.name = "after-endtxn"},
    {.name = "in-revoke"},      {.name = "in-init"},       {.name = "in-close"},
};

static struct guard {
    const char *name;
    int off;
} guards[] = {
    {"taint", 0},          {"maybe", 0},      {"abort", 0},        {"snapshot-revoke", 0}, {"assignment-number", 0},
    {"drop-successor", 0}, {"rewind", 0},     {"offset-guard", 0}, {"eof-offsets", 0},     {"membership", 0},
    {"static-check", 0},   {"flush", 0},      {"settle", 0},       {"resend", 0},          {"outcome", 0},
    {"fenced", 0},         {"quarantine", 0}, {"predecessor", 0},  {"markers", 0},         {"boundary", 0},
    {"member", 0},         {"seen", 0},
};

enum { POINTS = sizeof points / sizeof *points, GUARDS = sizeof guards / sizeof *guards };

static _Noreturn void refuse(const char *variable, const char *text, const char *why)
{
    fprintf(stderr, "onced: %s: %s in \"%s\"; daemon/failpoint.h lists what there is\n", variable, why, text);
    _exit(64);
}

static struct point *point_find(const char *name)
{
    for (int i = 0; i < POINTS; i++)
        if (strcmp(points[i].name, name) == 0)
            return &points[i];
    return NULL;
}

static struct guard *guard_find(const char *name)
{
    for (int i = 0; i < GUARDS; i++)
        if (strcmp(guards[i].name, name) == 0)
            return &guards[i];
    return NULL;
}

static int number_parse(const char *text, unsigned long *number)
{
    char *end;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return end != text && *end == '\0' && errno == 0 && *number > 0;
}

// NAME=ACTION[:ARGUMENT], cut up in place.
static void point_parse(char *text)
{
    char *action = strchr(text, '=');
    if (!action)
        refuse("ONCED_FAILPOINT", text, "no action");
    *action++ = '\0';
    struct point *point = point_find(text);
    if (!point)
        refuse("ONCED_FAILPOINT", text, "unknown name");
    char *argument = strchr(action, ':');
    if (argument)
        *argument++ = '\0';

    point->number = 1;
    if (strcmp(action, "kill") == 0 || strcmp(action, "stop") == 0) {
        if (argument && !number_parse(argument, &point->number))
            refuse("ONCED_FAILPOINT", argument, "no pass number");
        point->action = *action == 'k' ? ACTION_KILL : ACTION_STOP;
    } else if (strcmp(action, "sleep") == 0) {
        if (!argument || !number_parse(argument, &point->number))
            refuse("ONCED_FAILPOINT", text, "sleep without milliseconds");
        point->action = ACTION_SLEEP;
    } else if (strcmp(action, "hold") == 0) {
        if (!argument || !*argument)
            refuse("ONCED_FAILPOINT", text, "hold without a file");
        point->file = argument;
        point->action = ACTION_HOLD;
    } else {
        refuse("ONCED_FAILPOINT", action, "unknown action");
    }
}

static void guard_parse(char *text)
{
    struct guard *guard = guard_find(text);
    if (!guard)
        refuse("ONCED_GUARD_OFF", text, "unknown guard");
    guard->off = 1;
}

static void each_item(const char *variable, char *copy, size_t size, void (*parse)(char *))
{
    const char *value = getenv(variable);
    if (!value || !*value)
        return;
    if (strlen(value) >= size)
        refuse(variable, value, "too much");
    strcpy(copy, value);
    for (char *item; (item = strsep(&copy, ","));)
        parse(item);
}

__attribute__((constructor)) static void environment_read(void)
{
    static char asked[8192], off[1024]; // points refer to their texts here
    each_item("ONCED_FAILPOINT", asked, sizeof asked, point_parse);
    each_item("ONCED_GUARD_OFF", off, sizeof off, guard_parse);
}

static void pause_ms(unsigned long ms)
{
    struct timespec rest = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
        ;
}

// FILE.reached appears whole: written aside and renamed, so that a spec that sees it can read it.
static void hold(const char *file, unsigned long pass)
{
    char aside[1024], reached[1024];
    snprintf(aside, sizeof aside, "%s.reached.%ld", file, (long)getpid());
    snprintf(reached, sizeof reached, "%s.reached", file);
    FILE *out = fopen(aside, "w");
    if (!out)
        refuse("ONCED_FAILPOINT", aside, "can't write");
    fprintf(out, "%lu\n", pass);
    fclose(out);
    rename(aside, reached);
    while (access(file, F_OK) == 0)
        pause_ms(2);
}

void failpoint_hit(const char *name)
{
    struct point *point = point_find(name);
    if (!point)
        refuse("FAILPOINT", name, "unknown name");
    unsigned long pass = atomic_fetch_add(&point->passes, 1) + 1;
    switch (point->action) {
    case ACTION_NONE:
        break;
    case ACTION_KILL:
    case ACTION_STOP:
        if (pass == point->number) // of the process; but this thread is the one that mustn't go on, as it may when another takes the signal
            raise(point->action == ACTION_KILL ? SIGKILL : SIGSTOP);
        break;
    case ACTION_SLEEP:
        pause_ms(point->number);
        break;
    case ACTION_HOLD:
        hold(point->file, pass);
        break;
    }
}

int failpoint_guard(const char *name)
{
    struct guard *guard = guard_find(name);
    if (!guard)
        refuse("GUARD", name, "unknown guard");
    return !guard->off;
}
#endif
