// SPDX-License-Identifier: MIT
// A shell script with the tables of all commands as cases; what goes with a kind of value is decided by the shell, when asked.
#include "command.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char head[] =
    "# Completion of onced's command line in bash: eval \"$(onced completion bash)\"\n"
    "\n"
    "# What stands at a place of the command line: its kind, as in the help. $1: command; $2: option, or the number of the operand.\n"
    "_onced_kind() {\n"
    "    case \"$1 $2\" in\n";

static const char middle[] = "    esac\n"
                             "}\n"
                             "\n"
                             "_onced_options() {\n"
                             "    case \"$1\" in\n";

static const char tail[] = "    esac\n"
                           "}\n"
                           "\n"
                           "# Names of pipelines, as far as their files can be found and read.\n"
                           "_onced_names() {\n"
                           "    local i arguments=()\n"
                           "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
                           "        [[ ${COMP_WORDS[i]} == -c ]] && arguments=(-c \"${COMP_WORDS[i + 1]}\")\n"
                           "    done\n"
                           "    \"${COMP_WORDS[0]}\" config \"${arguments[@]}\" 2>/dev/null | sed -n 's/^name: //p'\n"
                           "}\n"
                           "\n"
                           "_onced() {\n"
                           "    local word=\"$2\" command=\"${COMP_WORDS[1]}\" place=1 option= kind i\n"
                           "    local IFS=$'\\n'\n"
                           "    COMPREPLY=()\n"
                           "    if ((COMP_CWORD == 1)); then\n"
                           "        COMPREPLY=($(compgen -W \"$(_onced_options '')\" -- \"$word\"))\n"
                           "        return\n"
                           "    fi\n"
                           "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
                           "        if [[ ${COMP_WORDS[i]} == = ]]; then\n"
                           "            continue\n"
                           "        elif [[ -n $option ]]; then # this was its value\n"
                           "            option=\n"
                           "        elif [[ ${COMP_WORDS[i]} != -* ]]; then\n"
                           "            ((++place))\n"
                           "        elif [[ -n $(_onced_kind \"$command\" \"${COMP_WORDS[i]}\") ]]; then\n"
                           "            option=\"${COMP_WORDS[i]}\"\n"
                           "        fi\n"
                           "    done\n"
                           "    [[ $word == = ]] && word=\n"
                           "    if [[ -z $option && $word == -* ]]; then\n"
                           "        COMPREPLY=($(compgen -W \"$(_onced_options \"$command\")\" -- \"$word\"))\n"
                           "        return\n"
                           "    fi\n"
                           "    kind=$(_onced_kind \"$command\" \"${option:-$place}\")\n"
                           "    case \"$kind\" in\n"
                           "        NAME) COMPREPLY=($(compgen -W \"$(_onced_names)\" -- \"$word\")) ;;\n"
                           "        PIPELINE.yaml)\n"
                           "            compopt -o filenames 2>/dev/null\n"
                           "            COMPREPLY=($(compgen -f -X '!*.yaml' -- \"$word\") $(compgen -d -- \"$word\"))\n"
                           "            ;;\n"
                           "        PATH | FILE*)\n"
                           "            compopt -o filenames 2>/dev/null\n"
                           "            COMPREPLY=($(compgen -f -- \"$word\"))\n"
                           "            ;;\n"
                           "        [a-z]*) COMPREPLY=($(compgen -W \"${kind//|/$'\\n'}\" -- \"$word\")) ;;\n"
                           "    esac\n"
                           "}\n"
                           "complete -F _onced onced\n";

// The kinds of a command's values and operands; the last operand's stands for all that follow.
static void kinds_print(const struct command *command)
{
    for (const struct option *o = command->options; o && o->name; o++)
        if (o->value)
            printf("        '%s %s') echo '%s' ;;\n", command->name, o->name, o->value);
    int index = 1;
    for (const char *word = command->operands; word; index++) {
        int size = (int)strcspn(word, " ");
        int is_one = word[size] || command->most == index;
        printf("        '%s '%.*d%s) echo '%.*s' ;;\n", command->name, is_one, index * is_one, is_one ? "" : "[0-9]*", size, word);
        word = word[size] ? word + size + 1 : NULL;
    }
}

static int run(struct arguments *arguments)
{
    (void)arguments;
    fputs(head, stdout);
    for (const struct command *const *c = command_list; *c; c++)
        kinds_print(*c);
    fputs(middle, stdout);
    for (const struct command *const *c = command_list; *c; c++) {
        printf("        %s) printf '%%s\\n' --help", (*c)->name);
        for (const struct option *o = (*c)->options; o && o->name; o++)
            printf(" %s", o->name);
        puts(" ;;");
    }
    fputs("        '') printf '%s\\n' --help", stdout);
    for (const struct command *const *c = command_list; *c; c++)
        printf(" %s", (*c)->name);
    puts(" ;;");
    fputs(tail, stdout);
    return EX_OK;
}

const struct command command_completion = {
    .name = "completion",
    .operands = "bash",
    .least = 1,
    .most = 1,
    .summary = "print a script that completes onced's command line",
    .details = "For this shell: eval \"$(onced completion bash)\". Commands, options, their values, files, and the names of pipelines.\n",
    .run = run,
};
