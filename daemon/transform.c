// SPDX-License-Identifier: MIT
// The only file that speaks Lua's C API, with transform_host.c beside it. It opens one state for one script, hands slices of a batch to
// the Lua half (lua/onced/runner.lua), and answers for it: outcomes come back as calls through bridge.h, and no error crosses into C but
// through lua_pcall. Called by pipeline, on the front thread; transform_refuse also by back.
#include "transform.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "digest.h"
#include "failpoint.h"
#include "failure.h"
#include "log.h"
#include "observer.h"
#include "texts.h"
#include "transform_host.h"

enum {
    RUN_MS = 100,       // a turn in Lua: front has to poll
    SLICE_FAST_MS = 5,  // a slice below this may be twice as long next time,
    SLICE_SLOW_MS = 40, // above that half as long
    SLICE_FIRST = 64,
    SLICE_MOST = 8192,
    GC_PAUSE_EASY = 200, // LuaJIT's default
    GC_PAUSE_TIGHT = 100,
};

struct transform {
    struct onced_turn turn; // what Lua sees; must stay first: onced_* functions get a pointer to it
    const struct config_pipeline *pipeline;
    struct stats *stats, *own_stats; // own: when there are no shared ones
    const char *script_name;
    struct texts *texts;
    lua_State *lua;
    int worker, run_ref, close_ref;
    int compiles;
    int64_t memory_used, memory_most; // most 0: no cap
    int32_t slice;
    struct onced_header *headers; // the outputs' static ones, one after the other
    int32_t note_topic;           // whose name stands in the shared page, -1: unknown
    struct {
        int64_t since;
        uint64_t records, letters;
    } window;           // errors.dlq.per
    struct err *halted; // where the present run wants its HALT, NULL: outside
};

// --- the state ----------------------------------------------------------------------------------------------------------------------

static void *memory_move(void *opaque, void *block, size_t before, size_t after)
{
    struct transform *t = opaque;
    int64_t used = t->memory_used + (int64_t)after - (int64_t)before;
    if (after == 0) {
        free(block);
        t->memory_used = used;
        return NULL;
    }
    if (after > before && used > t->memory_most)
        return NULL;
    void *moved = realloc(block, after);
    if (moved)
        t->memory_used = used;
    return moved;
}

// systemd's MemoryDenyWriteExecute (and SELinux alike) let LuaJIT die at its first trace.
static int code_can_be_made(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return 0;
    int made = mprotect(page, size, PROT_READ | PROT_EXEC) == 0;
    munmap(page, size);
    return made;
}

// Behind luaL_openlibs, which turns the compiler on.
static void compiler_check(lua_State *L, struct transform *t)
{
    t->compiles = code_can_be_made();
    if (t->compiles)
        return;
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    log_warning("%s runs interpreted, a hundred times slower: this process may not make code (MemoryDenyWriteExecute?)", t->script_name);
}

// Everything that may throw for want of memory, under lua_cpcall.
static int state_open(lua_State *L)
{
    struct transform *t = lua_touserdata(L, 1);
    luaL_openlibs(L);
    compiler_check(L, t);
    transform_host(L, t->pipeline, t->worker, &t->turn, t->headers, t->texts);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "onced.runner");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "run");
    t->run_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, -1, "close");
    t->close_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, -1, "load");
    lua_call(L, 0, 1);
    if (!lua_isnil(L, -1))
        return lua_error(L);
    return 0;
}

static enum verdict state_load(struct transform *t, struct err *e)
{
    t->lua = t->memory_most > 0 ? lua_newstate(memory_move, t) : luaL_newstate();
    if (!t->lua)
        return err_set(e, HALT, 0, "%s: no memory for a Lua state (transform.limits.memory)", t->script_name);
    if (lua_cpcall(t->lua, state_open, t) == 0)
        return OK;
    const char *text = lua_tostring(t->lua, -1);
    int bare = !text || strncmp(text, "not enough memory", 17) == 0;
    err_set(e, HALT, 0, "%s%s%s", bare ? t->script_name : "", bare ? ": " : "", text ? text : "can't be loaded");
    return e->verdict;
}

