// SPDX-License-Identifier: MIT
// transform.data: JSON and CSV files become one JSON object, read and checked here once, so that every worker sees the same bytes. CSV
// (RFC 4180, with a row of names at its head) becomes a list of objects of strings. Called by config_pipeline.
#include "config_draft.h"

#include "err.h"
#include "json.h"
#include "json_text.h"
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { DATA_MOST = 128 << 20, DEPTH_MOST = 999 }; // one less than a document's, which is around it

struct data_file {
    struct config_draft *draft;
    struct report_place place; // in the YAML
    const char *path;
    const char *text;
    size_t size;
};

static __attribute__((format(printf, 3, 4))) int data_error(const struct data_file *f, const char *at, const char *format, ...)
{
    char problem[256];
    int64_t line = 1, column = 1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, sizeof problem, format, arguments);
    va_end(arguments);
    for (const char *p = f->text; p < at; p++) {
        column = *p == '\n' ? 1 : column + ((*p & 0xc0) != 0x80);
        line += *p == '\n';
    }
    report_error(f->draft->report, f->place, NULL, "%s:%" PRId64 ":%" PRId64 ": %s", f->path, line, column, problem);
    return -1;
}

// The file's bytes, which the caller frees. NULL: reported.
static char *data_read(const struct data_file *f, size_t *size)
{
    FILE *file = fopen(f->path, "re");
    char *text = NULL;
    size_t room = 0, got = 1;
    for (*size = 0; file && got > 0 && *size <= DATA_MOST; *size += got) {
        if (room - *size < 65536)
            must((text = realloc(text, room = room * 2 + 65536)));
        got = fread(text + *size, 1, room - *size, file);
    }
    int failed = !file || ferror(file) ? errno : *size > DATA_MOST ? EFBIG : 0;
    if (file)
        fclose(file);
    if (!failed)
        return text;
    report_error(f->draft->report, f->place, NULL, "%s can't be read: %s", f->path, strerror(failed));
    free(text);
    return NULL;
}

static int json_copy(const struct data_file *f, FILE *out)
{
    struct onced_json *json = onced_json_new();
    must(json);
    json->depth_most = DEPTH_MOST;
    int failed = onced_json_open(json, f->text, (int64_t)f->size);
    if (failed)
        data_error(f, f->text + (json->error_at > 0 ? json->error_at : 0), "invalid JSON: %s", json->error);
    else
        fwrite(f->text, 1, f->size, out);
    onced_json_free(json);
    return failed;
}

struct csv {
    const struct data_file *file;
    const char *p, *end;
    struct onced_json_buffer field, names; // names: of the columns, as JSON strings, one after the other
    int64_t columns;
    int64_t name_ends[1024];
    FILE *out;
};

// One field into csv->field, as a JSON string. 0, or -1: reported.
static int csv_field(struct csv *csv)
{
    const char *start = csv->p, *error;
    struct onced_json_buffer plain = {0};
    int64_t at;
    int failed = 0;
    if (csv->p < csv->end && *csv->p == '"') {
        char *to = json_buffer_room(&plain, (size_t)(csv->end - csv->p));
        must(to);
        for (csv->p++; csv->p < csv->end && (*csv->p != '"' || (csv->p + 1 < csv->end && csv->p[1] == '"')); csv->p++) {
            csv->p += *csv->p == '"';
            *to++ = *csv->p;
        }
        plain.size = to - plain.data;
        if (csv->p == csv->end)
            failed = data_error(csv->file, start, "the quote isn't closed");
        else if (++csv->p < csv->end && !strchr(",\r\n", *csv->p))
            failed = data_error(csv->file, csv->p, "after a closing quote stands a comma or the line's end");
    } else {
        while (csv->p < csv->end && *csv->p != ',' && *csv->p != '\n' && *csv->p != '\r' && *csv->p != '"')
            csv->p++;
        if (csv->p < csv->end && *csv->p == '"')
            failed = data_error(csv->file, csv->p, "a quote inside of a field: the whole field goes into quotes, and \" is doubled");
    }
    const char *text = plain.data ? plain.data : start;
    size_t size = plain.data ? (size_t)plain.size : (size_t)(csv->p - start);
    csv->field.size = 0;
    if (!failed && json_quote(&csv->field, text, size, &error, &at))
        failed = data_error(csv->file, start, "%s", error);
    free(plain.data);
    return failed;
}

// Behind a field: 1: another follows, 0: the row is over, -1: reported.
static int csv_next(struct csv *csv)
{
    if (csv->p == csv->end)
        return 0;
    if (*csv->p == ',')
        return csv->p++, 1;
    if (*csv->p == '\r' && (csv->p + 1 == csv->end || csv->p[1] != '\n'))
        return data_error(csv->file, csv->p, "a carriage return that ends no line");
    csv->p += *csv->p == '\r' ? 2 : 1;
    return 0;
}

