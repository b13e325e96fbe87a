// SPDX-License-Identifier: MIT
#include "check.h"

#include "clock.h"
#include "err.h"
#include "json.h"
#include "kafka.h"
#include "log.h"
#include "report.h"
#include "transform.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { SCRIPT_MS = 5000 };

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
    int64_t deadline = clock_ms() + SCRIPT_MS;
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
        snprintf(text, size, "%s: loading and init took longer than %d s", pipeline->transform.script, SCRIPT_MS / 1000);
    else if (WIFSIGNALED(status))
        snprintf(text, size, "%s: loading or init crashed: %s", pipeline->transform.script, strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) && !*text)
        snprintf(text, size, "%s: loading or init ended the process with %d", pipeline->transform.script, WEXITSTATUS(status));
}

// An error that names a line of the script is reported there, any other at the pipeline's file.
static void judgement_report(struct report *report, const struct config_pipeline *pipeline, const char *text)
{
    struct report_place place = {.file = pipeline->file};
    const char *script = pipeline->transform.script;
    size_t size = strlen(script);
    if (strncmp(text, script, size) == 0 && text[size] == ':') {
        char *end = NULL;
        long line = strtol(text + size + 1, &end, 10);
        int has_line = line > 0 && *end == ':';
        place = (struct report_place){.file = script, .line = has_line ? (int)line : 0, .width = 1};
        text = (has_line ? end : text + size) + 1;
    }
    report_error(report, place, NULL, "%s", text + strspn(text, " "));
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

int check_run(const struct config_request *request, enum config_format format, FILE *out)
{
    int errors = 0;
    log_init(LOG_LEVEL_WARNING);
    struct config *config = config_load(request, format, out, &errors);
    if (!config)
        return EX_CONFIG;
    struct report *report = report_new((enum report_format)format, out);
    for (int i = 0; i < config->pipeline_count; i++) {
        char text[sizeof((struct err *)0)->text + 1024];
        pipeline_judge(&config->pipelines[i], text, sizeof text);
        if (*text)
            judgement_report(report, &config->pipelines[i], text);
        else
            well_print(&config->pipelines[i], format, out);
        fflush(out); // before the next fork
    }
    if (config->file && !report_errors(report) && format == CONFIG_TEXT)
        fprintf(out, "%s: ok\n", config->file);
    errors = report_errors(report);
    report_print(report);
    report_free(&report);
    config_free(&config);
    return errors ? EX_CONFIG : EX_OK;
}
