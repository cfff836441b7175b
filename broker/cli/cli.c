#include "broker/cli/cli.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};
static const struct command commands[] = {
#define COMMAND(name, function, summary) {(name), (function), (summary)},
#include "broker/cli/commands.def"
#undef COMMAND
};

static void print_commands(FILE *out)
{
    (void)fprintf(out, "Skiff %s, a Kafka-compatible broker.\n\nusage: skiff COMMAND ...\n\n", SKIFF_VERSION);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        (void)fprintf(out, "  %-16s %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(out, "\nskiff server alone starts one broker on localhost:9092.\n");
}

int cli_main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_commands(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("skiff %s\n", SKIFF_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    (void)fprintf(stderr, "skiff: there is no command %s; skiff --help lists them\n", argv[1]);
    return 1;
}
