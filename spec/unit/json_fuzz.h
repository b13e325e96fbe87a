// SPDX-License-Identifier: MIT
// What json_fuzz.c made of the texts so far.
#pragma once

extern struct json_tally {
    unsigned long long accepted, refused, apart;
} json_tally;
