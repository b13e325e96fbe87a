// SPDX-License-Identifier: MIT
#include "cli.h"

#include "check.h"
#include "config.h"
#include "log.h"
#include "spelling.h"
#include "supervisor.h"
#include "versions.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SERVICE_FILE "/etc/onced/onced.yaml"

struct arguments {
    const char *service_file, *brokers, *format;
    int help;
    const char **paths; // what is no option
    int path_count;
};

struct option {
    const char *name, *value; // value: what it is called in the help; NULL: takes none
    const char *doc;
    size_t offset; // of the text in struct arguments
};

struct command {
    const char *name, *usage, *summary, *details;
    const struct option *options;
    int (*run)(const struct arguments *arguments);
    int takes_paths;
};

static const struct option run_options[] = {
    {"-c", "FILE", "service file; default: " SERVICE_FILE " when no pipeline is named", offsetof(struct arguments, service_file)},
    {"--brokers", "HOST:PORT,...", "instead of those of the service file; default: ONCED_BROKERS", offsetof(struct arguments, brokers)},
    {NULL, NULL, NULL, 0},
};

static const struct option check_options[] = {
    {"-c", "FILE", "service file; default: " SERVICE_FILE " when no path is named", offsetof(struct arguments, service_file)},
    {"--brokers", "HOST:PORT,...", "as with run; may be unknown here", offsetof(struct arguments, brokers)},
    {"--format", "text|json|github", "how to write errors; json: one object a line", offsetof(struct arguments, format)},
    {NULL, NULL, NULL, 0},
};

static const struct option no_options[] = {{NULL, NULL, NULL, 0}};

static int run_command(const struct arguments *arguments);
static int check_command(const struct arguments *arguments);
static int version_command(const struct arguments *arguments);

static const struct command commands[] = {
    {"run", "onced run [-c FILE] [--brokers HOST:PORT,...] [PIPELINE.yaml ...]", "run pipelines in the foreground",
     "Pipelines that are named run instead of those that the service file lists. SIGTERM or SIGINT: finish the batch, commit, leave;\n"
     "a second one ends at once.\n\n"
     "Environment: ONCED_BROKERS (brokers, where no service file names clusters), ONCED_INSTANCE (this host's part of the\n"
     "transactional.id; two daemons of one pipeline need different ones; default: `instance` of the service file, else the host name).\n"
     "Exit: 0 stopped, 64 usage, 65 all pipelines have halted, 66 no such file, 78 configuration.\n",
     run_options, run_command, 1},
    {"check", "onced check [-c FILE] [--format=text|json|github] [PATH ...]", "check configuration and scripts; connects to nothing",
     "PATH is a pipeline file, a folder with pipelines, or a service file named onced.yaml. Each script is loaded and its init run, in a\n"
     "process of its own, for at most 5 s.\n\nExit: 0 all is well, 64 usage, 66 no such file, 78 errors.\n",
     check_options, check_command, 1},
    {"version", "onced version", "print versions of onced and its libraries", "", no_options, version_command, 0},
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static int usage_error(const char *meant, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int usage_error(const char *meant, const char *format, ...)
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

static void help_print(const struct command *command)
{
    if (!command) {
        puts("onced: Kafka to Kafka through Lua, each record exactly once\n\nCommands:");
        for (int i = 0; i < COMMAND_COUNT; i++)
            printf("  %-10s %s\n", commands[i].name, commands[i].summary);
        puts("\nonced COMMAND --help tells more. The first steps: README.md; the keys of the files: conf/onced.yaml.");
        return;
    }
    printf("%s\n  %s\n\n", command->usage, command->summary);
    for (const struct option *o = command->options; o->name; o++)
        printf("  %s%s%-*s %s\n", o->name, strncmp(o->name, "--", 2) ? " " : "=", 27 - (int)strlen(o->name), o->value, o->doc);
    printf("%s%s", command->options->name ? "\n" : "", command->details);
}

static const struct command *command_find(const char *name, const char **meant)
{
    int near = 1000;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        int distance = spelling_distance(name, commands[i].name);
        if (distance == 0)
            return &commands[i];
        if (distance < near && spelling_close(name, distance))
            near = distance, *meant = commands[i].name;
    }
    return NULL;
}

static const struct option *option_find(const struct command *command, const char *name, const char **meant)
{
    for (const struct option *o = command->options; o->name; o++) {
        if (strcmp(name, o->name) == 0)
            return o;
        if (spelling_close(name, spelling_distance(name, o->name)))
            *meant = o->name;
    }
    if (!*meant && spelling_distance(name, "--help") <= 2)
        *meant = "--help";
    return NULL;
}

// One option at argv[*i], with its value as `--name=value`, `--name value` or `-c value`. EX_OK or EX_USAGE.
static int option_parse(const struct command *command, int argc, char **argv, int *i, struct arguments *arguments)
{
    char name[64];
    const char *argument = argv[*i], *equals = strchr(argument, '='), *meant = NULL;
    snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - argument) : (int)strlen(argument), argument);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        arguments->help = 1;
        return EX_OK;
    }
    const struct option *option = option_find(command, name, &meant);
    if (!option)
        return usage_error(meant, "%s has no option %s", command->name, name);
    const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : "";
    if (!*value)
        return usage_error(NULL, "%s needs a value: %s", option->name, option->value);
    *(const char **)((char *)arguments + option->offset) = value;
    return EX_OK;
}

