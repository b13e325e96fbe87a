# onced: `make demo` shows it working, `make test` proves it. Needs what .ci/packages lists; `make deps` installs it.
# Variants, each in its own folder: FAILPOINTS=1 (build/failpoints), SANITIZE=address,undefined or thread (build/san-...).
CC ?= gcc
FAILPOINTS ?=
SANITIZE ?=
comma := ,
BUILD := build$(if $(FAILPOINTS),/failpoints)$(if $(SANITIZE),/san-$(firstword $(subst $(comma), ,$(SANITIZE))))$(if $(filter clang,$(CC)),/clang)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)

# tcmalloc: what front allocates and librdkafka's threads free costs a tenth less CPU than with glibc's malloc, a record (spec/bench); optional.
TCMALLOC := $(if $(SANITIZE),,$(shell echo 'int main(void){}' | $(CC) -x c - -ltcmalloc_minimal -o /dev/null 2>/dev/null && echo -ltcmalloc_minimal))
CFLAGS ?= -O2 -g
CFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -fPIC -pthread -Idaemon $(shell pkg-config --cflags luajit) \
	-DONCED_VERSION='"$(VERSION)"' $(if $(FAILPOINTS),-DFAILPOINTS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) $(CFLAGS)
LIBS = -lrdkafka -lyaml -lluajit-5.1 -lm -ldl -pthread

SOURCES := $(wildcard daemon/*.c)
OBJECTS := $(SOURCES:daemon/%.c=$(BUILD)/%.o)
# The Lua half is compiled in, and so are the headers that ffi.cdef reads: the binary needs no files at run time. What specs require is
# a file: it's what finds the library.
LUA := $(filter-out lua/onced/testing.lua,$(wildcard lua/onced/*.lua))
HEADERS := $(BUILD)/lua_bridge.o $(BUILD)/lua_rehearsal.o
EMBEDDED := $(LUA:lua/onced/%.lua=$(BUILD)/lua_%.o) $(HEADERS)

.PHONY: build check reference test demo soak bench install uninstall clean deps failpoints asan
build: $(BUILD)/onced $(BUILD)/libonced.so

$(BUILD)/onced: $(OBJECTS) $(EMBEDDED) $(if $(filter thread,$(SANITIZE)),spec/support/c11_threads.c)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -rdynamic -o $@ $^ $(if $(TCMALLOC),-Wl$(comma)--no-as-needed $(TCMALLOC) -Wl$(comma)--as-needed) $(LIBS)

$(BUILD)/libonced.so: $(filter-out $(BUILD)/main.o,$(OBJECTS)) $(EMBEDDED)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -shared -o $@ $^ $(LIBS)

$(BUILD)/%.o: daemon/%.c Makefile | $(BUILD)/.dir
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# `onced new` writes the examples.
$(BUILD)/command_new.o: $(foreach name,map filter route split,$(wildcard pipelines/$(name).* pipelines/$(name)_spec.lua))

$(BUILD)/lua_%.o: lua/onced/%.lua | $(BUILD)/.dir
	luajit -b -g -n $(if $(filter init,$*),onced,onced.$*) $< $@

$(HEADERS): $(BUILD)/lua_%.o: daemon/%.h | $(BUILD)/.dir
	(printf 'return [==[\n'; cat $<; printf ']==]\n') > $(BUILD)/$*.lua
	luajit -b -n onced.$* $(BUILD)/$*.lua $@

$(BUILD)/.dir:
	mkdir -p $(@D) && touch $@

# Installs what is missing (apt, as root), else prints the command and stops.
deps:
	@.ci/deps

failpoints:
	@$(MAKE) --no-print-directory FAILPOINTS=1 build

asan:
	@$(MAKE) --no-print-directory SANITIZE=address,undefined build

# What is generated from the settings tables and checked in; a spec compares.
reference: build
	$(BUILD)/onced schema pipeline > conf/schema/pipeline.schema.json
	$(BUILD)/onced schema service > conf/schema/service.schema.json
	$(BUILD)/onced schema --format=markdown > conf/reference.md

check: deps
	.ci/checks

# Every spec; the last line counts them.
test: deps
	@$(MAKE) --no-print-directory build failpoints asan support build/kafka/libs.jsa
	@spec/run

demo: deps
	@$(MAKE) --no-print-directory build support
	@spec/demo

# A million records through two daemons that are killed all the time: three minutes and more; spec/soak --help has shorter ones.
soak: deps
	@$(MAKE) --no-print-directory build support
	@spec/soak

bench: deps
	@$(MAKE) --no-print-directory build support
	@spec/bench/run

# Into DESTDIR, the configuration into /etc: it is the user's, so what is there already stays, and uninstall leaves it.
PREFIX ?= /usr/local
MAN := $(addprefix $(BUILD)/,onced.1 onced.yaml.5 onced-pipeline.5)
root := $(DESTDIR)$(PREFIX)

$(MAN): $(BUILD)/%: conf/man.lua conf/onced.yaml pipelines/map.yaml $(BUILD)/onced
	luajit conf/man.lua $* $(BUILD)/onced >$@.new && mv $@.new $@

install: build $(MAN)
	install -D -m 755 -t $(root)/bin $(BUILD)/onced
	install -D -m 644 -t $(root)/lib/onced $(BUILD)/libonced.so
	install -D -m 644 -t $(root)/share/onced/lua/onced lua/onced/testing.lua
	install -D -m 644 -t $(root)/share/onced/types lua/types/onced.lua
	install -D -m 644 -t $(root)/share/onced/types/onced lua/types/onced/*
	install -D -m 644 -t $(root)/share/onced/schema conf/schema/*
	install -D -m 644 -t $(root)/share/man/man1 $(filter %.1,$(MAN))
	install -D -m 644 -t $(root)/share/man/man5 $(filter %.5,$(MAN))
	install -D -m 644 -t $(root)/share/doc/onced README.md LICENSE conf/onced.yaml conf/reference.md
	install -D -m 644 -t $(root)/share/doc/onced/examples pipelines/*
	install -d $(root)/share/bash-completion/completions
	$(BUILD)/onced completion bash >$(root)/share/bash-completion/completions/onced
	install -D -m 644 conf/onced.sysusers $(root)/lib/sysusers.d/onced.conf
	install -D -m 644 -t $(root)/lib/systemd/system conf/onced.service
	sed -i 's,/usr/local,$(PREFIX),' $(root)/lib/systemd/system/onced.service
	install -d $(DESTDIR)/etc/onced/pipelines.d
	[ -e $(DESTDIR)/etc/onced/onced.yaml ] || install -m 644 -t $(DESTDIR)/etc/onced conf/onced.yaml

uninstall:
	rm -rf $(addprefix $(root)/,lib/onced share/onced share/doc/onced)
	rm -f $(addprefix $(root)/,bin/onced lib/sysusers.d/onced.conf lib/systemd/system/onced.service share/bash-completion/completions/onced)
	rm -f $(foreach page,$(notdir $(MAN)),$(root)/share/man/man$(patsubst .%,%,$(suffix $(page)))/$(page))

clean:
	rm -rf build

-include $(OBJECTS:.o=.d)
-include spec/support/support.mk
