// SPDX-License-Identifier: MIT
#include "command.h"

#include "control.h"
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

const char *command_option(const struct arguments *arguments, const char *name)
{
    const struct option *options = arguments->command->options;
    int i = 0;
    while (options[i].name && strcmp(options[i].name, name))
        i++;
    must(options[i].name);
    return arguments->values[i];
}

int command_usage(const char *meant, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("onced: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (meant)
        fprintf(stderr, "; did you mean \"%s\"?", meant);
    fputs("\nTry: onced --help\n", stderr);
    return EX_USAGE;
}

static int is_readable(const char *path)
{
    if (access(path, R_OK) == 0)
        return 1;
    fprintf(stderr, "onced: %s can't be read\n", path);
    return 0;
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

// Takes a service file from among the operands.
static void service_file_take(struct arguments *arguments, struct config_request *request)
{
    int kept = 0;
    for (int i = 0; i < arguments->operand_count; i++) {
        const char *path = arguments->operands[i], *slash = strrchr(path, '/');
        if (strcmp(slash ? slash + 1 : path, "onced.yaml") == 0 && !request->service_file)
            request->service_file = path;
        else
            arguments->operands[kept++] = path;
    }
    arguments->operand_count = kept;
}

int command_request(struct arguments *arguments, struct config_request *request)
{
    const char *named = command_option(arguments, "-c"), *brokers = command_option(arguments, "--brokers");
    *request = (struct config_request){
        .service_file = named,
        .brokers = brokers ? brokers : environment("ONCED_BROKERS"),
        .brokers_yield = !brokers,
        .instance = environment("ONCED_INSTANCE"),
    };
    service_file_take(arguments, request);
    request->pipelines = arguments->operands;
    request->pipeline_count = arguments->operand_count;
    if (!request->service_file && !request->pipeline_count)
        request->service_file = COMMAND_SERVICE_FILE;
    if (request->service_file && !is_readable(request->service_file)) {
        if (!named)
            fputs("Name a pipeline file, or a service file with -c\n", stderr);
        return EX_NOINPUT;
    }
    for (int i = 0; i < request->pipeline_count; i++)
        if (!is_readable(request->pipelines[i]))
            return EX_NOINPUT;
    return EX_OK;
}

int command_call(const struct arguments *arguments, const char *line)
{
    char path[4096];
    const char *named = command_option(arguments, "--socket"), *file = command_option(arguments, "-c");
    char *configured = named ? NULL : config_socket(file ? file : COMMAND_SERVICE_FILE);
    if (!control_path(named ? named : configured, path, sizeof path))
        snprintf(path, sizeof path, COMMAND_SOCKET);
    free(configured);
    return control_call(path, line, stdout, stderr);
}
