// SPDX-License-Identifier: MIT
// Runs records through a pipeline's transform and shows what becomes of each. Every record is a batch of its own: scripts mustn't depend
// on where batches end, and what is said, dropped and sent is then surely that record's. Kafka is read at most, never written.
#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "command_try_input.h"
#include "command_try_picture.h"

enum { MOST = 10 }; // records of a topic, unless told otherwise

struct trial {
    struct onced_rehearsal *rehearsal;
    struct try_picture picture;
    int64_t left; // records to be run
    int stopped;  // the pipeline has halted, or a record can't be added
};

static int says(int code, const char *text)
{
    fprintf(stderr, "onced: %s\n", text);
    return code;
}

static int record_try(void *opaque, const struct kafka_sample *sample)
{
    struct trial *trial = opaque;
    struct onced_rehearsal *rehearsal = trial->rehearsal;
    int32_t done;
    onced_rehearsal_clear(rehearsal);
    if (onced_rehearsal_add(rehearsal, sample->topic, &sample->record, sample->headers, sample->header_count)) {
        fprintf(stderr, "onced: topic \"%s\": %s\n", sample->topic, rehearsal->problem);
        return trial->stopped = 1;
    }
    trial->stopped = onced_rehearsal_run(rehearsal, &done) != 0;
    try_picture_record(&trial->picture, rehearsal);
    if (trial->stopped)
        fprintf(trial->picture.out, "  the pipeline halts: %s\n", rehearsal->problem);
    return trial->stopped || --trial->left == 0;
}

// The first that isn't a pattern; NULL: all are.
static const char *input_topic(const struct onced_rehearsal *rehearsal)
{
    for (int32_t i = 0; i < rehearsal->input_count; i++)
        if (*rehearsal->inputs[i] != '^')
            return rehearsal->inputs[i];
    return NULL;
}

static int lines_try(struct trial *trial, const struct arguments *arguments)
{
    const char *path = command_option(arguments, "--from"), *format = command_option(arguments, "--format");
    int is_stdin = !path || strcmp(path, "-") == 0;
    struct try_input input = {
        .in = is_stdin ? stdin : fopen(path, "re"),
        .topic = input_topic(trial->rehearsal),
        .is_json = format && strcmp(format, "json") == 0,
    };
    if (!input.in) {
        fprintf(stderr, "onced: %s: %s\n", path, strerror(errno));
        return EX_NOINPUT;
    }
    int failed = try_input_read(&input, record_try, trial);
    if (failed)
        fprintf(stderr, "onced: %s:%d: %s\n", is_stdin ? "standard input" : path, input.line, input.problem);
    if (!is_stdin)
        fclose(input.in);
    return failed || trial->stopped ? EX_DATAERR : EX_OK;
}

static int topic_try(struct trial *trial, const struct kafka_sample_request *request)
{
    struct err e;
    if (kafka_sample_read(rehearsal_pipeline(trial->rehearsal), request, record_try, trial, &e))
        return says(EX_UNAVAILABLE, e.text);
    return trial->stopped ? EX_DATAERR : EX_OK;
}

// A whole number from `least` on, or `otherwise` where the option wasn't given. EX_OK or EX_USAGE.
static int number_of(const struct arguments *arguments, const char *option, int64_t least, int64_t most, int64_t otherwise, int64_t *number)
{
    const char *text = command_option(arguments, option);
    char *end;
    *number = otherwise;
    if (!text)
        return EX_OK;
    errno = 0;
    *number = strtoll(text, &end, 10);
    if (errno || *end || strspn(text, "0123456789") == 0 || *number < least || *number > most)
        return command_usage(NULL, "%s must be a whole number from %" PRId64 " on, not \"%s\"", option, least, text);
    return EX_OK;
}

