// SPDX-License-Identifier: MIT
// A Kafka proxy that understands frames: it can hold one request and deliver it later, swallow answers, write error codes into them,
// cut, delay and refuse. Faults by script, not by luck (README.md has the commands; proxy.lua drives it).
//
//   proxy LISTEN:BROKER [LISTEN:BROKER ...]     one pair of ports a broker, numbered from 1, loopback only
//
// A text line in on stdin, a JSON line out on stdout; ends at the end of stdin. One thread, epoll. One client connection is one broker
// connection. Invariant: requests of a connection reach the broker in the order they came, and the broker's side of a connection that
// holds something stays open after the client has gone: only so can a late request be late.
#define _GNU_SOURCE
#include "frame.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENT, BROKER };
enum mode { PASS, STALL, CUT, RESP, RESPCUT };
static const char *const mode_names[] = {"pass", "stall", "cut", "resp", "respcut"};
enum { BROKERS = 8, KEYS = 80, RULES = 64, CODES = 1024, FRAME_MAX = 256 << 20, HIGH_WATER = 8 << 20, LOG_MAX = 16 << 20 };

struct bytes {
    uint8_t *p;
    size_t at, len, cap; // the content is p[at..len)
};

struct side {
    struct conn *conn; // NULL: this is a listener or stdin
    int fd;
    struct bytes in, out;
};

struct queued { // a request on its way to the broker
    struct queued *next;
    int64_t due;
    int key, version;
    int32_t correlation;
    int hold; // its answer is to be swallowed
    size_t size;
    uint8_t frame[];
};

struct pending { // a request whose answer is awaited
    int32_t correlation;
    int key, version, hold;
};

struct conn {
    struct conn *next;
    int id, broker, held, swallowing, dead;
    enum mode mode;
    struct side side[2];
    struct queued *first, **last;
    struct pending *pending;
    int npending;
};

struct rule {
    int key, left;
    enum mode mode;
    char match[128];
};

static int epoll_fd, connections, broker_ports[BROKERS + 1], nbrokers, refused[BROKERS + 1], stalled[BROKERS + 1][2];
static struct side listeners[BROKERS + 1], control = {.fd = 0};
static struct conn *conns, *held[RULES];
static int nheld, nrules, ncodes[KEYS], codes[KEYS][CODES];
static int64_t delay_ms[KEYS];
static struct rule rules[RULES];
static struct bytes events;
static int events_lost;

static struct { // a release that waits for the broker's answers; control lines wait behind it
    struct conn *conn;
    int64_t deadline;
    int left;
    int32_t correlation[RULES];
    int n;
    struct bytes answer;
} release;

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t started_ms;

static void die(const char *what)
{
    fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
    exit(71);
}

// --- bytes ------------------------------------------------------------------------------------------------------------------------
static void bytes_add(struct bytes *b, const void *from, size_t n)
{
    if (b->at == b->len)
        b->at = b->len = 0;
    if (b->len + n > b->cap) {
        memmove(b->p, b->p + b->at, b->len - b->at);
        b->len -= b->at;
        b->at = 0;
        while (b->len + n > b->cap)
            b->cap = b->cap ? b->cap * 2 : 4096;
        if (!(b->p = realloc(b->p, b->cap)))
            die("memory");
    }
    memcpy(b->p + b->len, from, n);
    b->len += n;
}

