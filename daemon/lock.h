// SPDX-License-Identifier: MIT
// Lock files: no two processes of one transactional.id on a host. The lock belongs to the open file description, which the worker
// inherits over fork: it is held as long as the master or the worker lives, and gone when both are, however they ended. Files are
// never removed: whoever had one open would then hold a lock that nobody else sees.
#pragma once
#include <stddef.h>
#include <sys/types.h>

#include "err.h"

// Where lock files go: the first of $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR, or /tmp/onced-UID, which is made (0700) and must be ours.
enum verdict lock_directory(char *path, size_t size, struct err *e);
// Opens (makes) the file. A descriptor, close-on-exec, or -1 with *e.
int lock_open(const char *directory, const char *name, struct err *e);
// 1: held, from now on; 0: somebody else holds it; -1: can't be locked, errno set. Writes our pid into the file for the other's log line.
int lock_try(int fd);
// In a new process: closes all descriptors but the first three and these two. Another's lock must not live as long as this process.
void lock_inherit(int keep, int too);
// Who wrote last into the file: the master that holds it, 0 when unknown. For log lines only.
pid_t lock_holder(int fd);
