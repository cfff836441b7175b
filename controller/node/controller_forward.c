/* Clients' admin requests, forwarded by their brokers: a Kafka request body comes in, a Kafka response body goes out. */
#include "common/assert.h"
#include "controller/metadata/config_control.h"
#include "controller/metadata/topic_control.h"
#include "controller/node/controller_internal.h"
#include "proto/api.h"
#include "proto/codec.h"
#include "proto/pb.h"

#include <stdlib.h>

/* The operation's message: the forwarding and what is in it. */
struct forwarded {
    const Skiff__ForwardRequest *request;
    void *kafka; /* struct of the API's request */
};

/* ---- answers --------------------------------------------------------------------------------------------------------- */

static void answer(struct operation *operation, const void *response)
{
    const struct forwarded *forwarded = operation->message;
    Skiff__Outcome outcome;
    Skiff__ForwardResponse wrapped;
    skiff__outcome__init(&outcome);
    skiff__forward_response__init(&wrapped);
    wrapped.outcome = &outcome;
    struct writer body;
    writer_init(&body, 256);
    int16_t key = (int16_t)forwarded->request->api_key;
    if (codec_encode(api_response(key), (int16_t)forwarded->request->api_version, response, &body) != ERR_OK)
        outcome.error_code = KAFKA_UNKNOWN_SERVER_ERROR;
    wrapped.body = pb_lend_bytes(writer_slice(&body));
    operation->answer = pb_pack(&wrapped.base);
    writer_deinit(&body);
}

static void *kafka_request(struct operation *operation) { return ((struct forwarded *)operation->message)->kafka; }

/* ---- topics ---------------------------------------------------------------------------------------------------------- */

static void lock_created_topics(struct operation *operation)
{
    const struct create_topics_request *request = kafka_request(operation);
    operation_lock_brokers(operation, LOCK_SHARED);
    for (int32_t i = 0; i < request->topics_count; i++) operation_lock_topic(operation, request->topics[i].name);
}

static void decide_create_topics(struct operation *operation)
{
    struct control control = operation_control(operation);
    struct create_topics_response response;
    codec_set_defaults(KMSG_CREATE_TOPICS_RESPONSE, &response);
    topic_create(&control, kafka_request(operation), &response);
    answer(operation, &response);
}

static void lock_deleted_topics(struct operation *operation)
{
    const struct delete_topics_request *request = kafka_request(operation);
    for (int32_t i = 0; i < request->topic_names_count; i++) operation_lock_topic(operation, request->topic_names[i]);
    for (int32_t i = 0; i < request->topics_count; i++) {
        struct uuid id = request->topics[i].topic_id;
        if (slice_is_null(request->topics[i].name))
            operation_lock_topic_id(operation, pb_uuid_data(&id));
        else
            operation_lock_topic(operation, request->topics[i].name);
    }
    /* Fencing goes through all topics. */
    operation_lock_brokers(operation, LOCK_SHARED);
}

static void decide_delete_topics(struct operation *operation)
{
    const struct forwarded *forwarded = operation->message;
    struct control control = operation_control(operation);
    struct delete_topics_response response;
    codec_set_defaults(KMSG_DELETE_TOPICS_RESPONSE, &response);
    topic_delete(&control, (int16_t)forwarded->request->api_version, forwarded->kafka, &response);
    answer(operation, &response);
}

static void lock_grown_topics(struct operation *operation)
{
    const struct create_partitions_request *request = kafka_request(operation);
    operation_lock_brokers(operation, LOCK_SHARED);
    for (int32_t i = 0; i < request->topics_count; i++) operation_lock_topic(operation, request->topics[i].name);
}

static void decide_create_partitions(struct operation *operation)
{
    struct control control = operation_control(operation);
    struct create_partitions_response response;
    codec_set_defaults(KMSG_CREATE_PARTITIONS_RESPONSE, &response);
    topic_create_partitions(&control, kafka_request(operation), &response);
    answer(operation, &response);
}

/* ---- configs --------------------------------------------------------------------------------------------------------- */

/* A default of all brokers may change every topic's min.insync.replicas. */
static void lock_resource(struct operation *operation, int8_t type, struct slice name)
{
    if (type == CONFIG_RESOURCE_TOPIC)
        operation_lock_topic(operation, name);
    else
        operation_lock_brokers(operation, LOCK_EXCLUSIVE);
}

