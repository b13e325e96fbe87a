// SPDX-License-Identifier: MIT
// The real master with a worker that does as it is told: worker_run is defined here, in place of worker.c. Built by
// supervisor_driver.lua. What a worker does in each of its lives stands in $PLAN/NAME.N, a line for a life (the last one for all
// further ones), words from left to right; each life is noted in $PLAN/NAME.N.lives: pid and the counter that it found. So are the
// files that a reload would read: $PLAN/pipelines, if it is there, has words NAME:WORKERS[:GROUP[:SCRIPT[:RECORD_MS]]] in place of the
// arguments, or "bad", "endless", "crash" or "hasty" (other files when they are read again); the script that a worker runs with stands in
// $PLAN/NAME.N.script.
//   driver run NAME:WORKERS ...      environment: PLAN, VMSTAT, CGROUP, DRAIN_MS, RECORD_MS, IGNORE_CHLD
//   driver call LINE                 over the control socket
//   driver listen ADDRESS            prints the datagrams that arrive there, a line for each
//   driver log LEVEL TEXT            driver hit NAME PASSES           driver guard NAME
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "control.h"
#include "failpoint.h"
#include "log.h"
#include "recipe.h"
#include "supervisor.h"
#include "worker.h"

static volatile sig_atomic_t told_to_stop;

static void on_term(int number)
{
    (void)number;
    told_to_stop = 1;
}

static const struct worker_args *worker;

// As a worker does between two transactions.
static void take_over(void)
{
    char path[512];
    uint64_t place = atomic_load(&worker->stats->recipe);
    static uint64_t taken;
    if (place == taken)
        return;
    struct recipe *recipe = recipe_read(recipe_take(worker->shelf, place), worker->config, worker->pipeline);
    snprintf(path, sizeof path, "%s/%s.%d.script", getenv("PLAN"), worker->pipeline->name, worker->number);
    FILE *file = fopen(path, "w");
    fputs(recipe->pipeline.transform.script, file);
    fclose(file);
    recipe_free(&recipe);
    taken = place;
    atomic_store(&worker->stats->recipe_taken, place);
}

static void beat(struct stats *stats)
{
    atomic_store(&stats->front_beat, clock_ms());
    atomic_store(&stats->back_beat, clock_ms());
}

static void life_line(const struct worker_args *args, char *line, size_t size)
{
    char path[512];
    int lives = 0, byte;
    snprintf(path, sizeof path, "%s/%s.%d.lives", getenv("PLAN"), args->pipeline->name, args->number);
    FILE *file = fopen(path, "a+");
    while ((byte = getc(file)) != EOF)
        lives += byte == '\n';
    fprintf(file, "%d %llu\n", (int)getpid(), (unsigned long long)atomic_load(&args->stats->committed_records));
    fclose(file);
    snprintf(path, sizeof path, "%s/%s.%d", getenv("PLAN"), args->pipeline->name, args->number);
    snprintf(line, size, "ready work");
    if (!(file = fopen(path, "r")))
        return;
    for (int i = 0; i <= lives && fgets(line, (int)size, file); i++)
        line[strcspn(line, "\n")] = '\0';
    fclose(file);
}

static void forever(struct stats *stats, int front, int back, int until_term)
{
    while (!(until_term && told_to_stop)) {
        if (until_term)
            take_over();
        if (front)
            atomic_store(&stats->front_beat, clock_ms());
        if (back)
            atomic_store(&stats->back_beat, clock_ms());
        usleep(5000);
    }
}

static void suspects_log(const struct suspects *s)
{
    log_info("suspects: %d", (int)s->count);
    for (int i = 0; i < s->count; i++)
        log_info("suspect %d/%lld-%lld deaths=%d cause=%d", (int)s->list[i].partition, (long long)s->list[i].first,
                 (long long)s->list[i].last, s->list[i].deaths, s->list[i].cause);
}

