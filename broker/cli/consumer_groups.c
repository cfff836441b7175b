/* `skiff consumer-groups`: lists groups, and shows one with its lag, its members and, with --verbose, why it last rebalanced.
 * It asks as any client does; the reasons are an extension of DescribeGroups that a Kafka broker does not answer. */
#include "broker/cli/cli.h"
#include "broker/cli/client.h"
#include "broker/cli/group_report.h"
#include "common/arena.h"
#include "proto/api.h"
#include "proto/codec.h"
#include "proto/errors.h"
#include "proto/record_batch.h"

#include <stdio.h>
#include <stdlib.h>

#define FIND_VERSION          3
#define LIST_VERSION          5
#define DESCRIBE_VERSION      6
#define FETCH_OFFSETS_VERSION 9
#define METADATA_VERSION      9
#define LIST_OFFSETS_VERSION  6
#define FETCH_VERSION         12
#define TRIES                 100 /* of a question to a coordinator that moves or loads */
#define TRY_PAUSE_MS          100
#define ASSIGNMENT_VERSION    3
#define BATCH_BYTES_MAX       (64 << 20)

struct options {
    const char *bootstrap, *group;
    bool is_list, is_describe, is_verbose, is_all;
};

static int complain(const char *what)
{
    (void)fprintf(stderr, "skiff consumer-groups: %s\n", what);
    return 1;
}

static bool is_passing(int16_t error)
{
    return error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || error == KAFKA_COORDINATOR_NOT_AVAILABLE || error == KAFKA_NOT_COORDINATOR;
}

/* ---- the coordinator's answers ------------------------------------------------------------------------------------- */

static bool find_coordinator(struct client *client, struct slice group, int32_t *node)
{
    size_t count = 0;
    const struct client_node *nodes = client_nodes(client, &count);
    struct find_coordinator_request request;
    codec_set_defaults(KMSG_FIND_COORDINATOR_REQUEST, &request);
    request.key = group;
    for (int i = 0; count > 0 && i < TRIES; i++) {
        const struct find_coordinator_response *response =
            client_ask(client, nodes[(size_t)i % count].id, API_FIND_COORDINATOR, FIND_VERSION, &request);
        if (response && !response->error_code) {
            *node = response->node_id;
            return true;
        }
        if (response) client_complain(client, "nobody coordinates the group: %s", kafka_error_message(response->error_code));
        client_pause(client, TRY_PAUSE_MS);
    }
    return false;
}

static const struct describe_groups_response_groups *describe(struct client *client, struct slice group, int32_t node)
{
    struct describe_groups_request request;
    codec_set_defaults(KMSG_DESCRIBE_GROUPS_REQUEST, &request);
    request.groups = &group;
    request.groups_count = 1;
    request.include_rebalance_reasons = true;
    const struct describe_groups_response *response = client_ask(client, node, API_DESCRIBE_GROUPS, DESCRIBE_VERSION, &request);
    return response && response->groups_count == 1 ? &response->groups[0] : NULL;
}

static const struct offset_fetch_response_groups *fetch_offsets(struct client *client, struct slice group, int32_t node)
{
    struct offset_fetch_request request;
    struct offset_fetch_request_groups asked = {.group_id = group, .member_epoch = -1, .topics_count = -1};
    codec_set_defaults(KMSG_OFFSET_FETCH_REQUEST, &request);
    request.groups = &asked;
    request.groups_count = 1;
    const struct offset_fetch_response *response = client_ask(client, node, API_OFFSET_FETCH, FETCH_OFFSETS_VERSION, &request);
    return response && response->groups_count == 1 ? &response->groups[0] : NULL;
}

/* ---- the partitions' answers --------------------------------------------------------------------------------------- */

static int32_t find_leader(struct client *client, const struct group_report_row *row)
{
    size_t count = 0;
    const struct client_node *nodes = client_nodes(client, &count);
    struct metadata_request_topics topic = {.name = row->topic};
    struct metadata_request request;
    codec_set_defaults(KMSG_METADATA_REQUEST, &request);
    request.topics = &topic;
    request.topics_count = 1;
    request.allow_auto_topic_creation = false;
    for (size_t n = 0; n < count; n++) {
        const struct metadata_response *response = client_ask(client, nodes[n].id, API_METADATA, METADATA_VERSION, &request);
        if (!response || response->topics_count != 1) continue;
        for (int32_t i = 0; i < response->topics[0].partitions_count; i++)
            if (response->topics[0].partitions[i].partition_index == row->partition) return response->topics[0].partitions[i].leader_id;
    }
    return -1;
}

