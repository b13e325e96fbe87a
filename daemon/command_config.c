// SPDX-License-Identifier: MIT
#include "command.h"

#include <sysexits.h>

static const struct option options[] = {
    {"-c", "FILE", "service file; default: " COMMAND_SERVICE_FILE " when no path is named"},
    {"--brokers", "HOST:PORT,...", "as with run; may be unknown here"},
    {"--show-origin", NULL, "behind each value: FILE:LINE where it was written, or default"},
    {NULL, NULL, NULL},
};

static int run(struct arguments *arguments)
{
    struct config_request request;
    int errors = 0, code = command_request(arguments, &request);
    if (code)
        return code;
    request.brokers_optional = 1;
    struct config *config = config_load(&request, CONFIG_TEXT, stderr, &errors);
    if (!config)
        return EX_CONFIG;
    config_print(config, command_option(arguments, "--show-origin") != NULL, stdout);
    config_free(&config);
    return EX_OK;
}

const struct command command_config = {
    .name = "config",
    .operands = "PATH",
    .most = OPERANDS_MANY,
    .summary = "print the effective configuration, with defaults",
    .details = "Prints the service file and each pipeline as YAML, with interpolations done and secrets redacted. PATH as with check.\n\n"
               "Exit: 0, 64 usage, 66 no such file, 78 errors in a file.\n",
    .options = options,
    .run = run,
};
