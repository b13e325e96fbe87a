// SPDX-License-Identifier: MIT
// See state_note.h. The file's name is started-GROUP@TOPIC, everything but letters, digits, dot, dash and underscore as %XX.
#include "state_note.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

enum { NAME_MOST = 255 }; // of a file; a group's name may be longer than any file's

static char *name_append(char *at, const char *end, const char *text)
{
    for (; *text && end - at > 4; text++)
        at +=
            isalnum((unsigned char)*text) || strchr("._-", *text) ? sprintf(at, "%c", *text) : sprintf(at, "%%%02X", (unsigned char)*text);
    return at;
}

static void path_format(char *path, size_t size, const char *directory, const char *group, const char *topic)
{
    char name[NAME_MOST + 1] = "started-";
    char *at = name + strlen(name);
    at = name_append(at, name + sizeof name, group);
    *at++ = '@';
    *at = 0;
    name_append(at, name + sizeof name, topic);
    snprintf(path, size, "%s/%s", directory, name);
}

int state_note_exists(const char *directory, const char *group, const char *topic)
{
    char path[4096];
    if (!directory)
        return 0;
    path_format(path, sizeof path, directory, group, topic);
    return access(path, F_OK) == 0;
}

void state_note_write(const char *directory, const char *group, const char *topic)
{
    static long long logged;
    char path[4096];
    if (!directory || state_note_exists(directory, group, topic))
        return;
    path_format(path, sizeof path, directory, group, topic);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (file < 0 && log_due(&logged, 60))
        log_warning("can't note in %s that the group has started: %s; offsets that expire would be taken for a first start", path,
                    strerror(errno));
    if (file >= 0)
        close(file);
}
