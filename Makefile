# onced: `make demo` shows it working, `make test` proves it. Needs what .ci/packages lists; `make deps` installs it.
# Variants, each in its own folder: FAILPOINTS=1 (build/failpoints), SANITIZE=address,undefined or thread (build/san-...).
CC ?= gcc
FAILPOINTS ?=
SANITIZE ?=
comma := ,
BUILD := build$(if $(FAILPOINTS),/failpoints)$(if $(SANITIZE),/san-$(firstword $(subst $(comma), ,$(SANITIZE))))$(if $(filter clang,$(CC)),/clang)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)

# mimalloc: records with headers cost half of what glibc's allocator makes of them across threads (spec/bench); optional.
MIMALLOC := $(if $(SANITIZE),,$(shell echo 'int main(void){return 0;}' | $(CC) -include mimalloc.h -x c - -lmimalloc -o /dev/null 2>/dev/null && echo -lmimalloc))
CFLAGS ?= -O2 -g
CFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -fPIC -pthread -Idaemon $(shell pkg-config --cflags luajit) \
	$(if $(MIMALLOC),-DONCED_MIMALLOC) -DONCED_VERSION='"$(VERSION)"' $(if $(FAILPOINTS),-DFAILPOINTS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) $(CFLAGS)
LIBS = $(if $(MIMALLOC),-Wl$(comma)--no-as-needed $(MIMALLOC) -Wl$(comma)--as-needed) -lrdkafka -lyaml -lluajit-5.1 -lm -ldl -pthread

SOURCES := $(wildcard daemon/*.c)
OBJECTS := $(SOURCES:daemon/%.c=$(BUILD)/%.o)
# The Lua half is compiled in, and so are the headers that ffi.cdef reads: the binary needs no files at run time. What specs require is
# a file: it's what finds the library.
LUA := $(filter-out lua/onced/testing.lua,$(wildcard lua/onced/*.lua))
HEADERS := $(BUILD)/lua_bridge.o $(BUILD)/lua_rehearsal.o
EMBEDDED := $(LUA:lua/onced/%.lua=$(BUILD)/lua_%.o) $(HEADERS)

.PHONY: build check reference test demo soak bench clean deps failpoints asan
build: $(BUILD)/onced $(BUILD)/libonced.so

$(BUILD)/onced: $(OBJECTS) $(EMBEDDED)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS)

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
	@$(MAKE) --no-print-directory build failpoints asan support
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

clean:
	rm -rf build

-include $(OBJECTS:.o=.d)
-include spec/support/support.mk
