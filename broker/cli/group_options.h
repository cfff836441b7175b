/* The options of `skiff consumer-groups`: read, and checked against each other before anything is asked. Pure. */
#ifndef SKIFF_BROKER_CLI_GROUP_OPTIONS_H
#define SKIFF_BROKER_CLI_GROUP_OPTIONS_H

#include "common/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum group_option {
#define GROUP_OPTION(name, id, takes, goes_with, help) GROUP_OPTION_##id,
#include "broker/cli/group_options.def"
#undef GROUP_OPTION
    GROUP_OPTION_COUNT
};

struct group_options {
    enum group_option action; /* GROUP_OPTION_LIST to GROUP_OPTION_DELETE_OFFSETS */
    enum group_option reset;  /* GROUP_OPTION_TO_EARLIEST to GROUP_OPTION_FROM_FILE; only when that is the action */
    bool has[GROUP_OPTION_COUNT];
    const char *value[GROUP_OPTION_COUNT]; /* NULL: none */
    const char *bootstrap;
    struct slice *groups;
    size_t group_count;
    struct group_scope *topics;
    size_t topic_count;
    int64_t timeout_ms;
    int64_t number; /* of the reset: an offset, a number of records, a time or a duration in ms */
};

/* NULL, or why not, as a sentence. The arena is that of the options. */
const char *group_options_parse(int argc, char **argv, struct arena *arena, struct group_options *options);
/* Ends with a line end. */
struct slice group_options_help(struct arena *arena);

#endif
