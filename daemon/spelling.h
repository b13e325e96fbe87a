// SPDX-License-Identifier: MIT
// Did you mean: which word of a list somebody wanted to write.
#pragma once

// How many letters to insert, delete, replace or swap with their neighbour. Words over 63 letters: 64. The
// beginning of a word, of three letters or more, is one slip away from it.
int spelling_distance(const char *a, const char *b);
// True when `distance` is little enough for a word of this length to be what was meant.
int spelling_close(const char *word, int distance);
