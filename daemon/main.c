// SPDX-License-Identifier: MIT
// Nothing but the entry: libonced.so, which the specs load, is every object but this one.
#include "cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
