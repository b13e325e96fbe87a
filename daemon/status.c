// SPDX-License-Identifier: MIT
#include "status.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

static const char *crew_state_name(enum crew_state state)
{
    static const char *const names[] = {[CREW_RUNNING] = "running", [CREW_STOPPING] = "stopping", [CREW_HALTED] = "halted"};
    return names[state];
}

static const char *child_state_name(const struct child *child)
{
    return child->pid ? worker_state_name(atomic_load(&child->args.stats->state)) : child->locked ? "restarting" : "waiting";
}

static const char *child_reason(const struct child *child)
{
    return atomic_load(&child->args.stats->state) == WORKER_BLOCKED ? child->args.stats->reason : "";
}

static unsigned long long count(const _Atomic uint64_t *counter)
{
    return (unsigned long long)atomic_load(counter);
}

static void text_json(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\"%s\":", name);
    json_write_string(out, text, strlen(text));
}

static void child_json(const struct child *child, FILE *out)
{
    const struct stats *s = child->args.stats;
    fputc('{', out);
    text_json(out, "name", child->name);
    fprintf(out, ",\"pid\":%ld,", (long)child->pid);
    text_json(out, "state", child_state_name(child));
    fputc(',', out);
    text_json(out, "reason", child_reason(child));
    fprintf(out, ",\"restarts\":%llu,\"consumed\":%llu,\"committed\":%llu,\"produced\":%llu,\"dropped\":%llu",
            (unsigned long long)child->restarts, count(&s->consumed), count(&s->committed_records), count(&s->produced),
            count(&s->dropped));
    fprintf(out, ",\"rejected\":%llu,\"dead_lettered\":%llu,\"skipped\":%llu,\"transactions\":%llu,\"aborts\":%llu,\"rebalances\":%llu}",
            count(&s->rejected), count(&s->dead_lettered), count(&s->skipped), count(&s->transactions), count(&s->aborts),
            count(&s->rebalances));
}

static void crew_json(const struct crew *crew, FILE *out)
{
    fputc('{', out);
    text_json(out, "name", crew->pipeline->name);
    fputc(',', out);
    text_json(out, "state", crew_state_name(crew->state));
    fputc(',', out);
    text_json(out, "reason", crew->reason);
    fputs(",\"workers\":[", out);
    for (int i = 0; i < crew->count; i++) {
        fputs(i ? "," : "", out);
        child_json(&crew->children[i], out);
    }
    fputs("]}", out);
}

static void crew_text(const struct crew *crew, FILE *out)
{
    fprintf(out, "%s: %s%s%s\n", crew->pipeline->name, crew_state_name(crew->state), *crew->reason ? ": " : "", crew->reason);
    for (int i = 0; i < crew->count; i++) {
        const struct child *child = &crew->children[i];
        const struct stats *s = child->args.stats;
        const char *reason = child_reason(child);
        fprintf(out,
                "  %s: %s%s%.255s  pid=%ld restarts=%llu committed=%llu produced=%llu dead_lettered=%llu transactions=%llu aborts=%llu\n",
                child->name, child_state_name(child), *reason ? ": " : "", reason, (long)child->pid, (unsigned long long)child->restarts,
                count(&s->committed_records), count(&s->produced), count(&s->dead_lettered), count(&s->transactions), count(&s->aborts));
    }
}

int status_write(const struct roster *roster, const char *name, const char *problem, int as_json, FILE *out)
{
    int found = 0;
    if (as_json) {
        fputc('{', out);
        text_json(out, "reload_problem", problem ? problem : "");
        fputs(",\"pipelines\":[", out);
    }
    for (int i = 0; i < roster->count; i++) {
        const struct crew *crew = &roster->crews[i];
        if (*name && strcmp(name, crew->pipeline->name))
            continue;
        if (as_json && found)
            fputc(',', out);
        (as_json ? crew_json : crew_text)(crew, out);
        found++;
    }
    if (as_json)
        fputs("]}\n", out);
    else if (problem)
        fprintf(out, "The configuration in force isn't that of the files: %s\n", problem);
    return found > 0;
}
