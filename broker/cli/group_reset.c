/* `skiff consumer-groups --reset-offsets`: a plan for each group, which is shown, and committed with --execute. A group with members is
 * left alone, and so is one for which anything of its plan cannot be found out. */
#include "broker/cli/group_commands.h"
#include "broker/cli/group_questions.h"
#include "broker/cli/group_text.h"
#include "broker/cli/table.h"
#include "common/checked.h"
#include "common/str.h"
#include "proto/errors.h"

#include <errno.h>
#include <stdio.h>

#define FILE_BYTES_MAX (64 << 20)
#define TEXT_ROOM      4096

struct reset {
    struct client *client;
    const struct group_options *options;
    struct group_plan_line *lines; /* of --from-file */
    size_t line_count;
    bool has_group; /* in its lines */
    struct slice group;
    struct group_rows rows;
};

/* ---- a plan from a file -------------------------------------------------------------------------------------------- */

static bool read_file(struct arena *arena, const char *path, struct slice *text)
{
    size_t room = TEXT_ROOM, n = 0;
    uint8_t *bytes = arena_alloc(arena, room);
    FILE *file = fopen(path, "rb");
    if (!file) return !group_command_complain("%s cannot be read: %s", path, strerror(errno));
    while (!feof(file) && !ferror(file) && n <= FILE_BYTES_MAX) {
        if (n == room) {
            uint8_t *more = arena_alloc(arena, 2 * room);
            memcpy(more, bytes, n);
            bytes = more;
            room *= 2;
        }
        n += fread(bytes + n, 1, room - n, file);
    }
    bool is_whole = !ferror(file) && n <= FILE_BYTES_MAX;
    (void)fclose(file);
    *text = slice_make(bytes, n);
    return is_whole || !group_command_complain("%s cannot be read, or is too large", path);
}

static struct slice next_line(struct slice *rest)
{
    struct slice line = SLICE_NULL;
    (void)str_split(rest, '\n', &line);
    if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
    return line;
}

/* With one --group the lines may lack the group: the first one says so. */
static bool read_plan(struct reset *reset)
{
    struct arena *arena = client_arena(reset->client);
    const char *path = reset->options->value[GROUP_OPTION_FROM_FILE];
    struct slice text = SLICE_NULL, first, rest;
    size_t lines = 1, number = 0;
    struct group_plan_line line;
    if (!read_file(arena, path, &text)) return false;
    for (size_t i = 0; i < text.n; i++) lines += text.p[i] == '\n';
    rest = text;
    first = next_line(&rest);
    reset->has_group = reset->options->group_count != 1 || !group_text_parse_line(first, false, arena, &line);
    reset->lines = arena_calloc(arena, lines, sizeof *reset->lines);
    for (rest = text; !slice_is_null(rest); number++) {
        struct slice at = next_line(&rest);
        if (at.n == 0) continue;
        if (!group_text_parse_line(at, reset->has_group, arena, &reset->lines[reset->line_count++]))
            return !group_command_complain("%s:%zu: not %sTOPIC,PARTITION,OFFSET", path, number + 1, reset->has_group ? "GROUP," : "");
    }
    return true;
}

static bool take_plan(struct reset *reset)
{
    for (size_t i = 0; i < reset->line_count; i++)
        if (!reset->has_group || slice_equal(reset->lines[i].group, reset->group))
            group_rows_add(&reset->rows, reset->lines[i].topic, reset->lines[i].partition)->target = reset->lines[i].offset;
    return reset->rows.count > 0 || !group_command_complain("the file has no offsets for group %.*s", SLICE_ARG(reset->group));
}

/* ---- which partitions ---------------------------------------------------------------------------------------------- */

static bool take_committed(struct reset *reset, struct group_rows *rows)
{
    int16_t error = group_fetch_offsets(reset->client, reset->group, rows);
    group_rows_sort(rows);
    return !error || !group_command_complain_of(reset->client, reset->group, error);
}

static bool take_topics(struct reset *reset)
{
    for (size_t i = 0; i < reset->options->topic_count; i++) {
        const struct group_scope *scope = &reset->options->topics[i];
        int16_t error = group_add_scope(reset->client, scope, &reset->rows);
        if (error) return !group_command_complain_of(reset->client, scope->topic, error);
    }
    return true;
}

