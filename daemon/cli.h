// SPDX-License-Identifier: MIT
// The command line: which command, which options, what to say when neither is known. Commands return sysexits.
#pragma once

int cli_main(int argc, char **argv);