static void lock_incremental(struct operation *operation)
{
    const struct incremental_alter_configs_request *request = kafka_request(operation);
    bool is_of_brokers = false;
    for (int32_t i = 0; i < request->resources_count; i++) {
        lock_resource(operation, request->resources[i].resource_type, request->resources[i].resource_name);
        is_of_brokers |= request->resources[i].resource_type != CONFIG_RESOURCE_TOPIC;
    }
    if (!is_of_brokers) operation_lock_brokers(operation, LOCK_SHARED);
}

static void decide_incremental(struct operation *operation)
{
    struct control control = operation_control(operation);
    struct incremental_alter_configs_response response;
    codec_set_defaults(KMSG_INCREMENTAL_ALTER_CONFIGS_RESPONSE, &response);
    config_incremental_alter(&control, kafka_request(operation), &response);
    answer(operation, &response);
}

static void lock_altered_configs(struct operation *operation)
{
    const struct alter_configs_request *request = kafka_request(operation);
    bool is_of_brokers = false;
    for (int32_t i = 0; i < request->resources_count; i++) {
        lock_resource(operation, request->resources[i].resource_type, request->resources[i].resource_name);
        is_of_brokers |= request->resources[i].resource_type != CONFIG_RESOURCE_TOPIC;
    }
    if (!is_of_brokers) operation_lock_brokers(operation, LOCK_SHARED);
}

static void decide_alter_configs(struct operation *operation)
{
    struct control control = operation_control(operation);
    struct alter_configs_response response;
    codec_set_defaults(KMSG_ALTER_CONFIGS_RESPONSE, &response);
    config_alter(&control, kafka_request(operation), &response);
    answer(operation, &response);
}

/* ---- DescribeQuorum -------------------------------------------------------------------------------------------------- */

static void lock_nothing(struct operation *operation) { (void)operation; }

/* From version 2 on the answer has directories and addresses; before, one that has them cannot be written. */
#define ADDRESSES_FROM 2
static bool has_addresses(const struct operation *operation)
{
    const struct forwarded *forwarded = operation->message;
    return forwarded->request->api_version >= ADDRESSES_FROM;
}

static void describe_replica(const struct controller_node *node, const struct raft_peer_status *peer, bool has_directory,
                             struct describe_quorum_response_replica_state *state)
{
    int64_t wall_ms = env_wall_ms(node->env), now_us = env_now_us(node->env);
    state->replica_id = peer->member.id;
    if (has_directory) state->replica_directory_id = peer->member.directory_id;
    state->log_end_offset = peer->match_index + 1;
    /* Monotonic times become the leader's wall clock. */
    state->last_fetch_timestamp = peer->last_contact_us == INT64_MIN ? -1 : wall_ms - (now_us - peer->last_contact_us) / 1000;
    state->last_caught_up_timestamp = peer->last_caught_up_us == INT64_MIN ? -1 : wall_ms - (now_us - peer->last_caught_up_us) / 1000;
}

static int compare_peers(const void *a, const void *b)
{
    const struct raft_peer_status *x = a, *y = b;
    return (x->member.id > y->member.id) - (x->member.id < y->member.id);
}

static void describe_replicas(struct operation *operation, struct describe_quorum_response_partitions *partition)
{
    const struct controller_node *node = operation->controller;
    size_t count = raft_node_peers_status(node->raft, NULL, 0);
    struct raft_peer_status *peers = arena_calloc(&operation->arena, count, sizeof *peers);
    count = raft_node_peers_status(node->raft, peers, count);
    qsort(peers, count, sizeof *peers, compare_peers);
    partition->current_voters = arena_calloc(&operation->arena, count, sizeof *partition->current_voters);
    partition->observers = arena_calloc(&operation->arena, count, sizeof *partition->observers);
    for (size_t i = 0; i < count; i++) {
        if (peers[i].is_voter)
            describe_replica(node, &peers[i], has_addresses(operation), &partition->current_voters[partition->current_voters_count++]);
        else
            describe_replica(node, &peers[i], has_addresses(operation), &partition->observers[partition->observers_count++]);
    }
}

static void describe_nodes(struct operation *operation, struct describe_quorum_response *response)
{
    const struct controller_node_config *config = &operation->controller->config;
    response->nodes_count = (int32_t)config->raft.voter_count;
    response->nodes = arena_calloc(&operation->arena, config->raft.voter_count, sizeof *response->nodes);
    struct describe_quorum_response_listeners *listeners = arena_calloc(&operation->arena, config->raft.voter_count, sizeof *listeners);
    for (uint32_t i = 0; i < config->raft.voter_count; i++) {
        const struct raft_node_voter *voter = &config->raft.voters[i];
        listeners[i].name = slice_str(config->listener_name);
        listeners[i].host = slice_str(voter->host);
        listeners[i].port = voter->port;
        response->nodes[i].node_id = voter->id;
        response->nodes[i].listeners = &listeners[i];
        response->nodes[i].listeners_count = 1;
    }
}

