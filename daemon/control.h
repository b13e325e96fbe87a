// SPDX-License-Identifier: MIT
// The control socket: a line of text in; the exit code, a line feed and text out, then it is closed. The file has mode 0600: who may
// open it may do what it offers. The master's side never blocks: a client that doesn't read or write only occupies one of a few seats.
#pragma once
#include <stdio.h>

#include "config.h"

struct control;

// Answers a line into `answer`. The exit code, or -1: the answer comes later, with control_answer.
typedef int control_handler(void *opaque, const char *line, FILE *answer);

// Where the socket is: as configured (NULL: in $RUNTIME_DIRECTORY). 1, or 0: nowhere.
int control_path(const char *configured, char *path, size_t size);
// Listens there and has `epoll` wake up for what comes. NULL: *e says why.
struct control *control_open(const char *path, int epoll, struct err *e);
void control_close(struct control **control); // the file goes too
void control_tick(struct control *control, control_handler *handler, void *opaque);
// Answers that are outstanding: control_begin says that what is asked from now on isn't part of the next control_answer.
void control_begin(struct control *control);
void control_answer(struct control *control, int code, const char *text);

// The other side: sends the line, waits for the answer and copies it to `out` (exit code 0) or `problems`. Returns the exit code.
int control_call(const char *path, const char *line, FILE *out, FILE *problems);
