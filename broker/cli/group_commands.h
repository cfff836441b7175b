/* The actions of `skiff consumer-groups`, one function each. The result is the exit status: 0, or 1 when something was refused or
 * failed, which was said then. */
#ifndef SKIFF_BROKER_CLI_GROUP_COMMANDS_H
#define SKIFF_BROKER_CLI_GROUP_COMMANDS_H

#include "broker/cli/client.h"
#include "broker/cli/group_options.h"
#include "broker/cli/group_rows.h"

int group_command_list(struct client *client, const struct group_options *options);
int group_command_describe(struct client *client, const struct group_options *options);
int group_command_reset(struct client *client, const struct group_options *options);
int group_command_delete(struct client *client, const struct group_options *options);
int group_command_delete_offsets(struct client *client, const struct group_options *options);

/* The groups that the options name; with --all-groups those of consumers. False: not all of them could be found out; that was said. */
bool group_command_groups(struct client *client, const struct group_options *options, struct slice **groups, size_t *count);
/* On stderr, behind the name of the command; returns 1. */
int group_command_complain(const char *format, ...) PRINTF_LIKE(1, 2);
/* "NAME: what is wrong (ERROR_NAME)", and what the client knows of it. Returns 1. */
int group_command_complain_of(struct client *client, struct slice name, int16_t error);

#endif
