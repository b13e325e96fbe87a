// SPDX-License-Identifier: MIT
// What pipelines may not be to each other: of one name, in one group, or in a loop nobody asked for.
#include "config_draft.h"

#include <regex.h>
#include <string.h>

static void same_check(struct config_draft *draft, int i, int j)
{
    const struct config_pipeline *a = &draft->config->pipelines[i], *b = &draft->config->pipelines[j];
    if (strcmp(a->name, b->name) == 0)
        report_error(draft->report, draft->pipelines[j].name_place, NULL,
                     "the name \"%s\" is also that of %s: both would have one transactional.id and fence each other", b->name, a->file);
    else if (strcmp(a->group, b->group) == 0)
        report_error(draft->report, draft->pipelines[j].group_place, NULL,
                     "the group \"%s\" is also that of %s: each would get a part of the other's partitions", b->group, a->file);
}

static int input_takes(const char *input, const char *topic)
{
    regex_t regex;
    if (*input != '^')
        return strcmp(input, topic) == 0;
    if (regcomp(&regex, input, REG_EXTENDED | REG_NOSUB))
        return 0;
    int match = regexec(&regex, topic, 0, NULL, 0) == 0;
    regfree(&regex);
    return match;
}

// The index of a topic of `from` that `to` reads, -1: none.
static int feeds(const struct config_pipeline *from, const struct config_pipeline *to)
{
    for (int t = 0; from->cluster == to->cluster && t < from->topic_count; t++)
        for (int i = 0; i < to->input.topic_count; i++)
            if (input_takes(to->input.topics[i], from->topics[t].name))
                return t;
    return -1;
}

// Follows outputs to inputs, depth first. allow_loop in any pipeline of a loop allows it, so those are not followed.
static int loop_find(struct config_draft *draft, int first, int from, int *path, int depth, char *seen)
{
    const struct config *config = draft->config;
    path[depth] = from;
    seen[from] = 1;
    for (int to = first; to < config->pipeline_count; to++) {
        if (config->pipelines[to].allow_loop || feeds(&config->pipelines[from], &config->pipelines[to]) < 0)
            continue;
        if (to == first)
            return depth + 1;
        int length = seen[to] ? 0 : loop_find(draft, first, to, path, depth + 1, seen);
        if (length)
            return length;
    }
    return 0;
}

static void loop_report(struct config_draft *draft, const int *path, int length)
{
    const struct config *config = draft->config;
    const struct config_pipeline *first = &config->pipelines[path[0]];
    int topic = feeds(first, &config->pipelines[path[1 % length]]);
    const char *way = "an own input";
    for (int i = 1; i < length; i++)
        way = pool_format(draft->pool, "%s%s%s", i == 1 ? "an own input by way of " : way, i == 1 ? "" : ", ",
                          config->pipelines[path[i]].name);
    report_error(draft->report, draft->pipelines[path[0]].topic_places[topic], NULL,
                 "the topic %s feeds %s: records would go round for ever; `allow_loop: true` if that is meant", first->topics[topic].name,
                 way);
}

void config_rules_check(struct config_draft *draft)
{
    int count = draft->config->pipeline_count;
    int *path = pool_take(draft->pool, sizeof *path * ((size_t)count + 1));
    for (int j = 0; j < count; j++)
        for (int i = 0; i < j; i++)
            same_check(draft, i, j);
    for (int first = 0; first < count; first++) { // a loop is found from its first pipeline, which looks only at later ones
        char *seen = pool_take(draft->pool, (size_t)count + 1);
        int length = draft->config->pipelines[first].allow_loop ? 0 : loop_find(draft, first, first, path, 0, seen);
        if (length)
            loop_report(draft, path, length);
    }
}
