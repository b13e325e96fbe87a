// SPDX-License-Identifier: MIT
// The loop of the master: signals in by signalfd, time by epoll's timeout, what to do with workers by the crews. Invariant: nothing
// in here blocks but epoll_wait, so a signal is answered at once whatever the workers do. Called by main, once in a process.
// A reload has three parts: a child checks the files (reload.c), the crews change (roster.c), the workers take over.
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "log.h"
#include "notify.h"
#include "roster.h"
#include "status.h"

#ifndef REPORT_MS // specs are in a hurry
#define REPORT_MS 10000
#endif
enum {
    TICK_MS = 1000,       // heartbeats
    STARTING_MS = 50,     // until readiness is told
    FROZEN_MS = 5000,     // a turn later than this: the master itself was stopped, and perhaps its workers with it
    STATUS_MS = 5000,     // STATUS= at most this often
    LAST_WAIT_MS = 1000,  // for killed workers, at the second SIGTERM
    TAKE_OVER_MS = 30000, // until a reload is answered although not every worker has taken it over
};

struct supervisor {
    struct roster roster;
    struct reload reload;
    char *changes;     // of a reload that the workers are taking over, NULL: none
    int64_t answer_ms; // of it, at the latest
    int again;         // another reload was asked for meanwhile
    char *problem;     // why the latest wasn't taken
    struct control *control;
    int epoll, signals;
    int draining, at_once, ready;
    int asked;                   // for a reload, over the socket
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

// A daemon without its control socket does its work all the same.
static void control_start(struct supervisor *s)
{
    char path[4096];
    struct err e;
    if (!control_path(s->roster.config->control_socket, path, sizeof path))
        return;
    s->control = control_open(path, s->epoll, &e);
    if (!s->control)
        log_warning("no control socket: %s", e.text);
}

static enum verdict supervisor_init(struct supervisor *s, struct config *config, const struct config_request *request, struct err *e)
{
    struct plans plans;
    *s = (struct supervisor){.reload.request = request, .epoll = -1, .signals = signals_open()};
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (s->signals < 0 || s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->signals, &event) < 0)
        return err_set(e, HALT, errno, "can't watch signals: %s", strerror(errno));
    if (plans_first(&plans, config, e) != OK)
        return e->verdict;
    enum verdict verdict = roster_init(&s->roster, &plans, e);
    plans_free(&plans);
    if (verdict)
        return verdict;
    log_debug("lock files are in %s", s->roster.directory);
    control_start(s);
    s->turned_ms = s->since_ms = s->report_ms = clock_ms();
    s->watchdog_every_ms = notify_watchdog_ms();
    return OK;
}

static void supervisor_fini(struct supervisor *s)
{
    control_close(&s->control);
    reload_abandon(&s->reload);
    roster_fini(&s->roster);
    free(s->changes);
    free(s->problem);
    if (s->signals >= 0)
        close(s->signals);
    if (s->epoll >= 0)
        close(s->epoll);
}

static void tell(const char *text)
{
    static long long told;
    if (notify_send(text) < 0 && log_due(&told, 60))
        log_warning("can't reach the service manager: %s", strerror(errno));
}

static void lines_log(enum log_level level, const char *title, const char *text)
{
    char *copy = strdup(text), *rest = copy, *line;
    must(copy);
    while ((line = strsep(&rest, "\n")))
        if (*line)
            log_line(level, "%s%s", title, line);
    free(copy);
}

static void supervisor_reload(struct supervisor *s, int64_t now);

// The answer to whoever waits for it: nothing to say means that nothing has changed.
static void reload_finish(struct supervisor *s, int code, const char *text, int64_t now)
{
    if (s->ready && !s->draining)
        tell("READY=1"); // first: a reload is over for systemd when its command has ended
    if (s->control)
        control_answer(s->control, code, text);
    if (s->again)
        supervisor_reload(s, now);
}

static void reload_fail(struct supervisor *s, char *why, int64_t now)
{
    log_error("reload: the configuration isn't taken over, the one before stays in force:");
    lines_log(LOG_LEVEL_ERROR, "reload: ", why);
    free(s->problem);
    s->problem = why;
    reload_finish(s, EX_CONFIG, why, now);
}

