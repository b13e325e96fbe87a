// SPDX-License-Identifier: MIT
// package.loaded["onced.host"]: what the Lua half learns from the C half besides bridge.h: the turn, the script, the pipeline's outputs.
#pragma once
#include <lua.h>

#include "batch.h"
#include "config.h"

struct texts;

// `headers` are the outputs' static ones, one after the other. `turn`, `headers` and `texts` must outlive the state.
void transform_host(lua_State *L, const struct config_pipeline *pipeline, int worker, const struct onced_turn *turn,
                    const struct onced_header *headers, struct texts *texts);
// The static headers of all outputs, one after the other; the caller frees them.
struct onced_header *transform_host_headers(const struct config_pipeline *pipeline);
