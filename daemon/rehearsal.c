// SPDX-License-Identifier: MIT
// What a worker does with a pipeline file, short of Kafka. Invariant: clock and observer, which are the process's, are this rehearsal's
// exactly while its Lua runs, so that several don't disturb each other. Called by onced.testing through FFI.
#include "batch.h"

#include "rehearsal.h"
#include "rehearsal_watch.h"

#include <regex.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "failure.h"
#include "log.h"
#include "observer.h"
#include "pool.h"
#include "scalar.h"
#include "stats.h"
#include "transform.h"

// Kafka's own default, where nobody tells otherwise.
enum { MAX_MESSAGE_BYTES = 1048588 };

struct rehearsal {
    struct onced_rehearsal lent; // what testing.lua sees; must stay first
    struct observer observer;
    struct rehearsal_stage stage;
    struct config *config;
    struct config_pipeline pipeline; // the config's, with other params
    struct transform *transform;
    struct stats *stats;
    struct batch *batch;
    struct pool memory; // as long as the rehearsal
    struct pool texts;  // as long as the transform
    struct pool notes;  // of the present run
    char *report;
    struct err e;
};

static struct rehearsal *whole(struct onced_rehearsal *lent)
{
    return (struct rehearsal *)lent;
}

static struct onced_rehearsal_note *note_add(struct rehearsal *r, const char *kind, const char *text, int64_t size)
{
    struct onced_rehearsal *lent = &r->lent;
    lent->notes = pool_grow(&r->notes, lent->notes, lent->note_count, sizeof *lent->notes);
    struct onced_rehearsal_note *note = &lent->notes[lent->note_count++];
    *note = (struct onced_rehearsal_note){.kind = kind, .text = pool_text(&r->notes, text, (size_t)size), .text_size = size};
    return note;
}

static struct rehearsal *observed(struct observer *observer)
{
    return (struct rehearsal *)((char *)observer - offsetof(struct rehearsal, observer));
}

static void said(struct observer *observer, int level, const char *text, int64_t size)
{
    (void)level;
    note_add(observed(observer), "said", text, size);
}

static void dropped(struct observer *observer, int32_t first, int32_t last, const char *reason)
{
    struct onced_rehearsal_note *note = note_add(observed(observer), "dropped", reason, (int64_t)strlen(reason));
    note->first = first;
    note->last = last;
}

static void failed(struct observer *observer, int32_t record, enum config_policy policy, const struct failure *failure)
{
    static const char *const policies[] = {[POLICY_STOP] = "stop", [POLICY_SKIP] = "skip", [POLICY_DLQ] = "dlq"};
    struct rehearsal *r = observed(observer);
    struct onced_rehearsal_note *note = note_add(r, "rejected", failure->message, (int64_t)failure->message_size);
    if (strcmp(failure->kind, "reject"))
        note->kind = pool_text(&r->notes, failure->kind, strlen(failure->kind));
    note->policy = policies[policy];
    note->place = pool_text(&r->notes, failure->place, strlen(failure->place));
    note->first = record;
    note->last = record + 1;
}

// Around whatever runs Lua.
static void stage_enter(struct rehearsal *r, const char *what)
{
    const struct config_pipeline *p = &r->pipeline;
    r->stage = (struct rehearsal_stage){r->stats, p->name, p->transform.script, what, p->transform.record_time_ms};
    clock_wall_fix(r->lent.now_ms);
    observer_set(&r->observer);
    rehearsal_watch(&r->stage);
}

static void stage_leave(void)
{
    rehearsal_watch(NULL);
    observer_set(NULL);
    clock_wall_fix(-1);
}

static void topics_fill(struct rehearsal *r)
{
    const struct config_pipeline *p = &r->pipeline;
    r->lent.topics = pool_take(&r->memory, sizeof *r->lent.topics * ((size_t)p->topic_count + 1));
    for (int i = 0; i < p->topic_count; i++)
        r->lent.topics[i] = (struct onced_topic){.name = p->topics[i].name, .max_message_bytes = MAX_MESSAGE_BYTES};
    struct onced_rehearsal_output *outputs = pool_take(&r->memory, sizeof *outputs * ((size_t)p->output_count + 1));
    for (int i = 0; i < p->output_count; i++)
        outputs[i] = (struct onced_rehearsal_output){
            .name = p->outputs[i].name,
            .first_topic = p->outputs[i].first_topic,
            .topic_count = p->outputs[i].variable ? p->outputs[i].value_count : 1,
        };
    r->lent.outputs = outputs;
    r->lent.output_count = p->output_count;
    r->lent.topic_count = p->topic_count;
    r->lent.dlq_topic = p->dlq_topic;
    r->batch->lent.output_topics = r->lent.topics;
    r->batch->lent.output_topic_count = p->topic_count;
}

static void config_read(struct rehearsal *r, const struct config_request *request)
{
    size_t size;
    int errors = 0;
    FILE *report = open_memstream(&r->report, &size);
    must(report);
    r->config = config_load(request, CONFIG_TEXT, report, &errors);
    fclose(report);
    if (!r->config)
        r->lent.problem = r->report;
    else if (r->config->pipeline_count != 1)
        r->lent.problem = "the name must be that of one pipeline file";
}

