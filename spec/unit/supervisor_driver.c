// SPDX-License-Identifier: MIT
// The real master with a worker that does as it is told: worker_run is defined here, in place of worker.c. Built by
// supervisor_driver.lua. What a worker does in each of its lives stands in $PLAN/NAME.N, a line for a life (the last one for all
// further ones), words from left to right; each life is noted in $PLAN/NAME.N.lives: pid and the counter that it found.
//   driver run NAME:WORKERS ...      environment: PLAN, VMSTAT, DRAIN_MS, RECORD_MS, IGNORE_CHLD
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
#include <unistd.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"
#include "supervisor.h"
#include "worker.h"

static volatile sig_atomic_t told_to_stop;

static void on_term(int number)
{
    (void)number;
    told_to_stop = 1;
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
    } else if (strcmp(word, "starting") == 0) {
        atomic_store(&s->state, WORKER_STARTING);
    } else if (strcmp(word, "count") == 0) {
        stats_add(&s->committed_records, (uint64_t)number);
        stats_add(&s->transactions, 1);
        stats_add(&s->dropped, 3);
        stats_count(s, stats_series(s, SERIES_DROPPED, "empty order", 11), 3);
        stats_count(s, stats_series(s, SERIES_COUNTER, "euros_total{region=\"eu\"}", 24), (double)number + 0.5);
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
    signal(SIGTERM, on_term);
    life_line(args, line, sizeof line);
    while ((word = strsep(&rest, " ")))
        act(args->stats, word);
    return WORKER_STOPPED;
}

static int run(int count, char **specs)
{
    struct config_pipeline pipelines[8] = {0};
    struct config config = {.pipelines = pipelines, .pipeline_count = count, .drain_timeout_ms = 30000};
    if (getenv("DRAIN_MS"))
        config.drain_timeout_ms = atol(getenv("DRAIN_MS"));
    if (getenv("IGNORE_CHLD"))
        signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < count; i++) {
        char *workers = strchr(specs[i], ':');
        *workers++ = '\0';
        pipelines[i].name = specs[i];
        pipelines[i].instance = "here";
        pipelines[i].workers = atoi(workers);
        pipelines[i].transaction.timeout_ms = 100;
        pipelines[i].transform.script = "here.lua";
        if (getenv("RECORD_MS"))
            pipelines[i].transform.record_time_ms = atol(getenv("RECORD_MS"));
    }
    return supervisor_run(&config);
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
        return run(count - 2, words + 2);
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
