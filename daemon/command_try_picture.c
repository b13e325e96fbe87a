// SPDX-License-Identifier: MIT
// See command_try_picture.h. Bytes that a terminal would obey are shown as escapes.
#include "command_try_picture.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json_diff.h"
#include "json_text.h"

#define BOLD   "1"
#define DIM    "2"
#define RED    "31"
#define GREEN  "32"
#define YELLOW "33"

static void colour_set(const struct try_picture *picture, const char *colour)
{
    if (picture->coloured)
        fprintf(picture->out, "\033[%sm", colour);
}

static void colour_end(const struct try_picture *picture)
{
    if (picture->coloured)
        fputs("\033[0m", picture->out);
}

static void text_show(FILE *out, const char *text, int64_t size)
{
    const char *end = text + size;
    for (const char *p = text; p < end;) {
        int is_high = (unsigned char)*p >= 0x80, bytes = is_high ? json_utf8_size(p, end) : 1;
        if (is_high && (bytes == 0 || ((unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0))) { // C1 controls are obeyed too
            fprintf(out, "\\x%02x", (unsigned char)*p++);
            continue;
        }
        if (*p == '\n' || *p == '\t')
            fputs(*p == '\n' ? "\\n" : "\\t", out);
        else if (!is_high && ((unsigned char)*p < 0x20 || *p == 0x7f))
            fprintf(out, "\\x%02x", (unsigned char)*p);
        else
            fwrite(p, 1, (size_t)bytes, out);
        p += bytes;
    }
}

static void bytes_show(const struct try_picture *picture, const char *text, int64_t size)
{
    if (size >= 0) {
        text_show(picture->out, text, size);
        return;
    }
    colour_set(picture, DIM);
    fputs("null", picture->out);
    colour_end(picture);
}

// "  out  " and the like: what follows belongs to it.
static void label_show(const struct try_picture *picture, const char *label, const char *colour)
{
    colour_set(picture, colour);
    fprintf(picture->out, "  %s ", label);
    colour_end(picture);
}

static void key_show(const struct try_picture *picture, const char *data, int32_t size)
{
    if (size >= 0) {
        fputs(" key=", picture->out);
        text_show(picture->out, data, size);
    }
}

static void headers_show(const struct try_picture *picture, const struct onced_header *headers, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        label_show(picture, "    header", DIM);
        text_show(picture->out, headers[i].name, headers[i].name_size);
        fputc('=', picture->out);
        bytes_show(picture, headers[i].data, headers[i].data_size);
        fputc('\n', picture->out);
    }
}

static void difference_show(void *opaque, const struct json_difference *d)
{
    const struct try_picture *picture = opaque;
    int is_added = !d->before, is_removed = !d->after;
    colour_set(picture, is_added ? GREEN : is_removed ? RED : YELLOW);
    fprintf(picture->out, "      %c ", is_added ? '+' : is_removed ? '-' : '~');
    text_show(picture->out, d->pointer_size ? d->pointer : "(all)", d->pointer_size ? (int64_t)d->pointer_size : 5);
    fputs(": ", picture->out);
    if (!is_added)
        text_show(picture->out, d->before, (int64_t)d->before_size);
    if (!is_added && !is_removed)
        fputs(" -> ", picture->out);
    if (!is_removed)
        text_show(picture->out, d->after, (int64_t)d->after_size);
    colour_end(picture);
    fputc('\n', picture->out);
}

static int is_container(const struct onced_json *json)
{
    return json->nodes[0].kind == ONCED_JSON_OBJECT || json->nodes[0].kind == ONCED_JSON_ARRAY;
}

// Where both are JSON objects or lists: what changed.
static void values_compare(const struct try_picture *picture, const struct onced_record *record, const struct onced_output *output)
{
    struct onced_json *before = picture->before, *after = picture->after;
    if (record->value_size < 0 || output->value_size < 0 || onced_json_open(before, record->value_data, record->value_size) ||
        onced_json_open(after, output->value_data, output->value_size))
        return;
    if (is_container(before) && before->nodes[0].kind == after->nodes[0].kind)
        json_diff(before, after, difference_show, (void *)picture);
}

static int is_same(const struct onced_record *record, const struct onced_output *output)
{
    return record->value_size == output->value_size &&
           (record->value_size <= 0 || memcmp(record->value_data, output->value_data, (size_t)record->value_size) == 0);
}

static const char *output_name(const struct onced_rehearsal *rehearsal, int32_t topic)
{
    for (int32_t i = 0; i < rehearsal->output_count; i++)
        if (topic >= rehearsal->outputs[i].first_topic && topic < rehearsal->outputs[i].first_topic + rehearsal->outputs[i].topic_count)
            return rehearsal->outputs[i].name;
    return "dead letter";
}

