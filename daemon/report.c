// SPDX-License-Identifier: MIT
#include "report.h"

#include "err.h"
#include "json.h"
#include "pool.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct entry {
    struct report_place place;
    int is_error, file_order, order;
    const char *text, *suggestion;
};

struct source {
    const char *file, *text;
    size_t size;
};

struct secret {
    struct report_place place;
    int end_line;
};

struct concealed {
    const char *text;
    size_t size;
};

enum { CONCEALED_LEAST = 4 };

struct report {
    struct pool pool;
    enum report_format format;
    FILE *out;
    struct entry *entries;
    struct source *sources;
    struct secret *secrets;
    struct concealed *concealed;
    int entry_count, source_count, secret_count, concealed_count, error_count;
};

struct report *report_new(enum report_format format, FILE *out)
{
    struct report *report = calloc(1, sizeof *report);
    must(report);
    report->format = format;
    report->out = out;
    return report;
}

void report_free(struct report **report)
{
    if (*report)
        pool_fini(&(*report)->pool);
    free(*report);
    *report = NULL;
}

void report_source(struct report *report, const char *file, const char *text, size_t size)
{
    report->sources = pool_grow(&report->pool, report->sources, report->source_count, sizeof *report->sources);
    report->sources[report->source_count++] = (struct source){file, text, size};
}

void report_secret(struct report *report, struct report_place place, int end_line)
{
    report->secrets = pool_grow(&report->pool, report->secrets, report->secret_count, sizeof *report->secrets);
    report->secrets[report->secret_count++] = (struct secret){place, end_line};
}

void report_conceal(struct report *report, const char *text, size_t size)
{
    if (size < CONCEALED_LEAST)
        return;
    report->concealed = pool_grow(&report->pool, report->concealed, report->concealed_count, sizeof *report->concealed);
    report->concealed[report->concealed_count++] = (struct concealed){pool_text(&report->pool, text, size), size};
}

static int same_file(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int source_order(const struct report *report, const char *file)
{
    int i = 0;
    while (i < report->source_count && !same_file(report->sources[i].file, file))
        i++;
    return i;
}

static void entry_add(struct report *report, int is_error, struct report_place place, const char *suggestion, const char *format,
                      va_list arguments)
{
    char *text = NULL;
    must(vasprintf(&text, format, arguments) >= 0);
    report->entries = pool_grow(&report->pool, report->entries, report->entry_count, sizeof *report->entries);
    report->entries[report->entry_count] = (struct entry){
        .place = place,
        .is_error = is_error,
        .file_order = source_order(report, place.file),
        .order = report->entry_count,
        .text = pool_text(&report->pool, text, strlen(text)),
        .suggestion = suggestion ? pool_text(&report->pool, suggestion, strlen(suggestion)) : NULL,
    };
    report->entry_count++;
    report->error_count += is_error;
    free(text);
}

void report_error(struct report *report, struct report_place place, const char *suggestion, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    entry_add(report, 1, place, suggestion, format, arguments);
    va_end(arguments);
}

void report_warning(struct report *report, struct report_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    entry_add(report, 0, place, NULL, format, arguments);
    va_end(arguments);
}

int report_errors(const struct report *report)
{
    return report->error_count;
}

static int entry_compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->file_order != b->file_order)
        return a->file_order - b->file_order;
    if (a->place.line != b->place.line)
        return a->place.line - b->place.line;
    return a->place.column != b->place.column ? a->place.column - b->place.column : a->order - b->order;
}

static int is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

// Of a control character, which does things to a terminal; 0: it is none.
static size_t control_size(const char *c)
{
    unsigned char first = (unsigned char)c[0], second = first == 0xc2 ? (unsigned char)c[1] : 0;
    return first < 0x20 || first == 0x7f ? 1 : second >= 0x80 && second < 0xa0 ? 2 : 0;
}