static int arguments_parse(const struct command *command, int argc, char **argv, struct arguments *arguments)
{
    int options_end = 0;
    for (int i = 0; i < argc; i++) {
        int code = EX_OK;
        if (!options_end && strcmp(argv[i], "--") == 0)
            options_end = 1;
        else if (!options_end && argv[i][0] == '-' && argv[i][1])
            code = option_parse(command, argc, argv, &i, arguments);
        else if (command->takes_paths)
            arguments->paths[arguments->path_count++] = argv[i];
        else
            code = usage_error(NULL, "%s takes no arguments, here \"%s\"", command->name, argv[i]);
        if (code)
            return code;
    }
    return EX_OK;
}

static int is_readable(const char *path)
{
    if (access(path, R_OK) == 0)
        return 1;
    fprintf(stderr, "onced: %s can't be read\n", path);
    return 0;
}

// EX_OK or EX_NOINPUT.
static int request_fill(const struct arguments *arguments, struct config_request *request)
{
    const char *brokers = getenv("ONCED_BROKERS"), *instance = getenv("ONCED_INSTANCE");
    request->service_file = arguments->service_file;
    request->pipelines = arguments->paths;
    request->pipeline_count = arguments->path_count;
    request->brokers = arguments->brokers ? arguments->brokers : brokers && *brokers ? brokers : NULL;
    request->brokers_yield = !arguments->brokers;
    request->instance = instance && *instance ? instance : NULL;
    if (!request->service_file && !request->pipeline_count)
        request->service_file = SERVICE_FILE;
    if (request->service_file && !is_readable(request->service_file)) {
        if (!arguments->service_file)
            fputs("Name a pipeline file, or a service file with -c\n", stderr);
        return EX_NOINPUT;
    }
    for (int i = 0; i < request->pipeline_count; i++)
        if (!is_readable(request->pipelines[i]))
            return EX_NOINPUT;
    return EX_OK;
}

static int run_command(const struct arguments *arguments)
{
    struct config_request request = {0};
    int errors = 0, code = request_fill(arguments, &request);
    if (code)
        return code;
    struct config *config = config_load(&request, CONFIG_TEXT, stderr, &errors);
    if (!config)
        return EX_CONFIG;
    log_init(config->log_level);
    log_name("onced");
    code = supervisor_run(config);
    config_free(&config);
    return code;
}

static int check_command(const struct arguments *arguments)
{
    struct arguments sorted = *arguments;
    struct config_request request = {0};
    enum config_format format = CONFIG_TEXT;
    if (arguments->format && strcmp(arguments->format, "json") == 0)
        format = CONFIG_JSON;
    else if (arguments->format && strcmp(arguments->format, "github") == 0)
        format = CONFIG_GITHUB;
    else if (arguments->format && strcmp(arguments->format, "text"))
        return usage_error(NULL, "--format is text, json or github, not \"%s\"", arguments->format);
    // A service file is known by its name: both kinds of file may lie in one folder.
    sorted.path_count = 0;
    for (int i = 0; i < arguments->path_count; i++) {
        const char *path = arguments->paths[i], *slash = strrchr(path, '/');
        if (strcmp(slash ? slash + 1 : path, "onced.yaml") == 0 && !sorted.service_file)
            sorted.service_file = path;
        else
            sorted.paths[sorted.path_count++] = path;
    }
    int code = request_fill(&sorted, &request);
    request.brokers_optional = 1;
    return code ? code : check_run(&request, format, stdout);
}

static int version_command(const struct arguments *arguments)
{
    (void)arguments;
    versions_print(stdout);
    return EX_OK;
}

int cli_main(int argc, char **argv)
{
    const char *meant = NULL, *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        help_print(NULL);
        return EX_OK;
    }
    if (!*name)
        return usage_error(NULL, "which command?");
    const struct command *command = command_find(strcmp(name, "--version") == 0 ? "version" : name, &meant);
    if (!command)
        return usage_error(meant, *name == '-' ? "%s is no option that comes before a command" : "there is no command \"%s\"", name);
    struct arguments arguments = {.paths = calloc((size_t)argc, sizeof(char *))};
    int code = arguments.paths ? arguments_parse(command, argc - 2, argv + 2, &arguments) : EX_OSERR;
    if (code == EX_OK && arguments.help)
        help_print(command);
    else if (code == EX_OK)
        code = command->run(&arguments);
    free(arguments.paths);
    return code;
}
