// SPDX-License-Identifier: MIT
#include "cli.h"

#include "command.h"
#include "err.h"
#include "spelling.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

// In the order of the help.
const struct command *const command_list[] = {
    &command_run,  &command_new,    &command_check,  &command_try,        &command_status,  &command_reload,
    &command_test, &command_config, &command_schema, &command_completion, &command_version, NULL,
};

static const struct option no_options[] = {{NULL, NULL, NULL}};

static const struct option *options_of(const struct command *command)
{
    return command->options ? command->options : no_options;
}

static void option_print(const char *before, const struct option *option, const char *after)
{
    const char *between = !option->value ? "" : strncmp(option->name, "--", 2) ? " " : "=";
    printf("%s%s%s%s%s", before, option->name, between, option->value ? option->value : "", after);
}

static void usage_print(const struct command *command)
{
    printf("onced %s", command->name);
    for (const struct option *o = options_of(command); o->name; o++)
        option_print(" [", o, "]");
    int index = 0;
    for (const char *word = command->operands; word; index++) {
        int size = (int)strcspn(word, " "), is_last = !word[size];
        const char *dots = is_last && command->most > index + 1 ? " ..." : "";
        printf(index < command->least ? " %.*s%s" : " [%.*s%s]", size, word, dots);
        word = is_last ? NULL : word + size + 1;
    }
    putchar('\n');
}

static void help_print(const struct command *command)
{
    if (!command) {
        puts("onced: Kafka to Kafka through Lua, each record exactly once\n\nCommands:");
        for (const struct command *const *c = command_list; *c; c++)
            printf("  %-10s %s\n", (*c)->name, (*c)->summary);
        puts("\nonced COMMAND --help tells more. The first steps: README.md; the keys of the files: conf/reference.md.");
        return;
    }
    usage_print(command);
    printf("  %s\n\n", command->summary);
    for (const struct option *o = options_of(command); o->name; o++) {
        int size = (int)(strlen(o->name) + (o->value ? strlen(o->value) + 1 : 0));
        option_print("  ", o, "");
        printf("%*s %s\n", size < 27 ? 27 - size : 0, "", o->doc);
    }
    printf("%s%s", command->options && command->details ? "\n" : "", command->details ? command->details : "");
}

static const struct command *command_find(const char *name, const char **meant)
{
    int near = 1000;
    for (const struct command *const *c = command_list; *c; c++) {
        int distance = spelling_distance(name, (*c)->name);
        if (distance == 0)
            return *c;
        if (distance < near && spelling_close(name, distance))
            near = distance, *meant = (*c)->name;
    }
    return NULL;
}

// The index in the command's table, -1: none.
static int option_find(const struct command *command, const char *name, const char **meant)
{
    const struct option *options = options_of(command);
    for (int i = 0; options[i].name; i++) {
        if (strcmp(name, options[i].name) == 0)
            return i;
        if (spelling_close(name, spelling_distance(name, options[i].name)))
            *meant = options[i].name;
    }
    if (!*meant && spelling_distance(name, "--help") <= 2)
        *meant = "--help";
    return -1;
}

// Is `text` one of "text|json|github"? What isn't written so, as FILE, may be anything. EX_OK or EX_USAGE.
static int word_check(const char *what, const char *words, size_t size, const char *text)
{
    char list[256] = "", near[64] = "";
    int used = 0;
    if (isupper((unsigned char)*words))
        return EX_OK;
    for (const char *word = words; word < words + size;) {
        int length = (int)strcspn(word, "| ");
        char choice[sizeof near];
        snprintf(choice, sizeof choice, "%.*s", length, word);
        int distance = spelling_distance(text, choice);
        if (distance == 0)
            return EX_OK;
        if (spelling_close(text, distance))
            memcpy(near, choice, sizeof near);
        used += snprintf(list + used, sizeof list - (size_t)used, "%s%s", used ? ", " : "", choice);
        must(used < (int)sizeof list);
        word += length + 1;
    }
    return command_usage(*near ? near : NULL, "%s must be %s%s, not \"%s\"", what, strchr(list, ',') ? "one of " : "", list, text);
}