static void supervisor_reload(struct supervisor *s, int64_t now)
{
    char text[128];
    struct timespec clock;
    struct err e;
    if (s->draining)
        return;
    s->again = s->reload.pid || s->changes;
    if (s->again)
        return;
    log_notice("reload: checking the configuration");
    clock_gettime(CLOCK_MONOTONIC, &clock);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock.tv_sec * 1000000 + clock.tv_nsec / 1000);
    if (s->ready)
        tell(text);
    if (s->control)
        control_begin(s->control);
    if (reload_begin(&s->reload, now, &e) != OK)
        reload_fail(s, strdup(e.text), now);
}

// Of the service file, these are read at the start alone.
static void unchanged_tell(const struct config *before, const struct config *after, FILE *told)
{
    const char *const names[] = {"control.socket", "http.listen"};
    const char *const texts[][2] = {{before->control_socket, after->control_socket}, {before->http_listen, after->http_listen}};
    for (int i = 0; i < 2; i++)
        if (strcmp(texts[i][0] ? texts[i][0] : "", texts[i][1] ? texts[i][1] : ""))
            fprintf(told, "%s: changes when onced is started anew\n", names[i]);
}

static void reload_apply(struct supervisor *s, struct plans *plans, int64_t now)
{
    size_t size;
    struct err e;
    FILE *told = open_memstream(&s->changes, &size);
    must(told);
    unchanged_tell(s->roster.config, plans->config, told);
    enum verdict verdict = roster_change(&s->roster, plans, told, now, &e);
    must(fclose(told) == 0);
    plans_free(plans);
    if (verdict) {
        free(s->changes);
        s->changes = NULL;
        reload_fail(s, strdup(e.text), now);
        return;
    }
    log_init((enum log_level)s->roster.config->log_level);
    free(s->problem);
    s->problem = NULL;
    s->answer_ms = now + TAKE_OVER_MS;
    s->status_ms = now;
    log_notice("reload: the configuration is well%s", *s->changes ? "" : ", nothing has changed");
    lines_log(LOG_LEVEL_NOTICE, "reload: ", s->changes);
}

// Workers take over between two of their transactions; one that is started anew or added has to come into its group.
static void reload_watch(struct supervisor *s, int64_t now)
{
    reload_tick(&s->reload, now);
    if (!s->changes)
        return;
    int done = roster_ready(&s->roster) && roster_settled(&s->roster), late = now >= s->answer_ms;
    if (!done && !late && !s->draining)
        return;
    char *changes = s->changes;
    s->changes = NULL;
    if (done)
        log_notice("reload: taken over");
    else
        log_warning("reload: not every worker has taken it over yet; they do as soon as they can commit");
    reload_finish(s, done ? EX_OK : EX_TEMPFAIL, done ? changes : "not every worker has taken it over yet: onced status tells more\n", now);
    free(changes);
}

static void supervisor_reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct plans plans;
        char *why;
        int64_t now = clock_ms();
        if (roster_ended(&s->roster, pid, status, now) || !reload_ended(&s->reload, pid, status, &plans, &why))
            continue;
        if (why)
            reload_fail(s, why, now);
        else
            reload_apply(s, &plans, now);
    }
}

static void supervisor_stop(struct supervisor *s, const char *signal_name, int64_t now)
{
    if (s->draining) {
        log_warning("%s again: ending at once; open transactions are aborted by the next start", signal_name);
        s->at_once = 1;
        return;
    }
    s->draining = 1;
    log_notice("%s: finishing open batches, then stopping (drain_timeout %lld ms)", signal_name,
               (long long)s->roster.config->drain_timeout_ms);
    tell("STOPPING=1\nSTATUS=finishing open batches");
    if (s->reload.pid) {
        reload_abandon(&s->reload);
        reload_fail(s, strdup("onced was told to stop"), now);
    }
    roster_stop(&s->roster, now);
}

static void supervisor_signals(struct supervisor *s, int64_t now)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            supervisor_stop(s, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT", now);
        else if (info.ssi_signo == SIGHUP)
            supervisor_reload(s, now);
    }
}

