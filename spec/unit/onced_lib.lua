-- SPDX-License-Identifier: MIT
-- Where the specs find the daemon's code: its library, its binary, and the C declarations, which are the headers' own text (no second
-- copy). spec/run points ONCED_LIB and ONCED_BIN at the sanitized build to run the same specs again.
local ffi = require "ffi"

local lib = {
   path = os.getenv "ONCED_LIB" or "build/libonced.so",
   binary = os.getenv "ONCED_BIN" or "build/onced",
}

local function text_of(header)
   local file = assert(io.open("daemon/" .. header .. ".h"))
   local text = "\n" .. file:read "*a"
   file:close()
   text = text:gsub("\n#[^\n]*", ""):gsub("_Atomic%(([^)]*)%)", "%1"):gsub("_Atomic", ""):gsub("_Noreturn", ""):gsub("__attribute__%b()", "")
   text = text:gsub("static inline[^\n]*{[^\n]*}\n", ""):gsub("static inline.-\n}\n", "")
   return (text:gsub("[%w_ ]+%([^;]*va_list[^;]*;", ""))
end

-- ffi.cdef, once in a process: busted loads modules anew for each file, but what was declared stays. `name` is the text's own.
function lib.cdef(name, text)
   local mark = "struct onced_declared_" .. name
   if pcall(ffi.sizeof, mark) or name == "header_bridge" and pcall(ffi.sizeof, "struct onced_turn") then return end -- onced.testing's
   ffi.cdef(text)
   ffi.cdef(mark .. " { int once; };")
end

-- Declares what is in headers of daemon/ (without ".h"), in this order.
function lib.declare(headers)
   lib.cdef("file", "typedef struct _IO_FILE FILE;")
   lib.cdef("rdkafka", [[
      typedef union { char bytes[40]; long alignment; } pthread_mutex_t; // glibc's on x86-64
      typedef struct rd_kafka_s rd_kafka_t; typedef struct rd_kafka_conf_s rd_kafka_conf_t;
      typedef struct rd_kafka_topic_s rd_kafka_topic_t; typedef struct rd_kafka_error_s rd_kafka_error_t;
      typedef enum { RD_KAFKA_PRODUCER, RD_KAFKA_CONSUMER } rd_kafka_type_t;
   ]])
   for _, header in ipairs(headers) do lib.cdef("header_" .. header, text_of(header)) end
end

-- The library; loaded at the first call, so that a spec can put something before it.
function lib.load()
   lib.loaded = lib.loaded or ffi.load(lib.path, true)
   return lib.loaded
end

return lib
