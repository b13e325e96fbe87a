-- SPDX-License-Identifier: MIT
-- A program in onced's place in a fault run is supervised by the rig: started again when it has ended, and only its own ends are counted.
local ffi = require "ffi"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

ffi.cdef "int setenv(const char *name, const char *value, int overwrite);"

describe("a fault run's subject", function()
   local subjects, dir, stage, subject

   setup(function()
      dir = ("build/spec/subjects-%d"):format(process.self())
      assert(os.execute("mkdir -p " .. dir .. "/peers/brief " .. dir .. "/build/brief"))
      local file = assert(io.open(dir .. "/peers/brief/run", "w"))
      file:write '#!/bin/sh\necho "$BROKERS $IN $OUT $GROUP $TXID $WORK" >>told\n[ "$(wc -l <told)" -ge 3 ] && exec sleep 600\nexit 3\n'
      file:close()
      assert(os.execute("chmod +x " .. dir .. "/peers/brief/run"))
      ffi.C.setenv("PEERS", dir .. "/peers", 1)
      ffi.C.setenv("PEERS_BUILD", dir .. "/build", 1)
      subjects = require "spec.fault.subjects"
      stage = { dir = dir, bootstrap = "b:1,b:2", daemons = {} }
   end)
   teardown(function()
      if subject then subject:kill() end
      os.execute("rm -rf " .. dir)
   end)

   local function told()
      local file = io.open(subject.dir .. "/told")
      local text = file and file:read "*a" or ""
      if file then file:close() end
      return text
   end

   -- Supervised until it has been started so many times and runs.
   local function lasts(starts)
      wait.till("a lasting start", 30, function()
         if not subject:running() then subject:revive() end
         return subject:running() and select(2, told():gsub("\n", "")) == starts
      end)
   end

   it("is refused where it isn't built, or isn't there", function()
      assert.is_nil(subjects.why_not "brief")
      assert.is_nil(subjects.why_not "onced")
      assert.matches("no such peer", subjects.why_not "other")
      assert(os.execute("rmdir " .. dir .. "/build/brief"))
      assert.matches("not built", subjects.why_not "brief")
   end)

   it("is told what to do and starts again when it has ended; a kill isn't an end of its own", function()
      subject = subjects.start(stage, "brief", { group = "g", input = "in", output = "out", wrap = {} })
      lasts(3)
      assert.are.equal(("b:1 in out g g pass\n"):rep(3), told())
      assert.are.equal(2, subject.ended)
      assert.are.equal(subject, stage.daemons[1])
      process.signal(subject:workers()[1], "KILL")
      lasts(4)
      assert.are.equal(2, subject.ended)
      assert.are.equal(0, subject:stop())
      assert.same({}, subject:workers())
   end)
end)