static int request_read(const struct arguments *arguments, struct kafka_sample_request *request)
{
    int64_t partition;
    const char *const of_topic[] = {"--partition", "--offset"};
    request->topic = command_option(arguments, "--topic");
    for (int i = 0; i < 2 && !request->topic; i++)
        if (command_option(arguments, of_topic[i]))
            return command_usage(NULL, "%s belongs to --topic", of_topic[i]);
    if (request->topic && (command_option(arguments, "--from") || command_option(arguments, "--format")))
        return command_usage(NULL, "records come from --topic or --from, not from both");
    int code = number_of(arguments, "--partition", 0, INT32_MAX, 0, &partition);
    if (code == EX_OK)
        code = number_of(arguments, "--offset", 0, INT64_MAX, -1, &request->offset);
    if (code == EX_OK)
        code = number_of(arguments, "--max", 1, INT64_MAX, request->topic ? MOST : INT64_MAX, &request->most);
    request->partition = (int32_t)partition;
    return code;
}

static int trial_run(struct trial *trial, const struct arguments *arguments, const struct kafka_sample_request *request)
{
    struct onced_rehearsal *rehearsal = trial->rehearsal;
    if (rehearsal->problem) {
        fputs(rehearsal->problem, stderr);
        return EX_CONFIG;
    }
    int failed = onced_rehearsal_start(rehearsal, rehearsal->params_json, rehearsal->data_json, rehearsal->data_size);
    for (int32_t i = 0; i < rehearsal->note_count; i++) // what the script said while it was loaded
        fprintf(stderr, "%s: %.*s\n", rehearsal->name, (int)rehearsal->notes[i].text_size, rehearsal->notes[i].text);
    if (failed)
        return says(EX_CONFIG, rehearsal->problem);
    try_picture_init(&trial->picture, stdout);
    int code = request->topic ? topic_try(trial, request) : lines_try(trial, arguments);
    try_picture_sum(&trial->picture);
    try_picture_fini(&trial->picture);
    return code;
}

static int run(struct arguments *arguments)
{
    struct config_request files;
    struct kafka_sample_request request;
    int code = request_read(arguments, &request);
    if (code == EX_OK)
        code = command_request(arguments, &files);
    if (code)
        return code;
    if (files.pipeline_count != 1)
        return command_usage(NULL, "try needs one pipeline file");
    files.brokers_optional = !request.topic;
    struct trial trial = {.rehearsal = rehearsal_new(&files), .left = request.most};
    code = trial_run(&trial, arguments, &request);
    onced_rehearsal_free(trial.rehearsal);
    return code;
}

static const struct option options[] = {
    {"--from", "FILE|-", "read records from there, a value a line; default: -, standard input"},
    {"--format", "text|json", "json: a line is {\"value\", \"key\", \"headers\", \"timestamp\", \"partition\", \"topic\"}; default: text"},
    {"--topic", "TOPIC", "read committed records of this input topic, through the pipeline's cluster"},
    {"--partition", "P", "of the topic; default: 0"},
    {"--offset", "N", "begin there; default: so that the partition's last ones come"},
    {"--max", "K", "how many records; default: 10 of a topic, all lines of a file"},
    {"-c", "FILE", "service file, for clusters and lua_path"},
    {"--brokers", "HOST:PORT,...", "as with run"},
    {NULL, NULL, NULL},
};

const struct command command_try = {
    .name = "try",
    .operands = "PIPELINE.yaml",
    .least = 1,
    .most = 2, // a service file may be beside it
    .summary = "run records through a pipeline and show what becomes of them",
    .details =
        "Each record is shown with its outputs below it; of JSON what was added (+), removed (-) and changed (~). Writes nothing to\n"
        "Kafka and joins no group. Coloured on a terminal, unless NO_COLOR is set.\n\n"
        "Exit: 0, 64 usage, 65 the pipeline halts, a record takes too long or a line can't be read, 66 no such file,\n"
        "69 no answer from Kafka, 78 errors.\n",
    .options = options,
    .run = run,
};
