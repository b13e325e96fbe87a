// SPDX-License-Identifier: MIT
// Reads the service file and the pipeline files and leads them through the stages of config_draft.h. Called by the command line.
#include "config_draft.h"

#include "err.h"
#include "interpolate.h"
#include "log.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PIPELINES_DEFAULT "/etc/onced/pipelines.d/*.yaml"

_Static_assert((int)CONFIG_TEXT == REPORT_TEXT && (int)CONFIG_JSON == REPORT_JSON && (int)CONFIG_GITHUB == REPORT_GITHUB,
               "one list of formats");

struct file_list {
    const char **names;
    char **real; // to see that two globs mean one file
    int count;
};

static void file_add(struct config_draft *draft, struct file_list *files, const char *name)
{
    char *real = realpath(name, NULL);
    const char *identity = real ? real : name;
    int known = 0;
    for (int i = 0; i < files->count; i++)
        known |= strcmp(files->real[i], identity) == 0;
    if (!known) {
        files->names = pool_grow(draft->pool, files->names, files->count, sizeof *files->names);
        files->real = pool_grow(draft->pool, files->real, files->count, sizeof *files->real);
        files->names[files->count] = pool_text(draft->pool, name, strlen(name));
        files->real[files->count++] = pool_text(draft->pool, identity, strlen(identity));
    }
    free(real);
}

// A file, all *.yaml of a directory, or a glob. Something named that isn't there is an error, a glob without a match a warning.
static void files_find(struct config_draft *draft, struct file_list *files, const char *pattern, struct report_place place)
{
    struct stat status;
    glob_t found = {0};
    int is_directory = stat(pattern, &status) == 0 && S_ISDIR(status.st_mode);
    const char *wanted =
        is_directory ? pool_format(draft->pool, "%s%s*.yaml", pattern, pattern[strlen(pattern) - 1] == '/' ? "" : "/") : pattern;
    int code = glob(wanted, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++)
        file_add(draft, files, found.gl_pathv[i]);
    if (code == GLOB_NOMATCH && !is_directory && !strpbrk(pattern, "*?["))
        report_error(draft->report, place, NULL, "%s doesn't exist", pattern);
    else if (code)
        report_warning(draft->report, place, code == GLOB_NOMATCH ? "%s: no such file" : "%s can't be read", wanted);
    globfree(&found);
}

static void service_load(struct config_draft *draft, const char *name)
{
    struct config *config = draft->config;
    struct yaml_file *file = yaml_read(draft->pool, draft->report, name);
    config->file = file->name;
    if (file->root) {
        interpolate_file(draft->pool, draft->report, file);
        config_check(draft, settings_service, file->root);
        draft->service = file->root;
    }
}

static void service_build(struct config_draft *draft)
{
    static const int levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};
    struct config *config = draft->config;
    const struct yaml_node *root = draft->service;
    config->drain_timeout_ms = config_value(settings_service, "drain_timeout", yaml_get(root, "drain_timeout")).integer;
    config->leave_on_stop = (int)config_value(settings_service, "leave_on_stop", yaml_get(root, "leave_on_stop")).integer;
    config->log_level = levels[config_value(settings_service, "log.level", config_node(root, "log.level")).integer];
    config->http_listen = config_value(settings_service, "http.listen", config_node(root, "http.listen")).text;
    config->control_socket = config_value(settings_service, "control.socket", config_node(root, "control.socket")).text;
    if (config->control_socket)
        config->control_socket = config_beside(draft, config->file, config->control_socket);
    const char *state = getenv("STATE_DIRECTORY");
    config->state_directory = state && *state ? pool_text(draft->pool, state, strcspn(state, ":")) : NULL;
    config_cluster_build(draft);
}

// Those of the command line, or else those of the service file.
static void pipelines_find(struct config_draft *draft, struct file_list *files)
{
    const struct config_request *request = draft->request;
    const struct yaml_node *list = yaml_get(draft->service, "pipelines");
    struct report_place place = {.file = draft->config->file};
    for (int i = 0; i < request->pipeline_count; i++)
        files_find(draft, files, request->pipelines[i], (struct report_place){0});
    if (request->pipeline_count)
        return;
    for (int i = 0; list && list->kind == YAML_LIST && i < list->count; i++)
        if (list->items[i]->kind == YAML_TEXT && *list->items[i]->text)
            files_find(draft, files, config_beside(draft, draft->config->file, list->items[i]->text), list->items[i]->place);
    if (!list && draft->service)
        files_find(draft, files, PIPELINES_DEFAULT, place);
    if (!files->count && report_errors(draft->report) == 0) {
        if (request->brokers_optional)
            report_warning(draft->report, list ? list->place : place, "no pipeline to run");
        else
            report_error(draft->report, list ? list->place : place, NULL, "no pipeline to run");
    }
}

static void pipelines_load(struct config_draft *draft)
{
    struct file_list files = {0};
    pipelines_find(draft, &files);
    for (int i = 0; i < files.count; i++) {
        struct yaml_file *file = yaml_read(draft->pool, draft->report, files.names[i]);
        if (!file->root)
            continue;
        interpolate_file(draft->pool, draft->report, file);
        config_check(draft, settings_pipeline, file->root);
        if (file->root->kind == YAML_MAP)
            config_pipeline_build(draft, file);
    }
    config_rules_check(draft);
}

struct config *config_load(const struct config_request *request, enum config_format format, FILE *stream, int *errors)
{
    struct config_whole *whole = calloc(1, sizeof *whole);
    must(whole);
    struct report *report = report_new((enum report_format)format, stream);
    struct config_draft draft = {.pool = &whole->pool, .report = report, .config = &whole->config, .request = request};
    if (request->service_file)
        service_load(&draft, request->service_file);
    service_build(&draft);
    pipelines_load(&draft);
    whole->service = draft.service;
    whole->pipelines = draft.pipelines;
    *errors = report_errors(report);
    report_print(report);
    report_free(&report);
    struct config *config = &whole->config;
    if (*errors)
        config_free(&config);
    return config;
}

char *config_socket(const char *service_file)
{
    struct config_whole whole = {0};
    FILE *nowhere = fopen("/dev/null", "we");
    must(nowhere);
    struct report *report = report_new(REPORT_TEXT, nowhere);
    struct config_draft draft = {.pool = &whole.pool, .report = report, .config = &whole.config};
    struct yaml_file *file = yaml_read(draft.pool, report, service_file);
    if (file->root)
        interpolate_file(draft.pool, report, file);
    const char *path = config_value(settings_service, "control.socket", config_node(file->root, "control.socket")).text;
    char *copy = path ? strdup(config_beside(&draft, service_file, path)) : NULL;
    report_free(&report);
    fclose(nowhere);
    pool_fini(&whole.pool);
    return copy;
}

void config_free(struct config **config)
{
    struct config_whole *whole = (struct config_whole *)*config;
    if (whole)
        pool_fini(&whole->pool);
    free(whole);
    *config = NULL;
}
