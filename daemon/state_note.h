// SPDX-License-Identifier: MIT
// What outlives a group's offsets: a file in $STATE_DIRECTORY for each group and topic that was started on. Offsets that are gone later
// are then a gap, not a first start (R7). Without a state directory nothing is noted and nothing found.
#pragma once

// Has the group been started on the topic, as far as this host knows? `directory` may be NULL.
int state_note_exists(const char *directory, const char *group, const char *topic);
// Notes it; what can't be written is logged once in a while and changes nothing else.
void state_note_write(const char *directory, const char *group, const char *topic);
