# What the specs stand on, apart from the daemon: the child-process library, the fault proxy, the witness on Kafka's Java client.
# Included by the Makefile; the specs also call it by themselves: make -s -f spec/support/support.mk support
.PHONY: support
support: build/libsupport.so build/libc11threads.so build/proxy build/witness/Witness.class

SUPPORT_CFLAGS = -std=gnu11 -O1 -g -Wall -Wextra -Werror

build/libsupport.so: spec/support/child.c
build/libc11threads.so: spec/support/c11_threads.c
build/libsupport.so build/libc11threads.so:
	@mkdir -p build
	$(CC) $(SUPPORT_CFLAGS) -fPIC -shared -o $@ $<

build/proxy: $(addprefix spec/support/,proxy.c proxy_control.c proxy_note.c frame.c proxy.h frame.h)
	@mkdir -p build
	$(CC) $(SUPPORT_CFLAGS) -o $@ $(filter %.c,$^)

build/witness/Witness.class: $(wildcard spec/support/*.java) spec/support/pom.xml
	@mkdir -p build/witness
	libs=$$(env -u ONCED_KAFKA_VERSION spec/support/kafka libs) && javac -cp "$$libs" -d build/witness $(filter %.java,$^)

# Brokers and witness start with half the CPU: worth its seconds where many do.
build/kafka/libs.jsa: spec/support/pom.xml
	env -u ONCED_KAFKA_VERSION spec/support/kafka archive
