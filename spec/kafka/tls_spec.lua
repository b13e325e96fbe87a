-- A broker that demands TLS and a login: who gets in, and what is said, without a secret, of who doesn't.
local cluster = require "spec.support.cluster"
local daemon = require "spec.support.daemon"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local witness = require "spec.support.witness"

local SECRET, KEY_SECRET = "correct-horse-battery", "key-staple-secret"
local WRONG = "wrong-horse-battery"

local YAML = [[
version: 1
input: {topics: [tls-in]}
transform: {script: %s.lua}
outputs: {default: {topic: tls-out}}
transaction: {commit_every: 0}
]]

local function shell(command)
   local pipe = assert(io.popen("(" .. command .. ") 2>&1; echo $?"))
   local out, code = pipe:read "*a":match "^(.-)(%d+)\n$"
   pipe:close()
   assert.equal("0", code, out)
end

local function write(path, text)
   local file = assert(io.open(path, "w"))
   file:write(text)
   file:close()
end

describe("a broker with TLS and SASL", function()
   local dir = ("build/spec/tls-%d"):format(process.self())
   local k, w, started

   -- A key, and a certificate of our authority for `name`, both in NAME.pem as the broker wants them; `days` 0: it has expired.
   local function certificate(name, subject, alternatives, days)
      write(dir .. "/extension", alternatives)
      shell(([[cd %s && openssl req -new -newkey rsa:2048 -nodes -keyout %s.key -subj /CN=%s -out request &&
         openssl x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial -days %d -extfile extension -out %s.crt &&
         cat %s.key %s.crt >%s.pem]]):format(dir, name, subject, days, name, name, name, name))
   end

   local function properties()
      local here = assert(io.popen "pwd"):read "*l" .. "/" .. dir
      local all = {
         ["ssl.truststore.type"] = "PEM", ["ssl.truststore.location"] = here .. "/ca.crt", ["ssl.keystore.type"] = "PEM",
         ["ssl.keystore.location"] = here .. "/broker.pem",
         ["listener.name.login.sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
         ["listener.name.login.plain.sasl.jaas.config"] = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_onced="'
            .. SECRET .. '";',
         ["listener.name.login.scram-sha-256.sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;",
         ["listener.name.login.scram-sha-512.sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;",
         ["listener.name.mutual.ssl.client.auth"] = "required",
      }
      for _, name in ipairs { "expired", "stranger" } do
         all[("listener.name.%s.ssl.keystore.location"):format(name)] = ("%s/%s.pem"):format(here, name)
      end
      return all
   end

   setup(function()
      shell("mkdir -p " .. dir)
      shell("cd " .. dir .. " && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=onced-specs")
      certificate("broker", "broker", "subjectAltName=IP:127.0.0.1", 30)
      certificate("expired", "expired", "subjectAltName=IP:127.0.0.1", 0)
      certificate("stranger", "stranger", "subjectAltName=DNS:elsewhere.invalid", 30)
      certificate("client", "client", "extendedKeyUsage=clientAuth", 30)
      shell(("cd %s && openssl rsa -aes256 -passout pass:%s -in client.key -out client.locked"):format(dir, KEY_SECRET))
      k = cluster.start { listeners = { LOGIN = "SASL_SSL", MUTUAL = "SSL", EXPIRED = "SSL", STRANGER = "SSL" }, properties = properties() }
      w = witness.start(k.bootstrap)
      w:make("tls-in", 1)
      w:make("tls-out", 1)
      for _, mechanism in ipairs { "SCRAM-SHA-256", "SCRAM-SHA-512" } do -- the tool takes one at a time
         assert.equal(0, (process.run { "spec/support/kafka", "java", k.dir, "kafka.admin.ConfigCommand", "--bootstrap-server", "@bootstrap", "--alter",
            "--entity-type", "users", "--entity-name", "onced", "--add-config", ("%s=[password=%s]"):format(mechanism, SECRET) }))
      end
      write(dir .. "/password", SECRET .. "\n")
      write(dir .. "/wrong", WRONG .. "\n")
      write(dir .. "/key_password", KEY_SECRET .. "\n")
   end)
   teardown(function()
      if w then w:stop() end
      if k then k:stop() end
      shell("rm -rf " .. dir)
   end)
   after_each(function()
      if started and started:running() then started:kill() end
   end)

   -- onced with one cluster, whose contents but for `brokers` are YAML lines in flow style.
   local function start(name, brokers, lines)
      return daemon.start {
         config = ("version: 1\nclusters: {main: {brokers: [%q], %s}}\n"):format(brokers, lines), env = { CREDENTIALS_DIRECTORY = dir },
         pipelines = { [name] = { yaml = YAML:format(name), lua = "return function(r) return r end" } },
      }
   end
   local function run(...)
      started = start(...)
      return started
   end

   local TLS = "tls: {ca: ../tls-%d/ca.crt}"
   local function tls() return TLS:format(process.self()) end

   local function sasl(mechanism, password)
      return ('%s, sasl: {mechanism: %s, username: onced, password: "%s"}'):format(tls(), mechanism, password)
   end

   local function passes(name, d)
      d:wait_log "ready: every worker is in its group"
      w:send("tls-in", { "for " .. name })
      wait.till("the record is through", 30, function()
         local values = w:values "tls-out"
         return values[#values] == "for " .. name
      end)
      assert.equal(0, d:stop())
      local log = d:log()
      for _, secret in ipairs { SECRET, KEY_SECRET } do assert.is_nil(log:find(secret, 1, true)) end
   end

   -- Below 2.6.1 librdkafka's second SCRAM message repeats the client's nonce, which Kafka 4 doesn't overlook (librdkafka's pull request 4895).
   local scram = process.run { "sh", "-c", "pkg-config --atleast-version=2.6.1 rdkafka" } == 0
      or (os.getenv "ONCED_KAFKA_VERSION" or ""):find "^3%." -- which takes the nonce twice

   it("lets in who knows the password, from a credential and from a file", function()
      local login = k:listener "LOGIN"
      passes("plain", run("plain", login, sasl("PLAIN", "${cred:password}")))
      passes("plain-file", run("plain-file", login, sasl("PLAIN", "${file:" .. dir .. "/password}")))
   end)

   if scram then
      it("lets in who knows the password by SCRAM", function()
         for _, mechanism in ipairs { "SCRAM-SHA-256", "SCRAM-SHA-512" } do
            passes(mechanism:lower(), run(mechanism:lower(), k:listener "LOGIN", sasl(mechanism, "${cred:password}")))
         end
      end)
   end

   it("lets in who has a certificate, its key locked by a password", function()
      passes("mutual", run("mutual", k:listener "MUTUAL",
         ("tls: {ca: ../tls-%d/ca.crt, cert: ../tls-%d/client.crt, key: ../tls-%d/client.locked, key_password: \"${cred:key_password}\"}"):format(
            process.self(), process.self(), process.self())))
   end)

   -- Each keeps trying, says why in its log, and nothing of what it tried with. They rest between two attempts: all at the same time.
   describe("isn't gone past, and says why, when", function()
      local REFUSED = "the login was refused, user name or password may be wrong"
      local waiting = {}
      local function tried(what, name, listener, lines, why, at)
         waiting[what] = { name = name, listener = listener, at = at, lines = lines }
         it(what, function()
            local d = waiting[what].daemon
            local said = "can't start yet: the brokers don't answer: [^\n]*" .. why
            d:wait_log(said .. ".*" .. said, 60)
            assert.equal(0, d:stop())
            for _, secret in ipairs { SECRET, WRONG, KEY_SECRET } do assert.is_nil(d:log():find(secret, 1, true)) end
         end)
      end
      setup(function()
         for _, one in pairs(waiting) do one.daemon = start(one.name, one.at or k:listener(one.listener), one.lines) end
      end)
      teardown(function()
         for _, one in pairs(waiting) do
            if one.daemon and one.daemon:running() then one.daemon:kill() end
         end
      end)

      tried("the password is wrong", "wrong", "LOGIN", sasl("PLAIN", "${cred:wrong}"), REFUSED)
      for _, mechanism in ipairs { "SCRAM-SHA-256", "SCRAM-SHA-512" } do
         local name = mechanism:lower() .. "-not"
         if scram then
            tried("the password is wrong, by " .. mechanism, name, "LOGIN", sasl(mechanism, "${cred:wrong}"),
               "the login was refused.-password may be wrong")
         else
            tried("librdkafka is too old for " .. mechanism, name, "LOGIN", sasl(mechanism, "${cred:password}"),
               "takes SCRAM from librdkafka 2%.6%.1 or newer only")
         end
      end
      tried("the broker's certificate has expired", "expired", "EXPIRED", tls(), "the certificate has expired")
      tried("it is somebody else's", "stranger", "STRANGER", tls(), "the certificate is for another")
      tried("it is of an unknown authority", "unknown", "LOGIN", (sasl("PLAIN", "${cred:password}"):gsub("ca: [^}]*", "")), "authority")
      tried("a host name is unknown", "nowhere", nil, tls(), "Failed to resolve 'nowhere.invalid:9092'", "nowhere.invalid:9092")
   end)
end)
