-- SPDX-License-Identifier: MIT
-- busted's helper for the sanitized run: only this process needs the preloaded runtime (its luajit isn't built with it). Tools that specs
-- call, such as pgrep, don't, and some hang under it.
local ffi = require "ffi"
ffi.cdef "int unsetenv(const char *name);"
ffi.C.unsetenv "LD_PRELOAD"
