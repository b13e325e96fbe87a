// SPDX-License-Identifier: MIT
// The files that a transform is made of: each is read once, and what was read can be written down and given to another process, which
// then reads the very same, whatever has become of the files. A file that wasn't there isn't there for that process either.
// Used by one thread.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct texts;

// `bytes` (size 0: nothing) is what texts_write wrote, and must outlive it.
struct texts *texts_new(const char *bytes, size_t size);
void texts_free(struct texts **texts);
// The text of a file: as it was written down, or as it was read the first time. NULL: it can't be read.
const char *texts_read(struct texts *texts, const char *path, int64_t *size);
void texts_write(const struct texts *texts, FILE *out); // all that was asked for; the stream knows of errors
