// SPDX-License-Identifier: MIT
#include "command.h"

#include "config_schema.h"

#include <string.h>
#include <sysexits.h>

static const struct option options[] = {
    {"--format", "json|markdown", "json: JSON Schema, draft 07; markdown: the page conf/reference.md, of both files"},
    {NULL, NULL, NULL},
};

static void page_print(void)
{
    puts("# Every key of onced's files\n\n"
         "Written by `onced schema --format=markdown`. Unknown keys are errors. Durations and sizes have units (`ms s m h`,\n"
         "`B KiB MiB GiB kB MB GB`); a bare `0` needs none. Text may contain `${env:NAME}`, `${env:NAME:-default}`, `${file:/path}` and\n"
         "`${cred:name}` (systemd's credentials); `$$` is a dollar sign. `NAME` stands for a name of your own.\n\n"
         "An editor that knows JSON Schema completes and checks the keys: begin the file with\n"
         "`# yaml-language-server: $schema=PATH/conf/schema/pipeline.schema.json`, or `service.schema.json`.\n\n"
         "## A pipeline file\n");
    config_page_write(settings_pipeline, stdout);
    puts("\nAn output whose topic is `orders-{region}` has one more key, `region`, with the list of the values that scripts may choose "
         "from.\n\n"
         "## The service file\n");
    config_page_write(settings_service, stdout);
    puts("\n## Raw librdkafka properties that are refused\n");
    config_page_write_refused(stdout);
}

static int run(struct arguments *arguments)
{
    const char *format = command_option(arguments, "--format");
    if (format && strcmp(format, "markdown") == 0)
        page_print();
    else if (arguments->operand_count && strcmp(arguments->operands[0], "service") == 0)
        config_schema_write(settings_service, "onced service file", stdout);
    else
        config_schema_write(settings_pipeline, "onced pipeline file", stdout);
    return EX_OK;
}

const struct command command_schema = {
    .name = "schema",
    .operands = "pipeline|service",
    .most = 1,
    .summary = "print the JSON Schema of a file, for editors",
    .details = "The file's kind is pipeline when none is named.\n",
    .options = options,
    .run = run,
};