static bool take_partitions(struct reset *reset)
{
    bool is_fine = reset->options->reset == GROUP_OPTION_FROM_FILE ? take_plan(reset)
                   : reset->options->topic_count                   ? take_topics(reset)
                                                                   : take_committed(reset, &reset->rows);
    if (!is_fine) return false;
    group_rows_sort(&reset->rows);
    int16_t error = group_find_leaders(reset->client, &reset->rows);
    if (error) return !group_command_complain_of(reset->client, reset->group, error);
    for (size_t i = 0; i < reset->rows.count; i++) {
        const struct group_row *row = &reset->rows.at[i];
        if (row->leader >= 0) continue;
        is_fine = !group_command_complain("group %.*s: partition %.*s-%d %s", SLICE_ARG(reset->group), SLICE_ARG(row->topic),
                                          row->partition, row->leader == LEADER_NONE ? "has no leader" : "does not exist");
    }
    return is_fine;
}

/* ---- which offsets ------------------------------------------------------------------------------------------------- */

static bool ask_offsets(struct reset *reset, int64_t timestamp)
{
    int16_t error = group_ask_offsets(reset->client, &reset->rows, timestamp);
    return !error || !group_command_complain_of(reset->client, reset->group, error);
}

static bool aim_at(struct reset *reset, int64_t timestamp)
{
    if (!ask_offsets(reset, timestamp)) return false;
    for (size_t i = 0; i < reset->rows.count; i++) reset->rows.at[i].target = reset->rows.at[i].found;
    return true;
}

/* Below 0 ListOffsets means something else. Where there is no record from then on, behind the last one. */
static bool aim_at_time(struct reset *reset, int64_t time_ms)
{
    if (!aim_at(reset, max_i64(time_ms, 0)) || !ask_offsets(reset, OFFSETS_LATEST)) return false;
    for (size_t i = 0; i < reset->rows.count; i++)
        if (reset->rows.at[i].target == ROW_UNKNOWN) reset->rows.at[i].target = reset->rows.at[i].found;
    return true;
}

static bool take_current(struct reset *reset)
{
    struct group_rows committed = {.arena = client_arena(reset->client)};
    if (!take_committed(reset, &committed)) return false;
    for (size_t i = 0; i < reset->rows.count; i++) {
        struct group_row *row = &reset->rows.at[i];
        const struct group_row *is = group_rows_find(&committed, row->topic, row->partition);
        row->committed = is ? is->committed : ROW_UNKNOWN;
    }
    return true;
}

/* Like Kafka's tool, not clamped to the log: what is committed is good enough to be committed. */
static bool aim_at_current(struct reset *reset)
{
    if (!take_current(reset) || !aim_at(reset, OFFSETS_LATEST)) return false;
    for (size_t i = 0; i < reset->rows.count; i++)
        if (reset->rows.at[i].committed != ROW_UNKNOWN) reset->rows.at[i].target = reset->rows.at[i].committed;
    return true;
}

static bool shift(struct reset *reset)
{
    bool is_fine = take_current(reset);
    for (size_t i = 0; is_fine && i < reset->rows.count; i++) {
        struct group_row *row = &reset->rows.at[i];
        row->target = saturating_add_i64(row->committed, reset->options->number);
        if (row->committed == ROW_UNKNOWN)
            is_fine = !group_command_complain("group %.*s: partition %.*s-%d has no offset that could be shifted", SLICE_ARG(reset->group),
                                              SLICE_ARG(row->topic), row->partition);
    }
    return is_fine;
}

/* Targets that the log does not have become the nearest that it has. */
static bool clamp(struct reset *reset)
{
    if (!ask_offsets(reset, OFFSETS_EARLIEST)) return false;
    for (size_t i = 0; i < reset->rows.count; i++) reset->rows.at[i].start = reset->rows.at[i].found;
    if (!ask_offsets(reset, OFFSETS_LATEST)) return false;
    for (size_t i = 0; i < reset->rows.count; i++) {
        struct group_row *row = &reset->rows.at[i];
        int64_t wanted = row->target;
        row->target = max_i64(min_i64(wanted, row->found), row->start);
        if (row->target != wanted)
            (void)group_command_complain("%.*s-%d has no offset %lld: %lld is taken", SLICE_ARG(row->topic), row->partition,
                                         (long long)wanted, (long long)row->target);
    }
    return true;
}