// The commands of the control socket: "status [--json] [NAME]", "reload [--wait]".
static int supervisor_answer(void *opaque, const char *line, FILE *answer)
{
    struct supervisor *s = opaque;
    int as_json = strncmp(line, "status --json", 13) == 0;
    if (strncmp(line, "status", 6) == 0) {
        const char *name = line + (as_json ? 13 : 6) + strspn(line + (as_json ? 13 : 6), " ");
        if (status_write(&s->roster, name, s->problem, as_json, answer) || !*name)
            return EX_OK;
        fprintf(answer, "there is no pipeline \"%s\"\n", name);
        return EX_USAGE;
    }
    if (strncmp(line, "reload", 6)) {
        fprintf(answer, "this onced doesn't know \"%s\"\n", line);
        return EX_UNAVAILABLE;
    }
    if (s->draining) {
        fprintf(answer, "onced is stopping\n");
        return EX_TEMPFAIL;
    }
    s->asked = 1;
    return strcmp(line, "reload --wait") == 0 ? -1 : EX_OK;
}

static void supervisor_status(struct supervisor *s, int64_t now)
{
    char line[sizeof s->status] = "STATUS=";
    size_t size = strlen(line);
    for (int i = 0; i < s->roster.count && size + 3 < sizeof line; i++) {
        if (i > 0)
            size += (size_t)(stpcpy(line + size, "; ") - (line + size));
        int more = crew_status(&s->roster.crews[i], line + size, sizeof line - size);
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
    if (!s->ready && roster_ready(&s->roster)) {
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
    if (!roster_fresh(&s->roster, now, s->since_ms))
        return;
    s->watchdog_ms = now + s->watchdog_every_ms;
    tell("WATCHDOG=1");
}

static int64_t supervisor_due(const struct supervisor *s, int64_t now)
{
    int64_t due = now + ((s->ready && !s->changes) || s->draining ? TICK_MS : STARTING_MS);
    if (s->watchdog_every_ms && s->watchdog_ms > now && s->watchdog_ms < due)
        due = s->watchdog_ms;
    due = roster_due(&s->roster, due);
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
    if (s->control)
        control_tick(s->control, supervisor_answer, s);
    if (s->asked) {
        s->asked = 0;
        supervisor_reload(s, now);
    }
    roster_tick(&s->roster, now, s->since_ms);
    reload_watch(s, now);
    if (now >= s->report_ms + REPORT_MS) {
        roster_report(&s->roster);
        s->report_ms = now;
    }
    supervisor_notify(s, now);
    supervisor_watchdog(s, now);
}

static int supervisor_end_at_once(struct supervisor *s)
{
    int64_t deadline = clock_ms() + LAST_WAIT_MS;
    struct epoll_event event;
    roster_kill(&s->roster);
    while (roster_alive(&s->roster) > 0 && clock_ms() < deadline) {
        epoll_wait(s->epoll, &event, 1, 10);
        supervisor_reap(s);
    }
    return 1;
}

// What matters most to whoever reads the code: work that has to be done again, then why pipelines halted.
static int supervisor_exit_code(const struct supervisor *s)
{
    int code = EX_OK;
    for (int i = 0; i < s->roster.count; i++) {
        int one = s->roster.crews[i].exit_code;
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
        if (roster_alive(&s->roster) > 0 || !(s->draining || roster_halted(&s->roster) == s->roster.count))
            continue;
        roster_report(&s->roster);
        if (!s->draining)
            tell("STOPPING=1\nSTATUS=all pipelines have halted; the log says why");
        log_notice("%s", s->draining ? "stopped" : "all pipelines have halted: ending");
        return supervisor_exit_code(s);
    }
}

int supervisor_run(struct config *config, const struct config_request *request)
{
    static struct supervisor s; // its end is the process's
    struct err e;
    int code = EX_OSERR;
    must(config->pipeline_count > 0);
    log_name("onced");
    if (supervisor_init(&s, config, request, &e) == OK)
        code = supervisor_loop(&s);
    else
        log_error("%s", e.text);
    if (roster_alive(&s.roster) == 0) // else: at once, and the rest dies with this process
        supervisor_fini(&s);
    return code;
}
