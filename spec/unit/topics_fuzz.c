// SPDX-License-Identifier: MIT
// Patterns of topics, from a pipeline file to the matches against topics' names: a pattern is accepted exactly when it compiles and isn't
// too costly, the names that it matches are the same wherever the daemon asks, and nothing takes long. The input is a pattern without its
// ^, and behind a NUL a topic's name. A target of libFuzzer, run by spec/fuzz in a folder of its own.
#include <regex.h>
#include <stdint.h>
#include <string.h>

#include "config.h"
#include "fuzz.h"
#include "json.h"
#include "source_scout_group.h"

enum { TOPIC_MOST = 249 };

static void file_write(const char *pattern, const char *topic)
{
    FILE *file = fopen("topics.yaml", "w");
    if (!file)
        finding("topics.yaml can't be written");
    fputs("version: 1\ninput: {topics: [", file);
    json_write_string(file, pattern, strlen(pattern));
    fputs("]}\ntransform: {script: topics.lua}\noutputs: {default: {topic: ", file);
    json_write_string(file, topic, strlen(topic));
    fputs("}}\n", file);
    fclose(file);
}

static int is_topic(const char *name)
{
    size_t size = strlen(name);
    return size && size <= TOPIC_MOST && strcmp(name, ".") && strcmp(name, "..") &&
           !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")];
}

// What the pattern itself says of the topic: 1, 0, or -1: it doesn't compile.
static int match(const char *pattern, const char *topic)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
        return -1;
    int matches = regexec(&regex, topic, 0, NULL, 0) == 0;
    regfree(&regex);
    return matches;
}

// Whether one of the errors says this. The lines that show the file, and what is quoted, may say anything.
static int says(const char *report, const char *subject, const char *what)
{
    static const char sign[] = ": error: ";
    size_t size = strlen(subject);
    for (const char *line = report, *at; line && (at = strstr(line, sign)); line = strstr(at, "\ntopics.yaml:")) {
        at += sizeof sign - 1;
        if (!strncmp(at, subject, size) && at[size] == ' ' && !strncmp(at + size + 1, what, strlen(what)))
            return 1;
    }
    return 0;
}

static void pattern_check(const char *pattern, const char *topic)
{
    static const char *const name = "topics.yaml";
    struct config_request request = {.pipelines = &name, .pipeline_count = 1, .brokers = "localhost:9092"};
    char *report = NULL;
    size_t size = 0;
    int errors = 0;
    FILE *out = open_memstream(&report, &size);
    file_write(pattern, topic);
    struct config *config = config_load(&request, CONFIG_TEXT, out, &errors);
    fclose(out);
    char quoted[4200], named[300];
    snprintf(quoted, sizeof quoted, "\"%s\"", pattern);
    snprintf(named, sizeof named, "the topic %s", topic);
    int is_costly = says(report, quoted, "can't be a pattern of topics"), is_wrong = says(report, quoted, "is not a regular expression");
    int matches = is_costly ? 0 : match(pattern, topic), is_loop = says(report, named, "feeds an own input");
    if (!is_costly && (matches < 0) != is_wrong)
        finding("%s: %s", pattern, report);
    if (is_loop != (matches > 0))
        finding("%s and %s: %s", pattern, topic, report);
    if (!config != (is_costly || matches))
        finding("%s and %s: %s", pattern, topic, report);
    if (config && source_scout_group_subscribes(&config->pipelines[0], topic))
        finding("%s matches %s here alone", pattern, topic);
    config_free(&config);
    free(report);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    fclose(fopen("topics.lua", "w"));
    return 0;
}

// Without what has a meaning to YAML, or to interpolation: that is config_fuzz.c's.
static char *text_of(const char *prefix, const char *data, size_t size)
{
    char *text = malloc(size + 2), *to = text + sprintf(text, "%s", prefix);
    for (size_t i = 0; i < size; i++)
        if (data[i] >= ' ' && data[i] < 0x7f)
            *to++ = data[i];
    *to = 0;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *stop = memchr(at, 0, size);
    size_t pattern_size = stop ? (size_t)(stop - at) : size;
    char *pattern = text_of("^", at, pattern_size), *topic = text_of("", at + pattern_size, size - pattern_size);
    if (!strstr(pattern, "${") && !strstr(pattern, "$$") && is_topic(topic))
        pattern_check(pattern, topic);
    free(pattern);
    free(topic);
    return 0;
}
