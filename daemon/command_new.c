// SPDX-License-Identifier: MIT
// Writes a pipeline, its script and its spec to begin with: the examples of pipelines/, compiled in, under another name. What users start
// from is thus what specs run on a real broker.
#include "command.h"

#include "err.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

// A file's bytes from `name` to `name_end`.
#define EMBEDDED(name, path)                                                                                                               \
    __asm__(".pushsection .rodata\n" #name ":\n.incbin \"" path "\"\n" #name "_end:\n.byte 0\n.popsection\n");                             \
    extern const char name[], name##_end[] __attribute__((visibility("hidden")));

#define EXAMPLE(name)                                                                                                                      \
    EMBEDDED(name##_yaml, "pipelines/" #name ".yaml")                                                                                      \
    EMBEDDED(name##_lua, "pipelines/" #name ".lua")                                                                                        \
    EMBEDDED(name##_spec, "pipelines/" #name "_spec.lua")

EXAMPLE(map)
EXAMPLE(filter)
EXAMPLE(route)
EXAMPLE(split)

enum { FILES = 3, NAME_MOST = 100 };
static const char *const endings[FILES] = {".yaml", ".lua", "_spec.lua"};

struct example {
    const char *name, *sample; // sample: a value worth trying
    struct {
        const char *text, *end;
    } files[FILES];
};

#define FILES_OF(name)                                                                                                                     \
    {                                                                                                                                      \
        {name##_yaml, name##_yaml_end}, {name##_lua, name##_lua_end},                                                                      \
        {                                                                                                                                  \
            name##_spec, name##_spec_end                                                                                                   \
        }                                                                                                                                  \
    }
static const struct example examples[] = {
    {"map", "hello", FILES_OF(map)},
    {"filter", "{\"total\": 120}", FILES_OF(filter)},
    {"route", "hello", FILES_OF(route)},
    {"split", "{\"id\": 1, \"lines\": [{\"sku\": \"a\"}, {\"sku\": \"b\"}]}", FILES_OF(split)},
};

// Where the example's name names a file, a topic or the pipeline, not in the words of a comment.
static int names_it(const char *text, const char *at, const char *end, size_t size)
{
    const char *behind = at + size;
    if (at == text || isalnum((unsigned char)at[-1]) || at[-1] == '_' || end - behind < 2)
        return 0;
    if (*behind == '.' || *behind == '-')
        return isalpha((unsigned char)behind[1]) || behind[1] == '{';
    return at[-1] == '"' && *behind == '"';
}

static void text_write(const struct example *example, int file, const char *name, FILE *out)
{
    const char *text = example->files[file].text, *end = example->files[file].end;
    size_t size = strlen(example->name);
    for (const char *at = text; at < end;) {
        int is_name = (size_t)(end - at) > size && memcmp(at, example->name, size) == 0 && names_it(text, at, end, size);
        if (is_name)
            fputs(name, out);
        else
            fputc(*at, out);
        at += is_name ? size : 1;
    }
}

static int says(int code, const char *path, const char *why)
{
    fprintf(stderr, "onced: %s: %s\n", path, why);
    return code;
}

// Never over a file that is there, whoever made it meanwhile.
static int file_write(const struct example *example, int file, const char *name, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out)
        return says(EX_CANTCREAT, path, strerror(errno));
    text_write(example, file, name, out);
    return fclose(out) ? says(EX_CANTCREAT, path, strerror(errno)) : EX_OK;
}

static int files_write(const struct example *example, const char *folder, const char *name)
{
    char paths[FILES][PATH_MAX];
    for (int i = 0; i < FILES; i++) {
        const char *slash = !*folder || folder[strlen(folder) - 1] == '/' ? "" : "/";
        int size = snprintf(paths[i], sizeof paths[i], "%s%s%s%s", folder, slash, name, endings[i]);
        if (size >= (int)sizeof paths[i])
            return says(EX_CANTCREAT, folder, strerror(ENAMETOOLONG));
        if (access(paths[i], F_OK) == 0)
            return says(EX_CANTCREAT, paths[i], "is there already; nothing was written");
    }
    for (int i = 0; i < FILES; i++) {
        int code = file_write(example, i, name, paths[i]);
        if (code)
            return code;
        printf("wrote %s\n", paths[i]);
    }
    const char *onced = program_invocation_name, *path = paths[0];
    printf("\nNext, change the topics in %s and the script, then:\n"
           "  %s check %s\n  %s test %s\n"
           "  echo '%s' | %s try %s --from -\n"
           "  %s run --brokers HOST:PORT %s\n",
           path, onced, path, onced, path, example->sample, onced, path, onced, path);
    return EX_OK;
}

static int is_name(const char *name)
{
    size_t size = strlen(name);
    return size <= NAME_MOST && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size && isalnum((unsigned char)name[0]);
}

static int run(struct arguments *arguments)
{
    const char *name = arguments->operands[0], *wanted = command_option(arguments, "--template");
    const char *folder = command_option(arguments, "--directory");
    const struct example *example = examples;
    if (!is_name(name))
        return command_usage(NULL, "a pipeline's name is of a-z, 0-9 and -, at most %d of them, not \"%s\"", NAME_MOST, name);
    while (wanted && strcmp(example->name, wanted))
        example++;
    return files_write(example, folder ? folder : "", name);
}

static const struct option options[] = {
    {"--template", "map|filter|route|split", "what to begin with; default: map"},
    {"--directory", "PATH", "where to write; default: here"},
    {NULL, NULL, NULL},
};

const struct command command_new = {
    .name = "new",
    .operands = "PIPELINE",
    .least = 1,
    .most = 1,
    .summary = "write a pipeline, its script and its spec to begin with",
    .details = "Writes PIPELINE.yaml, PIPELINE.lua and PIPELINE_spec.lua, never over a file that is there. map: one record in, one out;\n"
               "filter: drops by a JSON field; route: chooses the topic; split: makes several of one.\n\n"
               "Exit: 0, 64 usage, 73 a file can't be written or is there already.\n",
    .options = options,
    .run = run,
};
