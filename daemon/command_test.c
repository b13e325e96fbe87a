// SPDX-License-Identifier: MIT
// Finds the specs beside pipelines and becomes busted, told where onced.testing and the library are. busted comes with the system.
#include "command.h"

#include "pool.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define SPEC_ENDING "_spec.lua"

struct specs {
    struct pool pool; // given back by exec, or by the end of the process
    const char **paths;
    int count;
};

static void path_add(struct specs *specs, const char *path)
{
    specs->paths = pool_grow(&specs->pool, specs->paths, specs->count, sizeof *specs->paths);
    specs->paths[specs->count++] = pool_text(&specs->pool, path, strlen(path));
}

static void folder_add(struct specs *specs, const char *folder)
{
    glob_t found = {0};
    if (glob(pool_format(&specs->pool, "%s/*" SPEC_ENDING, folder), 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            path_add(specs, found.gl_pathv[i]);
    globfree(&found);
}

static int says(int code, const char *what, const char *path)
{
    fprintf(stderr, "onced: %s %s\n", what, path);
    return code;
}

// A folder, a spec, or a pipeline or script whose spec lies beside it. EX_OK or EX_NOINPUT.
static int operand_add(struct specs *specs, const char *path)
{
    struct stat status;
    const char *ending = strrchr(path, '.');
    size_t size = strlen(path), least = strlen(SPEC_ENDING);
    if (stat(path, &status))
        return says(EX_NOINPUT, "there is no", path);
    if (S_ISDIR(status.st_mode)) {
        folder_add(specs, path);
    } else if (size > least && strcmp(path + size - least, SPEC_ENDING) == 0) {
        path_add(specs, path);
    } else {
        const char *spec = pool_format(&specs->pool, "%.*s" SPEC_ENDING, ending ? (int)(ending - path) : (int)size, path);
        if (access(spec, R_OK))
            return says(EX_NOINPUT, "there is no spec", spec);
        path_add(specs, spec);
    }
    return EX_OK;
}

static int is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int specs_find(struct specs *specs, const struct arguments *arguments)
{
    const char *usual = is_folder("pipelines") ? "pipelines" : ".";
    int code = arguments->operand_count ? EX_OK : operand_add(specs, usual);
    for (int i = 0; i < arguments->operand_count && code == EX_OK; i++)
        code = operand_add(specs, arguments->operands[i]);
    if (code == EX_OK && !specs->count)
        return says(EX_NOINPUT, "there is no spec (NAME" SPEC_ENDING ") in", arguments->operand_count ? arguments->operands[0] : usual);
    return code;
}

// The first of these places, as seen from the binary's folder, that has `file`; NULL: none.
static const char *place_of(struct specs *specs, const char *const *places, const char *file)
{
    char binary[4096];
    ssize_t size = readlink("/proc/self/exe", binary, sizeof binary - 1);
    binary[size > 0 ? size : 0] = 0;
    if (!strrchr(binary, '/'))
        return NULL;
    *strrchr(binary, '/') = 0;
    for (; *places; places++) {
        const char *place = pool_format(&specs->pool, "%s/%s", binary, *places);
        if (access(pool_format(&specs->pool, "%s/%s", place, file), R_OK) == 0)
            return place;
    }
    return NULL;
}

// As installed, or as built. EX_OK or EX_UNAVAILABLE.
static int environment_set(struct specs *specs)
{
    static const char *const lua_places[] = {"../share/onced/lua", "../lua", "../../lua", NULL};
    static const char *const library_places[] = {"../lib/onced", ".", NULL};
    const char *lua = place_of(specs, lua_places, "onced/testing.lua"), *library = place_of(specs, library_places, "libonced.so");
    const char *before = getenv("LUA_PATH");
    if (!lua || !library)
        return says(EX_UNAVAILABLE, "not found near this binary:", lua ? "libonced.so" : "onced/testing.lua");
    setenv("LUA_PATH", pool_format(&specs->pool, "%s/?.lua;%s", lua, before && *before ? before : ";"), 1);
    setenv("ONCED_LIB", pool_format(&specs->pool, "%s/libonced.so", library), 0);
    return EX_OK;
}

static int is_installed(struct specs *specs, const char *program)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t size = strcspn(path, ":");
        if (size && access(pool_format(&specs->pool, "%.*s/%s", (int)size, path, program), X_OK) == 0)
            return 1;
        path += size + (path[size] == ':');
    }
    return 0;
}

static int run(struct arguments *arguments)
{
    struct specs specs = {0};
    const char *filter = command_option(arguments, "--filter");
    int code = specs_find(&specs, arguments);
    if (code == EX_OK)
        code = environment_set(&specs);
    if (code)
        return code;
    if (!is_installed(&specs, "busted") || !is_installed(&specs, "luajit")) {
        fputs("onced: specs run in busted under LuaJIT. This installs them:\n  apt-get install lua-busted luajit\n", stderr);
        return EX_UNAVAILABLE;
    }
    const char **argv = pool_take(&specs.pool, sizeof *argv * ((size_t)specs.count + 4));
    int argc = 0;
    argv[argc++] = "busted";
    argv[argc++] = "--lua=luajit";
    if (filter)
        argv[argc++] = pool_format(&specs.pool, "--filter=%s", filter);
    memcpy(argv + argc, specs.paths, sizeof *argv * (size_t)specs.count);
    execvp("busted", (char **)argv);
    return says(EX_UNAVAILABLE, "can't be run:", "busted");
}

static const struct option options[] = {
    {"--filter", "PATTERN", "only cases whose full name matches, a Lua pattern"},
    {NULL, NULL, NULL},
};

const struct command command_test = {
    .name = "test",
    .operands = "PATH",
    .most = OPERANDS_MANY,
    .summary = "run the specs of pipelines, without Kafka",
    .details = "PATH is a folder, whose *" SPEC_ENDING " are run, a spec, or a pipeline file with NAME" SPEC_ENDING " beside it; default: "
               "pipelines, or\nthe current folder where there is none. Specs require \"onced.testing\" and run in busted, which then is\n"
               "this process: its exit code counts the failures.\n\nExit: 0 all passed, 66 no such spec, 69 busted isn't installed.\n",
    .options = options,
    .run = run,
};
