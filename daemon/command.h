// SPDX-License-Identifier: MIT
// A command of onced, as its file command_NAME.c declares it: parsing, help, did-you-mean and completion all come from these tables.
// cli.c lists the commands. Each returns a code of sysexits.
#pragma once
#include "config.h"

struct option {
    const char *name, *value; // value: what it is called in the help, or its words, "text|json|github"; NULL: takes none
    const char *doc;
};

enum { OPERANDS_MANY = 1 << 30 };

struct arguments;

struct command {
    const char *name;
    // What stands behind the options, a word each, the last for all that follow: "PIPELINE.yaml", "list|show NAME"; NULL: nothing.
    // Completion knows PATH, FILE, PIPELINE.yaml, NAME (of a pipeline) and words between bars.
    const char *operands;
    int least, most; // how many of them
    const char *summary, *details;
    const struct option *options; // ends with a row whose name is NULL; NULL: none
    int (*run)(struct arguments *arguments);
};

extern const struct command command_check, command_completion, command_config, command_new, command_reload, command_run, command_schema,
    command_status, command_test, command_try, command_version;

extern const struct command *const command_list[]; // cli.c: all, in the order of the help; ends with NULL

struct arguments {
    const struct command *command;
    const char **values;   // by the index of the option, NULL: wasn't given
    const char **operands; // without those before them that command_request took away
    int operand_count;
    int help; // --help was among them
};

// The value of an option that the command's table has; "" for one that takes none; NULL when it wasn't given.
const char *command_option(const struct arguments *arguments, const char *name);
// Says what is wrong with the command line. Returns EX_USAGE.
int command_usage(const char *meant, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The files that -c, --brokers (both of which the command's table must have), environment and operands name. The operand that is called
// onced.yaml is the service file: both kinds may lie in one folder. EX_OK; or EX_NOINPUT, said.
int command_request(struct arguments *arguments, struct config_request *request);

// Sends a line to the daemon whose socket --socket or the service file of -c names (both of which the command's table must have), or
// that lies where a service has it, and prints the answer. Returns the answer's code, or EX_UNAVAILABLE.
int command_call(const struct arguments *arguments, const char *line);

#define COMMAND_SERVICE_FILE "/etc/onced/onced.yaml"
#define COMMAND_SOCKET       "/run/onced/control"