static const char *script_name(const struct config_pipeline *pipeline)
{
    const char *slash = strrchr(pipeline->transform.script, '/');
    return slash ? slash + 1 : pipeline->transform.script;
}

const char *transform_runtime(void)
{
    return LUAJIT_VERSION;
}

struct transform *transform_new(const struct config_pipeline *pipeline, int worker, struct stats *stats, struct err *e)
{
    struct transform *t = calloc(1, sizeof *t);
    must(t);
    int64_t outputs = pipeline->transform.outputs_per_record;
    t->pipeline = pipeline;
    t->worker = worker;
    t->own_stats = stats ? NULL : stats_new();
    t->stats = stats ? stats : t->own_stats;
    must(t->stats);
    t->script_name = script_name(pipeline);
    t->memory_most = pipeline->transform.memory_bytes;
    t->slice = SLICE_FIRST;
    t->texts = texts_new(pipeline->transform.texts, pipeline->transform.texts_size);
    t->close_ref = LUA_NOREF;
    t->headers = transform_host_headers(pipeline);
    t->turn.note_offset = (int64_t *)&t->stats->note_offset;
    t->turn.outputs_per_record = outputs > 0 && outputs < INT32_MAX ? (int32_t)outputs : INT32_MAX;
    if (state_load(t, e)) {
        t->close_ref = LUA_NOREF; // init didn't succeed: there is nothing to close
        transform_free(&t);
    }
    return t;
}

const struct texts *transform_texts(const struct transform *t)
{
    return t->texts;
}

static void state_close(struct transform *t)
{
    lua_State *L = t->lua;
    if (t->close_ref != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, t->close_ref);
        if (lua_pcall(L, 0, 1, 0) || !lua_isnil(L, -1))
            log_warning("close: %s", lua_tostring(L, -1) ? lua_tostring(L, -1) : "failed");
    }
    lua_close(L);
}

void transform_free(struct transform **transform)
{
    struct transform *t = *transform;
    if (!t)
        return;
    if (t->lua)
        state_close(t);
    stats_free(t->own_stats);
    texts_free(&t->texts);
    free(t->headers);
    free(t);
    *transform = NULL;
}

// --- the note: which record is in Lua right now ---------------------------------------------------------------------------------------

static void note_close(struct transform *t)
{
    t->turn.topic = t->turn.partition = -1;
    if (atomic_load_explicit(&t->stats->note_sequence, memory_order_relaxed) & 1)
        atomic_fetch_add_explicit(&t->stats->note_sequence, 1, memory_order_release);
}

void onced_note_move(struct onced_turn *turn, int32_t record)
{
    struct transform *t = (struct transform *)turn;
    const struct onced_record *r = &turn->batch->records[record];
    note_close(t);
    turn->topic = r->topic_index;
    turn->partition = r->partition;
    if (t->note_topic != r->topic_index)
        snprintf(t->stats->note_topic, sizeof t->stats->note_topic, "%s", turn->batch->input_topics[r->topic_index]);
    t->note_topic = r->topic_index;
    atomic_store_explicit(&t->stats->note_partition, r->partition, memory_order_relaxed);
    atomic_store_explicit(&t->stats->note_offset, r->at, memory_order_relaxed);
    atomic_store_explicit(&t->stats->note_last, turn->stretches ? turn->batch->records[turn->current_last - 1].at : -1,
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&t->stats->note_sequence, 1, memory_order_release);
}

// --- what comes back from Lua -----------------------------------------------------------------------------------------------------------