__attribute__((format(printf, 2, 3))) static void bytes_print(struct bytes *b, const char *format, ...)
{
    char text[1024];
    va_list a;
    va_start(a, format);
    int n = vsnprintf(text, sizeof text, format, a);
    va_end(a);
    bytes_add(b, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

static const char *escaped(const char *s, char *to, size_t size) // as a JSON string's inside; odd bytes become ?
{
    size_t n = 0;
    for (; *s && n + 1 < size; s++)
        to[n++] = (*s < ' ' || *s == '"' || *s == '\\' || *s & 0x80) ? '?' : *s;
    to[n] = 0;
    return to;
}

static void event_begin(const char *what, const struct conn *c, const char *name)
{
    if (events.len - events.at > LOG_MAX) {
        events.at = events.len = 0;
        events_lost = 1;
    }
    bytes_print(&events, "%s{\"t\":%lld,\"ev\":\"%s\",\"conn\":%d,\"broker\":%d", events.len > events.at ? "," : "",
                (long long)(clock_ms() - started_ms), what, c ? c->id : 0, c ? c->broker : 0);
    if (name)
        bytes_print(&events, ",\"name\":\"%s\"", name);
}

static void event(const char *what, const struct conn *c, const char *name)
{
    event_begin(what, c, name);
    bytes_print(&events, "}");
}

static void event_request(const char *what, const struct conn *c, const struct request *q)
{
    char text[128];
    event_begin(what, c, frame_name(q->key));
    bytes_print(&events, ",\"key\":%d,\"version\":%d,\"corr\":%d", q->key, q->version, q->correlation);
    if (q->who[0])
        bytes_print(&events, ",\"who\":\"%s\"", escaped(q->who, text, sizeof text));
    if (q->what[0])
        bytes_print(&events, ",\"what\":\"%s\"", escaped(q->what, text, sizeof text));
    if (q->has_producer)
        bytes_print(&events, ",\"pid\":%lld,\"epoch\":%d", (long long)q->pid, q->epoch);
    if (q->has_batch)
        bytes_print(&events, ",\"partition\":%d,\"seq\":%d,\"records\":%d", q->partition, q->sequence, q->records);
    if (q->commit >= 0)
        bytes_print(&events, ",\"commit\":%s", q->commit ? "true" : "false");
    bytes_print(&events, "}");
}

// --- connections ------------------------------------------------------------------------------------------------------------------
static void side_watch(struct side *s)
{
    if (s->fd < 0)
        return;
    struct side *other = s->conn ? &s->conn->side[s == &s->conn->side[CLIENT] ? BROKER : CLIENT] : NULL;
    uint32_t want = s->out.len > s->out.at ? EPOLLOUT : 0;
    if (!other || other->out.len - other->out.at < HIGH_WATER)
        want |= EPOLLIN;
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &(struct epoll_event){.events = want, .data.ptr = s});
}

static void side_close(struct side *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->in.at = s->in.len = s->out.at = s->out.len = 0;
}

static void conn_check(struct conn *c) // both sides gone: nothing left to do
{
    if (c->side[CLIENT].fd < 0 && c->side[BROKER].fd < 0)
        c->dead = 1;
}

static void broker_close(struct conn *c)
{
    if (c->side[BROKER].fd >= 0 && c->held)
        event("broker-closed", c, NULL);
    side_close(&c->side[BROKER]);
    side_close(&c->side[CLIENT]);
    conn_check(c);
}

static void client_close(struct conn *c)
{
    if (c->side[CLIENT].fd >= 0 && c->held)
        event("client-closed", c, NULL);
    side_close(&c->side[CLIENT]);
    if (!c->held && !c->first) // what is held, or delayed, must still be deliverable
        side_close(&c->side[BROKER]);
    conn_check(c);
}

static void side_flush(struct side *s)
{
    while (s->fd >= 0 && s->out.len > s->out.at) {
        ssize_t n = send(s->fd, s->out.p + s->out.at, s->out.len - s->out.at, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN)
                s == &s->conn->side[CLIENT] ? client_close(s->conn) : broker_close(s->conn);
            return;
        }
        s->out.at += n;
    }
}

static void side_frame(struct side *s, const uint8_t *frame, size_t size)
{
    if (s->fd < 0)
        return;
    uint32_t n = htonl((uint32_t)size);
    bytes_add(&s->out, &n, 4);
    bytes_add(&s->out, frame, size);
}

static void conn_flush(struct conn *c)
{
    for (int i = 0; i < 2; i++)
        side_flush(&c->side[i]);
    for (int i = 0; i < 2; i++)
        side_watch(&c->side[i]);
}

