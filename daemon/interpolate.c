// SPDX-License-Identifier: MIT
#include "interpolate.h"

#include "err.h"
#include "json_text.h"
#include "spelling.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INSERT_MOST = 64 << 10 };

struct insertion {
    struct pool *pool;
    struct report *report; // every error here leaves the node unknown
    struct yaml_node *node;
    FILE *out;
};

static void fail(struct insertion *in, const char *suggestion, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void fail(struct insertion *in, const char *suggestion, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    report_error(in->report, in->node->place, suggestion, "%s", text);
    in->node->unknown = 1;
}

// `what` is how users know it.
static void insert_text(struct insertion *in, const char *what, const char *text, size_t size)
{
    const char *end = text + size;
    int bytes = 1;
    for (const char *p = text; p < end && bytes; p += bytes)
        bytes = (unsigned char)*p < 0x80 ? 1 : json_utf8_size(p, end);
    if (bytes)
        fwrite(text, 1, size, in->out);
    else
        fail(in, NULL, "%s is not UTF-8 text", what);
}

static void insert_env(struct insertion *in, const char *rest)
{
    const char *fallback = strstr(rest, ":-");
    const char *name = fallback ? pool_text(in->pool, rest, (size_t)(fallback - rest)) : rest;
    const char *value = getenv(name);
    if (fallback && (!value || !*value)) // as a shell does it: an empty one counts as unset
        value = fallback + 2;
    if (!value)
        fail(in, NULL, "environment variable %s is not set; ${env:%s:-text} gives a default", name, name);
    else
        insert_text(in, pool_format(in->pool, "environment variable %s", name), value, strlen(value));
}

// The content without its last newline, which editors and `echo` add.
static void insert_file(struct insertion *in, const char *path)
{
    char buffer[INSERT_MOST + 1];
    struct stat status;
    in->node->secret = 1;
    FILE *stream = fopen(path, "re");
    int is_file = stream && fstat(fileno(stream), &status) == 0 && S_ISREG(status.st_mode);
    size_t size = is_file ? fread(buffer, 1, sizeof buffer, stream) : 0;
    if (!stream) {
        fail(in, NULL, "%s can't be read: %s", path, strerror(errno));
    } else if (!is_file) {
        fail(in, NULL, "%s is not a file", path);
    } else if (size > INSERT_MOST || memchr(buffer, 0, size)) {
        fail(in, NULL, "%s is not text of at most 64 KiB", path);
    } else {
        size -= size && buffer[size - 1] == '\n';
        report_conceal(in->report, buffer, size);
        insert_text(in, path, buffer, size);
    }
    if (stream)
        fclose(stream);
}

static void insert_credential(struct insertion *in, const char *name)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    in->node->secret = 1;
    if (!*name || strchr(name, '/') || strcmp(name, "..") == 0)
        fail(in, NULL, "\"%s\" is not the name of a credential", name);
    else if (!directory)
        fail(in, NULL, "credential %s: $CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with LoadCredential=%s:/path", name,
             name);
    else
        insert_file(in, pool_format(in->pool, "%s/%s", directory, name));
}

// One ${...}; `name` is what is between the braces.
static void insert(struct insertion *in, char *name)
{
    static const struct {
        const char *name;
        void (*insert)(struct insertion *in, const char *name);
    } kinds[] = {{"env", insert_env}, {"file", insert_file}, {"cred", insert_credential}};
    char *colon = strchr(name, ':');
    const char *rest = colon ? colon + 1 : "";
    const char *meant = NULL;
    if (colon)
        *colon = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(name, kinds[i].name) == 0 && *rest) {
            kinds[i].insert(in, rest);
            return;
        }
        if (spelling_close(name, spelling_distance(name, kinds[i].name)))
            meant = kinds[i].name;
    }
    if (!meant && !colon) // ${HOME}
        meant = "env", rest = name;
    fail(in, meant ? pool_format(in->pool, "${%s:%s}", meant, *rest ? rest : "NAME") : NULL,
         "\"${%s%s%s}\" is none of ${env:NAME}, ${file:/path}, ${cred:name}; a plain dollar sign is $$", name, colon ? ":" : "",
         colon ? rest : "");
}

static void interpolate_node(struct pool *pool, struct report *report, struct yaml_node *node)
{
    char *text = NULL;
    size_t size = 0;
    struct insertion in = {pool, report, node, open_memstream(&text, &size)};
    must(in.out);
    for (const char *at = node->text; *at; at++) {
        const char *close = strncmp(at, "${", 2) == 0 ? strchr(at, '}') : NULL;
        if (strncmp(at, "$$", 2) == 0) {
            fputc(*at++, in.out);
        } else if (close) {
            insert(&in, pool_text(pool, at + 2, (size_t)(close - at - 2)));
            at = close;
        } else if (strncmp(at, "${", 2) == 0) {
            fail(&in, NULL, "\"${\" without \"}\"; a plain dollar sign is $$");
            break;
        } else {
            fputc(*at, in.out); // a lone $ is itself: "^orders-[a-z]+$"
        }
    }
    must(fclose(in.out) == 0);
    node->text = pool_text(pool, text, size);
    free(text);
}

void interpolate_file(struct pool *pool, struct report *report, const struct yaml_file *file)
{
    for (struct yaml_node *node = file->first; node; node = node->next)
        if (node->kind == YAML_TEXT && !node->is_key && strchr(node->text, '$'))
            interpolate_node(pool, report, node);
}