// A record that is computed again gets the same; two pipelines that read one topic don't share any.
void onced_uuid(const struct onced_turn *turn, int32_t record, int32_t number, char *to)
{
    const struct transform *t = (const struct transform *)turn;
    const struct onced_record *r = &turn->batch->records[record];
    const char *names[] = {t->pipeline->name, turn->batch->input_topics[r->topic_index]};
    char place[64];
    unsigned char digest[SHA256_SIZE];
    struct sha256 sha;
    sha256_init(&sha);
    for (int i = 0; i < 2; i++)
        sha256_add(&sha, names[i], strlen(names[i]) + 1);
    sha256_add(&sha, place, (size_t)snprintf(place, sizeof place, "%" PRId32 " %" PRId64 " %" PRId32, r->partition, r->at, number));
    sha256_end(&sha, digest);
    uuid_write(digest, to);
}

static void outputs_take_back(struct onced_turn *turn)
{
    turn->batch->output_count = turn->mark;
    turn->batch->bytes = turn->mark_bytes;
}

void onced_take_back(struct onced_turn *turn)
{
    outputs_take_back(turn);
    batch_uncount((struct batch *)turn->batch, turn->current, turn->current_last);
}

static int series_of(const struct transform *t, enum series_kind kind, const char *text, int64_t size)
{
    return stats_series(t->stats, t->pipeline->transform.edition, kind, text, size);
}

int32_t onced_drop_reason(struct onced_turn *turn, const char *reason, int64_t size)
{
    return series_of((struct transform *)turn, SERIES_DROPPED, reason, size);
}

int32_t onced_counter(struct onced_turn *turn, const char *text, int64_t size)
{
    return series_of((struct transform *)turn, SERIES_COUNTER, text, size);
}

int onced_count(struct onced_turn *turn, int32_t series, double amount)
{
    return batch_count((struct batch *)turn->batch, turn->current, series, amount);
}

// What a dropped record counted stays: dropping is one of the things that a script does on purpose.
void onced_record_dropped(struct onced_turn *turn, int32_t reason)
{
    struct batch *batch = (struct batch *)turn->batch;
    int32_t records = turn->current_last - turn->current;
    outputs_take_back(turn);
    observer_dropped(turn->current, turn->current_last, ((struct transform *)turn)->stats->series[reason].text);
    batch->dropped += (uint64_t)records;
    must(batch_count(batch, turn->current, reason, records) == 0);
}

// A flood of dead letters means that the script or its input is broken as a whole: better to stop than to divert everything.
static int letters_flood(struct transform *t)
{
    uint64_t records = t->window.records + (uint64_t)(t->turn.current - t->turn.first) + 1;
    uint64_t letters = ++t->window.letters;
    return t->pipeline->dlq_max_ratio > 0 && letters >= (uint64_t)t->pipeline->dlq_min &&
           (double)letters > t->pipeline->dlq_max_ratio * (double)records;
}

static enum verdict letters_halt(struct transform *t, const struct failure *cause, struct err *e)
{
    char text[200];
    uint64_t records = t->window.records + (uint64_t)(t->turn.current - t->turn.first) + 1;
    struct failure failure = *cause;
    int size = snprintf(text, sizeof text, "%llu of %llu records became dead letters, above errors.dlq.max_ratio %g; this one: %.*s",
                        (unsigned long long)t->window.letters, (unsigned long long)records, t->pipeline->dlq_max_ratio,
                        (int)(cause->message_size < 100 ? cause->message_size : 100), cause->message);
    failure.message = text;
    failure.message_size = (size_t)size < sizeof text ? (size_t)size : sizeof text - 1;
    return failure_halt((struct batch *)t->turn.batch, t->turn.current, &failure, e);
}

void onced_trace_aborted(struct onced_turn *turn)
{
    stats_add(&((struct transform *)turn)->stats->trace_aborts, 1);
}

