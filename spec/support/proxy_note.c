// SPDX-License-Identifier: MIT
// The proxy's log: events as JSON text in a buffer of bounded size, handed out by `log`; and the byte buffers all is made of.
#include "proxy.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bytes events;
static int events_lost;
static int64_t started_ms;

void die(const char *what)
{
    fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
    exit(71);
}

void bytes_add(struct bytes *b, const void *from, size_t n)
{
    if (n == 0)
        return;
    if (b->at == b->len)
        b->at = b->len = 0;
    if (b->len + n > b->cap) {
        if (b->at)
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

void bytes_print(struct bytes *b, const char *format, ...)
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
    if (!started_ms)
        started_ms = clock_ms();
    if (events.len - events.at > LOG_MAX) {
        events.at = events.len = 0;
        events_lost = 1;
    }
    bytes_print(&events, "%s{\"t\":%lld,\"ev\":\"%s\",\"conn\":%d,\"broker\":%d", events.len > events.at ? "," : "",
                (long long)(clock_ms() - started_ms), what, c ? c->id : 0, c ? c->broker : 0);
    if (name)
        bytes_print(&events, ",\"name\":\"%s\"", name);
}

void event(const char *what, const struct conn *c, const char *name)
{
    event_begin(what, c, name);
    bytes_print(&events, "}");
}

void event_request(const char *what, const struct conn *c, const struct request *q)
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

void errors_print(struct bytes *to, const uint8_t *frame, const size_t *at, int n)
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

void event_answer(const struct conn *c, const struct pending *p, const uint8_t *frame, const size_t *at, int n)
{
    event_begin("resp", c, frame_name(p->key));
    bytes_print(&events, ",\"key\":%d,\"corr\":%d,\"late\":%s,\"err\":", p->key, p->correlation, c->side[CLIENT].fd < 0 ? "true" : "false");
    errors_print(&events, frame, at, n);
    bytes_print(&events, "}");
}

void event_mangled(const struct conn *c, int key, int code)
{
    event_begin("MANGLED", c, frame_name(key));
    bytes_print(&events, ",\"code\":%d}", code);
}

int event_take(struct bytes *to)
{
    int lost = events_lost;
    bytes_add(to, events.p + events.at, events.len - events.at);
    events.at = events.len = 0;
    events_lost = 0;
    return lost;
}
