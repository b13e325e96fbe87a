// SPDX-License-Identifier: MIT
// See command_try_input.h. A sample's bytes live as long as its line.
#include "command_try_input.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "err.h"
#include "pool.h"

struct line {
    struct try_input *input;
    struct onced_json *json;
    struct pool pool;
    struct kafka_sample sample;
    struct onced_header *headers;
};

static int problem_set(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int problem_set(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line->input->problem, sizeof line->input->problem, format, arguments);
    va_end(arguments);
    return -1;
}

// Bytes of a string without its quotes, of anything else as it is written; null is none.
static int32_t bytes_read(struct line *line, int32_t node, const char **data)
{
    const struct onced_json_node *n = &line->json->nodes[node];
    int is_text = n->kind == ONCED_JSON_STRING;
    *data = NULL;
    if (n->kind == ONCED_JSON_NULL)
        return -1;
    if (is_text)
        must(onced_json_value(line->json, node) == ONCED_JSON_STRING);
    size_t size = is_text ? (size_t)line->json->data_size : n->end - n->at;
    *data = pool_text(&line->pool, is_text ? line->json->data : line->json->text + n->at, size);
    return (int32_t)size;
}

static int whole_read(struct line *line, const char *name, int32_t node, int64_t most, int64_t *number)
{
    if (onced_json_value(line->json, node) != ONCED_JSON_NUMBER || line->json->number < 0 || line->json->number > (double)most ||
        line->json->number != (double)(int64_t)line->json->number)
        return problem_set(line, "%s must be a whole number", name);
    *number = (int64_t)line->json->number;
    return 0;
}

static void header_add(struct line *line, int32_t name, int32_t value)
{
    struct kafka_sample *sample = &line->sample;
    line->headers = pool_grow(&line->pool, line->headers, sample->header_count, sizeof *line->headers);
    struct onced_header *header = &line->headers[sample->header_count++];
    must(onced_json_value(line->json, name) == ONCED_JSON_STRING);
    header->name_size = (int32_t)line->json->data_size;
    header->name = pool_text(&line->pool, line->json->data, (size_t)line->json->data_size);
    header->data_size = bytes_read(line, value, &header->data);
    sample->headers = line->headers;
}

// {"name": "value"} or [["name", "value"], ...], which keeps duplicates.
static int headers_read(struct line *line, int32_t node)
{
    const struct onced_json_node *nodes = line->json->nodes;
    int is_object = nodes[node].kind == ONCED_JSON_OBJECT;
    int32_t behind = (int32_t)nodes[node].next;
    if (!is_object && nodes[node].kind != ONCED_JSON_ARRAY)
        return problem_set(line, "headers must be an object or a list of pairs");
    for (int32_t at = node + 1; at < behind;) {
        int32_t name = is_object ? at : at + 1;
        if (!is_object && (nodes[at].kind != ONCED_JSON_ARRAY || nodes[at].next < (uint32_t)at + 3 ||
                           nodes[name].kind != ONCED_JSON_STRING || nodes[name + 1].next != nodes[at].next))
            return problem_set(line, "headers must be an object or a list of pairs");
        header_add(line, name, name + 1);
        at = (int32_t)nodes[is_object ? name + 1 : at].next;
    }
    return 0;
}

static int member_read(struct line *line, const char *name, int32_t node)
{
    struct onced_record *record = &line->sample.record;
    int64_t partition = 0;
    if (strcmp(name, "value") == 0)
        record->value_size = bytes_read(line, node, &record->value_data);
    else if (strcmp(name, "key") == 0)
        record->key_size = bytes_read(line, node, &record->key_data);
    else if (strcmp(name, "headers") == 0)
        return headers_read(line, node);
    else if (strcmp(name, "timestamp") == 0)
        return whole_read(line, name, node, INT64_C(1) << 53, &record->time);
    else if (strcmp(name, "partition") == 0 && whole_read(line, name, node, INT32_MAX, &partition))
        return -1;
    else if (strcmp(name, "partition") == 0)
        record->partition = (int32_t)partition;
    else if (strcmp(name, "topic") == 0)
        return bytes_read(line, node, &line->sample.topic) < 1 ? problem_set(line, "topic must be a name") : 0;
    else
        return problem_set(line, "there is no \"%.100s\" in a record: it has value, key, headers, timestamp, partition, topic", name);
    return 0;
}

static int object_read(struct line *line, const char *text, size_t size)
{
    struct onced_json *json = line->json;
    if (onced_json_open(json, text, (int64_t)size))
        return problem_set(line, "invalid JSON: %s", json->error);
    if (json->nodes[0].kind != ONCED_JSON_OBJECT)
        return problem_set(line, "a record must be an object such as {\"value\": ...}");
    for (int32_t key = 1; key < (int32_t)json->nodes[0].next; key = (int32_t)json->nodes[key + 1].next) {
        must(onced_json_value(json, key) == ONCED_JSON_STRING);
        if (member_read(line, pool_text(&line->pool, json->data, (size_t)json->data_size), key + 1))
            return -1;
    }
    return 0;
}

static int line_read(struct line *line, const char *text, size_t size)
{
    struct try_input *input = line->input;
    line->sample = (struct kafka_sample){
        .topic = input->topic,
        .record = {.at = input->next_offset++, .time = onced_now(), .key_size = -1, .value_size = -1},
    };
    line->headers = NULL;
    if (input->is_json && object_read(line, text, size))
        return -1;
    if (!input->is_json) {
        line->sample.record.value_data = text;
        line->sample.record.value_size = (int32_t)size;
    }
    return line->sample.topic ? 0
                              : problem_set(line, "the pipeline's input topics are patterns: --format=json, and \"topic\" in each record");
}

int try_input_read(struct try_input *input, int (*take)(void *opaque, const struct kafka_sample *sample), void *opaque)
{
    struct line line = {.input = input, .json = onced_json_new()};
    char *text = NULL;
    size_t capacity = 0;
    ssize_t size;
    int failed = 0, stop = 0;
    must(line.json);
    while (!failed && !stop && (size = getline(&text, &capacity, input->in)) >= 0) {
        input->line++;
        size -= size && text[size - 1] == '\n';
        failed = line_read(&line, text, (size_t)size);
        stop = failed || take(opaque, &line.sample);
        pool_fini(&line.pool);
    }
    free(text);
    onced_json_free(line.json);
    return failed;
}
