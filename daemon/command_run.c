// SPDX-License-Identifier: MIT
#include "command.h"

#include "log.h"
#include "supervisor.h"

#include <stddef.h>
#include <sysexits.h>

static const struct option options[] = {
    {"-c", "FILE", "service file; default: " COMMAND_SERVICE_FILE " when no pipeline is named"},
    {"--brokers", "HOST:PORT,...", "instead of those of the service file; default: ONCED_BROKERS"},
    {NULL, NULL, NULL},
};

static int run(struct arguments *arguments)
{
    struct config_request request;
    int errors = 0, code = command_request(arguments, &request);
    if (code)
        return code;
    struct config *config = config_load(&request, CONFIG_TEXT, stderr, &errors);
    if (!config)
        return EX_CONFIG;
    log_init(config->log_level);
    log_name("onced");
    return supervisor_run(config, &request);
}

const struct command command_run = {
    .name = "run",
    .operands = "PIPELINE.yaml",
    .most = OPERANDS_MANY,
    .summary = "run pipelines in the foreground",
    .details =
        "Pipelines that are named run instead of those that the service file lists. SIGTERM or SIGINT: finish the batch, commit, leave;\n"
        "a second one ends at once.\n\n"
        "Environment: ONCED_BROKERS (brokers, where no service file names clusters), ONCED_INSTANCE (this host's part of the\n"
        "transactional.id; two daemons of one pipeline need different ones; default: `instance` of the service file, else the host name).\n"
        "Exit: 0 stopped, 64 usage, 65 all pipelines have halted, 66 no such file, 78 configuration.\n",
    .options = options,
    .run = run,
};
