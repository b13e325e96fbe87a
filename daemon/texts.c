// SPDX-License-Identifier: MIT
// Written down, a file is two numbers (sizes of path and text, -1: no such file), the path with its zero byte, and the text.
#include "texts.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

enum { FIRST_SIZE = 16 * 1024 };

struct text {
    const char *path, *data; // data NULL: can't be read
    int64_t size;
    int is_own; // path and data are
};

struct texts {
    struct text *items;
    int count;
};

static const struct text *text_add(struct texts *texts, struct text text)
{
    struct text *items = realloc(texts->items, ((size_t)texts->count + 1) * sizeof *items);
    must(items);
    texts->items = items;
    items[texts->count] = text;
    return &items[texts->count++];
}

struct texts *texts_new(const char *bytes, size_t size)
{
    struct texts *texts = calloc(1, sizeof *texts);
    int64_t sizes[2];
    must(texts);
    for (const char *end = size ? bytes + size : bytes; bytes < end; bytes += sizes[1] < 0 ? 0 : sizes[1]) {
        memcpy(sizes, bytes, sizeof sizes);
        const char *path = bytes + sizeof sizes;
        bytes = path + sizes[0] + 1;
        text_add(texts, (struct text){.path = path, .data = sizes[1] < 0 ? NULL : bytes, .size = sizes[1]});
    }
    return texts;
}

void texts_free(struct texts **texts)
{
    for (int i = 0; *texts && i < (*texts)->count; i++)
        if ((*texts)->items[i].is_own) {
            free((void *)(*texts)->items[i].path);
            free((void *)(*texts)->items[i].data);
        }
    if (*texts)
        free((*texts)->items);
    free(*texts);
    *texts = NULL;
}

static char *file_read(const char *path, int64_t *size)
{
    FILE *file = fopen(path, "rbe");
    char *data = NULL;
    size_t used = 0, room = 0;
    while (file && !ferror(file) && !feof(file)) {
        if (used == room)
            must(data = realloc(data, room = room ? room * 2 : FIRST_SIZE));
        used += fread(data + used, 1, room - used, file);
    }
    if (file && ferror(file)) { // a folder, for one
        free(data);
        data = NULL;
    }
    if (file)
        fclose(file);
    *size = data ? (int64_t)used : -1;
    return data;
}

const char *texts_read(struct texts *texts, const char *path, int64_t *size)
{
    const struct text *found = NULL;
    for (int i = 0; i < texts->count && !found; i++)
        if (strcmp(texts->items[i].path, path) == 0)
            found = &texts->items[i];
    if (!found) {
        struct text text = {.path = strdup(path), .is_own = 1};
        must(text.path);
        text.data = file_read(path, &text.size);
        found = text_add(texts, text);
    }
    *size = found->size;
    return found->data;
}

void texts_write(const struct texts *texts, FILE *out)
{
    for (int i = 0; i < texts->count; i++) {
        const struct text *text = &texts->items[i];
        int64_t sizes[2] = {(int64_t)strlen(text->path), text->size};
        fwrite(sizes, sizeof sizes, 1, out);
        fwrite(text->path, (size_t)sizes[0] + 1, 1, out);
        if (text->data)
            fwrite(text->data, 1, (size_t)text->size, out);
    }
}