static size_t concealed_size(const struct report *report, const char *at)
{
    size_t size = 0;
    for (int i = 0; i < report->concealed_count; i++) {
        const struct concealed *c = &report->concealed[i];
        if (c->size > size && strncmp(at, c->text, c->size) == 0)
            size = c->size;
    }
    return size;
}

// A message as it may be told.
static const char *told(struct report *report, const char *message)
{
    char *text = NULL;
    size_t size = 0, skip;
    FILE *out = open_memstream(&text, &size);
    must(out);
    for (const char *at = message; *at; at += skip)
        if ((skip = concealed_size(report, at)))
            fputs("(redacted)", out);
        else if ((skip = control_size(at)))
            fputc(*at == '\n' || *at == '\t' ? ' ' : '?', out); // an error of Lua's may have lines
        else
            fputc(*at, out), skip = 1;
    must(fclose(out) == 0);
    const char *copy = pool_text(&report->pool, text, size);
    free(text);
    return copy;
}

static const char *const secret_words[] = {"password", "passwd", "secret", "token", NULL};

int report_names_secret(const char *key)
{
    int found = 0;
    for (const char *const *word = secret_words; *word; word++)
        found |= strcasestr(key, *word) != NULL;
    return found;
}

// A token that the parser could not type may hold a secret too: what follows `password:` and the like is masked by its looks.
static void mask_by_name(char *line)
{
    for (const char *const *word = secret_words; *word; word++)
        for (char *at = strcasestr(line, *word); at; at = strcasestr(at + 1, *word)) {
            char *value = strchr(at, ':');
            if (!value || strcspn(at, " \t") < (size_t)(value - at))
                continue;
            value += 1 + strspn(value + 1, " \t");
            char quote = *value == '"' || *value == '\'' ? *value++ : 0;
            if (strncmp(value, "${", 2) == 0)
                continue;
            int flow = memchr(line, '{', (size_t)(at - line)) != NULL;
            for (; *value && (quote ? *value != quote : !flow || (*value != ',' && *value != '}')); value++)
                *value = '*';
        }
}

static void mask_secrets(const struct report *report, const char *file, int number, char *line)
{
    for (int i = 0; i < report->secret_count; i++) {
        const struct secret *secret = &report->secrets[i];
        if (!same_file(secret->place.file, file) || number < secret->place.line || number > secret->end_line)
            continue;
        int first = number == secret->place.line ? secret->place.column : 1;
        int last = secret->end_line == secret->place.line ? first + secret->place.width : 1 << 30;
        int column = 0;
        for (char *at = line; *at; at++) {
            column += !is_continuation(*at);
            if (column >= first && column < last && *at != ' ')
                *at = '*';
        }
    }
    mask_by_name(line);
}

static void print_marker(const struct report *report, const struct entry *entry, const char *line)
{
    int column = 1;
    fputs("      | ", report->out);
    for (const char *c = line; *c && column < entry->place.column; c++)
        if (!is_continuation(*c)) {
            fputc(*c == '\t' ? '\t' : ' ', report->out);
            column++;
        }
    for (; column < entry->place.column; column++)
        fputc(' ', report->out);
    fputc('^', report->out);
    for (int i = 1; i < entry->place.width; i++)
        fputc('~', report->out);
    fputc('\n', report->out);
}