static void side_open(struct side *s, struct conn *c, int fd)
{
    s->conn = c;
    s->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = s}) < 0)
        die("epoll");
}

static void conn_accept(int broker)
{
    int client = accept4(listeners[broker].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    int fd = refused[broker] ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(broker_ports[broker]), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) { // loopback: known at once
        if (fd >= 0)
            close(fd);
        close(client);
        return;
    }
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        die("memory");
    c->id = ++connections;
    c->broker = broker;
    c->last = &c->first;
    c->next = conns;
    conns = c;
    side_open(&c->side[CLIENT], c, client);
    side_open(&c->side[BROKER], c, fd);
}

static void conn_free(struct conn *c)
{
    for (struct queued *q; (q = c->first);) {
        c->first = q->next;
        free(q);
    }
    for (int i = 0; i < 2; i++) {
        free(c->side[i].in.p);
        free(c->side[i].out.p);
    }
    free(c->pending);
    free(c);
}

static void conns_sweep(void)
{
    for (struct conn **p = &conns; *p;) {
        struct conn *c = *p;
        if (c->dead && !c->held && release.conn != c) {
            *p = c->next;
            conn_free(c);
        } else {
            p = &c->next;
        }
    }
}

// --- up: client to broker ---------------------------------------------------------------------------------------------------------
static void queue_drain(struct conn *c, int all)
{
    struct queued *q;
    while ((q = c->first) && (all || (c->mode != STALL && c->mode != CUT && q->due <= clock_ms()))) {
        if (c->side[BROKER].fd >= 0) {
            c->pending = realloc(c->pending, (c->npending + 1) * sizeof *c->pending);
            if (!c->pending)
                die("memory");
            c->pending[c->npending++] = (struct pending){q->correlation, q->key, q->version, q->hold};
            side_frame(&c->side[BROKER], q->frame, q->size);
        }
        if (!(c->first = q->next))
            c->last = &c->first;
        free(q);
    }
}

// The rule that this request meets; its count goes down, and at zero the connection takes its mode.
static int rule_hit(struct conn *c, const struct request *r, const uint8_t *frame, size_t size)
{
    for (int i = 0; i < nrules; i++) {
        struct rule *u = &rules[i];
        if (u->key != r->key || (u->match[0] && !memmem(frame, size, u->match, strlen(u->match))))
            continue;
        if (--u->left > 0)
            return 0;
        c->mode = u->mode;
        memmove(u, u + 1, (--nrules - i) * sizeof *u);
        if (!c->held && nheld < RULES)
            held[nheld++] = c;
        c->held = 1;
        event_request("HELD", c, r);
        return 1;
    }
    return 0;
}

static void up_frame(struct conn *c, const uint8_t *frame, size_t size)
{
    struct request r;
    if (frame_request(frame, size, &r) < 0) {
        broker_close(c);
        return;
    }
    if (frame_transactional(r.key))
        event_request("req", c, &r);
    int hit = c->mode == PASS && rule_hit(c, &r, frame, size);
    struct queued *q = malloc(sizeof *q + size);
    if (!q)
        die("memory");
    int64_t wait = r.key >= 0 && r.key < KEYS ? delay_ms[r.key] : 0;
    *q = (struct queued){
        .due = wait ? clock_ms() + wait : 0, .key = r.key, .version = r.version, .correlation = r.correlation, .size = size};
    q->hold = hit && (c->mode == RESP || c->mode == RESPCUT);
    memcpy(q->frame, frame, size);
    *c->last = q;
    c->last = &q->next;
    if (hit && c->mode == CUT)
        client_close(c);
    queue_drain(c, 0);
}

