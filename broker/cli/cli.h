/* The command line: `skiff COMMAND ...`.  One function a command; commands.def lists them.  Runs on the main thread. */
#ifndef SKIFF_BROKER_CLI_CLI_H
#define SKIFF_BROKER_CLI_CLI_H

#define SKIFF_VERSION "0.1.0"

/* Exit status. argv[0] is the command's own name. */
#define COMMAND(name, function, summary) int function(int argc, char **argv);
#include "broker/cli/commands.def"
#undef COMMAND

int cli_main(int argc, char **argv);

#endif