static int64_t name_start(const struct csv *csv, int64_t column)
{
    return column ? csv->name_ends[column - 1] : 0;
}

static int csv_name_add(struct csv *csv, const char *at)
{
    size_t size = (size_t)csv->field.size;
    if (size == 2)
        return data_error(csv->file, at, "a column without a name");
    if (csv->columns == (int64_t)(sizeof csv->name_ends / sizeof *csv->name_ends))
        return data_error(csv->file, at, "too many columns");
    for (int64_t i = 0; i < csv->columns; i++)
        if ((size_t)(csv->name_ends[i] - name_start(csv, i)) == size &&
            memcmp(csv->names.data + name_start(csv, i), csv->field.data, size) == 0)
            return data_error(csv->file, at, "two columns are named %.*s", (int)(size < 100 ? size : 100), csv->field.data);
    char *to = json_buffer_room(&csv->names, size);
    must(to);
    memcpy(to, csv->field.data, size);
    csv->names.size += (int64_t)size;
    csv->name_ends[csv->columns++] = csv->names.size;
    return 0;
}

static int csv_head(struct csv *csv)
{
    int more = 1;
    if (csv->p == csv->end)
        return data_error(csv->file, csv->p, "the file is empty: its first row has the names of the columns");
    while (more > 0) {
        const char *at = csv->p;
        if (csv_field(csv) || csv_name_add(csv, at))
            return -1;
        more = csv_next(csv);
    }
    return more;
}

static int csv_row(struct csv *csv)
{
    const char *row = csv->p;
    int64_t column = 0;
    int more = 1;
    fputc('{', csv->out);
    for (; more > 0; column++) {
        if (csv_field(csv))
            return -1;
        if (column < csv->columns) {
            int64_t start = name_start(csv, column);
            fprintf(csv->out, "%s%.*s:", column ? "," : "", (int)(csv->name_ends[column] - start), csv->names.data + start);
            fwrite(csv->field.data, 1, (size_t)csv->field.size, csv->out);
        }
        more = csv_next(csv);
    }
    fputc('}', csv->out);
    if (more == 0 && column != csv->columns)
        return data_error(csv->file, row, "%" PRId64 " column%s, but the first row has %" PRId64, column, plural(column), csv->columns);
    return more;
}

static int csv_copy(const struct data_file *f, FILE *out)
{
    struct csv csv = {.file = f, .p = f->text, .end = f->text + f->size, .out = out};
    if (f->size >= 3 && memcmp(f->text, "\xef\xbb\xbf", 3) == 0)
        csv.p += 3;
    int failed = csv_head(&csv);
    fputc('[', out);
    for (int rows = 0; !failed && csv.p < csv.end; rows++) {
        if (rows)
            fputc(',', out);
        failed = csv_row(&csv);
    }
    fputc(']', out);
    free(csv.field.data);
    free(csv.names.data);
    return failed;
}

static int file_copy(struct data_file *f, FILE *out)
{
    const char *dot = strrchr(f->path, '.');
    int is_json = dot && strcmp(dot, ".json") == 0, is_csv = dot && strcmp(dot, ".csv") == 0;
    if (!is_json && !is_csv) {
        report_error(f->draft->report, f->place, NULL, "%s: the file must be .json or .csv", f->path);
        return -1;
    }
    char *text = data_read(f, &f->size);
    f->text = text;
    int failed = !text ? -1 : is_json ? json_copy(f, out) : csv_copy(f, out);
    free(text);
    return failed;
}

const char *config_data(struct config_draft *draft, const char *yaml, const struct yaml_node *map, int64_t *size)
{
    char *text = NULL;
    size_t length = 0;
    int failed = 0;
    FILE *out = open_memstream(&text, &length);
    must(out);
    fputc('{', out);
    for (int i = 0; map && map->kind == YAML_MAP && i < map->count; i++) {
        const struct yaml_node *key = map->items[2 * i], *value = map->items[2 * i + 1];
        if (value->kind != YAML_TEXT)
            continue;
        struct data_file file = {.draft = draft, .place = value->place, .path = config_beside(draft, yaml, value->text)};
        if (i)
            fputc(',', out);
        json_write_string(out, key->text, strlen(key->text));
        fputc(':', out);
        failed |= file_copy(&file, out);
    }
    fputc('}', out);
    must(fclose(out) == 0);
    if (map && !failed && length > DATA_MOST)
        report_error(draft->report, map->place, NULL, "the files are larger than 128 MiB together");
    const char *data = pool_text(draft->pool, text, length);
    *size = (int64_t)length;
    free(text);
    return data;
}
