/* `skiff consumer-groups --describe`: the offsets and the lag of a group, its members, its state. */
#include "broker/cli/group_commands.h"
#include "broker/cli/group_questions.h"
#include "broker/cli/group_report.h"
#include "common/assert.h"
#include "proto/api.h"
#include "proto/codec.h"
#include "proto/record_batch.h"

#include <stdio.h>

#define FETCH_VERSION      12
#define ASSIGNMENT_VERSION 3
#define BATCH_BYTES_MAX    (64 << 20)

/* ---- members ------------------------------------------------------------------------------------------------------- */

/* A version, then the message. NULL: not one that we know. */
static const struct consumer_protocol_assignment *parse_assignment(struct client *client, struct slice bytes)
{
    struct reader r = reader_make(bytes);
    int16_t version = reader_i16(&r);
    struct consumer_protocol_assignment *assignment = arena_alloc(client_arena(client), sizeof *assignment);
    if (!reader_ok(&r) || version < 0) return NULL;
    if (version > ASSIGNMENT_VERSION) version = ASSIGNMENT_VERSION; /* newer ones only add to it */
    return codec_decode(KMSG_CONSUMER_PROTOCOL_ASSIGNMENT, version, &r, client_arena(client), assignment) ? NULL : assignment;
}

static void take_members(struct client *client, struct group_report *report)
{
    const struct describe_groups_response_groups *group = report->group;
    report->member_count = (size_t)group->members_count;
    report->members = arena_calloc(client_arena(client), report->member_count, sizeof *report->members);
    for (size_t i = 0; i < report->member_count; i++) {
        struct group_report_member *to = &report->members[i];
        to->member = &group->members[i];
        if (slice_equal_str(group->protocol_type, "consumer")) to->assignment = parse_assignment(client, to->member->member_assignment);
    }
}

/* ---- offsets ------------------------------------------------------------------------------------------------------- */

static void add_owned(struct group_report *report)
{
    for (size_t i = 0; i < report->member_count; i++) {
        const struct group_report_member *from = &report->members[i];
        for (int32_t t = 0; from->assignment && t < from->assignment->assigned_partitions_count; t++) {
            const struct consumer_protocol_assignment_assigned_partitions *of = &from->assignment->assigned_partitions[t];
            for (int32_t p = 0; p < of->partitions_count; p++)
                group_rows_add(&report->rows, of->topic, of->partitions[p])->owner = from->member;
        }
    }
}

static int64_t timestamp_at(struct slice records, int64_t offset)
{
    struct record_batch batch;
    struct record_iterator it;
    struct record record;
    int64_t timestamp = ROW_UNKNOWN;
    if (record_batch_parse(records, &batch)) return ROW_UNKNOWN;
    enum err err = record_iterator_init(&it, &batch, BATCH_BYTES_MAX);
    while (!err && timestamp == ROW_UNKNOWN && record_iterator_next(&it, &record))
        if (record.offset >= offset) timestamp = record.timestamp;
    record_iterator_deinit(&it);
    return timestamp;
}

/* How old is the first record that the group has not committed? */
static int64_t ask_lag_ms(struct client *client, const struct group_row *row)
{
    struct fetch_request_topics topic = {.topic = row->topic, .partitions_count = 1};
    struct fetch_request request;
    codec_set_defaults(KMSG_FETCH_REQUEST, &request);
    topic.partitions = CODEC_NEW(client_arena(client), fetch_request_partitions, 1);
    topic.partitions->partition = row->partition;
    topic.partitions->fetch_offset = row->committed;
    topic.partitions->partition_max_bytes = 1; /* one batch */
    request.max_bytes = 1;
    request.topics = &topic;
    request.topics_count = 1;
    const struct fetch_response *response = client_ask(client, row->leader, API_FETCH, FETCH_VERSION, &request);
    if (!response || response->responses_count != 1 || response->responses[0].partitions_count != 1) return ROW_UNKNOWN;
    int64_t timestamp = timestamp_at(response->responses[0].partitions[0].records, row->committed);
    int64_t now_ms = env_wall_ms(client_env(client));
    return timestamp == ROW_UNKNOWN ? ROW_UNKNOWN : now_ms > timestamp ? now_ms - timestamp : 0;
}

/* Ends and lags; what cannot be found out stays unknown. */
static void measure(struct client *client, struct group_rows *rows, bool is_verbose)
{
    if (group_find_leaders(client, rows)) return;
    (void)group_ask_offsets(client, rows, OFFSETS_LATEST);
    for (size_t i = 0; i < rows->count; i++) {
        struct group_row *row = &rows->at[i];
        row->end = row->found;
        if (row->end == ROW_UNKNOWN || row->committed == ROW_UNKNOWN) continue;
        if (row->committed >= row->end)
            row->lag_ms = 0;
        else if (is_verbose)
            row->lag_ms = ask_lag_ms(client, row);
    }
}

/* ---- putting it together ------------------------------------------------------------------------------------------- */

static const struct client_node *find_node(struct client *client, int32_t id)
{
    size_t count = 0;
    const struct client_node *nodes = client_nodes(client, &count);
    for (size_t i = 0; i < count; i++)
        if (nodes[i].id == id) return &nodes[i];
    ASSERT(!"a coordinator that answered is a node that we know");
    return NULL;
}

static int describe_offsets(struct client *client, struct group_report *report, bool is_verbose)
{
    int16_t error = group_fetch_offsets(client, report->group->group_id, &report->rows);
    if (error) return group_command_complain_of(client, report->group->group_id, error);
    add_owned(report);
    group_rows_sort(&report->rows);
    measure(client, &report->rows, is_verbose);
    group_report_print_offsets(report, is_verbose);
    return 0;
}

static int describe(struct client *client, const struct group_options *options, struct slice group)
{
    struct arena *arena = client_arena(client);
    struct group_report report = {.arena = arena, .rows = {.arena = arena}};
    bool is_verbose = options->has[GROUP_OPTION_VERBOSE];
    int32_t coordinator = -1;
    int16_t error = group_describe(client, group, &report.group, &coordinator);
    if (error) return group_command_complain_of(client, group, error);
    report.coordinator = find_node(client, coordinator);
    take_members(client, &report);
    if (options->has[GROUP_OPTION_STATE])
        group_report_print_state(&report, is_verbose);
    else if (options->has[GROUP_OPTION_MEMBERS])
        group_report_print_members(&report, is_verbose);
    else
        return describe_offsets(client, &report, is_verbose);
    return 0;
}

int group_command_describe(struct client *client, const struct group_options *options)
{
    struct slice *groups = NULL;
    size_t count = 0;
    int status = !group_command_groups(client, options, &groups, &count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) (void)printf("\n");
        status |= describe(client, options, groups[i]);
    }
    return status;
}
