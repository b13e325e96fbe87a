// SPDX-License-Identifier: MIT
// The proxy's commands: a text line on stdin, a JSON line on stdout; README.md lists them. Lines wait while a release waits for the
// broker's answers, so that what comes after it finds it done.
#define _GNU_SOURCE
#include "proxy.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const mode_names[] = {"pass", "stall", "cut", "resp", "respcut"};
static struct bytes input;

void control_release_answer(const struct conn *c, const struct pending *p, const uint8_t *frame, const size_t *at, int n)
{
    if (the.release.conn != c)
        return;
    for (int i = 0; i < the.release.n; i++) {
        if (the.release.correlation[i] != p->correlation)
            continue;
        bytes_print(&the.release.answer, "%s{\"name\":\"%s\",\"key\":%d,\"answer\":", the.release.answer.len ? "," : "", frame_name(p->key),
                    p->key);
        errors_print(&the.release.answer, frame, at, n);
        bytes_print(&the.release.answer, "}");
        the.release.left--;
    }
}

__attribute__((format(printf, 1, 2))) static void answer(const char *format, ...)
{
    va_list a;
    va_start(a, format);
    vprintf(format, a);
    va_end(a);
    putchar('\n');
    fflush(stdout);
}

static void conns_cut(int broker) // 0: all
{
    for (struct conn *c = the.conns; c; c = c->next)
        if (!broker || c->broker == broker) {
            c->held = 0;
            for (int i = 0; i < the.nheld; i++)
                if (the.held[i] == c)
                    memmove(&the.held[i], &the.held[i + 1], (--the.nheld - i) * sizeof *the.held);
            broker_close(c);
        }
}

static void control_hold(char **a, int n)
{
    int mode = PASS;
    for (int i = STALL; n > 3 && i <= RESPCUT; i++)
        if (!strcmp(a[3], mode_names[i]))
            mode = i;
    if (mode == PASS || the.nrules == RULES || atoi(a[2]) < 1) {
        answer("{\"error\":\"hold KEY NTH stall|cut|resp|respcut [TEXT]\"}");
        return;
    }
    struct rule *r = &the.rules[the.nrules++];
    *r = (struct rule){.key = atoi(a[1]), .left = atoi(a[2]), .mode = mode};
    snprintf(r->match, sizeof r->match, "%s", n > 4 ? a[4] : "");
    answer("{\"ok\":true}");
}

static void control_release(int which, int resume)
{
    if (which < 0 || which >= the.nheld) {
        answer("{\"error\":\"nothing held\",\"held\":%d}", the.nheld);
        return;
    }
    struct conn *c = the.held[which];
    the.release.n = the.release.left = 0;
    the.release.answer.at = the.release.answer.len = 0;
    if (resume) {
        c->mode = PASS;
        c->swallowing = 0;
    }
    for (struct queued *q = c->first; q && !resume; q = q->next)
        if (frame_transactional(q->key) && the.release.n < RULES)
            the.release.correlation[the.release.n++] = q->correlation;
    the.release.left = the.release.n;
    the.release.conn = c;
    the.release.deadline = clock_ms() + 10000;
    event(resume ? "RESUMED" : "RELEASED", c, NULL);
    queue_drain(c, 1);
    conn_flush(c);
    control_release_check();
}

void control_release_check(void)
{
    if (!the.release.conn || (the.release.left > 0 && clock_ms() < the.release.deadline && the.release.conn->side[BROKER].fd >= 0))
        return;
    the.release.conn = NULL;
    answer("{\"out\":[%.*s],\"unanswered\":%d}", (int)the.release.answer.len, the.release.answer.len ? (char *)the.release.answer.p : "",
           the.release.left);
}

static void control_state(void)
{
    int n = 0;
    for (struct conn *c = the.conns; c; c = c->next)
        n += !c->dead;
    printf("{\"conns\":%d,\"rules\":%d,\"held\":[", n, the.nrules);
    for (int i = 0; i < the.nheld; i++) {
        int frames = 0;
        for (struct queued *q = the.held[i]->first; q; q = q->next)
            frames++;
        printf("%s{\"conn\":%d,\"mode\":\"%s\",\"frames\":%d,\"client_gone\":%s,\"broker_gone\":%s}", i ? "," : "", the.held[i]->id,
               mode_names[the.held[i]->mode], frames, the.held[i]->side[CLIENT].fd < 0 ? "true" : "false",
               the.held[i]->side[BROKER].fd < 0 ? "true" : "false");
    }
    answer("]}");
}