struct onced_rehearsal *rehearsal_new(const struct config_request *request)
{
    struct rehearsal *r = calloc(1, sizeof *r);
    must(r && (r->batch = batch_new()) && (r->stats = stats_new()));
    r->observer = (struct observer){.said = said, .dropped = dropped, .failed = failed};
    r->lent.batch = &r->batch->lent;
    r->lent.now_ms = -1;
    log_init(LOG_LEVEL_ERROR); // what the log would say of records is noted
    config_read(r, request);
    if (r->lent.problem)
        return &r->lent;
    r->pipeline = r->config->pipelines[0];
    r->lent.name = r->pipeline.name;
    r->lent.params_json = r->pipeline.transform.params_json;
    r->lent.data_json = r->pipeline.transform.data_json;
    r->lent.data_size = r->pipeline.transform.data_size;
    r->lent.inputs = r->pipeline.input.topics;
    r->lent.input_count = r->pipeline.input.topic_count;
    topics_fill(r);
    return &r->lent;
}

struct onced_rehearsal *onced_rehearsal_new(const char *pipeline_file, const char *service_file)
{
    struct config_request request = {.service_file = service_file, .pipelines = &pipeline_file, .pipeline_count = 1, .brokers_optional = 1};
    return rehearsal_new(&request);
}

const struct config_pipeline *rehearsal_pipeline(const struct onced_rehearsal *lent)
{
    return &((const struct rehearsal *)lent)->pipeline;
}

int onced_rehearsal_start(struct onced_rehearsal *lent, const char *params_json, const char *data_json, int64_t data_size)
{
    struct rehearsal *r = whole(lent);
    stage_enter(r, "loading and init");
    transform_free(&r->transform);
    pool_fini(&r->texts);
    r->pipeline.transform.params_json = pool_text(&r->texts, params_json, strlen(params_json));
    r->pipeline.transform.data_json = data_json ? pool_text(&r->texts, data_json, (size_t)data_size) : NULL;
    r->pipeline.transform.data_size = data_size;
    r->transform = transform_new(&r->pipeline, 0, r->stats, &r->e);
    stage_leave();
    lent->problem = r->transform ? NULL : r->e.text;
    return r->transform ? 0 : -1;
}

void onced_rehearsal_clear(struct onced_rehearsal *lent)
{
    struct rehearsal *r = whole(lent);
    batch_reset(r->batch);
    pool_fini(&r->notes);
    lent->notes = NULL;
    lent->note_count = 0;
    lent->problem = NULL;
}

// As librdkafka subscribes: a leading ^ is a pattern.
static int input_matches(const char *input, const char *topic)
{
    regex_t regex;
    if (*input != '^')
        return strcmp(input, topic) == 0;
    must(regcomp(&regex, input, REG_EXTENDED | REG_NOSUB) == 0); // config has compiled it before
    int matches = regexec(&regex, topic, 0, NULL, 0) == 0;
    regfree(&regex);
    return matches;
}

// The index among the batch's topics, which know each that was named so far; -1: it is none of the inputs.
static int32_t topic_index(struct rehearsal *r, const char *topic)
{
    struct onced_batch *batch = r->lent.batch;
    int is_input = 0;
    for (int32_t i = 0; i < batch->input_topic_count; i++)
        if (strcmp(batch->input_topics[i], topic) == 0)
            return i;
    for (int i = 0; i < r->lent.input_count && !is_input; i++)
        is_input = input_matches(r->lent.inputs[i], topic);
    if (!is_input)
        return -1;
    const char **names = pool_grow(&r->memory, (void *)batch->input_topics, batch->input_topic_count, sizeof *names);
    names[batch->input_topic_count] = pool_text(&r->memory, topic, strlen(topic));
    batch->input_topics = names;
    return batch->input_topic_count++;
}

int onced_rehearsal_add(struct onced_rehearsal *lent, const char *topic, const struct onced_record *record,
                        const struct onced_header *headers, int32_t header_count)
{
    struct rehearsal *r = whole(lent);
    struct onced_record added = *record;
    added.topic_index = topic_index(r, topic);
    added.message = NULL;
    if (added.topic_index < 0) {
        lent->problem = "the topic is none of input.topics";
        return -1;
    }
    if (batch_put(r->batch, &added, headers, header_count, &r->e) == OK)
        return 0;
    lent->problem = r->e.text;
    return -1;
}

static void counts_note(struct rehearsal *r)
{
    for (int32_t i = 0; i < r->batch->count_count; i++) {
        const struct batch_count *count = &r->batch->counts[i];
        const struct stats_series *series = &r->stats->series[count->series];
        if (series->kind == SERIES_COUNTER)
            note_add(r, "counted", series->text, (int64_t)strlen(series->text))->amount = count->amount;
    }
}

int onced_rehearsal_run(struct onced_rehearsal *lent, int32_t *done)
{
    struct rehearsal *r = whole(lent);
    enum verdict verdict = OK;
    must(r->transform);
    stage_enter(r, "a batch");
    while (verdict == OK && r->batch->transformed < lent->batch->record_count)
        verdict = transform_run(r->transform, r->batch, lent->batch->record_count - r->batch->transformed, &r->e);
    stage_leave();
    *done = r->batch->transformed;
    counts_note(r);
    lent->problem = verdict == OK ? NULL : r->e.text;
    return verdict == OK ? 0 : -1;
}

void onced_rehearsal_free(struct onced_rehearsal *lent)
{
    struct rehearsal *r = whole(lent);
    stage_enter(r, "close");
    transform_free(&r->transform);
    stage_leave();
    batch_free(&r->batch);
    pool_fini(&r->notes);
    pool_fini(&r->texts);
    pool_fini(&r->memory);
    stats_free(r->stats);
    if (r->config)
        config_free(&r->config);
    free(r->report);
    free(r);
}

int onced_rehearsal_time(const char *text, int64_t *ms)
{
    const char *problem;
    return scalar_time(text, ms, &problem);
}
