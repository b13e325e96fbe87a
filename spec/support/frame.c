// SPDX-License-Identifier: MIT
#include "frame.h"
#include <stdio.h>
#include <string.h>

// How an answer carries its error codes.
enum shape {
    ONE,     // throttle, error
    NESTED,  // throttle, topics of partitions: index, error
    PRODUCE, // topics of partitions: index, error, offsets, ...; throttle at the end
};

// flexible: first version with compact strings and tagged fields; throttle: first version whose answer begins with the throttle time.
static const struct api {
    int key;
    const char *name;
    int flexible, throttle;
    enum shape shape;
    int logged;
} apis[] = {
    {KEY_PRODUCE, "Produce", 9, 0, PRODUCE, 1},
    {10, "FindCoordinator", 3, 1, ONE, 0},
    {11, "JoinGroup", 6, 2, ONE, 0},
    {12, "Heartbeat", 4, 1, ONE, 0},
    {14, "SyncGroup", 4, 1, ONE, 0},
    {KEY_INIT_PRODUCER_ID, "InitProducerId", 2, 0, ONE, 1},
    {KEY_ADD_PARTITIONS, "AddPartitionsToTxn", 3, 0, NESTED, 1},
    {KEY_ADD_OFFSETS, "AddOffsetsToTxn", 3, 0, ONE, 1},
    {KEY_END_TXN, "EndTxn", 3, 0, ONE, 1},
    {KEY_TXN_OFFSET_COMMIT, "TxnOffsetCommit", 3, 0, NESTED, 1},
};

static const struct api *api_find(int key)
{
    for (size_t i = 0; i < sizeof apis / sizeof *apis; i++)
        if (apis[i].key == key)
            return &apis[i];
    return NULL;
}

int frame_known(int key)
{
    return api_find(key) != NULL;
}

int frame_transactional(int key)
{
    const struct api *a = api_find(key);
    return a && a->logged;
}

const char *frame_name(int key)
{
    const struct api *a = api_find(key);
    return a ? a->name : "other";
}

int frame_i16(const uint8_t *p)
{
    return (int16_t)(p[0] << 8 | p[1]);
}

int32_t frame_i32(const uint8_t *p)
{
    return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

// A cursor that stays at the end once it has run over it; `bad` then says so.
struct reader {
    const uint8_t *start;
    size_t size, at;
    int flexible, bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
    static const uint8_t zeros[64];
    if (r->bad || n > r->size - r->at) {
        r->bad = 1;
        r->at = r->size;
        return zeros;
    }
    r->at += n;
    return r->start + r->at - n;
}

static int take_i16(struct reader *r)
{
    return frame_i16(take(r, 2));
}

static int32_t take_i32(struct reader *r)
{
    return frame_i32(take(r, 4));
}

static int64_t take_i64(struct reader *r)
{
    uint32_t high = (uint32_t)take_i32(r);
    return (int64_t)((uint64_t)high << 32 | (uint32_t)take_i32(r));
}

static uint32_t take_varint(struct reader *r)
{
    uint32_t v = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        uint8_t b = *take(r, 1);
        v |= (uint32_t)(b & 127) << (shift & 31);
        if (b < 128)
            break;
    }
    return v;
}

// Length of a string, bytes or array; -1 is null.
static int32_t take_length(struct reader *r, int is_string)
{
    if (r->flexible)
        return (int32_t)take_varint(r) - 1;
    return is_string ? take_i16(r) : take_i32(r);
}

static void take_string(struct reader *r, char *to, size_t size)
{
    int32_t n = take_length(r, 1);
    const uint8_t *p = n > 0 ? take(r, n) : NULL;
    if (to)
        snprintf(to, size, "%.*s", p && !r->bad ? n : 0, p ? (const char *)p : "");
}

static void take_tags(struct reader *r)
{
    if (!r->flexible)
        return;
    for (uint32_t n = take_varint(r); n > 0 && !r->bad; n--) {
        take_varint(r);
        take(r, take_varint(r));
    }
}

