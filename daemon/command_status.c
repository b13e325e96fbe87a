// SPDX-License-Identifier: MIT
#include "command.h"

#include <stdio.h>

static const struct option options[] = {
    {"-c", "FILE", "service file of the daemon; default: " COMMAND_SERVICE_FILE},
    {"--socket", "PATH", "its control socket; default: as in the service file, $RUNTIME_DIRECTORY/control or " COMMAND_SOCKET},
    {"--json", NULL, "as one JSON object"},
    {NULL, NULL, NULL},
};

static int run(struct arguments *arguments)
{
    char line[256];
    snprintf(line, sizeof line, "status%s %s", command_option(arguments, "--json") ? " --json" : "",
             arguments->operand_count ? arguments->operands[0] : "");
    return command_call(arguments, line);
}

const struct command command_status = {
    .name = "status",
    .operands = "NAME",
    .most = 1,
    .summary = "what the pipelines of a running daemon do",
    .details = "A line for each pipeline and each of its workers; counters are those since the daemon was started.\n\n"
               "Exit: 0 told, 64 usage or no pipeline of that name, 69 no daemon answers.\n",
    .options = options,
    .run = run,
};