int onced_record_failed(struct onced_turn *turn, const char *kind, const char *place, const char *stack, const char *message,
                        int64_t message_size)
{
    struct transform *t = (struct transform *)turn;
    struct batch *batch = (struct batch *)turn->batch;
    struct failure failure = {.kind = kind, .place = place, .stack = stack, .message = message, .message_size = (size_t)message_size};
    enum config_policy policy = strcmp(kind, "reject") == 0 ? t->pipeline->on_reject : t->pipeline->on_error;
    must(t->halted);
    onced_take_back(turn);
    batch->spent = 0; // for the dead letter
    observer_failed(turn->current, policy, &failure);
    if (policy == POLICY_DLQ && letters_flood(t))
        return letters_halt(t, &failure, t->halted) != OK;
    if (failure_answer(t->pipeline, batch, turn->current, &failure, t->halted))
        return 1;
    if (strcmp(kind, "reject") == 0)
        must(batch_count(batch, turn->current, series_of(t, SERIES_REJECTED, message, message_size), 1) == 0);
    return 0;
}

// --- slices -------------------------------------------------------------------------------------------------------------------------

// The runner itself failed (out of memory before its own protection): the record at hand answers for it, and the slice ends there.
static void slice_failed(struct transform *t)
{
    const char *text = lua_tostring(t->lua, -1);
    text = text ? text : "failed without a message";
    if (t->turn.current < t->turn.last) {
        int memory = strncmp(text, "not enough memory", 17) == 0;
        if (!onced_record_failed(&t->turn, memory ? "memory" : "error", t->script_name, "", text, (int64_t)strlen(text)))
            t->turn.current = t->turn.current_last;
    }
    lua_pop(t->lua, 1);
    lua_gc(t->lua, LUA_GCCOLLECT, 0);
}

// Garbage alone must not reach the cap: past half of it, each collection follows the last at once.
static void memory_pace(struct transform *t)
{
    if (t->memory_most > 0)
        lua_gc(t->lua, LUA_GCSETPAUSE, t->memory_used > t->memory_most / 2 ? GC_PAUSE_TIGHT : GC_PAUSE_EASY);
}

static void slice_begin(struct transform *t, const struct batch *batch, int32_t count, struct err *e)
{
    struct onced_turn *turn = &t->turn;
    e->verdict = OK;
    turn->first = turn->current = batch->transformed;
    turn->current_last = turn->first + 1;
    turn->last = turn->first + count;
    turn->mark = batch->lent.output_count;
    turn->mark_bytes = batch->lent.bytes;
    turn->now_ms = clock_wall_ms();
    t->halted = e;
}

static enum verdict slice_end(struct transform *t, struct batch *batch)
{
    enum verdict verdict = t->halted->verdict;
    t->halted = NULL;
    t->window.records += (uint64_t)(t->turn.current - t->turn.first);
    batch->transformed = t->turn.current;
    return verdict;
}

static enum verdict slice_run(struct transform *t, struct batch *batch, int32_t count, struct err *e)
{
    slice_begin(t, batch, count, e);
    lua_rawgeti(t->lua, LUA_REGISTRYINDEX, t->run_ref);
    if (lua_pcall(t->lua, 0, 0, 0))
        slice_failed(t);
    memory_pace(t);
    return slice_end(t, batch);
}

// --- suspects: what a worker died over ------------------------------------------------------------------------------------------------

// How many of the next `count` records come before a suspect; 0: the next is *suspect.
static int32_t slice_innocent(const struct transform *t, const struct batch *batch, int32_t count, const struct suspect **suspect)
{
    if (t->stats->suspects.count == 0 || !GUARD("quarantine"))
        return count;
    for (int32_t i = 0; i < count; i++) {
        const struct onced_record *r = &batch->lent.records[batch->transformed + i];
        *suspect = suspects_find(&t->stats->suspects, batch->lent.input_topics[r->topic_index], r->partition, r->at);
        if (*suspect)
            return i;
    }
    return count;
}