static void take_producer(struct reader *r, struct request *out)
{
    out->pid = take_i64(r);
    out->epoch = take_i16(r);
    out->has_producer = !r->bad;
}

// Of Produce: a name, from version 13 on a UUID.
static void take_topic(struct reader *r, int version, char *to, size_t size)
{
    if (version >= 13)
        take(r, 16);
    else
        take_string(r, to, size);
}

// The first partition's first batch says who wrote it: pid at 43, epoch at 51, base sequence at 53, count at 57.
static void take_produce(struct reader *r, struct request *out)
{
    take_string(r, out->who, sizeof out->who);
    take_i16(r);
    take_i32(r);
    take_length(r, 0);
    take_topic(r, out->version, out->what, sizeof out->what);
    take_length(r, 0);
    out->partition = take_i32(r);
    take_length(r, 0);
    take(r, 43);
    take_producer(r, out);
    out->sequence = take_i32(r);
    out->records = take_i32(r);
    out->has_batch = !r->bad;
}

int frame_request(const uint8_t *frame, size_t size, struct request *out)
{
    memset(out, 0, sizeof *out);
    out->commit = -1;
    if (size < 8)
        return -1;
    out->key = frame_i16(frame);
    out->version = frame_i16(frame + 2);
    out->correlation = frame_i32(frame + 4);
    const struct api *a = api_find(out->key);
    if (!a || !a->logged)
        return 0;
    struct reader r = {.start = frame, .size = size, .at = 8};
    take_string(&r, NULL, 0); // client id: not compact even in flexible headers
    r.flexible = out->version >= a->flexible;
    take_tags(&r);
    if (out->key == KEY_PRODUCE) {
        take_produce(&r, out);
        return 0;
    }
    take_string(&r, out->who, sizeof out->who);
    if (out->key == KEY_TXN_OFFSET_COMMIT)
        take_string(&r, out->what, sizeof out->what);
    if (out->key == KEY_INIT_PRODUCER_ID) {
        take_i32(&r);
        if (out->version < 3)
            return 0;
    }
    take_producer(&r, out);
    if (out->key == KEY_END_TXN)
        out->commit = *take(&r, 1);
    if (out->key == KEY_ADD_OFFSETS)
        take_string(&r, out->what, sizeof out->what);
    return 0;
}

static void skip_produce_rest(struct reader *r, int version)
{
    take(r, 8 + (version >= 2 ? 8 : 0) + (version >= 5 ? 8 : 0));
    if (version >= 8) {
        for (int32_t n = take_length(r, 0); n > 0 && !r->bad; n--) {
            take_i32(r);
            take_string(r, NULL, 0);
            take_tags(r);
        }
        take_string(r, NULL, 0);
    }
}

int frame_errors(const uint8_t *frame, size_t size, int key, int version, size_t at[FRAME_ERRORS])
{
    const struct api *a = api_find(key);
    if (!a || (key == KEY_ADD_PARTITIONS && version > 3) || (key == 10 && version > 3))
        return 0;
    struct reader r = {.start = frame, .size = size, .at = 4, .flexible = version >= a->flexible};
    int n = 0;
    take_tags(&r);
    if (a->shape != PRODUCE && version >= a->throttle)
        take_i32(&r);
    if (a->shape == ONE) {
        at[n++] = r.at;
        take_i16(&r);
        return r.bad ? 0 : n;
    }
    for (int32_t topics = take_length(&r, 0); topics > 0 && !r.bad; topics--) {
        take_topic(&r, a->shape == PRODUCE ? version : 0, NULL, 0);
        for (int32_t parts = take_length(&r, 0); parts > 0 && !r.bad; parts--) {
            take_i32(&r);
            if (n < FRAME_ERRORS)
                at[n++] = r.at;
            take_i16(&r);
            if (a->shape == PRODUCE)
                skip_produce_rest(&r, version);
            take_tags(&r);
        }
        take_tags(&r);
    }
    return r.bad ? 0 : n;
}
