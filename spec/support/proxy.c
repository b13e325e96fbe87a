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
#include "proxy.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct proxy the;

static int epoll_fd, connections;
static struct side listeners[BROKERS + 1], control = {.fd = 0};

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

void broker_close(struct conn *c)
{
    if (c->side[BROKER].fd >= 0 && c->held)
        event("broker-closed", c, NULL);
    side_close(&c->side[BROKER]);
    side_close(&c->side[CLIENT]);
    conn_check(c);
}

void client_close(struct conn *c)
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

void conn_flush(struct conn *c)
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
    int fd = the.refused[broker] ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(the.ports[broker]), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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
    c->next = the.conns;
    the.conns = c;
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
    for (struct conn **p = &the.conns; *p;) {
        struct conn *c = *p;
        if (c->dead && !c->held && the.release.conn != c) {
            *p = c->next;
            conn_free(c);
        } else {
            p = &c->next;
        }
    }
}

// --- up: client to broker ---------------------------------------------------------------------------------------------------------
void queue_drain(struct conn *c, int all)
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
    for (int i = 0; i < the.nrules; i++) {
        struct rule *u = &the.rules[i];
        if (u->key != r->key || (u->match[0] && !memmem(frame, size, u->match, strlen(u->match))))
            continue;
        if (--u->left > 0)
            return 0;
        c->mode = u->mode;
        memmove(u, u + 1, (--the.nrules - i) * sizeof *u);
        if (!c->held && the.nheld < RULES)
            the.held[the.nheld++] = c;
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
    int64_t wait = r.key >= 0 && r.key < KEYS ? the.delay_ms[r.key] : 0;
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
    if (p->key < 0 || p->key >= KEYS || !the.ncodes[p->key] || !n)
        return;
    int code = the.codes[p->key][0];
    memmove(the.codes[p->key], the.codes[p->key] + 1, --the.ncodes[p->key] * sizeof(int));
    for (int i = 0; i < n; i++) {
        frame[at[i]] = (uint8_t)(code >> 8);
        frame[at[i] + 1] = (uint8_t)code;
    }
    event_mangled(c, p->key, code);
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
    if (frame_transactional(p.key))
        event_answer(c, &p, frame, at, n);
    control_release_answer(c, &p, frame, at, n);
    answer_mangle(c, frame, &p, at, n);
    c->swallowing |= p.hold;
    if (!c->swallowing)
        side_frame(&c->side[CLIENT], frame, size);
    else if (c->mode == RESPCUT)
        client_close(c);
}

// --- bytes to frames --------------------------------------------------------------------------------------------------------------
void side_frames(struct side *s)
{
    struct conn *c = s->conn;
    int which = s == &c->side[CLIENT] ? CLIENT : BROKER;
    while (s->fd >= 0 && !the.stalled[c->broker][which] && s->in.len - s->in.at >= 4) {
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

// --- the loop ---------------------------------------------------------------------------------------------------------------------
static int next_timeout(void)
{
    int64_t now = clock_ms(), due = INT64_MAX;
    if (the.release.conn)
        due = the.release.deadline;
    for (struct conn *c = the.conns; c; c = c->next)
        if (c->first && c->mode != STALL && c->mode != CUT && c->first->due < due)
            due = c->first->due;
    return due == INT64_MAX ? -1 : due <= now ? 0 : (int)(due - now);
}

static void listener_open(const char *pair)
{
    int listen_port, to;
    if (sscanf(pair, "%d:%d", &listen_port, &to) != 2 || the.brokers == BROKERS) {
        fprintf(stderr, "usage: proxy LISTEN:BROKER [LISTEN:BROKER ...]   (ports, at most %d pairs)\n", BROKERS);
        exit(64);
    }
    int b = ++the.brokers;
    the.ports[b] = to;
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
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (argc < 2)
        listener_open("");
    for (int i = 1; i < argc; i++)
        listener_open(argv[i]);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &control});
    control_ready();
    for (;;) {
        struct epoll_event ready[64];
        int n = epoll_wait(epoll_fd, ready, 64, next_timeout());
        for (int i = 0; i < n; i++)
            dispatch(ready[i].data.ptr, ready[i].events);
        for (struct conn *c = the.conns; c; c = c->next)
            if (c->first) {
                queue_drain(c, 0);
                conn_flush(c);
            }
        control_release_check();
        control_lines();
        conns_sweep(); // only here: events of this round may still point at a connection
    }
}
