// SPDX-License-Identifier: MIT
#include "versions.h"

#include "kafka.h"
#include "transform.h"

void versions_print(FILE *out)
{
    fprintf(out, "onced %s\nlibrdkafka %s\n%s\n", ONCED_VERSION, rd_kafka_version_str(), transform_runtime());
}