// --- down: broker to client -------------------------------------------------------------------------------------------------------
static void answer_mangle(const struct conn *c, uint8_t *frame, const struct pending *p, const size_t *at, int n)
{
    if (p->key < 0 || p->key >= KEYS || !ncodes[p->key] || !n)
        return;
    int code = codes[p->key][0];
    memmove(codes[p->key], codes[p->key] + 1, --ncodes[p->key] * sizeof(int));
    for (int i = 0; i < n; i++) {
        frame[at[i]] = (uint8_t)(code >> 8);
        frame[at[i] + 1] = (uint8_t)code;
    }
    event_begin("MANGLED", c, frame_name(p->key));
    bytes_print(&events, ",\"code\":%d}", code);
}

static void print_errors(struct bytes *to, const uint8_t *frame, const size_t *at, int n)
{
    int same = 1;
    for (int i = 1; i < n; i++)
        same &= frame_i16(frame + at[i]) == frame_i16(frame + at[0]);
    if (n && same) {
        bytes_print(to, "%d", frame_i16(frame + at[0]));
        return;
    }
    bytes_print(to, "[");
    for (int i = 0; i < n; i++)
        bytes_print(to, "%s%d", i ? "," : "", frame_i16(frame + at[i]));
    bytes_print(to, "]");
}

static void control_release_done(void);

static void release_answer(const struct conn *c, const struct pending *p, const uint8_t *frame, const size_t *at, int n)
{
    if (release.conn != c)
        return;
    for (int i = 0; i < release.n; i++) {
        if (release.correlation[i] != p->correlation)
            continue;
        bytes_print(&release.answer, "%s{\"name\":\"%s\",\"key\":%d,\"answer\":", release.answer.len ? "," : "", frame_name(p->key),
                    p->key);
        print_errors(&release.answer, frame, at, n);
        bytes_print(&release.answer, "}");
        release.left--;
    }
}

static void down_frame(struct conn *c, uint8_t *frame, size_t size)
{
    struct pending p = {.key = -1};
    int32_t correlation = size >= 4 ? frame_i32(frame) : 0;
    for (int i = 0; i < c->npending; i++) {
        if (c->pending[i].correlation == correlation) {
            p = c->pending[i];
            memmove(&c->pending[i], &c->pending[i + 1], (--c->npending - i) * sizeof p);
            break;
        }
    }
    size_t at[FRAME_ERRORS];
    int n = p.key < 0 ? 0 : frame_errors(frame, size, p.key, p.version, at);
    if (frame_transactional(p.key)) {
        event_begin("resp", c, frame_name(p.key));
        bytes_print(&events, ",\"key\":%d,\"corr\":%d,\"late\":%s,\"err\":", p.key, correlation, c->side[CLIENT].fd < 0 ? "true" : "false");
        print_errors(&events, frame, at, n);
        bytes_print(&events, "}");
    }
    release_answer(c, &p, frame, at, n);
    answer_mangle(c, frame, &p, at, n);
    c->swallowing |= p.hold;
    if (!c->swallowing)
        side_frame(&c->side[CLIENT], frame, size);
    else if (c->mode == RESPCUT)
        client_close(c);
}

// --- bytes to frames --------------------------------------------------------------------------------------------------------------
static void side_frames(struct side *s)
{
    struct conn *c = s->conn;
    int which = s == &c->side[CLIENT] ? CLIENT : BROKER;
    while (s->fd >= 0 && !stalled[c->broker][which] && s->in.len - s->in.at >= 4) {
        int32_t size = frame_i32(s->in.p + s->in.at);
        if (size < 0 || size > FRAME_MAX) {
            broker_close(c);
            return;
        }
        if (s->in.len - s->in.at < 4 + (size_t)size)
            return;
        uint8_t *frame = s->in.p + s->in.at + 4;
        s->in.at += 4 + (size_t)size;
        which == CLIENT ? up_frame(c, frame, size) : down_frame(c, frame, size);
    }
}

static void side_read(struct side *s)
{
    static uint8_t chunk[256 << 10];
    ssize_t n = recv(s->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        bytes_add(&s->in, chunk, n);
        side_frames(s);
    } else if (s == &s->conn->side[CLIENT]) {
        client_close(s->conn);
    } else {
        broker_close(s->conn);
    }
}

