// SPDX-License-Identifier: MIT
// What this binary is made of, for bug reports.
#include "command.h"

#include "kafka.h"
#include "transform.h"

#include <stdio.h>
#include <sysexits.h>

static int run(struct arguments *arguments)
{
    (void)arguments;
    printf("onced %s\nlibrdkafka %s\n%s\n", ONCED_VERSION, rd_kafka_version_str(), transform_runtime());
    return EX_OK;
}

const struct command command_version = {
    .name = "version",
    .summary = "print versions of onced and its libraries",
    .run = run,
};
