// SPDX-License-Identifier: MIT
// Called by the master only. A lock is never released by LOCK_UN, which would take it from an inheriting worker too, only by closing.
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// /tmp is everybody's: a directory that somebody else made or can write to could keep us waiting for ever.
static enum verdict directory_private(const char *path, struct err *e)
{
    struct stat found;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(e, HALT, errno, "can't make %s for lock files: %s; set RUNTIME_DIRECTORY to a directory of yours", path,
                       strerror(errno));
    if (lstat(path, &found) < 0)
        return err_set(e, HALT, errno, "can't look at %s: %s", path, strerror(errno));
    if (!S_ISDIR(found.st_mode) || found.st_uid != geteuid() || (found.st_mode & 077))
        return err_set(e, HALT, EPERM,
                       "%s must be a directory of user %ld with mode 0700: remove it, or set RUNTIME_DIRECTORY to a directory of yours",
                       path, (long)geteuid());
    return OK;
}

enum verdict lock_directory(char *path, size_t size, struct err *e)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY"), *session = getenv("XDG_RUNTIME_DIR");
    const char *chosen = runtime && *runtime ? runtime : session && *session ? session : NULL;
    char own[64];
    snprintf(own, sizeof own, "/tmp/onced-%ld", (long)geteuid());
    size_t length = chosen ? strcspn(chosen, ":") : strlen(own); // systemd lists several with colons
    if (length >= size)
        return err_set(e, HALT, ENAMETOOLONG, "the runtime directory's path is too long: %.150s", chosen);
    memcpy(path, chosen ? chosen : own, length);
    path[length] = '\0';
    return chosen ? OK : directory_private(path, e);
}

int lock_open(const char *directory, const char *name, struct err *e)
{
    char path[4096];
    if (strchr(name, '/') || snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
        err_set(e, HALT, EINVAL, "no lock file can be named %.100s: a slash, or too long", name);
        return -1;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        err_set(e, HALT, errno, "can't open the lock file %.150s: %s", path, strerror(errno));
    return fd;
}

int lock_try(int fd)
{
    char text[32];
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? 0 : -1;
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)size, 0) < 0)
        return 1; // the lock is what counts; the text only helps whoever waits
    return 1;
}

void lock_inherit(int keep, int too)
{
    int low = keep < too ? keep : too, high = keep < too ? too : keep;
    must(low > 2 && low < high);
    if (low > 3)
        close_range(3, (unsigned)low - 1, 0);
    if (high > low + 1)
        close_range((unsigned)low + 1, (unsigned)high - 1, 0);
    close_range((unsigned)high + 1, ~0U, 0);
}

pid_t lock_holder(int fd)
{
    char text[32] = "";
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    return size > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}