// --- control ----------------------------------------------------------------------------------------------------------------------
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
    for (struct conn *c = conns; c; c = c->next)
        if (!broker || c->broker == broker) {
            c->held = 0;
            for (int i = 0; i < nheld; i++)
                if (held[i] == c)
                    memmove(&held[i], &held[i + 1], (--nheld - i) * sizeof *held);
            broker_close(c);
        }
}

static void control_hold(char **a, int n)
{
    int mode = PASS;
    for (int i = STALL; n > 3 && i <= RESPCUT; i++)
        if (!strcmp(a[3], mode_names[i]))
            mode = i;
    if (mode == PASS || nrules == RULES || atoi(a[2]) < 1) {
        answer("{\"error\":\"hold KEY NTH stall|cut|resp|respcut [TEXT]\"}");
        return;
    }
    struct rule *r = &rules[nrules++];
    *r = (struct rule){.key = atoi(a[1]), .left = atoi(a[2]), .mode = mode};
    snprintf(r->match, sizeof r->match, "%s", n > 4 ? a[4] : "");
    answer("{\"ok\":true}");
}

static void control_release(int which, int resume)
{
    if (which < 0 || which >= nheld) {
        answer("{\"error\":\"nothing held\",\"held\":%d}", nheld);
        return;
    }
    struct conn *c = held[which];
    release.n = release.left = 0;
    release.answer.at = release.answer.len = 0;
    if (resume) {
        c->mode = PASS;
        c->swallowing = 0;
    }
    for (struct queued *q = c->first; q && !resume; q = q->next)
        if (frame_transactional(q->key) && release.n < RULES)
            release.correlation[release.n++] = q->correlation;
    release.left = release.n;
    release.conn = c;
    release.deadline = clock_ms() + 10000;
    event(resume ? "RESUMED" : "RELEASED", c, NULL);
    queue_drain(c, 1);
    conn_flush(c);
    control_release_done();
}

static void control_release_done(void)
{
    if (!release.conn || (release.left > 0 && clock_ms() < release.deadline && release.conn->side[BROKER].fd >= 0))
        return;
    release.conn = NULL;
    answer("{\"out\":[%.*s],\"unanswered\":%d}", (int)release.answer.len, release.answer.len ? (char *)release.answer.p : "", release.left);
}

static void control_state(void)
{
    int n = 0;
    for (struct conn *c = conns; c; c = c->next)
        n += !c->dead;
    printf("{\"conns\":%d,\"rules\":%d,\"held\":[", n, nrules);
    for (int i = 0; i < nheld; i++) {
        int frames = 0;
        for (struct queued *q = held[i]->first; q; q = q->next)
            frames++;
        printf("%s{\"conn\":%d,\"mode\":\"%s\",\"frames\":%d,\"client_gone\":%s,\"broker_gone\":%s}", i ? "," : "", held[i]->id,
               mode_names[held[i]->mode], frames, held[i]->side[CLIENT].fd < 0 ? "true" : "false",
               held[i]->side[BROKER].fd < 0 ? "true" : "false");
    }
    answer("]}");
}

static void control_log(void)
{
    printf("{\"lost\":%s,\"events\":[", events_lost ? "true" : "false");
    fwrite(events.p + events.at, 1, events.len - events.at, stdout);
    events.at = events.len = 0;
    events_lost = 0;
    answer("]}");
}

static void control_mangle(char **a, int n)
{
    int key = atoi(a[1]);
    if (key < 0 || key >= KEYS || !frame_known(key)) {
        answer("{\"error\":\"answers of this key can't be written into\"}");
        return;
    }
    ncodes[key] = 0;
    for (int i = 2; i < n && ncodes[key] < CODES; i++)
        codes[key][ncodes[key]++] = atoi(a[i]);
    answer("{\"ok\":true}");
}

