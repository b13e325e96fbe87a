// SPDX-License-Identifier: MIT
// See command_check_online.h. Nothing is written: no topic, no offset, no transaction.
#include "command_check_online.h"

#include <string.h>

#include "sink_audit.h"
#include "source_audit.h"

struct found {
    struct audit audit; // must stay first
    const struct config_pipeline *pipeline;
    struct report *report;
    enum report_format format;
    FILE *out;
    int refused;
};

static void found(struct audit *audit, enum audit_level level, const char *text)
{
    struct found *f = (struct found *)audit;
    struct report_place place = {.file = f->pipeline->file};
    if (level == AUDIT_REFUSES)
        report_error(f->report, place, NULL, "%s", text);
    else if (level == AUDIT_WARNS)
        report_warning(f->report, place, "%s", text);
    else if (f->format == REPORT_TEXT)
        fprintf(f->out, "  %s\n", text);
    f->refused |= level == AUDIT_REFUSES;
}

// As kafka-acls.sh --add takes them. A leading ^ is a pattern, which ACLs don't know.
static void acls_print(const struct config_pipeline *pipeline, FILE *out)
{
    fputs("  ACLs that its principal needs, as arguments of kafka-acls.sh --add --allow-principal User:NAME:\n", out);
    for (int i = 0; i < pipeline->input.topic_count; i++)
        fprintf(out, "    --operation Read --operation Describe --topic '%s'%s\n", pipeline->input.topics[i],
                *pipeline->input.topics[i] == '^' ? "   (each topic that matches)" : "");
    for (int i = 0; i < pipeline->topic_count; i++)
        fprintf(out, "    --operation Write --operation Describe --operation DescribeConfigs%s --topic %s\n",
                pipeline->topics[i].create_partitions > 0 ? " --operation Create" : "", pipeline->topics[i].name);
    fprintf(out, "    --operation Read --operation Describe --group %s\n", pipeline->group);
    fprintf(out, "    --operation Write --operation Describe --transactional-id onced.%s.%s. --resource-pattern-type prefixed\n",
            pipeline->name, pipeline->instance);
    fputs("  None on the cluster; DescribeConfigs there lets the audit read the brokers' settings. Read on the outputs lets a commit whose "
          "answer was lost be compared with what readers see.\n"
          "  Not proved, since it takes writing: the right to write to the outputs, to use the transactional id, and to commit for the "
          "group.\n",
          out);
}

int check_online(const struct config_pipeline *pipeline, enum report_format format, FILE *out)
{
    struct err e;
    struct found f = {.audit = {found}, .pipeline = pipeline, .report = report_new(format, out), .format = format, .out = out};
    struct report_place place = {.file = pipeline->file};
    if (format == REPORT_TEXT)
        fprintf(out, "%s, on cluster %s:\n", pipeline->file, pipeline->cluster->name);
    enum verdict verdict = sink_audit_run(&f.audit, pipeline, &e);
    if (verdict == OK)
        verdict = source_audit_run(&f.audit, pipeline, &e);
    if (verdict && !f.refused)
        report_error(f.report, place, NULL, "%s", e.text);
    report_print(f.report);
    report_free(&f.report);
    if (format == REPORT_TEXT)
        acls_print(pipeline, out);
    return f.refused || verdict;
}
