// SPDX-License-Identifier: MIT
// See config_pattern.h. What a pattern costs can't be told from its text (nested groups, repeated empty ones, a stack of parentheses), so
// it is compiled and compared once in a process of its own, which may take 20 ms of a processor, and with them no more than some 50 MB.
#include "config_pattern.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATTERN_MOST = 1000, NAME_MOST = 249, TRIAL_MOST_US = 20000 }; // of processor time; what names topics takes less than one

static _Noreturn void trial(const char *pattern)
{
    static const int ends[] = {SIGPROF, SIGSEGV, SIGABRT};
    struct itimerval most = {.it_value = {.tv_usec = TRIAL_MOST_US}};
    char name[NAME_MOST + 1] = "";
    sigset_t set;
    regex_t regex;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        signal(ends[i], SIG_DFL);
        sigaddset(&set, ends[i]);
    }
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (setitimer(ITIMER_PROF, &most, NULL))
        _exit(1);
    memset(name, 'a', NAME_MOST);
    if (!regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB)) // the answer is asked for again by who sees this through
        (void)!regexec(&regex, name, 0, NULL, 0);
    _exit(0);
}

// NULL, or why the pattern may not be compiled in this process.
static const char *trial_problem(const char *pattern)
{
    int status;
    pid_t child = fork();
    if (child < 0)
        return "can't be tried: no process can be started";
    if (child == 0)
        trial(pattern);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return "can't be tried: its process is gone";
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
        return "can't be a pattern of topics: it takes more than 0.02 s to compile and compare; repeat nothing that repeats, or may be "
               "empty, itself";
    if (WIFSIGNALED(status))
        return "can't be a pattern of topics: compiling it crashes; nest it less";
    return status ? "can't be tried: no timer can be set" : NULL;
}

// \1 to \9, which POSIX leaves undefined and the C library follows, for hours if need be.
static int refers_back(const char *pattern)
{
    for (const char *at = pattern; (at = strchr(at, '\\')) && at[1]; at += 2)
        if (isdigit((unsigned char)at[1]))
            return 1;
    return 0;
}

const char *config_pattern_problem(const char *pattern, int checked, char *text, size_t size)
{
    regex_t regex;
    const char *problem;
    if (strlen(pattern) > PATTERN_MOST)
        return "can't be a pattern of topics: it is longer than 1000 bytes";
    if (refers_back(pattern))
        return "can't be a pattern of topics: what refers back, as \\1 does, can take hours to compare";
    if (!checked && (problem = trial_problem(pattern)))
        return problem;
    int code = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (!code) {
        regfree(&regex);
        return NULL;
    }
    int used = snprintf(text, size, "is not a regular expression: ");
    regerror(code, &regex, text + used, size - (size_t)used);
    return text;
}
