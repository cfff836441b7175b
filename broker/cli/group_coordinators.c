/* Questions to coordinators (group_questions.h). */
#include "broker/cli/group_questions.h"
#include "common/assert.h"
#include "proto/api.h"
#include "proto/codec.h"
#include "proto/errors.h"

#include <stdlib.h>

#define FIND_VERSION           3
#define LIST_VERSION           5
#define DESCRIBE_VERSION       6
#define FETCH_OFFSETS_VERSION  9
#define COMMIT_VERSION         9
#define DELETE_VERSION         2
#define DELETE_OFFSETS_VERSION 0

/* A question to the coordinator of a group: its request, and what to do with the answer. The result is the error of the group. */
struct group_question {
    int16_t api_key, version;
    const void *request;
    int16_t (*take)(void *context, const void *response);
    void *context;
};

static bool is_passing(int16_t error)
{
    return error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || error == KAFKA_COORDINATOR_NOT_AVAILABLE || error == KAFKA_NOT_COORDINATOR;
}

static bool find_coordinator(struct client *client, struct slice group, int try_number, int32_t *coordinator)
{
    size_t count = 0;
    const struct client_node *nodes = client_nodes(client, &count);
    struct find_coordinator_request request;
    codec_set_defaults(KMSG_FIND_COORDINATOR_REQUEST, &request);
    request.key = group;
    if (count == 0) return false;
    const struct find_coordinator_response *response =
        client_ask(client, nodes[(size_t)try_number % count].id, API_FIND_COORDINATOR, FIND_VERSION, &request);
    if (response && response->error_code)
        client_complain(client, "nobody coordinates the group: %s", kafka_error_message(response->error_code));
    if (!response || response->error_code) return false;
    *coordinator = response->node_id;
    return true;
}

static int16_t ask_coordinator(struct client *client, struct slice group, const struct group_question *question, int32_t *coordinator)
{
    int64_t began_us = client_now_us(client);
    int16_t error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    for (int i = 0; is_passing(error) && (i == 0 || client_may_try_again(client, began_us)); i++) {
        if (!find_coordinator(client, group, i, coordinator)) continue;
        const void *response = client_ask(client, *coordinator, question->api_key, question->version, question->request);
        error = KAFKA_COORDINATOR_NOT_AVAILABLE;
        if (response) error = question->take(question->context, response);
    }
    return error;
}

/* ---- which groups there are ---------------------------------------------------------------------------------------- */

static int compare_listings(const void *a, const void *b)
{
    return slice_compare(((const struct group_listing *)a)->group, ((const struct group_listing *)b)->group);
}

static const struct list_groups_response *ask_groups(struct client *client, int32_t node)
{
    struct list_groups_request request = {0};
    int64_t began_us = client_now_us(client);
    const struct list_groups_response *response = client_ask(client, node, API_LIST_GROUPS, LIST_VERSION, &request);
    while (response && is_passing(response->error_code) && client_may_try_again(client, began_us))
        response = client_ask(client, node, API_LIST_GROUPS, LIST_VERSION, &request);
    if (response && response->error_code) client_complain(client, "broker %d: %s", node, kafka_error_message(response->error_code));
    return response && !response->error_code ? response : NULL;
}

static void add_listings(struct client *client, const struct list_groups_response *response, struct group_listing **listings, size_t *count)
{
    size_t added = (size_t)response->groups_count;
    struct group_listing *all = arena_calloc(client_arena(client), *count + added, sizeof *all);
    if (*count) memcpy(all, *listings, *count * sizeof *all);
    for (size_t i = 0; i < added; i++) {
        const struct list_groups_response_groups *of = &response->groups[i];
        all[*count + i] = (struct group_listing){of->group_id, of->protocol_type, of->group_state, of->group_type};
    }
    *listings = all;
    *count += added;
}

bool group_list(struct client *client, struct group_listing **listings, size_t *count)
{
    size_t node_count = 0;
    const struct client_node *nodes = client_nodes(client, &node_count);
    bool is_whole = true;
    *count = 0;
    for (size_t n = 0; n < node_count; n++) {
        const struct list_groups_response *response = ask_groups(client, nodes[n].id);
        is_whole &= response != NULL;
        if (response) add_listings(client, response, listings, count);
    }
    if (*count) qsort(*listings, *count, sizeof **listings, compare_listings);
    return is_whole;
}

/* ---- one group ----------------------------------------------------------------------------------------------------- */

static int16_t take_description(void *context, const void *response)
{
    const struct describe_groups_response *described = response;
    if (described->groups_count != 1) return KAFKA_UNKNOWN_SERVER_ERROR;
    *(const struct describe_groups_response_groups **)context = &described->groups[0];
    return described->groups[0].error_code;
}

int16_t group_describe(struct client *client, struct slice group, const struct describe_groups_response_groups **answer,
                       int32_t *coordinator)
{
    struct describe_groups_request request;
    struct group_question question = {API_DESCRIBE_GROUPS, DESCRIBE_VERSION, &request, take_description, answer};
    codec_set_defaults(KMSG_DESCRIBE_GROUPS_REQUEST, &request);
    request.groups = &group;
    request.groups_count = 1;
    request.include_rebalance_reasons = true;
    int16_t error = ask_coordinator(client, group, &question, coordinator);
    if (error) return error;
    ASSERT(*answer != NULL);
    return slice_equal_str((*answer)->group_state, "Dead") ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_NONE;
}