static void act(struct stats *s, char *word)
{
    char *argument = strchr(word, ':');
    long number = 0;
    if (argument) {
        *argument++ = '\0';
        number = atol(argument);
    }
    if (strcmp(word, "ready") == 0) {
        beat(s);
        atomic_store(&s->state, WORKER_RUNNING);
        atomic_store(&s->ready, 1);
    } else if (strcmp(word, "work") == 0) { // until SIGTERM, then exit as a good worker does, or with the code given
        forever(s, 1, 1, 1);
        _exit((int)number);
    } else if (strcmp(word, "deaf") == 0) {
        forever(s, 1, 1, 0);
    } else if (strcmp(word, "hang") == 0) {
        forever(s, 0, 0, 0);
    } else if (strcmp(word, "hang-back") == 0) {
        forever(s, 1, 0, 0);
    } else if (strcmp(word, "rest") == 0) {
        for (int64_t end = clock_ms() + number; clock_ms() < end; usleep(2000))
            beat(s);
    } else if (strcmp(word, "await") == 0) { // the spec's master:go()
        char path[512];
        snprintf(path, sizeof path, "%s/go", getenv("PLAN"));
        for (; access(path, F_OK) < 0; usleep(2000))
            beat(s);
    } else if (strcmp(word, "exit") == 0) {
        _exit((int)number);
    } else if (strcmp(word, "raise") == 0) {
        signal((int)number, SIG_DFL);
        raise((int)number);
    } else if (strcmp(word, "reason") == 0) {
        snprintf(s->reason, sizeof s->reason, "%s", argument);
    } else if (strcmp(word, "fenced") == 0) {
        atomic_store(&s->fenced_at, clock_ms());
    } else if (strcmp(word, "note") == 0) {
        strcpy(s->note_topic, "orders");
        atomic_store(&s->note_partition, 3);
        atomic_store(&s->note_offset, number);
        atomic_store(&s->note_last, -1);
        stats_add(&s->note_sequence, 1);
    } else if (strcmp(word, "to") == 0) {
        atomic_store(&s->note_last, number);
    } else if (strcmp(word, "step") == 0) { // from record to record
        for (;; usleep(5000)) {
            beat(s);
            atomic_store(&s->note_offset, ++number);
        }
    } else if (strcmp(word, "suspects") == 0) {
        suspects_log(&s->suspects);
    } else if (strcmp(word, "oom") == 0) { // as the kernel does it
        FILE *file = fopen(getenv("VMSTAT"), "w");
        fprintf(file, "nr_free_pages 1\noom_kill 4\noom_kill_disable 9\n");
        fclose(file);
        raise(SIGKILL);
    } else if (strcmp(word, "oom-inside") == 0) { // of the cgroup
        char path[512];
        snprintf(path, sizeof path, "%s/own/memory.events", getenv("PLAN"));
        FILE *file = fopen(path, "w");
        fprintf(file, "oom 5\noom_kill 4\noom_group_kill 0\n");
        fclose(file);
        raise(SIGKILL);
    } else if (strcmp(word, "leave") == 0) { // as a worker does whose next script uses other series
        stats_series_leave(s, 2);
    } else if (strcmp(word, "left") == 0) {
        log_info("series left: %d", stats_series_left(s));
    } else if (strcmp(word, "starting") == 0) {
        atomic_store(&s->state, WORKER_STARTING);
    } else if (strcmp(word, "count") == 0) {
        stats_add(&s->committed_records, (uint64_t)number);
        stats_add(&s->transactions, 1);
        stats_add(&s->dropped, 3);
        stats_count(s, stats_series(s, 1, SERIES_DROPPED, "empty order", 11), 3);
        stats_count(s, stats_series(s, 1, SERIES_COUNTER, "euros_total{region=\"eu\"}", 24), (double)number + 0.5);
    } else if (strcmp(word, "outlive") == 0) {
        prctl(PR_SET_PDEATHSIG, 0);
    } else {
        fprintf(stderr, "driver: no such word: %s\n", word);
        _exit(99);
    }
}

int worker_run(const struct worker_args *args)
{
    char line[512], *rest = line, *word;
    worker = args;
    signal(SIGTERM, on_term);
    life_line(args, line, sizeof line);
    while ((word = strsep(&rest, " ")))
        act(args->stats, word);
    return WORKER_STOPPED;
}

// The words of $PLAN/pipelines, or those given; cut out of `line`.
static int words_find(char *line, size_t size, char **words, const char *const *given)
{
    char path[512], *word;
    int count = 0;
    snprintf(path, sizeof path, "%s/pipelines", getenv("PLAN"));
    FILE *file = fopen(path, "r");
    for (int i = 0; !file && given[i]; i++)
        snprintf(line + strlen(line), size - strlen(line), "%s ", given[i]);
    if (file && !fgets(line, (int)size, file))
        line = NULL;
    while ((word = strsep(&line, " \n")))
        if (*word)
            words[count++] = word;
    if (file)
        fclose(file);
    return count;
}

static const char *part(char **rest, const char *otherwise)
{
    const char *found = strsep(rest, ":");
    return found && *found ? found : otherwise;
}