static void control_drop(void)
{
    nrules = 0;
    memset(ncodes, 0, sizeof ncodes);
    memset(delay_ms, 0, sizeof delay_ms);
    while (nheld) {
        struct conn *c = held[--nheld];
        c->held = 0;
        broker_close(c); // a connection that lost frames can't go on
    }
    answer("{\"ok\":true}");
}

static void control_stall(const char *what, int broker)
{
    for (int b = 1; b <= nbrokers; b++) {
        if (broker && b != broker)
            continue;
        stalled[b][CLIENT] = !strcmp(what, "up") || !strcmp(what, "both");
        stalled[b][BROKER] = !strcmp(what, "down") || !strcmp(what, "both");
    }
    for (struct conn *c = conns; c; c = c->next) {
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
        delay_ms[atoi(a[1])] = atoi(a[2]);
        answer("{\"ok\":true}");
    } else if (n >= 2 && !strcmp(command, "refuse")) {
        int broker = n > 2 ? atoi(a[2]) : 0, on = atoi(a[1]);
        for (int b = 1; b <= nbrokers; b++)
            if (!broker || b == broker)
                refused[b] = on;
        if (on) // a held connection's broker side stays: its frames are on their way
            for (struct conn *c = conns; c; c = c->next)
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

static void control_read(void)
{
    char chunk[4096];
    ssize_t n = read(0, chunk, sizeof chunk);
    if (n <= 0)
        exit(0);
    bytes_add(&control.in, chunk, n);
}

static void control_lines(void)
{
    char *end;
    while (!release.conn && control.in.len > control.in.at &&
           (end = memchr(control.in.p + control.in.at, '\n', control.in.len - control.in.at))) {
        char *line = (char *)control.in.p + control.in.at;
        *end = 0;
        control.in.at = (size_t)(end + 1 - (char *)control.in.p);
        control_line(line);
    }
}

// --- the loop ---------------------------------------------------------------------------------------------------------------------
static int next_timeout(void)
{
    int64_t now = clock_ms(), due = INT64_MAX;
    if (release.conn)
        due = release.deadline;
    for (struct conn *c = conns; c; c = c->next)
        if (c->first && c->mode != STALL && c->mode != CUT && c->first->due < due)
            due = c->first->due;
    return due == INT64_MAX ? -1 : due <= now ? 0 : (int)(due - now);
}

static void listener_open(const char *pair)
{
    int listen_port, to;
    if (sscanf(pair, "%d:%d", &listen_port, &to) != 2 || nbrokers == BROKERS) {
        fprintf(stderr, "usage: proxy LISTEN:BROKER [LISTEN:BROKER ...]   (ports, at most %d pairs)\n", BROKERS);
        exit(64);
    }
    int b = ++nbrokers;
    broker_ports[b] = to;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(listen_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 128) < 0)
        die(pair);
    listeners[b].fd = fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &listeners[b]});
}

static void dispatch(struct side *s, uint32_t what)
{
    if (s == &control) {
        control_read();
    } else if (!s->conn) {
        conn_accept((int)(s - listeners));
    } else if (s->fd >= 0) {
        if (what & (EPOLLIN | EPOLLHUP | EPOLLERR))
            side_read(s);
        if (!s->conn->dead)
            conn_flush(s->conn);
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    started_ms = clock_ms();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (argc < 2)
        listener_open("");
    for (int i = 1; i < argc; i++)
        listener_open(argv[i]);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &control});
    answer("{\"ready\":true}");
    for (;;) {
        struct epoll_event ready[64];
        int n = epoll_wait(epoll_fd, ready, 64, next_timeout());
        for (int i = 0; i < n; i++)
            dispatch(ready[i].data.ptr, ready[i].events);
        for (struct conn *c = conns; c; c = c->next)
            if (c->first) {
                queue_drain(c, 0);
                conn_flush(c);
            }
        control_release_done();
        control_lines();
        conns_sweep(); // only here: events of this round may still point at a connection
    }
}
