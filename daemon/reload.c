// SPDX-License-Identifier: MIT
#include "reload.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "lock.h"
#include "log.h"

#ifndef CHECK_MS // specs are in a hurry
#define CHECK_MS 60000
#endif

// One after the other, as check_recipes has put them there. 0: the shelf ends here.
static int bytes_next(int shelf, uint64_t *place, struct recipe_bytes *bytes)
{
    struct stat status;
    if (fstat(shelf, &status) < 0 || (uint64_t)status.st_size <= *place)
        return 0;
    *bytes = recipe_take(shelf, *place);
    *place += sizeof(int64_t) + bytes->size;
    return 1;
}

// 1: the configuration is the one that the shelf was filled from. The files may have changed since, and what was checked must be what runs.
static int plans_fill(struct plans *plans, struct config *config, int shelf)
{
    uint64_t place = RECIPE_FIRST;
    int same = 1;
    *plans = (struct plans){config, calloc((size_t)config->pipeline_count, sizeof *plans->items), config->pipeline_count};
    must(plans->items);
    for (int i = 0; i < config->pipeline_count; i++) {
        const struct config_pipeline *pipeline = &config->pipelines[i];
        struct recipe_bytes seat, bytes;
        if (!bytes_next(shelf, &place, &seat))
            return 0;
        must(bytes_next(shelf, &place, &bytes));
        struct recipe *checked = recipe_read(bytes, config, pipeline);
        struct crew_plan plan = {
            .config = config,
            .pipeline = pipeline,
            .seat = recipe_seat(pipeline),
            .recipe = recipe_write(config, pipeline, checked->pipeline.transform.texts, checked->pipeline.transform.texts_size)};
        same &= recipe_equal(&plan.seat, &seat) && recipe_equal(&plan.recipe, &bytes);
        plans->items[i] = plan;
        free(seat.data);
        recipe_free(&checked);
    }
    return same && !bytes_next(shelf, &place, &(struct recipe_bytes){0});
}

static FILE *nowhere_open(void)
{
    FILE *nowhere = fopen("/dev/null", "we");
    must(nowhere);
    return nowhere;
}

enum verdict plans_first(struct plans *plans, struct config *config, struct err *e)
{
    int shelf = recipe_shelf();
    if (shelf < 0)
        return err_set(e, HALT, errno, "no memory for the scripts: %s", strerror(errno));
    FILE *nowhere = nowhere_open();
    check_recipes(config, nowhere, shelf);
    must(plans_fill(plans, config, shelf));
    fclose(nowhere);
    close(shelf);
    return OK;
}

void plans_free(struct plans *plans)
{
    for (int i = 0; i < plans->count; i++) {
        free(plans->items[i].seat.data);
        free(plans->items[i].recipe.data);
    }
    free(plans->items);
    config_free(&plans->config);
    *plans = (struct plans){0};
}

static _Noreturn void child_become(const struct reload *reload, pid_t master)
{
    int errors = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != master)
        _exit(EX_SOFTWARE);
    lock_inherit(reload->report, reload->shelf);
    log_init(LOG_LEVEL_ERROR); // a script that greets in its init does so when it is taken over
    FILE *out = fdopen(reload->report, "w");
    must(out);
    struct config *config = config_load(reload->request, CONFIG_TEXT, out, &errors);
    fflush(out); // before the forks
    if (config)
        errors += check_recipes(config, out, reload->shelf);
    fflush(out);
    _exit(errors ? EX_CONFIG : EX_OK);
}

static void files_close(struct reload *reload)
{
    close(reload->report);
    close(reload->shelf);
    reload->pid = 0;
}

enum verdict reload_begin(struct reload *reload, int64_t now, struct err *e)
{
    must(reload->pid == 0);
    reload->report = memfd_create("report", MFD_CLOEXEC);
    reload->shelf = recipe_shelf();
    reload->deadline_ms = now + CHECK_MS;
    pid_t master = getpid(), pid = reload->report < 0 || reload->shelf < 0 ? -1 : fork();
    if (pid == 0)
        child_become(reload, master);
    if (pid < 0) {
        err_set(e, HALT, errno, "can't start a process that checks the configuration: %s", strerror(errno));
        files_close(reload);
        return e->verdict;
    }
    reload->pid = pid;
    return OK;
}

void reload_tick(struct reload *reload, int64_t now)
{
    if (reload->pid && now >= reload->deadline_ms)
        kill(reload->pid, SIGKILL);
}

void reload_abandon(struct reload *reload)
{
    if (!reload->pid)
        return;
    kill(reload->pid, SIGKILL);
    files_close(reload);
}

static char *report_text(int report)
{
    struct stat status;
    size_t size = fstat(report, &status) < 0 ? 0 : (size_t)status.st_size;
    char *text = calloc(1, size + 1);
    must(text);
    if (pread(report, text, size, 0) < 0)
        *text = '\0';
    return text;
}

static char *plans_read(const struct reload *reload, struct plans *plans)
{
    int errors = 0;
    FILE *nowhere = nowhere_open();
    struct config_request request = *reload->request;
    request.checked = 1;
    struct config *config = config_load(&request, CONFIG_TEXT, nowhere, &errors);
    fclose(nowhere);
    if (config && plans_fill(plans, config, reload->shelf))
        return NULL;
    plans_free(plans);
    char *why = strdup("the files changed while they were checked; reload again");
    must(why);
    return why;
}

int reload_ended(struct reload *reload, pid_t pid, int status, struct plans *plans, char **why)
{
    char end[128];
    if (!reload->pid || pid != reload->pid)
        return 0;
    *plans = (struct plans){0};
    if (WIFEXITED(status) && WEXITSTATUS(status) == EX_OK)
        *why = plans_read(reload, plans);
    else if (WIFEXITED(status) && WEXITSTATUS(status) == EX_CONFIG)
        *why = report_text(reload->report);
    else
        must(asprintf(why, "the process that checked the configuration %s", child_end(status, end, sizeof end)) > 0);
    files_close(reload);
    return 1;
}
