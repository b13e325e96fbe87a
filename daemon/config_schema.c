// SPDX-License-Identifier: MIT
#include "config_schema.h"

#include "config_draft.h"
#include "json.h"

#include <stdarg.h>
#include <string.h>

struct writer {
    FILE *out;
    const struct setting *table;
    int depth, is_first;
};

static void begin(struct writer *w)
{
    fputc('{', w->out);
    w->depth++;
    w->is_first = 1;
}

static void end(struct writer *w)
{
    fprintf(w->out, "\n%*s}", 2 * --w->depth, "");
    w->is_first = 0;
}

static void member(struct writer *w, const char *name)
{
    fprintf(w->out, "%s\n%*s", w->is_first ? "" : ",", 2 * w->depth, "");
    json_write_string(w->out, name, strlen(name));
    fputs(": ", w->out);
    w->is_first = 0;
}

// A member whose value is JSON already.
static void raw(struct writer *w, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void raw(struct writer *w, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    member(w, name);
    vfprintf(w->out, format, arguments);
    va_end(arguments);
}

static void text(struct writer *w, const char *name, const char *value)
{
    member(w, name);
    json_write_string(w->out, value, strlen(value));
}

// {"enum": ["stop", "skip"]}
static void choices_write(struct writer *w, const char *choices)
{
    const char *before = "{\"enum\": [";
    for (const char *word = choices; word; before = ", ") {
        size_t size = strcspn(word, "|");
        fputs(before, w->out);
        json_write_string(w->out, word, size);
        word = word[size] ? word + size + 1 : NULL;
    }
    fputs("]}", w->out);
}

// A value by its kind, or text with an interpolation, which is read only later.
static void scalar_write(struct writer *w, const struct setting *row)
{
    member(w, "anyOf");
    fputc('[', w->out);
    if (row->kind == SETTING_INTEGER && row->least == row->most)
        fprintf(w->out, "{\"enum\": [%.0f]}", row->least);
    else if (row->kind == SETTING_INTEGER || row->kind == SETTING_NUMBER)
        fprintf(w->out, "{\"type\": \"%s\", \"minimum\": %.15g, \"maximum\": %.15g}", row->kind == SETTING_NUMBER ? "number" : "integer",
                row->least, row->most);
    else if (row->kind == SETTING_BOOLEAN)
        fputs("{\"type\": \"boolean\"}", w->out);
    else if (row->kind == SETTING_CHOICE)
        choices_write(w, row->choices);
    else if (row->kind == SETTING_NAME)
        fprintf(w->out, "{\"type\": \"string\", \"pattern\": \"^[a-z0-9-]{1,%.0f}$\"}", row->most);
    else if (row->kind == SETTING_START)
        fputs("{\"enum\": [\"earliest\", \"latest\"]}, {\"type\": \"string\", \"pattern\": \"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]\"}", w->out);
    else
        fprintf(w->out, "{\"type\": \"string\", \"pattern\": \"^[0-9]+ *(%s)$\"}%s",
                row->kind == SETTING_SIZE ? "B|[KMG]iB|kB|MB|GB" : "ms|s|m|h", row->least > 0 ? "" : ", {\"enum\": [0]}");
    fputs(", {\"$ref\": \"#/definitions/interpolated\"}]", w->out);
}

static void default_write(struct writer *w, const struct setting *row)
{
    if (row->kind == SETTING_INTEGER || row->kind == SETTING_NUMBER || row->kind == SETTING_BOOLEAN)
        raw(w, "default", "%s", row->fallback);
    else
        text(w, "default", row->fallback);
}

static int is_in_schema(const struct setting *row)
{
    return row->kind != SETTING_REFUSED;
}

static void properties_write(struct writer *w, const char *parent);

// The topic's variable is one more key, with the list of its values. Where the topic has none, only the known keys are right.
static void variable_write(struct writer *w)
{
    member(w, "if");
    fputs("{\"properties\": {\"topic\": {\"pattern\": \"^[^{]*$\"}}}", w->out);
    member(w, "then");
    fputs("{\"propertyNames\": {\"enum\": [", w->out);
    const char *before = "";
    for (const struct setting *row = w->table; row->path; row++)
        if (setting_is_below(row, "outputs.*") && is_in_schema(row)) {
            fprintf(w->out, "%s\"%s\"", before, setting_last(row));
            before = ", ";
        }
    fputs("]}}", w->out);
    raw(w, "additionalProperties", "{\"type\": \"array\", \"items\": {\"type\": \"string\"}, \"minItems\": 1}");
}

// A map that must hold something can't be left empty, which YAML reads as null.
static void map_write(struct writer *w, const char *path)
{
    raw(w, "type", setting_needs(w->table, path) ? "\"object\"" : "[\"object\", \"null\"]");
    properties_write(w, path);
    if (strcmp(path, "outputs.*") == 0)
        variable_write(w);
    else
        raw(w, "additionalProperties", "false");
}

// The row `path.*` is what every name holds.
static void named_write(struct writer *w, const struct setting *row)
{
    char path[64];
    snprintf(path, sizeof path, "%s.*", row->path);
    raw(w, "type", "\"object\"");
    raw(w, "minProperties", "%d", row->flags & SETTING_REQUIRED ? 1 : 0);
    member(w, "additionalProperties");
    begin(w);
    text(w, "description", setting_find(w->table, path)->doc);
    map_write(w, path);
    end(w);
}

static void raw_properties_write(struct writer *w, const struct setting *row)
{
    raw(w, "type", "[\"object\", \"null\"]");
    raw(w, "propertyNames", "{\"not\": {\"$ref\": \"#/definitions/refused\"}}");
    properties_write(w, row->path);
    raw(w, "additionalProperties", "{\"type\": [\"string\", \"number\", \"boolean\"]}");
}

static void list_write(struct writer *w, const struct setting *row)
{
    raw(w, "type", row->kind == SETTING_LIST ? "\"array\"" : "[\"array\", \"string\"]");
    member(w, "items");
    if (row->choices)
        choices_write(w, row->choices);
    else
        fputs("{\"type\": \"string\", \"minLength\": 1}", w->out);
    raw(w, "minItems", "%d", row->flags & SETTING_REQUIRED ? 1 : 0);
}

static void row_write(struct writer *w, const struct setting *row)
{
    member(w, setting_last(row));
    begin(w);
    member(w, "description");
    char doc[256];
    snprintf(doc, sizeof doc, "%s%s", row->doc, row->flags & SETTING_LATER ? " (no effect in this version)" : "");
    json_write_string(w->out, doc, strlen(doc));
    if (row->kind == SETTING_MAP)
        map_write(w, row->path);
    else if (row->kind == SETTING_NAMED)
        named_write(w, row);
    else if (row->kind == SETTING_PROPERTIES)
        raw_properties_write(w, row);
    else if (row->kind == SETTING_ANY_MAP)
        raw(w, "type", "[\"object\", \"null\"]");
    else if (row->kind == SETTING_TEXTS)
        raw(w, "type", "[\"object\", \"null\"]"), raw(w, "additionalProperties", "{\"type\": \"string\"}");
    else if (row->kind == SETTING_LIST || row->kind == SETTING_LIST_OR_TEXT)
        list_write(w, row);
    else if (row->kind == SETTING_TEXT)
        raw(w, "type", "\"string\""), raw(w, "minLength", "1");
    else
        scalar_write(w, row);
    if (row->fallback)
        default_write(w, row);
    end(w);
}

static void required_write(struct writer *w, const char *parent)
{
    int count = 0;
    for (const struct setting *row = w->table; row->path; row++)
        if (row->flags & SETTING_REQUIRED && setting_is_below(row, parent)) {
            if (!count++)
                member(w, "required"), fputc('[', w->out);
            fprintf(w->out, "%s\"%s\"", count > 1 ? ", " : "", setting_last(row));
        }
    if (count)
        fputc(']', w->out);
}

static void properties_write(struct writer *w, const char *parent)
{
    member(w, "properties");
    begin(w);
    for (const struct setting *row = w->table; row->path; row++)
        if (setting_is_below(row, parent) && is_in_schema(row))
            row_write(w, row);
    end(w);
    required_write(w, parent);
}

static void definitions_write(struct writer *w)
{
    const char *reason, *name;
    member(w, "definitions");
    begin(w);
    raw(w, "interpolated", "{\"type\": \"string\", \"pattern\": \"[$][{](env|file|cred):\"}");
    member(w, "refused");
    for (int i = 0; (name = config_property_refused(i, &reason)); i++)
        fprintf(w->out, "%s\"%s\"", i ? ", " : "{\"enum\": [", name);
    fputs("]}", w->out);
    end(w);
}

void config_schema_write(const struct setting *table, const char *title, FILE *out)
{
    struct writer w = {.out = out, .table = table};
    begin(&w);
    text(&w, "$schema", "http://json-schema.org/draft-07/schema#");
    text(&w, "title", title);
    map_write(&w, "");
    definitions_write(&w);
    end(&w);
    fputc('\n', out);
}

// In a cell of a Markdown table a bar needs a backslash.
static void cell_write(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void value_write(const struct setting *row, FILE *out)
{
    char least[40], most[40];
    for (const char *word = row->choices; word && *word;) {
        size_t size = strcspn(word, "|");
        fprintf(out, "%s`%.*s`", word == row->choices ? "" : ", ", (int)size, word);
        word += size + (word[size] == '|');
    }
    if (row->choices)
        return;
    if (row->kind == SETTING_INTEGER && row->least == row->most) {
        fprintf(out, "`%.0f`", row->least);
        return;
    }
    cell_write(out, setting_kind_name(row->kind));
    if (row->most > 0 && row->kind != SETTING_NAME) {
        config_quantity(row->kind, row->least, least, sizeof least);
        config_quantity(row->kind, row->most, most, sizeof most);
        fprintf(out, ", %s to %s", least, most);
    }
}

void config_page_write(const struct setting *table, FILE *out)
{
    fputs("| key | value | default | meaning |\n| --- | --- | --- | --- |\n", out);
    for (const struct setting *row = table; row->path; row++) {
        if (row->kind == SETTING_REFUSED)
            continue;
        fputs("| `", out);
        for (const char *c = row->path; *c; c++)
            fputs(*c == '*' ? "NAME" : (char[]){*c, 0}, out);
        fputs("` | ", out);
        value_write(row, out);
        fputs(row->flags & SETTING_REQUIRED ? " | required | " : row->fallback ? " | `" : " | | ", out);
        if (row->fallback)
            fprintf(out, "%s` | ", row->fallback);
        cell_write(out, row->doc);
        fputs(row->flags & SETTING_SECRET  ? "; secret, never printed"
              : row->flags & SETTING_LATER ? "; no effect in this version"
                                           : "",
              out);
        fputs(" |\n", out);
    }
}

void config_page_write_refused(FILE *out)
{
    const char *reason, *name;
    fputs("| property | |\n| --- | --- |\n", out);
    for (int i = 0; (name = config_property_refused(i, &reason)); i++) {
        fprintf(out, "| `%s` | ", name);
        cell_write(out, reason);
        fputs(" |\n", out);
    }
}
