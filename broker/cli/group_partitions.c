/* Questions about partitions (group_questions.h). */
#include "broker/cli/group_questions.h"
#include "proto/api.h"
#include "proto/codec.h"
#include "proto/errors.h"

#define METADATA_VERSION     9
#define LIST_OFFSETS_VERSION 6

/* The first node that answers is as good as any. */
static const struct metadata_response *ask_topics(struct client *client, struct metadata_request_topics *topics, size_t count)
{
    size_t node_count = 0;
    const struct client_node *nodes = client_nodes(client, &node_count);
    struct metadata_request request;
    const struct metadata_response *response = NULL;
    codec_set_defaults(KMSG_METADATA_REQUEST, &request);
    request.topics = topics;
    request.topics_count = (int32_t)count;
    request.allow_auto_topic_creation = false;
    for (size_t n = 0; n < node_count && !response; n++)
        response = client_ask(client, nodes[n].id, API_METADATA, METADATA_VERSION, &request);
    return response;
}

int16_t group_add_scope(struct client *client, const struct group_scope *scope, struct group_rows *rows)
{
    struct metadata_request_topics asked = {.name = scope->topic};
    for (size_t i = 0; i < scope->count; i++) group_rows_add(rows, scope->topic, scope->partitions[i]);
    if (scope->count) return KAFKA_NONE;
    const struct metadata_response *response = ask_topics(client, &asked, 1);
    if (!response) return KAFKA_REQUEST_TIMED_OUT;
    if (response->topics_count != 1) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (response->topics[0].error_code) return response->topics[0].error_code;
    for (int32_t p = 0; p < response->topics[0].partitions_count; p++)
        group_rows_add(rows, scope->topic, response->topics[0].partitions[p].partition_index);
    return KAFKA_NONE;
}

int16_t group_find_leaders(struct client *client, struct group_rows *rows)
{
    size_t count = 0;
    struct metadata_request_topics *asked = CODEC_NEW(client_arena(client), metadata_request_topics, group_rows_topic_count(rows));
    for (size_t i = 0; i < rows->count; i = group_rows_topic_end(rows, i)) asked[count++].name = rows->at[i].topic;
    for (size_t i = 0; i < rows->count; i++) rows->at[i].leader = LEADER_ABSENT;
    const struct metadata_response *response = count ? ask_topics(client, asked, count) : NULL;
    if (!response) return count ? KAFKA_REQUEST_TIMED_OUT : KAFKA_NONE;
    for (int32_t t = 0; t < response->topics_count; t++)
        for (int32_t p = 0; p < response->topics[t].partitions_count; p++) {
            const struct metadata_response_partitions *of = &response->topics[t].partitions[p];
            struct group_row *row = group_rows_find(rows, response->topics[t].name, of->partition_index);
            if (row) row->leader = of->leader_id >= 0 ? of->leader_id : LEADER_NONE;
        }
    return KAFKA_NONE;
}

/* ---- offsets ------------------------------------------------------------------------------------------------------- */

/* Partitions of one topic that this leader was not asked about, or could not answer. */
static void add_questions(struct list_offsets_request *request, struct arena *arena, const struct group_row *rows, size_t count,
                          int32_t leader, int64_t timestamp)
{
    struct list_offsets_request_topics *topic = NULL;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].leader != leader || !rows[i].error) continue;
        if (!topic) {
            topic = &request->topics[request->topics_count++];
            topic->name = rows[i].topic;
            topic->partitions = CODEC_NEW(arena, list_offsets_request_partitions, count);
        }
        struct list_offsets_request_partitions *partition = &topic->partitions[topic->partitions_count++];
        partition->partition_index = rows[i].partition;
        partition->timestamp = timestamp;
    }
}

static void take_answers(struct group_rows *rows, const struct list_offsets_response *response)
{
    for (int32_t t = 0; t < response->topics_count; t++)
        for (int32_t p = 0; p < response->topics[t].partitions_count; p++) {
            const struct list_offsets_response_partitions *of = &response->topics[t].partitions[p];
            struct group_row *row = group_rows_find(rows, response->topics[t].name, of->partition_index);
            if (!row) continue;
            row->error = of->error_code;
            row->found = of->error_code ? ROW_UNKNOWN : of->offset;
        }
}

static void ask_leader(struct client *client, struct group_rows *rows, int32_t leader, int64_t timestamp)
{
    struct arena *arena = client_arena(client);
    struct list_offsets_request request;
    codec_set_defaults(KMSG_LIST_OFFSETS_REQUEST, &request);
    request.replica_id = -1;
    request.topics = CODEC_NEW(arena, list_offsets_request_topics, group_rows_topic_count(rows));
    for (size_t i = 0, end = 0; i < rows->count; i = end) {
        end = group_rows_topic_end(rows, i);
        add_questions(&request, arena, &rows->at[i], end - i, leader, timestamp);
    }
    if (request.topics_count == 0) return;
    const struct list_offsets_response *response = client_ask(client, leader, API_LIST_OFFSETS, LIST_OFFSETS_VERSION, &request);
    if (response) take_answers(rows, response);
}

int16_t group_ask_offsets(struct client *client, struct group_rows *rows, int64_t timestamp)
{
    size_t node_count = 0;
    const struct client_node *nodes = client_nodes(client, &node_count);
    int64_t began_us = client_now_us(client);
    int16_t error = KAFKA_NONE;
    for (size_t i = 0; i < rows->count; i++) {
        rows->at[i].found = ROW_UNKNOWN;
        rows->at[i].error = KAFKA_NONE;
        if (rows->at[i].leader >= 0) rows->at[i].error = KAFKA_REQUEST_TIMED_OUT;
    }
    do {
        error = KAFKA_NONE;
        for (size_t n = 0; n < node_count; n++) ask_leader(client, rows, nodes[n].id, timestamp);
        for (size_t i = 0; i < rows->count && !error; i++) error = rows->at[i].error;
    } while (kafka_error_is_retriable(error) && client_may_try_again(client, began_us) && !group_find_leaders(client, rows));
    return error;
}
