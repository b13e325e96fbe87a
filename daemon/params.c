// SPDX-License-Identifier: MIT
// The params of a script as JSON: the form in which they cross to Lua.
#include "config_draft.h"

#include "err.h"
#include "json.h"
#include "scalar.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    struct config_draft *draft;
    FILE *out;
};

// A decimal integer keeps its digits, however many: what is beyond 64 bits is the reader's decision.
static void write_integer(struct writer *w, const struct yaml_node *node)
{
    const char *text = node->text;
    int64_t value;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'o')) {
        if (scalar_integer(text, &value))
            report_error(w->draft->report, node->place, NULL, "the number is too large");
        else
            fprintf(w->out, "%" PRId64, value);
        return;
    }
    if (*text == '-')
        fputc('-', w->out);
    text += *text == '-' || *text == '+';
    text += strspn(text, "0");
    fputs(*text ? text : "0", w->out);
}

// JSON wants a digit on both sides of the point, and has no infinity.
static void write_float(struct writer *w, const struct yaml_node *node)
{
    const char *text = node->text;
    if (strpbrk(text, "nN")) {
        report_error(w->draft->report, node->place, NULL, "params can't hold infinity or not-a-number");
        return;
    }
    if (*text == '-')
        fputc('-', w->out);
    text += *text == '-' || *text == '+';
    size_t whole = strspn(text, "0123456789"), zeros = strspn(text, "0");
    zeros = zeros && zeros == whole ? zeros - 1 : zeros;
    fprintf(w->out, "%s%.*s", whole ? "" : "0", (int)(whole - zeros), text + zeros);
    text += whole;
    if (*text == '.') {
        size_t part = strspn(++text, "0123456789");
        fprintf(w->out, ".%.*s%s", (int)part, text, part ? "" : "0");
        text += part;
    }
    fputs(text, w->out);
}

static void write_text(struct writer *w, const struct yaml_node *node)
{
    switch (node->plain ? scalar_type(node->text) : SCALAR_STRING) {
    case SCALAR_NULL:
        fputs("null", w->out);
        break;
    case SCALAR_BOOLEAN:
        fputs(*node->text == 't' || *node->text == 'T' ? "true" : "false", w->out);
        break;
    case SCALAR_INTEGER:
        write_integer(w, node);
        break;
    case SCALAR_FLOAT:
        write_float(w, node);
        break;
    case SCALAR_STRING:
        json_write_string(w->out, node->text, strlen(node->text));
    }
}

static void write_node(struct writer *w, const struct yaml_node *node)
{
    if (node->kind == YAML_TEXT) {
        write_text(w, node);
        return;
    }
    fputc(node->kind == YAML_MAP ? '{' : '[', w->out);
    for (int i = 0; i < node->count; i++) {
        if (i)
            fputc(',', w->out);
        if (node->kind == YAML_MAP) {
            const char *key = node->items[2 * i]->text;
            json_write_string(w->out, key, strlen(key));
            fputc(':', w->out);
        }
        write_node(w, node->items[node->kind == YAML_MAP ? 2 * i + 1 : i]);
    }
    fputc(node->kind == YAML_MAP ? '}' : ']', w->out);
}

const char *params_json(struct config_draft *draft, const struct yaml_node *node)
{
    char *text = NULL;
    size_t size = 0;
    struct writer w = {draft, open_memstream(&text, &size)};
    must(w.out);
    write_node(&w, node);
    must(fclose(w.out) == 0);
    const char *json = pool_text(draft->pool, text, size);
    free(text);
    return json;
}
