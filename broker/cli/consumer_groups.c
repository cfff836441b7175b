/* `skiff consumer-groups`: does what Kafka's kafka-consumer-groups does, with the same options. It asks as any client does; why a group
 * rebalanced is an extension of DescribeGroups that a Kafka broker does not answer. */
#include "broker/cli/cli.h"
#include "broker/cli/client.h"
#include "broker/cli/group_commands.h"
#include "broker/cli/group_questions.h"
#include "broker/cli/group_text.h"
#include "broker/cli/table.h"
#include "common/str.h"
#include "proto/errors.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define OPTIONS_BYTES_MAX (16 << 20)

/* ---- for all actions ----------------------------------------------------------------------------------------------- */

int group_command_complain(const char *format, ...)
{
    va_list arguments;
    (void)fflush(stdout);
    (void)fputs("skiff consumer-groups: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    return 1;
}

int group_command_complain_of(struct client *client, struct slice name, int16_t error)
{
    bool is_unanswered = error == KAFKA_COORDINATOR_NOT_AVAILABLE || error == KAFKA_REQUEST_TIMED_OUT;
    const char *reason = is_unanswered ? client_reason(client) : "";
    return group_command_complain("%.*s: %s (%s)%s%s", SLICE_ARG(name), kafka_error_message(error), kafka_error_name(error),
                                  *reason ? "; " : "", reason);
}

/* Groups of Connect and the like are not for this tool, though it describes one that is named. */
static bool is_consumers(const struct group_listing *listing)
{
    return listing->protocol_type.n == 0 || slice_equal_str(listing->protocol_type, "consumer");
}

/* The groups of consumers, by name. False: not all of them; that was said. */
static bool list_consumers(struct client *client, struct group_listing **listings, size_t *count)
{
    size_t all = 0;
    bool is_whole = group_list(client, listings, &all);
    *count = 0;
    for (size_t i = 0; i < all; i++)
        if (is_consumers(&(*listings)[i])) (*listings)[(*count)++] = (*listings)[i];
    return is_whole || !group_command_complain("not every broker said which groups it coordinates: %s", client_reason(client));
}

bool group_command_groups(struct client *client, const struct group_options *options, struct slice **groups, size_t *count)
{
    struct group_listing *listings = NULL;
    *groups = options->groups;
    *count = options->group_count;
    if (!options->has[GROUP_OPTION_ALL_GROUPS]) return true;
    bool is_whole = list_consumers(client, &listings, count);
    *groups = arena_calloc(client_arena(client), *count, sizeof **groups);
    for (size_t i = 0; i < *count; i++) (*groups)[i] = listings[i].group;
    return is_whole;
}

/* ---- --list -------------------------------------------------------------------------------------------------------- */

/* One of "a,b", whatever the case; nothing asked for is fine. */
static bool is_among(struct slice name, const char *names)
{
    struct slice rest = slice_str(names), part;
    bool is_fine = !names || !*names;
    while (!is_fine && str_split(&rest, ',', &part)) {
        part = str_trim(part);
        is_fine = part.n == name.n && strncasecmp((const char *)part.p, (const char *)name.p, name.n) == 0;
    }
    return is_fine;
}

/* "Classic": brokers write it small. */
static struct slice capitalized(struct arena *arena, struct slice text)
{
    return text.n ? arena_printf(arena, "%c%.*s", toupper(text.p[0]), (int)text.n - 1, (const char *)text.p + 1) : SLICE_LITERAL("-");
}

int group_command_list(struct client *client, const struct group_options *options)
{
    const char *titles[3] = {"GROUP"};
    struct arena *arena = client_arena(client);
    struct group_listing *listings = NULL;
    struct table table;
    size_t count = 0, columns = 1;
    bool has_type = options->has[GROUP_OPTION_TYPE], has_state = options->has[GROUP_OPTION_STATE];
    int status = !list_consumers(client, &listings, &count);
    if (has_type) titles[columns++] = "TYPE";
    if (has_state) titles[columns++] = "STATE";
    table_begin(&table, arena, titles, columns);
    for (size_t i = 0; i < count; i++) {
        if (!is_among(listings[i].state, options->value[GROUP_OPTION_STATE])) continue;
        if (!is_among(listings[i].type, options->value[GROUP_OPTION_TYPE])) continue;
        if (columns == 1) (void)printf("%.*s\n", SLICE_ARG(table_printable(arena, listings[i].group)));
        table_put(&table, listings[i].group);
        if (has_type) table_put(&table, capitalized(arena, listings[i].type));
        if (has_state) table_put(&table, listings[i].state);
    }
    if (columns > 1) table_print(&table);
    return status;
}

/* ---- --delete, --delete-offsets ------------------------------------------------------------------------------------ */

int group_command_delete(struct client *client, const struct group_options *options)
{
    struct slice *groups = NULL;
    size_t count = 0;
    int status = !group_command_groups(client, options, &groups, &count);
    for (size_t i = 0; i < count; i++) {
        int16_t error = group_delete(client, groups[i]);
        if (error == KAFKA_NON_EMPTY_GROUP)
            status = group_command_complain("group %.*s has members: it can be deleted only while it has none", SLICE_ARG(groups[i]));
        else if (error)
            status = group_command_complain_of(client, groups[i], error);
        else
            (void)printf("Group '%.*s' is deleted.\n", SLICE_ARG(table_printable(client_arena(client), groups[i])));
    }
    return status;
}

/* A topic that is not there gets a row without a partition, which says so. */
static void put_missing(struct table *table, struct slice topic, int16_t error)
{
    table_put(table, topic);
    table_put_number(table, -1);
    table_put(table, arena_printf(table->arena, "Error: %s", kafka_error_message(error)));
}

static int put_rows(struct table *table, const struct group_rows *rows)
{
    int status = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct group_row *row = &rows->at[i];
        table_put(table, row->topic);
        table_put_number(table, row->partition);
        table_put(table,
                  row->error ? arena_printf(table->arena, "Error: %s", kafka_error_message(row->error)) : SLICE_LITERAL("Successful"));
        status |= row->error != KAFKA_NONE;
    }
    return status;
}

