// SPDX-License-Identifier: MIT
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "log.h"

enum { SEATS = 16, LINE = 256 };

struct client {
    int fd; // -1: a free seat
    char line[LINE];
    size_t used;
    enum { READING, WAITING, SERVED, ANSWERING } state; // SERVED: the next control_answer is for it
    char *answer;
    size_t size, sent;
};

struct control {
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    int epoll, listener;
    struct client clients[SEATS];
};

int control_path(const char *configured, char *path, size_t size)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY");
    if (configured)
        return snprintf(path, size, "%s", configured) < (int)size;
    return runtime && *runtime && snprintf(path, size, "%.*s/control", (int)strcspn(runtime, ":"), runtime) < (int)size;
}

static int address_connect(const char *path, struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        close(fd);
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address->sun_path, path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int is_watched(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// A socket that nobody listens at was left by a master that was killed.
struct control *control_open(const char *path, int epoll, struct err *e)
{
    struct sockaddr_un address;
    int other = address_connect(path, &address);
    if (other >= 0 || errno == ENAMETOOLONG) {
        err_set(e, HALT, errno, "%.100s: %s", path, other >= 0 ? "another onced listens there" : "the path is too long for a socket");
        if (other >= 0)
            close(other);
        return NULL;
    }
    if (errno == ECONNREFUSED)
        unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177);
    int failed = fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, SEATS) || !is_watched(epoll, fd);
    umask(before);
    struct control *control = failed ? NULL : calloc(1, sizeof *control);
    if (!control) {
        err_set(e, HALT, errno, "%.100s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    strcpy(control->path, path);
    control->epoll = epoll;
    control->listener = fd;
    for (int i = 0; i < SEATS; i++)
        control->clients[i].fd = -1;
    return control;
}

static void client_close(struct client *client)
{
    close(client->fd);
    free(client->answer);
    *client = (struct client){.fd = -1};
}

void control_close(struct control **control)
{
    for (int i = 0; *control && i < SEATS; i++)
        if ((*control)->clients[i].fd >= 0)
            client_close(&(*control)->clients[i]);
    if (*control) {
        unlink((*control)->path);
        close((*control)->listener);
    }
    free(*control);
    *control = NULL;
}

// All seats are taken: whoever has said nothing yet makes room.
static struct client *seat_find(struct control *control)
{
    struct client *idle = NULL;
    for (int i = 0; i < SEATS; i++) {
        if (control->clients[i].fd < 0)
            return &control->clients[i];
        if (control->clients[i].state == READING || control->clients[i].state == ANSWERING)
            idle = &control->clients[i];
    }
    if (idle)
        client_close(idle);
    return idle;
}

static void client_send(struct control *control, struct client *client)
{
    while (client->sent < client->size) {
        ssize_t more = send(client->fd, client->answer + client->sent, client->size - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (more < 0 && errno == EAGAIN) {
            struct epoll_event event = {.events = EPOLLOUT};
            epoll_ctl(control->epoll, EPOLL_CTL_MOD, client->fd, &event);
            return;
        }
        if (more <= 0)
            break;
        client->sent += (size_t)more;
    }
    client_close(client);
}

static void client_answer(struct control *control, struct client *client, int code, const char *text)
{
    int size = asprintf(&client->answer, "%d\n%s", code, text);
    must(size > 0);
    client->size = (size_t)size;
    client->state = ANSWERING;
    client_send(control, client);
}

static void client_handle(struct control *control, struct client *client, control_handler *handler, void *opaque)
{
    char *text = NULL;
    size_t size = 0;
    FILE *answer = open_memstream(&text, &size);
    must(answer);
    int code = handler(opaque, client->line, answer);
    must(fclose(answer) == 0);
    if (code < 0)
        client->state = WAITING;
    else
        client_answer(control, client, code, text);
    free(text);
}

// Also one that waits is read from: it may have gone.
static void client_read(struct control *control, struct client *client, control_handler *handler, void *opaque)
{
    char byte, *end;
    if (client->state == ANSWERING) {
        client_send(control, client);
        return;
    }
    int reads = client->state == READING;
    ssize_t got = recv(client->fd, reads ? client->line + client->used : &byte, reads ? LINE - 1 - client->used : 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || !reads) {
        client_close(client);
        return;
    }
    client->used += (size_t)got;
    client->line[client->used] = '\0';
    if ((end = strchr(client->line, '\n'))) {
        *end = '\0';
        client_handle(control, client, handler, opaque);
    } else if (client->used == LINE - 1) {
        client_close(client);
    }
}

void control_tick(struct control *control, control_handler *handler, void *opaque)
{
    struct client *seat;
    int fd;
    while ((fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        if (!(seat = seat_find(control)) || !is_watched(control->epoll, fd))
            close(fd);
        else
            seat->fd = fd;
    }
    for (int i = 0; i < SEATS; i++)
        if (control->clients[i].fd >= 0)
            client_read(control, &control->clients[i], handler, opaque);
}

void control_begin(struct control *control)
{
    for (int i = 0; i < SEATS; i++)
        if (control->clients[i].fd >= 0 && control->clients[i].state == WAITING)
            control->clients[i].state = SERVED;
}

void control_answer(struct control *control, int code, const char *text)
{
    for (int i = 0; i < SEATS; i++)
        if (control->clients[i].fd >= 0 && control->clients[i].state == SERVED)
            client_answer(control, &control->clients[i], code, text);
}

int control_call(const char *path, const char *line, FILE *out, FILE *problems)
{
    struct sockaddr_un address;
    int fd = address_connect(path, &address), code = EX_PROTOCOL, byte;
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "r+");
    if (!stream) {
        fprintf(problems,
                "onced: nobody answers at %s: %s\nA daemon listens in its $RUNTIME_DIRECTORY, or where control.socket of its service file "
                "says.\n",
                path, strerror(errno));
        return EX_UNAVAILABLE;
    }
    fprintf(stream, "%s\n", line);
    fflush(stream);
    if (fscanf(stream, "%d", &code) != 1 || getc(stream) != '\n')
        fprintf(problems, "onced: the daemon at %s ended before it had answered\n", path);
    else
        while ((byte = getc(stream)) != EOF)
            putc(byte, code ? problems : out);
    fclose(stream);
    return code;
}
