// SPDX-License-Identifier: MIT
// What this binary is made of, for `onced version` and bug reports. The one file besides transform.c that sees a LuaJIT header, for its
// version alone: it makes no Lua state.
#pragma once
#include <stdio.h>

void versions_print(FILE *out);
