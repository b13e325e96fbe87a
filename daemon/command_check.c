// SPDX-License-Identifier: MIT
#include "command.h"

#include "check.h"
#include "command_check_online.h"
#include "err.h"
#include "json.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

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
        int well = check_pipeline(&config->pipelines[i], format, stdout);
        if (well)
            well_print(&config->pipelines[i], format, stdout);
        errors += !well;
        asked[i] = well && online;
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