static void describe_partition(struct operation *operation, const struct slice *topic, int32_t index,
                               struct describe_quorum_response_partitions *partition)
{
    struct raft_status status;
    partition->partition_index = index;
    partition->leader_id = partition->leader_epoch = -1;
    if (!slice_equal_str(*topic, "__cluster_metadata") || index != 0) {
        partition->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    raft_node_status(operation->controller->raft, &status);
    partition->leader_id = status.leader.id;
    partition->leader_epoch = (int32_t)status.term;
    partition->high_watermark = status.commit_index + 1;
    describe_replicas(operation, partition);
}

static void decide_describe_quorum(struct operation *operation)
{
    const struct describe_quorum_request *request = kafka_request(operation);
    struct describe_quorum_response response;
    codec_set_defaults(KMSG_DESCRIBE_QUORUM_RESPONSE, &response);
    response.topics_count = request->topics_count;
    response.topics = arena_calloc(&operation->arena, (size_t)request->topics_count, sizeof *response.topics);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct describe_quorum_request_topics *topic = &request->topics[t];
        struct describe_quorum_response_topics *result = &response.topics[t];
        result->topic_name = topic->topic_name;
        result->partitions_count = topic->partitions_count;
        result->partitions = arena_calloc(&operation->arena, (size_t)topic->partitions_count, sizeof *result->partitions);
        for (int32_t p = 0; p < topic->partitions_count; p++)
            describe_partition(operation, &topic->topic_name, topic->partitions[p].partition_index, &result->partitions[p]);
    }
    if (has_addresses(operation)) describe_nodes(operation, &response);
    answer(operation, &response);
}

/* ---- dispatch -------------------------------------------------------------------------------------------------------- */

struct forward_api {
    int16_t key;
    struct operation_kind kind;
};

/* Whoever changed metadata may go on at any broker: answers wait for all of them. */
static const struct forward_api APIS[] = {
    {API_CREATE_TOPICS, {"create topics", lock_created_topics, decide_create_topics, NULL, true}},
    {API_DELETE_TOPICS, {"delete topics", lock_deleted_topics, decide_delete_topics, NULL, true}},
    {API_CREATE_PARTITIONS, {"create partitions", lock_grown_topics, decide_create_partitions, NULL, true}},
    {API_INCREMENTAL_ALTER_CONFIGS, {"alter configs", lock_incremental, decide_incremental, NULL, true}},
    {API_ALTER_CONFIGS, {"alter configs", lock_altered_configs, decide_alter_configs, NULL, true}},
    {API_DESCRIBE_QUORUM, {"describe quorum", lock_nothing, decide_describe_quorum, NULL, false}},
};

static const struct forward_api *find(const Skiff__ForwardRequest *request)
{
    for (size_t i = 0; i < sizeof APIS / sizeof *APIS; i++)
        if (APIS[i].key == request->api_key) return &APIS[i];
    return NULL;
}

static void refuse(struct operation *operation, enum kafka_error error, const char *message)
{
    struct request *request = operation->request;
    struct controller_node *node = operation->controller;
    operation_forget(operation);
    controller_refuse(node, request, error, message);
}

void controller_on_forward(struct operation *operation)
{
    const Skiff__ForwardRequest *request = operation->message;
    const struct forward_api *api = find(request);
    if (!api || request->api_version < INT16_MIN || request->api_version > INT16_MAX ||
        !api_has_version(api->key, (int16_t)request->api_version)) {
        refuse(operation, KAFKA_UNSUPPORTED_VERSION, "the controller does not serve this request");
        return;
    }
    enum kmsg kmsg = api_request(api->key);
    struct forwarded *forwarded = arena_alloc(&operation->arena, sizeof *forwarded);
    forwarded->request = request;
    forwarded->kafka = arena_alloc(&operation->arena, codec_struct_size(kmsg));
    operation->message = forwarded;
    operation->kind = &api->kind;
    /* The strangest request may not take more memory than its bytes pay for. */
    operation->arena.cap = operation->arena.used + codec_decode_budget(request->body.len);
    enum err err = codec_decode_exact(kmsg, (int16_t)request->api_version, pb_slice(request->body), &operation->arena, forwarded->kafka);
    operation->arena.cap = SIZE_MAX;
    if (err != ERR_OK) {
        refuse(operation, KAFKA_INVALID_REQUEST, "the forwarded request cannot be read");
        return;
    }
    operation_submit(operation);
}
