// SPDX-License-Identifier: MIT
#include "command.h"

#include "clock.h"
#include "command_check_online.h"
#include "err.h"
#include "json.h"
#include "kafka.h"
#include "log.h"
#include "report.h"
#include "transform.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { SOURCE_MOST = 1 << 20 };

// In the child: what the worker would do before it connects.
static enum verdict pipeline_try(const struct config_pipeline *pipeline, struct err *e)
{
    const struct config_properties *roles[] = {&pipeline->consumer, &pipeline->producer};
    enum verdict verdict = kafka_version_check(pipeline, e);
    for (int i = 0; i < 2 && verdict == OK; i++) {
        rd_kafka_conf_t *conf = kafka_conf_new(pipeline, roles[i], e);
        if (conf)
            rd_kafka_conf_destroy(conf);
        else
            verdict = e->verdict;
    }
    if (verdict == OK && !transform_new(pipeline, 0, NULL, e))
        verdict = e->verdict;
    return verdict;
}

_Noreturn static void child_run(const struct config_pipeline *pipeline, pid_t parent, int out)
{
    struct err e = {.text = ""};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EX_SOFTWARE);
    int failed = pipeline_try(pipeline, &e) != OK;
    if (failed && write(out, e.text, strlen(e.text)) < 0)
        _exit(EX_SOFTWARE);
    _exit(failed ? EX_CONFIG : EX_OK);
}

// Reads until the child closes its end. 0, or -1 when the time is over.
static int child_read(int in, char *text, size_t size)
{
    int64_t deadline = clock_ms() + WORKER_LOAD_MS;
    size_t used = 0;
    for (;;) {
        struct pollfd wait = {in, POLLIN, 0};
        int64_t left = deadline - clock_ms();
        int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return -1;
        ssize_t got = read(in, text + used, size - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    text[used] = 0;
    return 0;
}

// What is wrong with the pipeline's script or properties, in `text`; empty: nothing.
static void pipeline_judge(const struct config_pipeline *pipeline, char *text, size_t size)
{
    int pipes[2], status = 0;
    pid_t parent = getpid();
    text[0] = 0;
    must(pipe(pipes) == 0);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        close(pipes[0]);
        child_run(pipeline, parent, pipes[1]);
    }
    close(pipes[1]);
    int late = child_read(pipes[0], text, size);
    close(pipes[0]);
    if (late)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        must(errno == EINTR);
    if (late)
        snprintf(text, size, "%s: loading and init took longer than %d s", pipeline->transform.script, WORKER_LOAD_MS / 1000);
    else if (WIFSIGNALED(status))
        snprintf(text, size, "%s: loading or init crashed: %s", pipeline->transform.script, strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) && !*text)
        snprintf(text, size, "%s: loading or init ended the process with %d", pipeline->transform.script, WEXITSTATUS(status));
}

// The property that librdkafka's error is about, by the name it quotes; NULL: none.
static const struct config_property *property_named(const struct config_pipeline *pipeline, const char *text)
{
    const struct config_properties *lists[] = {&pipeline->both, &pipeline->consumer, &pipeline->producer};
    char quoted[256];
    for (int l = 0; l < 3; l++)
        for (int i = 0; i < lists[l]->count; i++) {
            snprintf(quoted, sizeof quoted, "\"%s\"", lists[l]->items[i].name);
            if (lists[l]->items[i].file && strstr(text, quoted))
                return &lists[l]->items[i];
        }
    return NULL;
}

// The text of a file, for the excerpt; its memory is the caller's. NULL: it can't be read, the error then goes without.
static char *source_add(struct report *report, const char *file)
{
    FILE *stream = fopen(file, "re");
    char *text = stream ? malloc(SOURCE_MOST) : NULL;
    if (text)
        report_source(report, file, text, fread(text, 1, SOURCE_MOST, stream));
    if (stream)
        fclose(stream);
    return text;
}