static int64_t ask_end(struct client *client, const struct group_report_row *row, int32_t leader)
{
    struct list_offsets_request_partitions partition = {.partition_index = row->partition, .current_leader_epoch = -1, .timestamp = -1};
    struct list_offsets_request_topics topic = {.name = row->topic, .partitions = &partition, .partitions_count = 1};
    struct list_offsets_request request;
    codec_set_defaults(KMSG_LIST_OFFSETS_REQUEST, &request);
    request.replica_id = -1;
    request.topics = &topic;
    request.topics_count = 1;
    const struct list_offsets_response *response = client_ask(client, leader, API_LIST_OFFSETS, LIST_OFFSETS_VERSION, &request);
    if (!response || response->topics_count != 1 || response->topics[0].partitions[0].error_code) return REPORT_UNKNOWN;
    return response->topics[0].partitions[0].offset;
}

static int64_t timestamp_at(struct slice records, int64_t offset)
{
    struct record_batch batch;
    struct record_iterator it;
    struct record record;
    int64_t timestamp = REPORT_UNKNOWN;
    if (record_batch_parse(records, &batch)) return REPORT_UNKNOWN;
    enum err err = record_iterator_init(&it, &batch, BATCH_BYTES_MAX);
    while (!err && timestamp == REPORT_UNKNOWN && record_iterator_next(&it, &record))
        if (record.offset >= offset) timestamp = record.timestamp;
    record_iterator_deinit(&it);
    return timestamp;
}

/* How old is the first record that the group has not committed? */
static int64_t ask_lag_ms(struct client *client, const struct group_report_row *row, int32_t leader)
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
    const struct fetch_response *response = client_ask(client, leader, API_FETCH, FETCH_VERSION, &request);
    if (!response || response->responses_count != 1 || response->responses[0].partitions_count != 1) return REPORT_UNKNOWN;
    int64_t timestamp = timestamp_at(response->responses[0].partitions[0].records, row->committed);
    int64_t now_ms = env_wall_ms(client_env(client));
    return timestamp == REPORT_UNKNOWN ? REPORT_UNKNOWN : now_ms > timestamp ? now_ms - timestamp : 0;
}

static void measure(struct client *client, struct group_report_row *row, bool is_verbose)
{
    int32_t leader = find_leader(client, row);
    if (leader < 0) return;
    row->end = ask_end(client, row, leader);
    if (row->end == REPORT_UNKNOWN || row->committed == REPORT_UNKNOWN) return;
    if (row->committed >= row->end)
        row->lag_ms = 0;
    else if (is_verbose)
        row->lag_ms = ask_lag_ms(client, row, leader);
}

/* ---- putting it together ------------------------------------------------------------------------------------------- */

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

static struct group_report_row *row_of(struct group_report *report, struct slice topic, int32_t partition)
{
    for (size_t i = 0; i < report->row_count; i++)
        if (report->rows[i].partition == partition && slice_equal(report->rows[i].topic, topic)) return &report->rows[i];
    struct group_report_row *row = &report->rows[report->row_count++];
    *row = (struct group_report_row){
        .topic = topic, .partition = partition, .committed = REPORT_UNKNOWN, .end = REPORT_UNKNOWN, .lag_ms = REPORT_UNKNOWN};
    return row;
}

static void take_members(struct client *client, struct group_report *report, size_t *partitions)
{
    const struct describe_groups_response_groups *group = report->group;
    report->member_count = (size_t)group->members_count;
    report->members = arena_calloc(client_arena(client), report->member_count, sizeof *report->members);
    for (size_t i = 0; i < report->member_count; i++) {
        struct group_report_assignment *to = &report->members[i];
        to->member = &group->members[i];
        if (slice_equal_str(group->protocol_type, "consumer")) to->assignment = parse_assignment(client, to->member->member_assignment);
        for (int32_t t = 0; to->assignment && t < to->assignment->assigned_partitions_count; t++)
            *partitions += (size_t)to->assignment->assigned_partitions[t].partitions_count;
    }
}

static void add_owned(struct group_report *report, const struct group_report_assignment *from)
{
    for (int32_t t = 0; from->assignment && t < from->assignment->assigned_partitions_count; t++) {
        const struct consumer_protocol_assignment_assigned_partitions *of = &from->assignment->assigned_partitions[t];
        for (int32_t p = 0; p < of->partitions_count; p++) row_of(report, of->topic, of->partitions[p])->owner = from->member;
    }
}

static void take_rows(struct client *client, struct group_report *report, const struct offset_fetch_response_groups *offsets, size_t owned)
{
    size_t count = owned;
    for (int32_t t = 0; t < offsets->topics_count; t++) count += (size_t)offsets->topics[t].partitions_count;
    report->rows = arena_calloc(client_arena(client), count, sizeof *report->rows);
    for (int32_t t = 0; t < offsets->topics_count; t++)
        for (int32_t p = 0; p < offsets->topics[t].partitions_count; p++)
            row_of(report, offsets->topics[t].name, offsets->topics[t].partitions[p].partition_index)->committed =
                offsets->topics[t].partitions[p].committed_offset;
    for (size_t i = 0; i < report->member_count; i++) add_owned(report, &report->members[i]);
}