// It has killed often enough: on_error decides, and that is committed before anything else is run that may kill.
static enum verdict suspect_answer(struct transform *t, struct batch *batch, const struct suspect *suspect, struct err *e)
{
    static const char *const causes[] = {
        [DEATH_TIME] = "transform.limits.record_time was over",
        [DEATH_MEMORY] = "no memory was left on this machine",
        [DEATH_CRASH] = "the process crashed",
    };
    char text[100];
    int size = snprintf(text, sizeof text, "ended its worker %d times, at last because %s", suspect->deaths, causes[suspect->cause]);
    slice_begin(t, batch, 1, e);
    if (!onced_record_failed(&t->turn, "killed", t->script_name, "", text, size)) {
        t->turn.current = t->turn.last;
        batch->cut = 1;
    }
    return slice_end(t, batch);
}

// Alone, so that another death is that one record's. After a crash also without the compiler, whose fault it may have been; a record that
// took too long would take even longer then.
static enum verdict suspect_run(struct transform *t, struct batch *batch, const struct suspect *suspect, struct err *e)
{
    if (suspect->deaths >= SUSPECT_DEATHS)
        return suspect_answer(t, batch, suspect, e);
    int interpreted = t->compiles && suspect->cause == DEATH_CRASH;
    if (interpreted) {
        luaJIT_setmode(t->lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
        luaJIT_setmode(t->lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH); // what is compiled would go on to be used
    }
    enum verdict verdict = slice_run(t, batch, 1, e);
    if (interpreted)
        luaJIT_setmode(t->lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
    return verdict;
}

static void window_turn(struct transform *t, int64_t now)
{
    if (now - t->window.since < t->pipeline->dlq_per_ms)
        return;
    t->window.since = now;
    t->window.records = t->window.letters = 0;
}

static void slice_adapt(struct transform *t, int32_t count, int64_t took_ms)
{
    if (took_ms > SLICE_SLOW_MS && t->slice > 1)
        t->slice /= 2;
    else if (took_ms < SLICE_FAST_MS && count == t->slice && t->slice < SLICE_MOST)
        t->slice *= 2;
}

enum verdict transform_run(struct transform *t, struct batch *batch, int32_t count, struct err *e)
{
    must(count >= 0 && batch->transformed + count <= batch->lent.record_count);
    int32_t end = batch->transformed + count;
    int64_t began = clock_ms(), now = began;
    enum verdict verdict = OK;
    t->turn.batch = &batch->lent;
    t->turn.generation = (int32_t)(batch->lent.number % INT32_MAX) + 1;
    t->turn.topic = t->turn.partition = t->note_topic = -1;
    batch->stretches = t->turn.stretches;
    batch->spender = &t->turn.current;
    batch->spent_by = -1;
    batch->spend_most = t->memory_most;
    while (verdict == OK && batch->transformed < end && now - began < RUN_MS && !batch->cut) {
        const struct suspect *suspect = NULL;
        int32_t left = end - batch->transformed, slice = slice_innocent(t, batch, left < t->slice ? left : t->slice, &suspect);
        int64_t before = now;
        window_turn(t, now);
        verdict = suspect && slice == 0 ? suspect_run(t, batch, suspect, e) : slice_run(t, batch, slice, e);
        now = clock_ms();
        slice_adapt(t, slice, now - before);
    }
    note_close(t);
    batch->spender = NULL;
    t->turn.batch = NULL;
    t->turn.generation = 0;
    return verdict;
}

enum verdict transform_refuse(const struct config_pipeline *pipeline, struct batch *batch, int32_t source, const char *kind,
                              const char *message, struct err *e)
{
    struct failure failure = {.kind = kind, .place = script_name(pipeline), .message = message, .message_size = strlen(message)};
    must(source >= 0 && source < batch->transformed);
    if (batch->stretches) { // whose fault it is can't be told, and what the script made of the others must not go with it
        failure.kind = "refused";
        return failure_halt(batch, source, &failure, e);
    }
    for (int32_t i = 0; i < batch->lent.output_count; i++)
        if (batch->lent.outputs[i].source == source && batch->lent.outputs[i].topic_index == pipeline->dlq_topic)
            return failure_halt(batch, source, &failure, e); // its dead letter is what was refused
    failure_take_back(batch, source);
    return failure_answer(pipeline, batch, source, &failure, e);
}