// An error that names a line of the script or a property is reported there, any other at the pipeline's file.
static void judgement_print(const struct config_pipeline *pipeline, const char *text, enum config_format format, FILE *out)
{
    struct report *report = report_new((enum report_format)format, out);
    struct report_place place = {.file = pipeline->file};
    const struct config_property *property = property_named(pipeline, text);
    const char *script = pipeline->transform.script, *name = strrchr(script, '/') ? strrchr(script, '/') + 1 : script;
    size_t size = strncmp(text, script, strlen(script)) == 0 ? strlen(script) : strlen(name); // Lua's messages name the file alone
    if ((strncmp(text, script, size) == 0 || strncmp(text, name, size) == 0) && text[size] == ':') {
        char *end = NULL;
        long line = strtol(text + size + 1, &end, 10);
        int has_line = line > 0 && *end == ':';
        place = (struct report_place){.file = script, .line = has_line ? (int)line : 0, .width = 1};
        text = (has_line ? end : text + size) + 1;
    } else if (property) {
        place = (struct report_place){property->file, property->line, property->column, (int)strlen(property->name)};
    }
    report_error(report, place, NULL, "%s", text + strspn(text, " "));
    char *source = source_add(report, place.file);
    report_print(report);
    report_free(&report);
    free(source);
}

static void well_print(const struct config_pipeline *pipeline, enum config_format format, FILE *out)
{
    if (format == CONFIG_JSON) {
        fputs("{\"severity\":\"ok\",\"file\":", out);
        json_write_string(out, pipeline->file, strlen(pipeline->file));
        fputs("}\n", out);
    } else {
        fprintf(out, "%s: ok (pipeline %s, group %s)\n", pipeline->file, pipeline->name, pipeline->group);
    }
}

static const struct option options[] = {
    {"-c", "FILE", "service file; default: " COMMAND_SERVICE_FILE " when no path is named"},
    {"--brokers", "HOST:PORT,...", "as with run; may be unknown here, without --online"},
    {"--online", NULL, "ask the brokers too: topics, group, settings that the promise rests on; print the ACLs that are needed"},
    {"--format", "text|json|github", "how to write errors; json: one object a line"},
    {NULL, NULL, NULL},
};

static enum config_format format_of(const char *word)
{
    return !word || strcmp(word, "text") == 0 ? CONFIG_TEXT : strcmp(word, "json") == 0 ? CONFIG_JSON : CONFIG_GITHUB;
}

static int run(struct arguments *arguments)
{
    struct config_request request;
    enum config_format format = format_of(command_option(arguments, "--format"));
    int online = command_option(arguments, "--online") != NULL, errors = 0, code = command_request(arguments, &request);
    if (code)
        return code;
    request.brokers_optional = !online;
    log_init(LOG_LEVEL_WARNING);
    struct config *config = config_load(&request, format, stdout, &errors);
    if (!config)
        return EX_CONFIG;
    int *asked = calloc((size_t)config->pipeline_count + 1, sizeof *asked);
    must(asked);
    for (int i = 0; i < config->pipeline_count; i++) {
        char text[sizeof((struct err *)0)->text + 1024];
        pipeline_judge(&config->pipelines[i], text, sizeof text);
        if (*text)
            judgement_print(&config->pipelines[i], text, format, stdout), errors++;
        else
            well_print(&config->pipelines[i], format, stdout);
        asked[i] = !*text && online;
        fflush(stdout); // before the next fork
    }
    for (int i = 0; i < config->pipeline_count; i++) // all forking is done: librdkafka has threads
        errors += asked[i] && check_online(&config->pipelines[i], (enum report_format)format, stdout);
    free(asked);
    if (config->file && !errors && format == CONFIG_TEXT)
        fprintf(stdout, "%s: ok\n", config->file);
    config_free(&config);
    return errors ? EX_CONFIG : EX_OK;
}

const struct command command_check = {
    .name = "check",
    .operands = "PATH",
    .most = OPERANDS_MANY,
    .summary = "check configuration and scripts; connects to nothing, without --online",
    .details = "PATH is a pipeline file, a folder with pipelines, or a service file named onced.yaml. Each script is loaded and its init "
               "run, in a\n"
               "process of its own, for at most 5 s.\n\nExit: 0 all is well, 64 usage, 66 no such file, 78 errors.\n",
    .options = options,
    .run = run,
};
