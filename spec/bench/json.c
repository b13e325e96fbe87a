// SPDX-License-Identifier: MIT
// What an edit of two fields costs: open, get a number, set two fields, compose. Prints nanoseconds of CPU time for each of the steps,
// medians of many rounds over different documents of about 100 bytes (small), 1 KiB with some 50 nested keys and short values (dense) and
// 1 KiB of 30 fields (flat); and the least of the whole, for the machine may be shared. usage: json [ROUNDS]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json_document.h"

enum { DOCUMENTS = 500, ROUNDS = 41, BYTES_MOST = 2048 };

static char texts[DOCUMENTS][BYTES_MOST];
static int64_t sizes[DOCUMENTS];
static char composed[BYTES_MOST + 128];

static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static int order_small(char *to)
{
    return sprintf(to, "{\"id\":%u,\"status\":\"new\",\"customer\":\"c%u\",\"total\":%u.%02u,\"vip\":true,\"tags\":[\"a\"],\"n\":null}",
                   (unsigned)next_random(), (unsigned)next_random() % 100000, (unsigned)next_random() % 1000,
                   (unsigned)next_random() % 100);
}

// An order of a shop: nested, with arrays, escapes, letters beyond ASCII, integers beyond 2^53.
static int order_dense(char *to)
{
    char *p = to;
    uint64_t r = next_random();
    p += sprintf(p, "{\"seq\":%u,\"id\":%llu,\"status\":\"new\",\"created\":\"2026-11-22T10:%02u:07.%03uZ\",\"currency\":\"EUR\",",
                 (unsigned)r, (unsigned long long)r | 1ull << 60, (unsigned)r % 60, (unsigned)r % 1000);
    p += sprintf(
        p,
        "\"customer\":{\"id\":-%u,\"name\":\"Zo\xc3\xab M\xc3\xbcller\",\"email\":\"c%u@example.org\",\"vip\":true,"
        "\"address\":{\"street\":\"K\xc3\xb6nigsallee %u\",\"zip\":\"%05u\",\"city\":\"Krak\xc3\xb3w\",\"geo\":[%u.1234,-17.%04u]}},",
        (unsigned)r, (unsigned)r % 100000, (unsigned)r % 200, (unsigned)r % 100000, (unsigned)r % 90, (unsigned)r % 10000);
    p += sprintf(p, "\"items\":[");
    for (int i = 0; i < 3; i++)
        p += sprintf(
            p,
            "%s{\"sku\":\"SKU-%06u\",\"name\":\"Caf\xc3\xa9 \\\"hot\\\" 250 g\",\"qty\":%u,\"price\":%u.%02u,\"tags\":[\"t%u\",\"sale\"]}",
            i ? "," : "", (unsigned)next_random() % 1000000, (unsigned)r % 9, (unsigned)r % 100, (unsigned)r % 100, (unsigned)r % 90);
    p += sprintf(p, "],\"total\":%u.%02u,\"payment\":{\"method\":\"card\",\"token\":\"%016llx%016llx\",\"captured\":null,",
                 (unsigned)r % 9999, (unsigned)r % 100, (unsigned long long)r, (unsigned long long)next_random());
    p += sprintf(p, "\"attempts\":[{\"at\":1790000000000,\"ok\":false},{\"at\":1790000000900,\"ok\":true}]},");
    p += sprintf(p, "\"note\":\"ring twice \\u263a, leave \\\"behind\\\" the door\\\\gate\\n\",\"flags\":[true,false,null],\"meta\":{},");
    p += sprintf(p, "\"trace\":{\"source\":\"shop-%u\",\"host\":\"node-%u.example.org\",\"span\":%llu}}", (unsigned)r % 9, (unsigned)r % 99,
                 (unsigned long long)next_random() >> 1);
    return (int)(p - to);
}

static int order_flat(char *to)
{
    char *p = to;
    p += sprintf(p, "{\"id\":%u,\"status\":\"new\",\"total\":%u.%02u,\"vip\":true,\"note\":null", (unsigned)next_random(),
                 (unsigned)next_random() % 1000, (unsigned)next_random() % 100);
    for (int i = 0; i < 20; i++)
        p += sprintf(p, ",\"field_%02d\":\"%016llx%08x\"", i, (unsigned long long)next_random(), (unsigned)next_random());
    for (int i = 0; i < 5; i++)
        p += sprintf(p, ",\"number_%d\":%u", i, (unsigned)next_random());
    p += sprintf(p, "}");
    return (int)(p - to);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void edit(struct onced_json *json, int i, int steps)
{
    if (onced_json_open(json, texts[i], sizes[i]))
        abort();
    if (steps < 1)
        return;
    if (onced_json_get(json, "/total", 6) != ONCED_JSON_NUMBER)
        abort();
    if (steps < 2)
        return;
    if (onced_json_put_number(json, json->number * 1.19) || onced_json_set(json, "/gross", 6) || onced_json_put_string(json, "priced", 6) ||
        onced_json_set(json, "/status", 7))
        abort();
    if (steps < 3)
        return;
    onced_json_compose(json, composed);
}

static int by_size(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

struct took {
    double median, least;
};

static struct took measure(struct onced_json *json, int steps, int rounds)
{
    double *took = malloc((size_t)rounds * sizeof *took);
    for (int r = 0; r < rounds; r++) {
        double begun = now();
        for (int i = 0; i < DOCUMENTS; i++)
            edit(json, i, steps);
        took[r] = (now() - begun) / DOCUMENTS;
    }
    qsort(took, (size_t)rounds, sizeof *took, by_size);
    struct took result = {took[rounds / 2], took[0]};
    free(took);
    return result;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
    struct onced_json *json = onced_json_new();
    static const struct {
        const char *name;
        int (*make)(char *to);
    } kinds[] = {{"small", order_small}, {"dense", order_dense}, {"flat", order_flat}};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        double bytes = 0;
        struct took took[4];
        for (int i = 0; i < DOCUMENTS; i++)
            bytes += (double)(sizes[i] = kinds[kind].make(texts[i]));
        measure(json, 3, rounds); // warm
        for (int steps = 0; steps < 4; steps++)
            took[steps] = measure(json, steps, rounds);
        printf("%s, %4.0f bytes: open %4.0f, get %3.0f, set two %3.0f, compose %3.0f; in all %4.0f ns, at least %.0f\n", kinds[kind].name,
               bytes / DOCUMENTS, took[0].median, took[1].median - took[0].median, took[2].median - took[1].median,
               took[3].median - took[2].median, took[3].median, took[3].least);
    }
    onced_json_free(json);
    return 0;
}
