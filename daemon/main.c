// SPDX-License-Identifier: MIT
// Nothing but the entry: libonced.so, which the specs load, is every object but this one.
#include "cli.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
    prctl(PR_SET_DUMPABLE, 0); // what it will read has secrets: no core dump, and no look inside for others of its user
    return cli_main(argc, argv);
}
