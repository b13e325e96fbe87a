// SPDX-License-Identifier: MIT
// Any bytes as configuration: a pipeline file, a service file and a file of reference data, in this order, with the control character RS
// between them, which no YAML may hold. They go through the real loader, and whatever it says has to be true: errors mean no config,
// every report is well-formed and points into the file, no secret is in it, and what `onced config` prints is read as the same again.
// A target of libFuzzer, run by spec/fuzz in a folder of its own; it is linked so that the loader finds nothing outside of that folder.
#include <errno.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge.h"
#include "config.h"
#include "fuzz.h"

#define SECRET "xK7.w3Q-Zp9"

static struct onced_json *json;

// --- what the loader sees of the file system ---------------------------------------------------------------------------------------------

static int confined; // libFuzzer has files too

FILE *__real_fopen(const char *path, const char *mode);
int __real_access(const char *path, int mode);
int __real_stat(const char *path, struct stat *status);
int __real_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found);
char *__real_realpath(const char *path, char *to);

static int is_outside(const char *path)
{
    errno = ENOENT;
    return confined && (*path == '/' || strstr(path, "..")) && strcmp(path, "/dev/null");
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    return is_outside(path) ? NULL : __real_fopen(path, mode);
}

int __wrap_access(const char *path, int mode)
{
    return is_outside(path) ? -1 : __real_access(path, mode);
}

int __wrap_stat(const char *path, struct stat *status)
{
    return is_outside(path) ? -1 : __real_stat(path, status);
}

int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found)
{
    return is_outside(pattern) ? GLOB_NOMATCH : __real_glob(pattern, flags, failed, found);
}

char *__wrap_realpath(const char *path, char *to)
{
    return is_outside(path) ? NULL : __real_realpath(path, to);
}

static void file_write(const char *name, const void *data, size_t size)
{
    FILE *file = __real_fopen(name, "w");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file))
        finding("%s can't be written: %s", name, strerror(errno));
}

// --- reports -----------------------------------------------------------------------------------------------------------------------------

struct part {
    const char *name;
    const char *text;
    size_t size;
};

enum { PIPELINE, SERVICE, DATA, PARTS };

static int64_t number_at(const char *pointer)
{
    if (onced_json_get(json, pointer, (int64_t)strlen(pointer)) != ONCED_JSON_NUMBER)
        finding("a report without %s", pointer);
    return (int64_t)json->number;
}

// Characters of a line, from 1; -1: the file has fewer lines. Behind the last there is the end's.
static int64_t line_length(const struct part *part, int64_t line)
{
    const char *p = part->text, *end = p + part->size;
    for (; line > 1 && p < end; p++)
        line -= *p == '\n';
    int64_t length = 0;
    for (; p < end && *p != '\n'; p++)
        length += (*p & 0xc0) != 0x80;
    return line > 1 + (part->size && end[-1] != '\n') ? -1 : length;
}

static void place_check(const struct part *parts)
{
    int64_t line = number_at("/line"), column = number_at("/column"), end = number_at("/end_column");
    onced_json_get(json, "/file", 5);
    for (int i = PIPELINE; i <= SERVICE; i++) {
        if (json->data_size != (int64_t)strlen(parts[i].name) || memcmp(json->data, parts[i].name, strlen(parts[i].name)) || !line)
            continue;
        int64_t length = line_length(&parts[i], line);
        if (length < 0 || column < 1 || column > length + 1 || end < column || end > length + 2)
            finding("%s:%lld:%lld to %lld isn't in the file", parts[i].name, (long long)line, (long long)column, (long long)end);
    }
}

static int holds(const char *text, size_t size, const char *word)
{
    return memmem(text, size, word, strlen(word)) != NULL;
}

// "at/a.yaml:1:2: error: ...", "    1 | ..." or "      | ^".
static int is_text_line(const char *line, size_t size)
{
    return holds(line, size, "error: ") || holds(line, size, "warning: ") || (size > 7 && memcmp(line + 5, " | ", 3) == 0) ||
           (size > 7 && memcmp(line, "      | ", 8) == 0);
}

static void report_check(const struct part *parts, enum config_format format, const char *report, size_t size, int errors)
{
    int lines = 0;
    for (const char *at = report, *end = report + size; at < end; lines++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline)
            finding("a report that ends within a line");
        for (const char *c = at; c < newline; c++)
            if ((unsigned char)*c < ' ' && *c != '\t')
                finding("a control character in a report");
        if (format == CONFIG_JSON) {
            if (onced_json_open(json, at, newline - at))
                finding("not JSON: %s", json->error);
            place_check(parts);
        }
        if (format == CONFIG_TEXT && !is_text_line(at, (size_t)(newline - at)))
            finding("a line that a message broke: %.*s", (int)(newline - at), at);
        if (format == CONFIG_GITHUB && strncmp(at, "::error ", 8) && strncmp(at, "::warning ", 10))
            finding("no workflow command");
        at = newline + 1;
    }
    if (lines < errors)
        finding("%d errors in %d lines", errors, lines);
}

static void secret_check(const struct part *parts, const char *text, size_t size)
{
    int is_secret = 1;
    for (int i = 0; i < PARTS; i++)
        is_secret &= !holds(parts[i].text, parts[i].size, SECRET);
    if (is_secret && holds(text, size, SECRET))
        finding("a secret is told: %.*s", (int)size, text);
}