struct config *config_load(const struct config_request *request, enum config_format format, FILE *report, int *errors)
{
    static char lines[64][512]; // a driver loads few configurations
    static char hasty[32];
    static int loads;
    char *words[8];
    struct config *config = calloc(1, sizeof *config);
    char *line = lines[loads++];
    int count = words_find(line, sizeof lines[0], words, request->pipelines);
    config->pipelines = calloc(8, sizeof *config->pipelines);
    config->drain_timeout_ms = getenv("DRAIN_MS") ? atol(getenv("DRAIN_MS")) : 30000;
    config->log_level = LOG_LEVEL_INFO;
    for (int i = 0; i < count && format == CONFIG_TEXT; i++) {
        char *rest = words[i];
        const char *name = part(&rest, "");
        if (strcmp(name, "bad") == 0) {
            fprintf(report, "orders.yaml:1:1: error: it is bad\n");
            *errors = 1;
            config_free(&config);
            return NULL;
        }
        if (strcmp(name, "endless") == 0) {
            fputs("endless: its files are read\n", stderr);
            for (;;)
                pause();
        }
        if (strcmp(name, "crash") == 0)
            raise(SIGSEGV);
        struct config_pipeline *pipeline = &config->pipelines[config->pipeline_count++];
        pipeline->name = name;
        pipeline->instance = "here";
        pipeline->workers = atoi(part(&rest, "1"));
        pipeline->group = part(&rest, name);
        pipeline->transform.script = part(&rest, "here.lua");
        pipeline->transaction.timeout_ms = 100;
        pipeline->transform.record_time_ms = atol(part(&rest, getenv("RECORD_MS") ? getenv("RECORD_MS") : "0"));
        if (strcmp(name, "hasty") == 0)
            snprintf(hasty, sizeof hasty, "%d", (int)getpid()), pipeline->group = hasty;
    }
    return config;
}

void config_free(struct config **config)
{
    if (*config)
        free((*config)->pipelines);
    free(*config);
    *config = NULL;
}

int check_recipes(const struct config *config, FILE *out, int shelf)
{
    for (int i = 0; i < config->pipeline_count; i++) {
        struct recipe_bytes seat = recipe_seat(&config->pipelines[i]), recipe = recipe_write(config, &config->pipelines[i], "", 0);
        if (!recipe_put(shelf, &seat) || !recipe_put(shelf, &recipe))
            fprintf(out, "the shelf is full\n");
        free(seat.data);
        free(recipe.data);
    }
    return 0;
}

static int run(char **specs)
{
    struct config_request request = {.pipelines = (const char *const *)specs};
    int errors = 0;
    if (getenv("IGNORE_CHLD"))
        signal(SIGCHLD, SIG_IGN);
    struct config *config = config_load(&request, CONFIG_TEXT, stderr, &errors);
    return config ? supervisor_run(config, &request) : EX_CONFIG;
}

static int call(const char *line)
{
    char path[512];
    return control_path(NULL, path, sizeof path) ? control_call(path, line, stdout, stdout) : EX_UNAVAILABLE;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[4096];
    ssize_t size;
    size_t length = strlen(path);
    memcpy(address.sun_path, path, length);
    if (*path == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*path == '/'))) < 0) {
        perror("bind");
        return 1;
    }
    printf("listening\n");
    fflush(stdout);
    while ((size = recv(fd, text, sizeof text - 1, 0)) >= 0) {
        text[size] = '\0';
        for (char *byte = text; *byte; byte++)
            if (*byte == '\n')
                *byte = '|';
        printf("%s\n", text);
        fflush(stdout);
    }
    return 1;
}

int main(int count, char **words)
{
    const char *mode = count > 2 ? words[1] : "";
    log_init(LOG_LEVEL_INFO);
    if (strcmp(mode, "run") == 0)
        return run(words + 2);
    if (strcmp(mode, "call") == 0)
        return call(words[2]);
    if (strcmp(mode, "listen") == 0)
        return listen_at(words[2]);
    if (strcmp(mode, "log") == 0 && count == 4) {
        log_name("%s#%d", "orders", 0);
        log_line((enum log_level)atoi(words[2]), "%s", words[3]);
        return 0;
    }
#ifdef FAILPOINTS
    if (strcmp(mode, "hit") == 0 && count == 4) {
        for (int i = 1; i <= atoi(words[3]); i++) {
            FAILPOINT(words[2]);
            printf("%d\n", i);
            fflush(stdout);
        }
        return 0;
    }
    if (strcmp(mode, "guard") == 0)
        return GUARD(words[2]);
#endif
    return 64;
}