// One option at argv[*i], with its value as `--name=value`, `--name value` or `-c value`. EX_OK or EX_USAGE.
static int option_parse(int argc, char **argv, int *i, struct arguments *arguments)
{
    char name[64];
    const struct command *command = arguments->command;
    const char *argument = argv[*i], *equals = strchr(argument, '='), *meant = NULL;
    snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - argument) : (int)strlen(argument), argument);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        arguments->help = 1;
        return EX_OK;
    }
    int index = option_find(command, name, &meant);
    if (index < 0)
        return command_usage(meant, "%s has no option %s", command->name, name);
    const struct option *option = &command->options[index];
    arguments->values[index] = "";
    if (!option->value)
        return equals ? command_usage(NULL, "%s takes no value", name) : EX_OK;
    const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : "";
    arguments->values[index] = value;
    return *value ? word_check(name, option->value, strlen(option->value), value)
                  : command_usage(NULL, "%s needs a value: %s", name, option->value);
}

// Are there as many operands as the command takes, each one of its words? EX_OK or EX_USAGE.
static int operands_check(const struct arguments *arguments)
{
    const struct command *command = arguments->command;
    const char *word = command->operands;
    for (int i = 0; i < arguments->operand_count; i++) {
        const char *operand = arguments->operands[i];
        if (i >= command->most)
            return i ? command_usage(NULL, "%s takes no more arguments, here \"%s\"", command->name, operand)
                     : command_usage(NULL, "%s takes no arguments, here \"%s\"", command->name, operand);
        size_t size = strcspn(word, " ");
        int code = word_check("the argument", word, size, operand);
        if (code)
            return code;
        word = word[size] ? word + size + 1 : word;
    }
    if (arguments->operand_count < command->least)
        return command_usage(NULL, "%s needs %s", command->name, word);
    return EX_OK;
}

static int arguments_parse(int argc, char **argv, struct arguments *arguments)
{
    int options_end = 0;
    for (int i = 0; i < argc; i++) {
        int code = EX_OK;
        if (!options_end && strcmp(argv[i], "--") == 0)
            options_end = 1;
        else if (!options_end && argv[i][0] == '-' && argv[i][1])
            code = option_parse(argc, argv, &i, arguments);
        else
            arguments->operands[arguments->operand_count++] = argv[i];
        if (code)
            return code;
    }
    return arguments->help ? EX_OK : operands_check(arguments);
}

static int command_start(const struct command *command, int argc, char **argv)
{
    size_t options = 0;
    while (options_of(command)[options].name)
        options++;
    struct arguments arguments = {
        .command = command,
        .values = calloc(options + 1, sizeof(char *)),
        .operands = calloc((size_t)argc + 1, sizeof(char *)),
    };
    must(arguments.values && arguments.operands);
    int code = arguments_parse(argc, argv, &arguments);
    if (code == EX_OK && arguments.help)
        help_print(command);
    else if (code == EX_OK)
        code = command->run(&arguments);
    free(arguments.values);
    free(arguments.operands);
    return code;
}

int cli_main(int argc, char **argv)
{
    const char *meant = NULL, *name = argc > 1 ? argv[1] : "";
    signal(SIGCHLD, SIG_DFL); // who ignores it isn't told how a child has ended
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2)) {
        help_print(NULL);
        return EX_OK;
    }
    if (!*name)
        return command_usage(NULL, "which command?");
    int is_help = strcmp(name, "help") == 0; // help COMMAND
    if (is_help)
        name = argv[2];
    const struct command *command = command_find(strcmp(name, "--version") == 0 ? "version" : name, &meant);
    if (!command)
        return command_usage(meant, *name == '-' ? "%s is no option that comes before a command" : "there is no command \"%s\"", name);
    if (is_help) {
        help_print(command);
        return EX_OK;
    }
    return command_start(command, argc - 2, argv + 2);
}