static void control_log(void)
{
    struct bytes text = {0};
    int lost = event_take(&text);
    printf("{\"lost\":%s,\"events\":[", lost ? "true" : "false");
    fwrite(text.p, 1, text.len, stdout);
    answer("]}");
    free(text.p);
}

static void control_mangle(char **a, int n)
{
    int key = atoi(a[1]);
    if (key < 0 || key >= KEYS || !frame_known(key)) {
        answer("{\"error\":\"answers of this key can't be written into\"}");
        return;
    }
    the.ncodes[key] = 0;
    for (int i = 2; i < n && the.ncodes[key] < CODES; i++)
        the.codes[key][the.ncodes[key]++] = atoi(a[i]);
    answer("{\"ok\":true}");
}

static void control_drop(void)
{
    the.nrules = 0;
    memset(the.ncodes, 0, sizeof the.ncodes);
    memset(the.delay_ms, 0, sizeof the.delay_ms);
    while (the.nheld) {
        struct conn *c = the.held[--the.nheld];
        c->held = 0;
        broker_close(c); // a connection that lost frames can't go on
    }
    answer("{\"ok\":true}");
}

static void control_stall(const char *what, int broker)
{
    for (int b = 1; b <= the.brokers; b++) {
        if (broker && b != broker)
            continue;
        the.stalled[b][CLIENT] = !strcmp(what, "up") || !strcmp(what, "both");
        the.stalled[b][BROKER] = !strcmp(what, "down") || !strcmp(what, "both");
    }
    for (struct conn *c = the.conns; c; c = c->next) {
        for (int i = 0; i < 2; i++)
            side_frames(&c->side[i]);
        conn_flush(c);
    }
    answer("{\"ok\":true}");
}

static void control_line(char *line)
{
    char *a[CODES + 8], *save = NULL;
    int n = 0;
    for (char *p = strtok_r(line, " \r\n", &save); p && n < CODES + 8; p = strtok_r(NULL, " \r\n", &save))
        a[n++] = p;
    const char *command = n ? a[0] : "";
    if (n >= 3 && !strcmp(command, "hold")) {
        control_hold(a, n);
    } else if (!strcmp(command, "release") || !strcmp(command, "resume")) {
        control_release(n > 1 ? atoi(a[1]) : 0, command[2] == 's');
    } else if (n >= 2 && !strcmp(command, "mangle")) {
        control_mangle(a, n);
    } else if (n == 3 && !strcmp(command, "delay") && atoi(a[1]) >= 0 && atoi(a[1]) < KEYS) {
        the.delay_ms[atoi(a[1])] = atoi(a[2]);
        answer("{\"ok\":true}");
    } else if (n >= 2 && !strcmp(command, "refuse")) {
        int broker = n > 2 ? atoi(a[2]) : 0, on = atoi(a[1]);
        for (int b = 1; b <= the.brokers; b++)
            if (!broker || b == broker)
                the.refused[b] = on;
        if (on) // a held connection's broker side stays: its frames are on their way
            for (struct conn *c = the.conns; c; c = c->next)
                if (!broker || c->broker == broker)
                    c->held ? client_close(c) : broker_close(c);
        answer("{\"ok\":true}");
    } else if (!strcmp(command, "cut")) {
        conns_cut(n > 1 ? atoi(a[1]) : 0);
        answer("{\"ok\":true}");
    } else if (n >= 2 && !strcmp(command, "stall")) {
        control_stall(a[1], n > 2 ? atoi(a[2]) : 0);
    } else if (!strcmp(command, "drop")) {
        control_drop();
    } else if (!strcmp(command, "state")) {
        control_state();
    } else if (!strcmp(command, "log")) {
        control_log();
    } else {
        answer("{\"error\":\"unknown command; see spec/support/README.md\"}");
    }
}

void control_read(void)
{
    char chunk[4096];
    ssize_t n = read(0, chunk, sizeof chunk);
    if (n <= 0)
        exit(0);
    bytes_add(&input, chunk, n);
}

void control_lines(void)
{
    char *end;
    while (!the.release.conn && input.len > input.at && (end = memchr(input.p + input.at, '\n', input.len - input.at))) {
        char *line = (char *)input.p + input.at;
        *end = 0;
        input.at = (size_t)(end + 1 - (char *)input.p);
        control_line(line);
    }
}

void control_ready(void)
{
    answer("{\"ready\":true}");
}
