// SPDX-License-Identifier: MIT
// The loop of the master: signals in by signalfd, time by epoll's timeout, what to do with workers by the crews. Invariant: nothing
// in here blocks but epoll_wait, so a signal is answered at once whatever the workers do. Called by main, once in a process.
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "crew.h"
#include "lock.h"
#include "log.h"
#include "notify.h"

#ifndef REPORT_MS // specs are in a hurry
#define REPORT_MS 10000
#endif
enum {
    TICK_MS = 1000,      // heartbeats
    STARTING_MS = 50,    // until readiness is told
    FROZEN_MS = 5000,    // a turn later than this: the master itself was stopped, and perhaps its workers with it
    STATUS_MS = 5000,    // STATUS= at most this often
    LAST_WAIT_MS = 1000, // for killed workers, at the second SIGTERM
};

struct supervisor {
    const struct config *config;
    struct crew *crews;
    int count;
    int epoll, signals;
    int draining, at_once, ready;
    int64_t turned_ms, since_ms; // of the latest turn; silence before since_ms isn't held against workers
    int64_t report_ms, status_ms, watchdog_ms, watchdog_every_ms;
    char status[1024];
};

// An inherited SIG_IGN for SIGCHLD would make the kernel reap our children; SIGPIPE would end the master with a closed stderr.
static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static enum verdict supervisor_init(struct supervisor *s, const struct config *config, struct err *e)
{
    char directory[4096];
    *s = (struct supervisor){.config = config, .epoll = -1, .signals = signals_open()};
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (s->signals < 0 || s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->signals, &event) < 0)
        return err_set(e, HALT, errno, "can't watch signals: %s", strerror(errno));
    if (lock_directory(directory, sizeof directory, e) != OK)
        return e->verdict;
    log_debug("lock files are in %s", directory);
    s->crews = calloc((size_t)config->pipeline_count, sizeof *s->crews);
    if (!s->crews)
        return err_set(e, HALT, ENOMEM, "out of memory");
    for (int i = 0; i < config->pipeline_count; i++) {
        s->count++; // also a half-made one is to be taken down
        if (crew_init(&s->crews[i], config, &config->pipelines[i], directory, e) != OK)
            return e->verdict;
    }
    s->turned_ms = s->since_ms = s->report_ms = clock_ms();
    s->watchdog_every_ms = notify_watchdog_ms();
    return OK;
}

static void supervisor_fini(struct supervisor *s)
{
    for (int i = 0; i < s->count; i++)
        crew_fini(&s->crews[i]);
    free(s->crews);
    if (s->signals >= 0)
        close(s->signals);
    if (s->epoll >= 0)
        close(s->epoll);
}

static int supervisor_alive(const struct supervisor *s)
{
    int alive = 0;
    for (int i = 0; i < s->count; i++)
        alive += crew_alive(&s->crews[i]);
    return alive;
}

static int supervisor_halted(const struct supervisor *s)
{
    int halted = 0;
    for (int i = 0; i < s->count; i++)
        halted += s->crews[i].state == CREW_HALTED;
    return halted;
}

static void supervisor_reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        int ours = 0;
        for (int i = 0; i < s->count && !ours; i++)
            ours = crew_ended(&s->crews[i], pid, status, clock_ms());
    }
}

static void tell(const char *text)
{
    static long long told;
    if (notify_send(text) < 0 && log_due(&told, 60))
        log_warning("can't reach the service manager: %s", strerror(errno));
}

static void supervisor_stop(struct supervisor *s, const char *signal_name, int64_t now)
{
    if (s->draining) {
        log_warning("%s again: ending at once; open transactions are aborted by the next start", signal_name);
        s->at_once = 1;
        return;
    }
    s->draining = 1;
    log_notice("%s: finishing open batches, then stopping (drain_timeout %lld ms)", signal_name, (long long)s->config->drain_timeout_ms);
    tell("STOPPING=1\nSTATUS=finishing open batches");
    for (int i = 0; i < s->count; i++)
        crew_stop(&s->crews[i], now);
}

static void supervisor_signals(struct supervisor *s, int64_t now)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            supervisor_stop(s, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT", now);
        else if (info.ssi_signo == SIGHUP)
            log_notice("SIGHUP: reload is not in this version; restart onced to take up a changed configuration");
    }
}

// A halted pipeline doesn't hold up readiness: the others do their work, and the manager would end them for want of it.
static int supervisor_ready(const struct supervisor *s)
{
    for (int i = 0; i < s->count; i++)
        if (s->crews[i].state != CREW_HALTED && crew_ready(&s->crews[i]) < s->crews[i].count)
            return 0;
    return supervisor_halted(s) < s->count;
}

