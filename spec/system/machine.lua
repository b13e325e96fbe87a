-- A booted systemd with onced installed, for specs of the service: a copy of the root that spec/system/root makes, `make install` into it,
-- and systemd-nspawn. It shares this machine's network, so it reaches a broker on loopback; processes and journal are looked at from here.
local cjson = require "cjson"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local machine = {}
local Machine = {}
Machine.__index = Machine

local function shell(command)
   local pipe = assert(io.popen(command .. " 2>&1"))
   local out = pipe:read "*a"
   pipe:close()
   return (out:gsub("%s+$", ""))
end

-- Why no systemd can be booted here; nil: it can.
function machine.missing()
   if shell "id -u" ~= "0" then return "booting a systemd needs root" end
   for _, program in ipairs { "systemd-nspawn", "mmdebstrap" } do
      if shell("command -v " .. program) == "" then return program .. " isn't installed" end
   end
end

local function build(folder)
   if process.run({ "spec/system/root", "build", folder }, { timeout = 180 }) ~= 0 then error("no root to boot; see above", 0) end
end

-- Why this machine starts no containers, in its own words; nil: it does.
function machine.refusal()
   local folder = ("build/system/trial-%d"):format(process.self())
   build(folder)
   local out = shell(("systemd-nspawn --quiet --register=no --keep-unit --as-pid2 -D %s /bin/echo started"):format(folder))
   shell("rm -rf " .. folder)
   if not out:find("started", 1, true) then return "systemd-nspawn: " .. out end
end

-- `files`: {path = text} that are there when it boots.
function machine.start(files)
   local self = setmetatable({ root = ("build/system/machine-%d"):format(process.self()) }, Machine)
   build(self.root)
   local made = shell(("make -s install PREFIX=/usr DESTDIR=%s && echo made"):format(self.root))
   assert(made == "made", made)
   for path, text in pairs(files) do self:write(path, text) end
   self.nspawn = process.spawn({ "spec/system/root", "boot", self.root }, { stdout = self.root .. ".log", stderr = self.root .. ".log" })
   wait.till("systemd", 60, function()
      self.init = process.children(self.nspawn.pid)[1]
      return self.init and self:run "systemctl is-system-running":find "^[rd][ue][ng][nr]" -- running, degraded
   end)
   return self
end

function Machine:stop()
   if self.init then process.signal(self.init, "KILL") end -- and with it all in its namespace, which outlives a systemd-nspawn that is killed
   if self.nspawn:running() then self.nspawn:kill() end
   shell(("rm -rf %s %s.log"):format(self.root, self.root))
   shell(("find /sys/fs/cgroup -depth -type d -path '*/onced-%d*' -exec rmdir {} +"):format(self.nspawn.pid))
end

function Machine:write(path, text)
   shell(("mkdir -p %s%s"):format(self.root, path:match "^(.*)/"))
   local file = assert(io.open(self.root .. path, "w"))
   file:write(text)
   file:close()
end

-- A command inside; what it writes.
function Machine:run(command) return shell(("nsenter --target %d --mount --uts --ipc --pid -- %s"):format(self.init, command)) end

function Machine:systemctl(...) return self:run("systemctl --no-pager " .. table.concat({ ... }, " ")) end

-- A property of the unit.
function Machine:show(property) return self:systemctl("show onced --value --property=" .. property) end

-- Settings of one case, in a drop-in that the next call replaces; none: as installed.
function Machine:drop_in(text)
   self:write("/etc/systemd/system/onced.service.d/case.conf", text or "")
   self:systemctl "daemon-reload"
end

-- Pids as this machine knows them: the master's, and its workers'.
function Machine:master()
   for _, pid in ipairs(process.children(self.init)) do
      local file = io.open(("/proc/%d/comm"):format(pid))
      local name = file and file:read "*l"
      if file then file:close() end
      if name == "onced" then return pid end
   end
end

function Machine:workers() return process.children(self:master()) end

-- Journal entries about the unit, oldest first: its own lines and what systemd says of it. mark() forgets those until now.
function Machine:journal()
   local out = {}
   for line in shell(("journalctl -D %s/var/log/journal -u onced -o json --no-pager --all"):format(self.root)):gmatch "[^\n]+" do
      local ok, entry = pcall(cjson.decode, line)
      if ok then out[#out + 1] = entry end
   end
   return out
end

function Machine:mark() self.seen = #self:journal() end

-- The first entry since the last mark whose message has the text (a pattern).
function Machine:wait_journal(pattern, seconds)
   local entries
   local ok, found = pcall(wait.till, pattern, seconds or 30, function()
      entries = self:journal()
      for i = (self.seen or 0) + 1, #entries do
         if tostring(entries[i].MESSAGE):find(pattern) then return entries[i] end
      end
   end, 200)
   if ok then return found end
   local last = {}
   for i = math.max(1, #entries - 30), #entries do last[#last + 1] = tostring(entries[i].MESSAGE) end
   error(("no %q in the journal\n%s"):format(pattern, table.concat(last, "\n")), 2)
end

return machine
