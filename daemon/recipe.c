// SPDX-License-Identifier: MIT
// Numbers are written as they lie in memory, texts with their zero byte: writer and reader are one binary. Every setting that a worker
// reads is in one of the two writers; what is in neither (`workers`, `allow_loop`, the name of the file) is the master's alone.
#include "recipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static FILE *bytes_open(struct recipe_bytes *bytes)
{
    FILE *out = open_memstream(&bytes->data, &bytes->size);
    must(out);
    return out;
}

static void number_put(FILE *out, int64_t number)
{
    fwrite(&number, sizeof number, 1, out);
}

static void text_put(FILE *out, const char *text)
{
    number_put(out, text != NULL);
    if (text)
        fwrite(text, strlen(text) + 1, 1, out);
}

static void properties_put(FILE *out, const struct config_properties *properties)
{
    number_put(out, properties->count);
    for (int i = 0; i < properties->count; i++) {
        text_put(out, properties->items[i].name);
        text_put(out, properties->items[i].value);
    }
}

static void output_put(FILE *out, const struct config_output *output)
{
    text_put(out, output->name);
    text_put(out, output->topic);
    text_put(out, output->variable);
    number_put(out, output->value_count);
    for (int i = 0; i < output->value_count; i++)
        text_put(out, output->values[i]);
    number_put(out, output->header_count);
    for (int i = 0; i < output->header_count; i++) {
        text_put(out, output->headers[i].name);
        text_put(out, output->headers[i].value);
    }
}

struct recipe_bytes recipe_seat(const struct config_pipeline *pipeline)
{
    struct recipe_bytes bytes;
    FILE *out = bytes_open(&bytes);
    text_put(out, pipeline->name);
    text_put(out, pipeline->group);
    text_put(out, pipeline->instance);
    properties_put(out, &pipeline->both);
    properties_put(out, &pipeline->consumer);
    properties_put(out, &pipeline->producer);
    number_put(out, pipeline->input.topic_count);
    for (int i = 0; i < pipeline->input.topic_count; i++)
        text_put(out, pipeline->input.topics[i]);
    number_put(out, pipeline->input.start);
    number_put(out, pipeline->input.start_ms);
    number_put(out, pipeline->input.session_timeout_ms);
    number_put(out, pipeline->input.gap_continue);
    number_put(out, pipeline->output_count);
    for (int i = 0; i < pipeline->output_count; i++)
        output_put(out, &pipeline->outputs[i]);
    number_put(out, pipeline->topic_count);
    for (int i = 0; i < pipeline->topic_count; i++) {
        text_put(out, pipeline->topics[i].name);
        text_put(out, pipeline->topics[i].compression);
        number_put(out, pipeline->topics[i].create_partitions);
    }
    number_put(out, pipeline->dlq_topic);
    number_put(out, pipeline->transaction.timeout_ms);
    must(fclose(out) == 0);
    return bytes;
}

struct recipe_bytes recipe_write(const struct config *config, const struct config_pipeline *pipeline, const char *texts, size_t texts_size)
{
    struct recipe_bytes bytes;
    FILE *out = bytes_open(&bytes);
    number_put(out, config->drain_timeout_ms);
    number_put(out, config->leave_on_stop);
    number_put(out, config->log_level);
    number_put(out, pipeline->on_error);
    number_put(out, pipeline->on_reject);
    fwrite(&pipeline->dlq_max_ratio, sizeof pipeline->dlq_max_ratio, 1, out);
    number_put(out, pipeline->dlq_min);
    number_put(out, pipeline->dlq_per_ms);
    number_put(out, pipeline->transaction.commit_every_ms);
    number_put(out, pipeline->transaction.max_records);
    number_put(out, pipeline->transaction.max_bytes);
    number_put(out, pipeline->transform.memory_bytes);
    number_put(out, pipeline->transform.record_time_ms);
    number_put(out, pipeline->transform.outputs_per_record);
    text_put(out, pipeline->transform.script);
    text_put(out, pipeline->transform.params_json);
    text_put(out, pipeline->transform.allow_json);
    number_put(out, pipeline->transform.data_size);
    if (pipeline->transform.data_size)
        fwrite(pipeline->transform.data_json, 1, (size_t)pipeline->transform.data_size, out);
    number_put(out, pipeline->transform.lua_path_count);
    for (int i = 0; i < pipeline->transform.lua_path_count; i++)
        text_put(out, pipeline->transform.lua_path[i]);
    number_put(out, (int64_t)texts_size);
    fwrite(texts, 1, texts_size, out);
    must(fclose(out) == 0);
    return bytes;
}