static int16_t take_offsets(void *context, const void *response)
{
    const struct offset_fetch_response *fetched = response;
    if (fetched->groups_count != 1) return KAFKA_UNKNOWN_SERVER_ERROR;
    if (fetched->groups[0].error_code) return fetched->groups[0].error_code;
    for (int32_t t = 0; t < fetched->groups[0].topics_count; t++) {
        const struct offset_fetch_response_groups_topics *of = &fetched->groups[0].topics[t];
        for (int32_t p = 0; p < of->partitions_count; p++)
            if (of->partitions[p].committed_offset >= 0)
                group_rows_add(context, of->name, of->partitions[p].partition_index)->committed = of->partitions[p].committed_offset;
    }
    return KAFKA_NONE;
}

int16_t group_fetch_offsets(struct client *client, struct slice group, struct group_rows *rows)
{
    struct offset_fetch_request request;
    struct offset_fetch_request_groups asked = {.group_id = group, .member_epoch = -1, .topics_count = -1};
    struct group_question question = {API_OFFSET_FETCH, FETCH_OFFSETS_VERSION, &request, take_offsets, rows};
    int32_t coordinator = -1;
    codec_set_defaults(KMSG_OFFSET_FETCH_REQUEST, &request);
    request.groups = &asked;
    request.groups_count = 1;
    return ask_coordinator(client, group, &question, &coordinator);
}

/* ---- changing it --------------------------------------------------------------------------------------------------- */

/* A coordinator that moves says so of each partition. */
static int16_t take_commit(void *context, const void *response)
{
    const struct offset_commit_response *committed = response;
    int16_t first = KAFKA_NONE;
    for (int32_t t = 0; t < committed->topics_count; t++)
        for (int32_t p = 0; p < committed->topics[t].partitions_count; p++) {
            int16_t error = committed->topics[t].partitions[p].error_code;
            struct group_row *row = group_rows_find(context, committed->topics[t].name, committed->topics[t].partitions[p].partition_index);
            if (row) row->error = error;
            if (!first) first = error;
        }
    return first;
}

int16_t group_commit(struct client *client, struct slice group, struct group_rows *rows)
{
    struct arena *arena = client_arena(client);
    struct offset_commit_request request;
    struct group_question question = {API_OFFSET_COMMIT, COMMIT_VERSION, &request, take_commit, rows};
    int32_t coordinator = -1;
    codec_set_defaults(KMSG_OFFSET_COMMIT_REQUEST, &request);
    request.group_id = group;
    request.topics = CODEC_NEW(arena, offset_commit_request_topics, group_rows_topic_count(rows));
    for (size_t i = 0, end = 0; i < rows->count; i = end) {
        end = group_rows_topic_end(rows, i);
        struct offset_commit_request_topics *topic = &request.topics[request.topics_count++];
        topic->name = rows->at[i].topic;
        topic->partitions = CODEC_NEW(arena, offset_commit_request_partitions, end - i);
        for (size_t k = i; k < end; k++) {
            struct offset_commit_request_partitions *partition = &topic->partitions[topic->partitions_count++];
            partition->partition_index = rows->at[k].partition;
            partition->committed_offset = rows->at[k].target;
            partition->committed_metadata = SLICE_LITERAL("");
        }
    }
    return ask_coordinator(client, group, &question, &coordinator);
}

static int16_t take_deletion(void *context, const void *response)
{
    const struct delete_groups_response *deleted = response;
    (void)context;
    if (deleted->results_count != 1) return KAFKA_UNKNOWN_SERVER_ERROR;
    return deleted->results[0].error_code;
}

int16_t group_delete(struct client *client, struct slice group)
{
    struct delete_groups_request request = {.groups_names = &group, .groups_names_count = 1};
    struct group_question question = {API_DELETE_GROUPS, DELETE_VERSION, &request, take_deletion, NULL};
    const struct describe_groups_response_groups *before = NULL;
    int32_t coordinator = -1;
    int16_t error = group_describe(client, group, &before, &coordinator);
    if (error) return error;
    error = ask_coordinator(client, group, &question, &coordinator);
    /* A coordinator that moves says so of a deletion that was committed, too; the next one finds nothing to delete. */
    if (error == KAFKA_GROUP_ID_NOT_FOUND) return KAFKA_NONE;
    return error;
}

static int16_t take_deleted_offsets(void *context, const void *response)
{
    const struct offset_delete_response *deleted = response;
    for (int32_t t = 0; t < deleted->topics_count; t++)
        for (int32_t p = 0; p < deleted->topics[t].partitions_count; p++) {
            struct group_row *row = group_rows_find(context, deleted->topics[t].name, deleted->topics[t].partitions[p].partition_index);
            if (row) row->error = deleted->topics[t].partitions[p].error_code;
        }
    return deleted->error_code;
}

int16_t group_delete_offsets(struct client *client, struct slice group, struct group_rows *rows)
{
    struct arena *arena = client_arena(client);
    struct offset_delete_request request;
    struct group_question question = {API_OFFSET_DELETE, DELETE_OFFSETS_VERSION, &request, take_deleted_offsets, rows};
    int32_t coordinator = -1;
    codec_set_defaults(KMSG_OFFSET_DELETE_REQUEST, &request);
    request.group_id = group;
    request.topics = CODEC_NEW(arena, offset_delete_request_topics, group_rows_topic_count(rows));
    for (size_t i = 0, end = 0; i < rows->count; i = end) {
        end = group_rows_topic_end(rows, i);
        struct offset_delete_request_topics *topic = &request.topics[request.topics_count++];
        topic->name = rows->at[i].topic;
        topic->partitions = CODEC_NEW(arena, offset_delete_request_partitions, end - i);
        for (size_t k = i; k < end; k++) topic->partitions[topic->partitions_count++].partition_index = rows->at[k].partition;
    }
    return ask_coordinator(client, group, &question, &coordinator);
}