static void supervisor_status(struct supervisor *s, int64_t now)
{
    char line[sizeof s->status] = "STATUS=";
    size_t size = strlen(line);
    for (int i = 0; i < s->count && size + 3 < sizeof line; i++) {
        if (i > 0)
            size += (size_t)(stpcpy(line + size, "; ") - (line + size));
        int more = crew_status(&s->crews[i], line + size, sizeof line - size);
        size += more < (int)(sizeof line - size) ? (size_t)more : sizeof line - size - 1;
    }
    for (char *byte = line; *byte; byte++) // a line feed would begin another assignment
        if (*byte == '\n')
            *byte = ' ';
    if (strcmp(line, s->status) == 0)
        return;
    memcpy(s->status, line, sizeof line);
    s->status_ms = now + STATUS_MS;
    tell(line);
}

static void supervisor_notify(struct supervisor *s, int64_t now)
{
    if (s->draining)
        return; // STOPPING was the last word, but for the watchdog
    if (!s->ready && supervisor_ready(s)) {
        s->ready = 1;
        s->status_ms = 0;
        log_notice("ready: every worker is in its group");
        tell("READY=1");
    }
    if (now >= s->status_ms)
        supervisor_status(s, now);
}

static void supervisor_watchdog(struct supervisor *s, int64_t now)
{
    if (!s->watchdog_every_ms || now < s->watchdog_ms)
        return;
    for (int i = 0; i < s->count; i++)
        if (!crew_fresh(&s->crews[i], now, s->since_ms))
            return;
    s->watchdog_ms = now + s->watchdog_every_ms;
    tell("WATCHDOG=1");
}

static int64_t supervisor_due(const struct supervisor *s, int64_t now)
{
    int64_t due = now + (s->ready || s->draining ? TICK_MS : STARTING_MS);
    if (s->watchdog_every_ms && s->watchdog_ms > now && s->watchdog_ms < due)
        due = s->watchdog_ms;
    for (int i = 0; i < s->count; i++)
        due = crew_due(&s->crews[i], due);
    return due > now ? due : now;
}

static void supervisor_turn(struct supervisor *s)
{
    struct epoll_event event;
    int64_t now = clock_ms();
    epoll_wait(s->epoll, &event, 1, (int)(supervisor_due(s, now) - now));
    now = clock_ms();
    if (now - s->turned_ms > FROZEN_MS)
        s->since_ms = now;
    s->turned_ms = now;
    supervisor_signals(s, now);
    supervisor_reap(s);
    for (int i = 0; i < s->count; i++)
        crew_tick(&s->crews[i], now, s->since_ms);
    if (now >= s->report_ms + REPORT_MS) {
        for (int i = 0; i < s->count; i++)
            crew_report(&s->crews[i]);
        s->report_ms = now;
    }
    supervisor_notify(s, now);
    supervisor_watchdog(s, now);
}

static int supervisor_end_at_once(struct supervisor *s)
{
    int64_t deadline = clock_ms() + LAST_WAIT_MS;
    struct epoll_event event;
    for (int i = 0; i < s->count; i++)
        crew_kill(&s->crews[i]);
    while (supervisor_alive(s) > 0 && clock_ms() < deadline) {
        epoll_wait(s->epoll, &event, 1, 10);
        supervisor_reap(s);
    }
    return 1;
}

// What matters most to whoever reads the code: work that has to be done again, then why pipelines halted.
static int supervisor_exit_code(const struct supervisor *s)
{
    int code = EX_OK;
    for (int i = 0; i < s->count; i++) {
        int one = s->crews[i].exit_code;
        if (one == EX_TEMPFAIL)
            return one;
        if (one != EX_OK)
            code = code == EX_OK || code == one ? one : EX_DATAERR;
    }
    return code;
}

static int supervisor_loop(struct supervisor *s)
{
    for (;;) {
        supervisor_turn(s);
        if (s->at_once)
            return supervisor_end_at_once(s);
        if (supervisor_alive(s) > 0 || !(s->draining || supervisor_halted(s) == s->count))
            continue;
        for (int i = 0; i < s->count; i++)
            crew_report(&s->crews[i]);
        if (!s->draining)
            tell("STOPPING=1\nSTATUS=all pipelines have halted; the log says why");
        log_notice("%s", s->draining ? "stopped" : "all pipelines have halted: ending");
        return supervisor_exit_code(s);
    }
}

int supervisor_run(const struct config *config)
{
    struct supervisor s;
    struct err e;
    int code = EX_OSERR;
    must(config->pipeline_count > 0);
    log_name("onced");
    if (supervisor_init(&s, config, &e) == OK)
        code = supervisor_loop(&s);
    else
        log_error("%s", e.text);
    if (supervisor_alive(&s) == 0) // else: at once, and the rest dies with this process
        supervisor_fini(&s);
    return code;
}