static int compare_rows(const void *a, const void *b)
{
    const struct group_report_row *x = a, *y = b;
    int topics = slice_compare(x->topic, y->topic);
    return topics ? topics : (x->partition > y->partition) - (x->partition < y->partition);
}

/* The error of the group; *is_answered says whether there is an answer at all. */
static int16_t ask_about(struct client *client, struct slice group, int32_t node, struct group_report *report,
                         const struct offset_fetch_response_groups **offsets)
{
    report->coordinator = node;
    report->group = describe(client, group, node);
    if (!report->group) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (report->group->error_code) return report->group->error_code;
    *offsets = fetch_offsets(client, group, node);
    if (!*offsets) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    return (*offsets)->error_code;
}

static int describe_group(struct client *client, struct slice group, bool is_verbose)
{
    struct group_report report = {0};
    const struct offset_fetch_response_groups *offsets = NULL;
    int16_t error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    size_t owned = 0;
    int32_t node = -1;
    for (int i = 0; i < TRIES && is_passing(error); i++) {
        if (i > 0) client_pause(client, TRY_PAUSE_MS);
        if (!find_coordinator(client, group, &node)) return complain(client_reason(client));
        error = ask_about(client, group, node, &report, &offsets);
    }
    if (error) {
        (void)fprintf(stderr, "skiff consumer-groups: %.*s: %s (%s)\n", (int)group.n, (const char *)group.p, kafka_error_message(error),
                      kafka_error_name(error));
        return 1;
    }
    take_members(client, &report, &owned);
    take_rows(client, &report, offsets, owned);
    if (report.row_count) qsort(report.rows, report.row_count, sizeof *report.rows, compare_rows);
    for (size_t i = 0; i < report.row_count; i++) measure(client, &report.rows[i], is_verbose);
    group_report_print(&report, is_verbose);
    return 0;
}

/* Every group of every coordinator; false: one did not answer. */
static bool each_group(struct client *client, bool (*fn)(struct client *client, struct slice group, const struct options *options),
                       const struct options *options)
{
    size_t count = 0;
    bool is_fine = true;
    const struct client_node *nodes = client_nodes(client, &count);
    struct list_groups_request request = {0};
    for (size_t n = 0; n < count; n++) {
        const struct list_groups_response *response = NULL;
        for (int i = 0; i < TRIES && (!response || is_passing(response->error_code)); i++) {
            if (i > 0) client_pause(client, TRY_PAUSE_MS);
            response = client_ask(client, nodes[n].id, API_LIST_GROUPS, LIST_VERSION, &request);
            if (!response) break;
        }
        is_fine &= response && !response->error_code;
        for (int32_t g = 0; response && g < response->groups_count; g++) is_fine &= fn(client, response->groups[g].group_id, options);
    }
    return is_fine;
}

static bool print_name(struct client *client, struct slice group, const struct options *options)
{
    (void)client, (void)options;
    (void)printf("%.*s\n", (int)group.n, (const char *)group.p);
    return true;
}

static bool print_group(struct client *client, struct slice group, const struct options *options)
{
    (void)printf("\n");
    return describe_group(client, group, options->is_verbose) == 0;
}

/* ---- arguments ----------------------------------------------------------------------------------------------------- */

static bool parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(name, "--list") == 0)
            options->is_list = true;
        else if (strcmp(name, "--describe") == 0)
            options->is_describe = true;
        else if (strcmp(name, "--verbose") == 0)
            options->is_verbose = true;
        else if (strcmp(name, "--all-groups") == 0)
            options->is_all = true;
        else if (strcmp(name, "--bootstrap-server") == 0 && value)
            options->bootstrap = argv[++i];
        else if (strcmp(name, "--group") == 0 && value)
            options->group = argv[++i];
        else
            return false;
    }
    return options->is_list != options->is_describe && (options->is_list || options->is_all != (options->group != NULL));
}

int command_consumer_groups(int argc, char **argv)
{
    struct options options = {.bootstrap = "localhost:9092"};
    const char *reason = NULL;
    if (!parse(argc, argv, &options)) {
        (void)fprintf(stderr,
                      "usage: skiff consumer-groups [--bootstrap-server HOST:PORT,...] --list\n"
                      "       skiff consumer-groups [--bootstrap-server HOST:PORT,...] --describe --group NAME|--all-groups [--verbose]\n"
                      "Offsets are reset and groups deleted with Kafka's own kafka-consumer-groups.\n");
        return 2;
    }
    struct client *client = client_create(options.bootstrap, &reason);
    if (!client) return complain(reason);
    int status = 0;
    if (options.group)
        status = describe_group(client, slice_str(options.group), options.is_verbose);
    else if (!each_group(client, options.is_list ? print_name : print_group, &options))
        status = complain(*client_reason(client) ? client_reason(client) : "not every broker could say which groups it coordinates");
    client_destroy(client);
    return status;
}