int recipe_equal(const struct recipe_bytes *a, const struct recipe_bytes *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static int64_t number_get(const char **at)
{
    int64_t number;
    memcpy(&number, *at, sizeof number);
    *at += sizeof number;
    return number;
}

static const char *text_get(const char **at)
{
    if (!number_get(at))
        return NULL;
    const char *text = *at;
    *at += strlen(text) + 1;
    return text;
}

struct recipe *recipe_read(struct recipe_bytes bytes, const struct config *config, const struct config_pipeline *pipeline)
{
    struct recipe *r = calloc(1, sizeof *r);
    const char *at = bytes.data;
    must(r);
    r->bytes = bytes;
    r->config = *config;
    r->pipeline = *pipeline;
    r->config.drain_timeout_ms = number_get(&at);
    r->config.leave_on_stop = (int)number_get(&at);
    r->config.log_level = (int)number_get(&at);
    r->pipeline.on_error = (enum config_policy)number_get(&at);
    r->pipeline.on_reject = (enum config_policy)number_get(&at);
    memcpy(&r->pipeline.dlq_max_ratio, at, sizeof r->pipeline.dlq_max_ratio);
    at += sizeof r->pipeline.dlq_max_ratio;
    r->pipeline.dlq_min = number_get(&at);
    r->pipeline.dlq_per_ms = number_get(&at);
    r->pipeline.transaction.commit_every_ms = number_get(&at);
    r->pipeline.transaction.max_records = number_get(&at);
    r->pipeline.transaction.max_bytes = number_get(&at);
    r->pipeline.transform.memory_bytes = number_get(&at);
    r->pipeline.transform.record_time_ms = number_get(&at);
    r->pipeline.transform.outputs_per_record = number_get(&at);
    r->pipeline.transform.script = text_get(&at);
    r->pipeline.transform.params_json = text_get(&at);
    r->pipeline.transform.allow_json = text_get(&at);
    r->pipeline.transform.data_size = number_get(&at);
    r->pipeline.transform.data_json = r->pipeline.transform.data_size ? at : NULL;
    at += r->pipeline.transform.data_size;
    r->pipeline.transform.lua_path_count = (int)number_get(&at);
    r->lua_path = calloc((size_t)r->pipeline.transform.lua_path_count + 1, sizeof *r->lua_path);
    must(r->lua_path);
    for (int i = 0; i < r->pipeline.transform.lua_path_count; i++)
        r->lua_path[i] = text_get(&at);
    r->pipeline.transform.lua_path = r->lua_path;
    r->pipeline.transform.texts_size = (size_t)number_get(&at);
    r->pipeline.transform.texts = at;
    must(at + r->pipeline.transform.texts_size == bytes.data + bytes.size);
    return r;
}

void recipe_free(struct recipe **recipe)
{
    if (*recipe) {
        free((*recipe)->bytes.data);
        free((*recipe)->lua_path);
    }
    free(*recipe);
    *recipe = NULL;
}

int recipe_shelf(void)
{
    return memfd_create("onced", MFD_CLOEXEC);
}

static int all_put(int shelf, const char *data, size_t size, off_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t more = pwrite(shelf, data + done, size - done, at + (off_t)done);
        if (more < 0 && errno != EINTR)
            return -1;
        done += more > 0 ? (size_t)more : 0;
    }
    return 0;
}

static void all_take(int shelf, char *data, size_t size, off_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t more = pread(shelf, data + done, size - done, at + (off_t)done);
        must(more > 0 || (more < 0 && errno == EINTR));
        done += more > 0 ? (size_t)more : 0;
    }
}

uint64_t recipe_put(int shelf, const struct recipe_bytes *bytes)
{
    int64_t size = (int64_t)bytes->size;
    off_t end = lseek(shelf, 0, SEEK_END), place = end < RECIPE_FIRST ? RECIPE_FIRST : end;
    if (end < 0 || all_put(shelf, bytes->data, bytes->size, place + (off_t)sizeof size) ||
        all_put(shelf, (const char *)&size, sizeof size, place))
        return 0;
    return (uint64_t)place;
}

struct recipe_bytes recipe_take(int shelf, uint64_t place)
{
    int64_t size;
    all_take(shelf, (char *)&size, sizeof size, (off_t)place);
    struct recipe_bytes bytes = {malloc((size_t)size), (size_t)size};
    must(bytes.data);
    all_take(shelf, bytes.data, bytes.size, (off_t)place + (off_t)sizeof size);
    return bytes;
}

void recipe_clear(int shelf, uint64_t before)
{
    fallocate(shelf, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)before);
}