// --- what was loaded ---------------------------------------------------------------------------------------------------------------------

// With the secrets of what was read in it.
struct text {
    char *data;
    size_t size;
};

static struct config *load(const struct part *parts, enum config_format format)
{
    struct config_request request = {.service_file = parts[SERVICE].size ? parts[SERVICE].name : NULL,
                                     .pipelines = &parts[PIPELINE].name,
                                     .pipeline_count = 1,
                                     .brokers = parts[SERVICE].size ? NULL : "localhost:9092"};
    struct text report = {0};
    int errors = 0;
    FILE *out = open_memstream(&report.data, &report.size);
    struct config *config = config_load(&request, format, out, &errors);
    fclose(out);
    if (!config != !!errors)
        finding("%d errors, and %s config", errors, config ? "a" : "no");
    report_check(parts, format, report.data, report.size, errors);
    secret_check(parts, report.data, report.size);
    free(report.data);
    return config;
}

static void json_check(const char *what, const char *text, size_t size, int kind)
{
    if (onced_json_open(json, text, (int64_t)size) || onced_json_value(json, 0) != kind)
        finding("%s: %s: %.*s", what, json->error ? json->error : "another kind", (int)size, text);
}

static void config_check_all(const struct config *config)
{
    for (int i = 0; i < config->pipeline_count; i++) {
        const struct config_pipeline *p = &config->pipelines[i];
        json_check("params", p->transform.params_json, strlen(p->transform.params_json), ONCED_JSON_OBJECT);
        json_check("allow", p->transform.allow_json, strlen(p->transform.allow_json), ONCED_JSON_ARRAY);
        json_check("data", p->transform.data_json, (size_t)p->transform.data_size, ONCED_JSON_OBJECT);
        for (int j = 0; j < p->output_count; j++) {
            const struct config_output *o = &p->outputs[j];
            int count = o->variable ? o->value_count : 1;
            if (o->first_topic < 0 || count < 1 || o->first_topic + count > p->topic_count)
                finding("an output without its topics");
        }
    }
}

static struct text printed(const struct config *config, int with_origins)
{
    struct text text = {0};
    FILE *out = open_memstream(&text.data, &text.size);
    config_print(config, with_origins, out);
    fclose(out);
    return text;
}

// A printout's documents become the files, but for the reference data.
static void printed_write(const struct text *text, struct part *parts)
{
    const char *next = strstr(text->data, "\n---\n");
    if (!next)
        finding("a printout without a pipeline:\n%s", text->data);
    parts[SERVICE].text = text->data;
    parts[SERVICE].size = (size_t)(next + 1 - text->data);
    parts[PIPELINE].text = next + 5;
    parts[PIPELINE].size = strlen(next + 5);
    for (int i = PIPELINE; i <= SERVICE; i++)
        file_write(parts[i].name, parts[i].text, parts[i].size);
}

static void print_check(const struct config *config, const struct part *parts)
{
    struct text first = printed(config, 0), origins = printed(config, 1);
    secret_check(parts, first.data, first.size);
    secret_check(parts, origins.data, origins.size);
    if (!strstr(first.data, "(redacted)")) {
        struct part again[PARTS];
        memcpy(again, parts, sizeof again);
        printed_write(&first, again);
        struct config *back = load(again, CONFIG_TEXT);
        if (!back)
            finding("what was printed isn't read:\n%s", first.data);
        struct text second = printed(back, 0);
        if (strcmp(strchr(first.data, '\n'), strchr(second.data, '\n'))) // but for the service file's name
            finding("printed:\n%sand again:\n%s", first.data, second.data);
        free(second.data);
        config_free(&back);
    }
    free(first.data);
    free(origins.data);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    mkdir("at", 0700);
    mkdir("cred", 0700);
    file_write("cred/kafka", SECRET "\n", sizeof SECRET);
    file_write("secret", SECRET, sizeof SECRET - 1);
    file_write("at/good.lua", "return print\n", 13);
    file_write("at/ca.pem", "", 0);
    setenv("CREDENTIALS_DIRECTORY", "cred", 1);
    setenv("WORD", "word", 1);
    setenv("NUMBER", "12", 1);
    setenv("BYTES", "\xff\xc3\x01", 1);
    setenv("EMPTY", "", 1);
    json = onced_json_new();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct part parts[PARTS] = {{.name = "at/orders.yaml"}, {.name = "at/onced.yaml"}, {.name = "at/data.json"}};
    const char *at = (const char *)data, *end = at + size;
    for (int i = 0; i < PARTS; i++) {
        const char *stop = i < PARTS - 1 ? memchr(at, '\x1e', (size_t)(end - at)) : NULL;
        parts[i].text = at;
        parts[i].size = (size_t)((stop ? stop : end) - at);
        at = stop ? stop + 1 : end;
        file_write(parts[i].name, parts[i].text, parts[i].size);
    }
    file_write("at/data.csv", parts[DATA].text, parts[DATA].size);
    confined = 1;
    struct config *config = load(parts, (enum config_format)(size % 3));
    if (config) {
        config_check_all(config);
        print_check(config, parts);
    }
    free(config_socket(parts[SERVICE].name));
    config_free(&config);
    confined = 0;
    return 0;
}
