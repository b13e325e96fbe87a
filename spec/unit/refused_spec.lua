-- SPDX-License-Identifier: MIT
-- rd_kafka_new fails for want of a thread, or because the wall clock was set while it waited for one: that costs a process, not the pipeline.
local daemon = require "spec.support.daemon"
local process = require "spec.support.process"

-- Stands between onced and librdkafka: while the file is there, the next handle can't be had.
local SHIM = [[
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int failed;
rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *reason, size_t size)
{
    failed = unlink(getenv("REFUSED_ONCE")) == 0;
    if (!failed)
        return ((__typeof__(&rd_kafka_new))dlsym(RTLD_NEXT, "rd_kafka_new"))(type, conf, reason, size);
    snprintf(reason, size, "no thread");
    return NULL;
}
rd_kafka_resp_err_t rd_kafka_last_error(void)
{
    return failed ? RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE : ((__typeof__(&rd_kafka_last_error))dlsym(RTLD_NEXT, "rd_kafka_last_error"))();
}
]]

local function write(path, text)
   local file = assert(io.open(path, "w"))
   file:write(text)
   file:close()
end

describe("a handle that isn't had", function()
   local base = ("build/spec/refused-%d"):format(process.self())
   local d
   setup(function()
      os.execute "mkdir -p build/spec"
      write(base .. ".c", SHIM)
      assert.equal(0, process.shell(("env -u LD_PRELOAD %s -shared -fPIC -D_GNU_SOURCE -Wall -Wextra -Werror -o %s.so %s.c -ldl"):format(
         os.getenv "CC" or "cc", base, base)))
   end)
   teardown(function()
      if d then d:kill() end
      for _, ending in ipairs { ".c", ".so", ".once" } do os.remove(base .. ending) end
   end)

   it("is asked for again by a new process", function()
      write(base .. ".once", "")
      d = daemon.start { bootstrap = "127.0.0.1:1", binary = os.getenv "ONCED_BIN", -- nobody is there, and nobody has to
         env = { LD_PRELOAD = (os.getenv "ONCED_RUNTIME" or "") .. " ./" .. base .. ".so", REFUSED_ONCE = base .. ".once" },
         pipelines = { one = { yaml = "version: 1\ninput: {topics: [in]}\ntransform: {script: one.lua}\noutputs: {default: {topic: out}}\n",
            lua = "return function(r) return r end" } } }
      d:wait_log("starting anew: consumer: no thread", 60)
      d:wait_log("can't start yet", 60)
      assert.equal(0, d:count "halted")
      assert.equal(0, d:stop(60))
   end)
end)