static void output_show(struct try_picture *picture, const struct onced_rehearsal *rehearsal, const struct onced_output *output)
{
    struct onced_record *record = &rehearsal->batch->records[0];
    struct onced_header *headers = output->headers;
    const char *error = NULL;
    int32_t count = output->header_count;
    if (count < 0) // the source's, as they came
        count = onced_record_headers(rehearsal->batch, output->source, &headers, &error);
    label_show(picture, "->", output->topic_index == rehearsal->dlq_topic ? RED : GREEN);
    fprintf(picture->out, "%s (%s)", rehearsal->topics[output->topic_index].name, output_name(rehearsal, output->topic_index));
    if (output->partition >= 0)
        fprintf(picture->out, " partition=%" PRId32, output->partition);
    key_show(picture, output->key_data, output->key_size);
    fputs("\n     ", picture->out);
    if (is_same(record, output)) {
        colour_set(picture, DIM);
        fputs("the value as it came", picture->out);
        colour_end(picture);
    } else {
        bytes_show(picture, output->value_data, output->value_size);
    }
    fputc('\n', picture->out);
    headers_show(picture, headers, count);
    values_compare(picture, record, output);
}

// One line of what else happened; counts it.
static void note_show(struct try_picture *picture, const struct onced_rehearsal_note *note)
{
    int is_drop = strcmp(note->kind, "dropped") == 0, is_reject = strcmp(note->kind, "rejected") == 0;
    int is_plain = is_drop || strcmp(note->kind, "said") == 0 || strcmp(note->kind, "counted") == 0;
    label_show(picture, is_plain || is_reject ? note->kind : "failed", is_drop ? YELLOW : is_plain ? DIM : RED);
    if (!is_plain && !is_reject)
        fprintf(picture->out, "(%s) ", note->kind);
    if (note->place && *note->place)
        fprintf(picture->out, "%s: ", note->place);
    text_show(picture->out, note->text, note->text_size);
    if (strcmp(note->kind, "counted") == 0)
        fprintf(picture->out, " +%.17g", note->amount);
    if (note->policy)
        fprintf(picture->out, " (%s: %s)", is_reject ? "on_reject" : "on_error", note->policy);
    fputc('\n', picture->out);
    picture->dropped += is_drop;
    picture->rejected += is_reject;
    picture->failed += !is_plain && !is_reject;
}

void try_picture_record(struct try_picture *picture, const struct onced_rehearsal *rehearsal)
{
    struct onced_batch *batch = rehearsal->batch;
    const struct onced_record *record = &batch->records[0];
    struct onced_header *headers = NULL;
    const char *error = NULL;
    int32_t header_count = onced_record_headers(batch, 0, &headers, &error);
    picture->records++;
    picture->sent += batch->output_count;
    colour_set(picture, BOLD);
    fprintf(picture->out, "%s[%" PRId32 "] offset %" PRId64, batch->input_topics[record->topic_index], record->partition, record->at);
    colour_end(picture);
    key_show(picture, record->key_data, record->key_size);
    fputs("\n     ", picture->out);
    bytes_show(picture, record->value_data, record->value_size);
    fputc('\n', picture->out);
    headers_show(picture, headers, header_count);
    for (int32_t i = 0; i < rehearsal->note_count; i++)
        note_show(picture, &rehearsal->notes[i]);
    for (int32_t i = 0; i < batch->output_count; i++) {
        output_show(picture, rehearsal, &batch->outputs[i]);
        picture->sent -= batch->outputs[i].topic_index == rehearsal->dlq_topic;
    }
    fflush(picture->out); // before the next line is asked for
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

void try_picture_sum(const struct try_picture *picture)
{
    fprintf(picture->out,
            "\n%" PRId64 " record%s: %" PRId64 " output%s, %" PRId64 " dropped, %" PRId64 " rejected, %" PRId64
            " failed; nothing was written to Kafka\n",
            picture->records, plural(picture->records), picture->sent, plural(picture->sent), picture->dropped, picture->rejected,
            picture->failed);
}

void try_picture_init(struct try_picture *picture, FILE *out)
{
    const char *no_color = getenv("NO_COLOR");
    *picture = (struct try_picture){
        .out = out, .coloured = isatty(fileno(out)) && !(no_color && *no_color), .before = onced_json_new(), .after = onced_json_new()};
    must(picture->before && picture->after);
}

void try_picture_fini(struct try_picture *picture)
{
    onced_json_free(picture->before);
    onced_json_free(picture->after);
}
