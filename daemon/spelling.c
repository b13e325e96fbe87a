// SPDX-License-Identifier: MIT
#include "spelling.h"

#include <ctype.h>
#include <string.h>

enum { LETTERS_MOST = 64 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

// `-` and `_` are one letter, and so are both cases: max-records is max_records.
static int letter(char c)
{
    return c == '-' ? '_' : tolower((unsigned char)c);
}

int spelling_distance(const char *a, const char *b)
{
    int rows[3][LETTERS_MOST + 1], *before = rows[0], *above = rows[1], *row = rows[2];
    int a_size = (int)strnlen(a, LETTERS_MOST), b_size = (int)strnlen(b, LETTERS_MOST);
    if (a_size == LETTERS_MOST || b_size == LETTERS_MOST)
        return LETTERS_MOST;
    if (strcmp(a, b) == 0)
        return 0;
    for (int j = 0; j <= b_size; j++)
        above[j] = j;
    for (int i = 1; i <= a_size; i++) {
        row[0] = i;
        for (int j = 1; j <= b_size; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (letter(a[i - 1]) != letter(b[j - 1])));
            if (i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) && letter(a[i - 2]) == letter(b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        int *spare = before;
        before = above, above = row, row = spare;
    }
    if (a_size >= 3 && strncmp(a, b, (size_t)a_size) == 0)
        return 1;
    return above[b_size] ? above[b_size] : 1; // differs in case only
}

int spelling_close(const char *word, int distance)
{
    int size = (int)strlen(word);
    return distance <= (size < 5 ? 1 : (size + 1) / 3) && distance < size;
}
