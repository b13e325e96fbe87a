// SPDX-License-Identifier: MIT
// See transform_host.h. May throw for want of memory. Called by transform, once a state.
#include "transform_host.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "failure.h"
#include "log.h"
#include "observer.h"
#include "texts.h"

static void set_string(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double number)
{
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

static void set_pointer(lua_State *L, const char *name, const void *pointer)
{
    lua_pushlightuserdata(L, (void *)pointer);
    lua_setfield(L, -2, name);
}

static void set_strings(lua_State *L, const char *name, const char *const *texts, int count)
{
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushstring(L, texts[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, name);
}

static void push_output(lua_State *L, const struct config_output *output, const struct onced_header *headers)
{
    lua_createtable(L, 0, 8);
    set_string(L, "name", output->name);
    set_string(L, "variable", output->variable);
    set_strings(L, "values", output->values, output->value_count);
    set_number(L, "first_topic", output->first_topic);
    set_pointer(L, "headers", headers);
    set_number(L, "header_count", output->header_count);
}

// "orders.lua" and its folder; a relative path without a slash lies in ".".
static void set_script(lua_State *L, const char *path)
{
    const char *slash = strrchr(path, '/');
    set_string(L, "script", path);
    set_string(L, "script_name", slash ? slash + 1 : path);
    if (slash)
        lua_pushlstring(L, path, slash == path ? 1 : (size_t)(slash - path));
    else
        lua_pushliteral(L, ".");
    lua_setfield(L, -2, "script_folder");
}

void transform_host(lua_State *L, const struct config_pipeline *p, int worker, const struct onced_turn *turn,
                    const struct onced_header *headers, struct texts *texts)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    lua_createtable(L, 0, 16);
    set_number(L, "version", ONCED_BRIDGE_VERSION);
    set_number(L, "overhead", RECORD_OVERHEAD);
    set_pointer(L, "turn", turn);
    set_pointer(L, "null", NULL);
    set_pointer(L, "texts", texts);
    set_script(L, p->transform.script);
    set_string(L, "params_json", p->transform.params_json ? p->transform.params_json : "{}");
    set_string(L, "allow_json", p->transform.allow_json ? p->transform.allow_json : "[]");
    set_pointer(L, "data", p->transform.data_json ? p->transform.data_json : "{}");
    set_number(L, "data_size", p->transform.data_json ? (double)p->transform.data_size : 2);
    set_strings(L, "lua_path", p->transform.lua_path, p->transform.lua_path_count);
    set_string(L, "pipeline", p->name);
    set_number(L, "worker", worker);
    lua_createtable(L, p->output_count, 0);
    for (int i = 0; i < p->output_count; i++) {
        push_output(L, &p->outputs[i], headers);
        lua_rawseti(L, -2, i + 1);
        headers += p->outputs[i].header_count;
    }
    lua_setfield(L, -2, "outputs");
    lua_setfield(L, -2, "onced.host");
    lua_pop(L, 2);
}

struct onced_header *transform_host_headers(const struct config_pipeline *pipeline)
{
    size_t total = 0;
    for (int i = 0; i < pipeline->output_count; i++)
        total += (size_t)pipeline->outputs[i].header_count;
    struct onced_header *headers = calloc(total + 1, sizeof *headers), *next = headers;
    must(headers);
    for (int i = 0; i < pipeline->output_count; i++)
        for (int k = 0; k < pipeline->outputs[i].header_count; k++) {
            const struct config_header *h = &pipeline->outputs[i].headers[k];
            *next++ = (struct onced_header){
                .name = h->name, .name_size = (int32_t)strlen(h->name), .data = h->value, .data_size = (int32_t)strlen(h->value)};
        }
    return headers;
}

const char *onced_file_read(struct texts *texts, const char *path, int64_t *size)
{
    return texts_read(texts, path, size);
}

int onced_null(lua_State *L);

// The NULL of light userdata, which Lua alone can't make: for onced.testing, whose state isn't ours, by package.loadlib.
int onced_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
    return 1;
}

int64_t onced_now(void)
{
    return clock_wall_ms();
}

void onced_log(int level, const char *text, int64_t size)
{
    if (!observer_said(level, text, size))
        log_line((enum log_level)level, "%.*s", (int)(size > 4096 ? 4096 : size), text);
}