int group_command_delete_offsets(struct client *client, const struct group_options *options)
{
    static const char *const titles[] = {"TOPIC", "PARTITION", "STATUS"};
    struct group_rows rows = {.arena = client_arena(client)};
    struct table table;
    int status = 0;
    table_begin(&table, client_arena(client), titles, 3);
    for (size_t i = 0; i < options->topic_count; i++) {
        const struct group_scope *scope = &options->topics[i];
        int16_t error = group_add_scope(client, scope, &rows);
        if (error) put_missing(&table, scope->topic, error);
        status |= error != KAFKA_NONE;
    }
    group_rows_sort(&rows);
    int16_t error = group_delete_offsets(client, options->groups[0], &rows);
    if (error == KAFKA_NON_EMPTY_GROUP)
        return group_command_complain("group %.*s has members, and not as consumers of topics: its offsets can be deleted only while it "
                                      "has none",
                                      SLICE_ARG(options->groups[0]));
    if (error) return group_command_complain_of(client, options->groups[0], error);
    status |= put_rows(&table, &rows);
    table_print(&table);
    return status;
}

/* ---- the command --------------------------------------------------------------------------------------------------- */

static int run(const struct group_options *options)
{
    static int (*const actions[])(struct client * client, const struct group_options *options) = {
        [GROUP_OPTION_LIST] = group_command_list,
        [GROUP_OPTION_DESCRIBE] = group_command_describe,
        [GROUP_OPTION_RESET_OFFSETS] = group_command_reset,
        [GROUP_OPTION_DELETE] = group_command_delete,
        [GROUP_OPTION_DELETE_OFFSETS] = group_command_delete_offsets,
    };
    const char *reason = NULL;
    struct client *client = client_create(options->bootstrap, options->timeout_ms, &reason);
    if (!client) return group_command_complain("%s", reason);
    int status = actions[options->action](client, options);
    client_destroy(client);
    return status;
}

int command_consumer_groups(int argc, char **argv)
{
    struct arena arena;
    struct group_options options;
    int status = 2;
    arena_init(&arena, OPTIONS_BYTES_MAX);
    bool wants_help = argc == 2 && strcmp(argv[1], "--help") == 0;
    const char *problem = wants_help ? NULL : group_options_parse(argc, argv, &arena, &options);
    if (wants_help)
        status = printf("%.*s", SLICE_ARG(group_options_help(&arena))) < 0;
    else if (problem)
        (void)group_command_complain("%s\nskiff consumer-groups --help lists the options.", problem);
    else
        status = run(&options);
    arena_deinit(&arena);
    return status;
}