static bool aim(struct reset *reset)
{
    const struct group_options *options = reset->options;
    enum group_option how = options->reset;
    int64_t now_ms = env_wall_ms(client_env(reset->client));
    if (how == GROUP_OPTION_TO_EARLIEST) return aim_at(reset, OFFSETS_EARLIEST);
    if (how == GROUP_OPTION_TO_LATEST) return aim_at(reset, OFFSETS_LATEST);
    if (how == GROUP_OPTION_TO_CURRENT) return aim_at_current(reset);
    if (how == GROUP_OPTION_TO_DATETIME) return aim_at_time(reset, options->number);
    if (how == GROUP_OPTION_BY_DURATION) {
        int64_t then_ms = 0;
        return aim_at_time(reset, __builtin_sub_overflow(now_ms, options->number, &then_ms) ? INT64_MAX : then_ms);
    }
    if (how == GROUP_OPTION_TO_OFFSET)
        for (size_t i = 0; i < reset->rows.count; i++) reset->rows.at[i].target = options->number;
    return (how != GROUP_OPTION_SHIFT_BY || shift(reset)) && clamp(reset);
}

/* ---- doing it ------------------------------------------------------------------------------------------------------ */

/* A group that is not there is as good as one without members: the first commit makes it. */
static bool is_inactive(struct reset *reset)
{
    const struct describe_groups_response_groups *group = NULL;
    int32_t coordinator = -1;
    int16_t error = group_describe(reset->client, reset->group, &group, &coordinator);
    if (error == KAFKA_GROUP_ID_NOT_FOUND) return true;
    if (error) return !group_command_complain_of(reset->client, reset->group, error);
    if (slice_equal_str(group->group_state, "Empty")) return true;
    return !group_command_complain("group %.*s is %.*s (members: %d): its offsets can be reset only while it has none",
                                   SLICE_ARG(reset->group), SLICE_ARG(group->group_state), group->members_count);
}

static bool commit(struct reset *reset)
{
    if (reset->rows.count == 0) return true;
    int16_t error = group_commit(reset->client, reset->group, &reset->rows);
    if (!error) return true;
    if (error == KAFKA_UNKNOWN_MEMBER_ID)
        return !group_command_complain("group %.*s has members again: its offsets can be reset only while it has none",
                                       SLICE_ARG(reset->group));
    for (size_t i = 0; i < reset->rows.count; i++) {
        const struct group_row *row = &reset->rows.at[i];
        if (row->error)
            (void)group_command_complain("group %.*s: partition %.*s-%d: %s", SLICE_ARG(reset->group), SLICE_ARG(row->topic),
                                         row->partition, kafka_error_message(row->error));
    }
    return !group_command_complain_of(reset->client, reset->group, error);
}

static void show(struct reset *reset, struct table *table)
{
    struct arena *arena = client_arena(reset->client);
    for (size_t i = 0; i < reset->rows.count; i++) {
        const struct group_row *row = &reset->rows.at[i];
        struct group_plan_line line = {.topic = row->topic, .partition = row->partition, .offset = row->target};
        if (reset->options->group_count != 1) line.group = reset->group;
        if (reset->options->has[GROUP_OPTION_EXPORT]) {
            (void)printf("%.*s\n", SLICE_ARG(group_text_print_line(&line, arena)));
            continue;
        }
        table_put(table, reset->group);
        table_put(table, row->topic);
        table_put_number(table, row->partition);
        table_put_number(table, row->target);
    }
}

int group_command_reset(struct client *client, const struct group_options *options)
{
    static const char *const titles[] = {"GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"};
    struct arena *arena = client_arena(client);
    struct reset reset = {.client = client, .options = options};
    struct slice *groups = NULL;
    struct table table;
    size_t count = 0;
    if (options->reset == GROUP_OPTION_FROM_FILE && !read_plan(&reset)) return 1;
    int status = !group_command_groups(client, options, &groups, &count);
    table_begin(&table, arena, titles, 4);
    for (size_t i = 0; i < count; i++) {
        reset.group = groups[i];
        reset.rows = (struct group_rows){.arena = arena};
        bool is_done = is_inactive(&reset) && take_partitions(&reset) && aim(&reset);
        if (is_done && options->has[GROUP_OPTION_EXECUTE]) is_done = commit(&reset);
        if (is_done) show(&reset, &table);
        status |= !is_done;
    }
    if (!options->has[GROUP_OPTION_EXPORT]) table_print(&table);
    if (!options->has[GROUP_OPTION_EXECUTE]) (void)fprintf(stderr, "Nothing was changed: that takes --execute.\n");
    return status;
}
