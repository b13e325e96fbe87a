// SPDX-License-Identifier: MIT
// What the files of the fault proxy share: proxy.c moves frames, proxy_control.c answers commands, proxy_note.c keeps the log. One
// thread, so all state is plain.
#pragma once
#include "frame.h"
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { CLIENT, BROKER };
enum mode { PASS, STALL, CUT, RESP, RESPCUT };
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

// A release that waits for the broker's answers; control lines wait behind it.
struct release {
    struct conn *conn;
    int64_t deadline;
    int left, n;
    int32_t correlation[RULES];
    struct bytes answer;
};

// Brokers are numbered from 1. `stalled`: by the direction's source, CLIENT or BROKER.
struct proxy {
    int brokers, ports[BROKERS + 1], refused[BROKERS + 1], stalled[BROKERS + 1][2];
    struct conn *conns, *held[RULES]; // held: in the order of capture
    int nheld, nrules, ncodes[KEYS], codes[KEYS][CODES];
    int64_t delay_ms[KEYS];
    struct rule rules[RULES];
    struct release release;
};
extern struct proxy the;

static inline int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// proxy.c
void broker_close(struct conn *c); // both sides
void client_close(struct conn *c); // the broker's side too, unless the connection holds something
void conn_flush(struct conn *c);
void queue_drain(struct conn *c, int all); // sends what is due, or all
void side_frames(struct side *s);          // goes on with what was read from this side

// proxy_control.c
void control_ready(void);
void control_read(void);  // stdin has something, or has ended: then the process ends
void control_lines(void); // answers lines, as far as no release is waiting
void control_release_check(void);
void control_release_answer(const struct conn *c, const struct pending *p, const uint8_t *frame, const size_t *at, int n);

// proxy_note.c
void die(const char *what);
void bytes_add(struct bytes *b, const void *from, size_t n);
__attribute__((format(printf, 2, 3))) void bytes_print(struct bytes *b, const char *format, ...);
void errors_print(struct bytes *to, const uint8_t *frame, const size_t *at, int n); // one code, or a list of unlike ones
void event(const char *what, const struct conn *c, const char *name);
void event_request(const char *what, const struct conn *c, const struct request *q);
void event_answer(const struct conn *c, const struct pending *p, const uint8_t *frame, const size_t *at, int n);
void event_mangled(const struct conn *c, int key, int code);
int event_take(struct bytes *to); // moves all there are; 1: older ones were lost
