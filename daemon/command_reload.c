// SPDX-License-Identifier: MIT
#include "command.h"

static const struct option options[] = {
    {"-c", "FILE", "service file of the daemon; default: " COMMAND_SERVICE_FILE},
    {"--socket", "PATH", "its control socket; default: as in the service file, $RUNTIME_DIRECTORY/control or " COMMAND_SOCKET},
    {"--wait", NULL, "until it is taken over, or refused"},
    {NULL, NULL, NULL},
};

static int run(struct arguments *arguments)
{
    return command_call(arguments, command_option(arguments, "--wait") ? "reload --wait" : "reload");
}

const struct command command_reload = {
    .name = "reload",
    .summary = "have a running daemon take over changed files",
    .details =
        "The files are checked first, as `onced check` does; when anything is wrong all stays as it is. Scripts, their modules, params,\n"
        "limits and policies are taken over between two transactions; workers start anew where input, group, outputs or Kafka settings\n"
        "changed; pipelines are added and removed. A pipeline that had halted starts again. SIGHUP does the same.\n\n"
        "Exit: 0 taken over (without --wait: asked for), 69 no daemon answers, 75 not by every worker within 30 s, 78 refused.\n",
    .options = options,
    .run = run,
};
