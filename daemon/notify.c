// SPDX-License-Identifier: MIT
// A socket for each message: a few a minute, and no descriptor that a worker could inherit.
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int notify_send(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || !*path)
        return 0;
    size_t size = strlen(path);
    if ((*path != '/' && *path != '@') || size >= sizeof address.sun_path) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address.sun_path, path, size);
    if (*path == '@')
        address.sun_path[0] = '\0'; // abstract: the name is counted, not terminated
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (*path == '/'));

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    int saved = errno;
    close(fd);
    errno = saved;
    return sent < 0 ? -1 : 1;
}

int64_t notify_watchdog_ms(void)
{
    const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!interval || (pid && *pid && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    int64_t half = strtoll(interval, NULL, 10) / 2000;
    return half > 0 ? half : 0;
}
