// SPDX-License-Identifier: MIT
#include "check.h"

#include "clock.h"
#include "err.h"
#include "kafka.h"
#include "log.h"
#include "recipe.h"
#include "report.h"
#include "stats.h"
#include "texts.h"
#include "transform.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { SOURCE_MOST = 1 << 20 };

// In the child: what the worker would do before it connects. What the script's files hold goes to `texts`, -1: nowhere.
static enum verdict pipeline_try(const struct config_pipeline *pipeline, int texts, struct err *e)
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
    if (verdict)
        return verdict;
    const struct transform *transform = transform_new(pipeline, 0, NULL, e);
    if (!transform)
        return e->verdict;
    FILE *out = texts < 0 ? NULL : fdopen(texts, "wb");
    if (out)
        texts_write(transform_texts(transform), out);
    if (out && fflush(out))
        return err_set(e, HALT, errno, "the script's files can't be kept: %s", strerror(errno));
    return OK;
}

_Noreturn static void child_run(const struct config_pipeline *pipeline, pid_t parent, int out, int texts)
{
    struct err e = {.text = ""};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EX_SOFTWARE);
    int failed = pipeline_try(pipeline, texts, &e) != OK;
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

// What is wrong with the pipeline's script or properties, in `text`; empty: nothing, and `texts` has the script's files.
static void pipeline_judge(const struct config_pipeline *pipeline, int texts, char *text, size_t size)
{
    int pipes[2], status = 0;
    pid_t parent = getpid();
    text[0] = 0;
    must(pipe(pipes) == 0);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        close(pipes[0]);
        child_run(pipeline, parent, pipes[1], texts);
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

// Where the pipeline's file has the param that the Lua half complains about, by the name it quotes; NULL: it doesn't.
static const struct config_param *param_named(const struct config_pipeline *pipeline, const char *text)
{
    const char *name = strstr(text, ": transform.params: ");
    const struct config_param *param = pipeline->transform.params;
    if (!name || !(name = strchr(name, '"')))
        return NULL;
    for (size_t size = strcspn(++name, "\""); param->name; param++)
        if (strlen(param->name) == size && strncmp(param->name, name, size) == 0)
            break;
    return param;
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

// The file that a message of Lua's begins with: modules beside the script are known from there on. Its size in the text; 0: there is none.
static size_t file_named(const struct config_pipeline *pipeline, const char *text, char *path, size_t size)
{
    const char *script = pipeline->transform.script, *slash = strrchr(script, '/');
    size_t whole = strlen(script);
    int is_whole = strncmp(text, script, whole) == 0 && text[whole] == ':';
    size_t named = is_whole ? whole : strcspn(text, ":");
    snprintf(path, size, "%.*s%.*s", slash ? (int)(slash + 1 - script) : 0, script, (int)named, text);
    if (is_whole || access(path, R_OK)) // one of lua_path
        snprintf(path, size, "%.*s", (int)named, text);
    int is_line = text[named] == ':' && text[named + 1] >= '1' && text[named + 1] <= '9';
    return (is_line || strcmp(path, script) == 0) && access(path, R_OK) == 0 ? named : 0;
}

// An error that names a line of the script or a property is reported there, any other at the pipeline's file.
static void judgement_print(const struct config_pipeline *pipeline, const char *text, enum config_format format, FILE *out)
{
    struct report *report = report_new((enum report_format)format, out);
    struct report_place place = {.file = pipeline->file};
    const struct config_property *property = property_named(pipeline, text);
    const struct config_param *param = param_named(pipeline, text);
    char path[4096];
    size_t size = file_named(pipeline, text, path, sizeof path);
    if (size) {
        char *end = NULL;
        long line = strtol(text + size + 1, &end, 10);
        int has_line = line > 0 && *end == ':';
        place = (struct report_place){.file = path, .line = has_line ? (int)line : 0, .width = 1};
        text = (has_line ? end : text + size) + 1;
        if (param)
            place = (struct report_place){pipeline->file, param->line, param->column, param->name ? (int)strlen(param->name) : 1};
    } else if (property) {
        place = (struct report_place){property->file, property->line, property->column, (int)strlen(property->name)};
    }
    report_error(report, place, NULL, "%s", text + strspn(text, " "));
    char *source = source_add(report, place.file);
    report_print(report);
    report_free(&report);
    free(source);
}

static int pipeline_is_well(const struct config_pipeline *pipeline, int texts, enum config_format format, FILE *out)
{
    char text[sizeof((struct err *)0)->text + 1024];
    pipeline_judge(pipeline, texts, text, sizeof text);
    if (*text)
        judgement_print(pipeline, text, format, out);
    return !*text;
}

int check_pipeline(const struct config_pipeline *pipeline, enum config_format format, FILE *out)
{
    return pipeline_is_well(pipeline, -1, format, out);
}

// Seat and recipe of one pipeline. 1: its script is well; else the recipe goes without the script's files.
static int pipeline_write(const struct config *config, const struct config_pipeline *pipeline, FILE *out, int shelf)
{
    struct stat size;
    int texts = memfd_create("texts", MFD_CLOEXEC);
    must(texts >= 0);
    int is_well = pipeline_is_well(pipeline, texts, CONFIG_TEXT, out);
    must(fstat(texts, &size) == 0);
    size_t used = is_well ? (size_t)size.st_size : 0;
    void *map = used ? mmap(NULL, used, PROT_READ, MAP_SHARED, texts, 0) : NULL;
    must(map != MAP_FAILED);
    struct recipe_bytes seat = recipe_seat(pipeline), recipe = recipe_write(config, pipeline, map, used);
    must(recipe_put(shelf, &seat) && recipe_put(shelf, &recipe));
    free(seat.data);
    free(recipe.data);
    if (map)
        munmap(map, used);
    close(texts);
    return is_well;
}

int check_recipes(const struct config *config, FILE *out, int shelf)
{
    int errors = 0;
    for (int i = 0; i < config->pipeline_count; i++)
        errors += !pipeline_write(config, &config->pipelines[i], out, shelf);
    return errors;
}