// The line with its number, and a marker under the token where one is known.
static void print_excerpt(const struct report *report, const struct entry *entry)
{
    if (entry->file_order == report->source_count || entry->place.line < 1)
        return;
    const struct source *source = &report->sources[entry->file_order];
    const char *at = source->text, *end = source->text + source->size;
    for (int line = 1; line < entry->place.line && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    size_t size = 0;
    while (at + size < end && at[size] != '\n')
        size++;
    size -= size && at[size - 1] == '\r';
    char *line = strndup(at, size);
    must(line);
    mask_secrets(report, source->file, entry->place.line, line);
    fprintf(report->out, "%5d | ", entry->place.line);
    for (const char *c = line; *c; c++) // no control codes to a terminal
        fputc((unsigned char)*c < 0x20 && *c != '\t' ? '?' : *c, report->out);
    fputc('\n', report->out);
    if (entry->place.column > 0)
        print_marker(report, entry, line);
    free(line);
}

static void print_text(const struct report *report, const struct entry *entry)
{
    int colour = isatty(fileno(report->out)) && !getenv("NO_COLOR");
    const char *kind = entry->is_error ? "error" : "warning";
    if (entry->place.file)
        fprintf(report->out, "%s:", entry->place.file);
    if (entry->place.file && entry->place.line > 0) {
        fprintf(report->out, "%d:", entry->place.line);
        if (entry->place.column > 0)
            fprintf(report->out, "%d:", entry->place.column);
    }
    fprintf(report->out, "%s%s%s:%s %s", entry->place.file ? " " : "", colour ? (entry->is_error ? "\033[1;31m" : "\033[1;33m") : "", kind,
            colour ? "\033[0m" : "", entry->text);
    if (entry->suggestion)
        fprintf(report->out, "; did you mean \"%s\"?", entry->suggestion);
    fputc('\n', report->out);
    print_excerpt(report, entry);
}

static void print_json(const struct report *report, const struct entry *entry)
{
    const char *file = entry->place.file ? entry->place.file : "";
    fprintf(report->out, "{\"severity\":\"%s\",\"file\":", entry->is_error ? "error" : "warning");
    json_write_string(report->out, file, strlen(file));
    fprintf(report->out, ",\"line\":%d,\"column\":%d,\"end_column\":%d,\"message\":", entry->place.line, entry->place.column,
            entry->place.column + entry->place.width);
    json_write_string(report->out, entry->text, strlen(entry->text));
    if (entry->suggestion) {
        fputs(",\"suggestion\":", report->out);
        json_write_string(report->out, entry->suggestion, strlen(entry->suggestion));
    }
    fputs("}\n", report->out);
}

// Workflow commands take %, CR, LF as percent codes; in properties also : and ,
static void print_escaped(FILE *out, const char *text, int property)
{
    for (; *text; text++)
        if (*text == '%' || *text == '\n' || *text == '\r' || (property && (*text == ':' || *text == ',')))
            fprintf(out, "%%%02X", (unsigned)*text);
        else
            fputc(*text, out);
}

static void print_github(const struct report *report, const struct entry *entry)
{
    fprintf(report->out, "::%s ", entry->is_error ? "error" : "warning");
    if (entry->place.file) {
        fputs("file=", report->out);
        print_escaped(report->out, entry->place.file, 1);
    }
    if (entry->place.file && entry->place.line > 0)
        fprintf(report->out, ",line=%d,col=%d,endColumn=%d", entry->place.line, entry->place.column,
                entry->place.column + entry->place.width);
    fputs("::", report->out);
    print_escaped(report->out, entry->text, 0);
    if (entry->suggestion) {
        fputs("; did you mean \"", report->out);
        print_escaped(report->out, entry->suggestion, 0);
        fputs("\"?", report->out);
    }
    fputc('\n', report->out);
}

void report_print(struct report *report)
{
    for (int i = 0; i < report->entry_count; i++) { // a file, or a secret, may have been read after an entry named it
        struct entry *entry = &report->entries[i];
        entry->file_order = source_order(report, entry->place.file);
        entry->text = told(report, entry->text);
        entry->suggestion = entry->suggestion ? told(report, entry->suggestion) : NULL;
    }
    if (report->entry_count)
        qsort(report->entries, (size_t)report->entry_count, sizeof *report->entries, entry_compare);
    for (int i = 0; i < report->entry_count; i++)
        (report->format == REPORT_JSON     ? print_json
         : report->format == REPORT_GITHUB ? print_github
                                           : print_text)(report, &report->entries[i]);
    report->entry_count = 0;
    fflush(report->out);
}
