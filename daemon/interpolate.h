// SPDX-License-Identifier: MIT
// ${env:X}, ${env:X:-default}, ${file:/path} and ${cred:name} in the values of a file, replaced after parsing: what is put in can never
// change the structure. An unquoted scalar is then read again as a core type, a quoted one stays a string. $$ is a dollar sign.
#pragma once
#include "yaml_tree.h"

// Replaces in every value of the file, once each. Errors go to `report`.
void interpolate_file(struct pool *pool, struct report *report, const struct yaml_file *file);
