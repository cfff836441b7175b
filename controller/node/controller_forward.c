/* Clients' admin requests, forwarded by their brokers: a Kafka request body comes in, a Kafka response body goes out. */
#include "common/assert.h"
#include "controller/metadata/config_control.h"
#include "controller/metadata/feature_control.h"
#include "controller/metadata/quota_control.h"
#include "controller/metadata/reassign_control.h"
#include "controller/metadata/topic_control.h"
#include "controller/node/controller_internal.h"
#include "proto/api.h"
#include "proto/codec.h"
#include "proto/pb.h"

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

/* ---- quotas of partitions -------------------------------------------------------------------------------------------- */

/* Before these versions clients do not know THROTTLING_QUOTA_EXCEEDED: their requests pass, and they wait afterwards (KIP-599). */
static bool is_strict(const Skiff__ForwardRequest *request)
{
    int32_t from = request->api_key == API_CREATE_TOPICS ? 6 : request->api_key == API_DELETE_TOPICS ? 5 : 3;
    return request->api_version >= from;
}

static struct quota_mutation mutation_of(const struct operation *operation)
{
    const struct forwarded *forwarded = operation->message;
    const Skiff__ForwardRequest *request = forwarded->request;
    return (struct quota_mutation){.quotas = &operation->controller->quotas,
                                   .user = quota_user(request->principal),
                                   .client_id = slice_str(request->client_id),
                                   .now_us = env_now_us(operation->controller->env),
                                   .is_strict = is_strict(request)};
}

static int32_t throttle_ms(const struct quota_mutation *mutation) { return (int32_t)((mutation->wait_us + 999) / 1000); }

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
    struct quota_mutation mutation = mutation_of(operation);
    struct create_topics_response response;
    codec_set_defaults(KMSG_CREATE_TOPICS_RESPONSE, &response);
    control.mutation = &mutation;
    topic_create(&control, kafka_request(operation), &response);
    response.throttle_time_ms = throttle_ms(&mutation);
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
    struct quota_mutation mutation = mutation_of(operation);
    struct delete_topics_response response;
    codec_set_defaults(KMSG_DELETE_TOPICS_RESPONSE, &response);
    control.mutation = &mutation;
    topic_delete(&control, (int16_t)forwarded->request->api_version, forwarded->kafka, &response);
    response.throttle_time_ms = throttle_ms(&mutation);
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
    struct quota_mutation mutation = mutation_of(operation);
    struct create_partitions_response response;
    codec_set_defaults(KMSG_CREATE_PARTITIONS_RESPONSE, &response);
    control.mutation = &mutation;
    topic_create_partitions(&control, kafka_request(operation), &response);
    response.throttle_time_ms = throttle_ms(&mutation);
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

/* ---- replicas and leaders -------------------------------------------------------------------------------------------- */

static void lock_all_brokers(struct operation *operation) { operation_lock_brokers(operation, LOCK_EXCLUSIVE); }

static void lock_reassigned(struct operation *operation)
{
    const struct alter_partition_reassignments_request *request = kafka_request(operation);
    operation_lock_brokers(operation, LOCK_SHARED);
    for (int32_t i = 0; i < request->topics_count; i++) operation_lock_topic(operation, request->topics[i].name);
}

static void decide_reassign(struct operation *operation)
{
    struct control control = operation_control(operation);
    struct alter_partition_reassignments_response response;
    codec_set_defaults(KMSG_ALTER_PARTITION_REASSIGNMENTS_RESPONSE, &response);
    reassign_partitions(&control, kafka_request(operation), &response);
    answer(operation, &response);
}

/* All partitions: whoever else reads or writes one holds the brokers. */
static void lock_elected(struct operation *operation)
{
    const struct elect_leaders_request *request = kafka_request(operation);
    operation_lock_brokers(operation, request->topic_partitions_count < 0 ? LOCK_EXCLUSIVE : LOCK_SHARED);
    for (int32_t i = 0; i < request->topic_partitions_count; i++) operation_lock_topic(operation, request->topic_partitions[i].topic);
}

static void decide_elect(struct operation *operation)
{
    struct control control = operation_control(operation);
    struct elect_leaders_response response;
    codec_set_defaults(KMSG_ELECT_LEADERS_RESPONSE, &response);
    elect_leaders(&control, kafka_request(operation), &response);
    if (((const struct forwarded *)operation->message)->request->api_version == 0) response.error_code = 0; /* it has none */
    answer(operation, &response);
}

/* ---- the cluster ----------------------------------------------------------------------------------------------------- */

static void decide_unregister(struct operation *operation)
{
    const struct unregister_broker_request *request = kafka_request(operation);
    struct control control = operation_control(operation);
    struct unregister_broker_response response;
    codec_set_defaults(KMSG_UNREGISTER_BROKER_RESPONSE, &response);
    cluster_unregister_broker(&control, request->broker_id, &response);
    answer(operation, &response);
}

static void decide_update_features(struct operation *operation)
{
    const struct forwarded *forwarded = operation->message;
    struct control control = operation_control(operation);
    struct update_features_response response;
    codec_set_defaults(KMSG_UPDATE_FEATURES_RESPONSE, &response);
    feature_update(&control, (int16_t)forwarded->request->api_version, forwarded->kafka, &response);
    answer(operation, &response);
}

static void lock_quotas(struct operation *operation) { operation_lock_name(operation, "client quotas"); }

static void decide_alter_quotas(struct operation *operation)
{
    struct control control = operation_control(operation);
    struct alter_client_quotas_response response;
    codec_set_defaults(KMSG_ALTER_CLIENT_QUOTAS_RESPONSE, &response);
    quota_alter(&control, kafka_request(operation), &response);
    answer(operation, &response);
}

/* ---- DescribeQuorum -------------------------------------------------------------------------------------------------- */

static void lock_nothing(struct operation *operation) { (void)operation; }

static void decide_describe_quorum(struct operation *operation)
{
    const struct forwarded *forwarded = operation->message;
    struct describe_quorum_response response;
    controller_describe_quorum(operation->controller, forwarded->kafka, (int16_t)forwarded->request->api_version, &operation->arena,
                               &response);
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
    {API_ELECT_LEADERS, {"elect leaders", lock_elected, decide_elect, NULL, true}},
    {API_ALTER_PARTITION_REASSIGNMENTS, {"reassign partitions", lock_reassigned, decide_reassign, NULL, true}},
    {API_ALTER_CLIENT_QUOTAS, {"alter client quotas", lock_quotas, decide_alter_quotas, NULL, true}},
    {API_UPDATE_FEATURES, {"update features", lock_all_brokers, decide_update_features, NULL, true}},
    {API_UNREGISTER_BROKER, {"unregister broker", lock_all_brokers, decide_unregister, NULL, true}},
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
    enum err err = codec_decode_request(kmsg, (int16_t)request->api_version, pb_slice(request->body), &operation->arena, forwarded->kafka);
    operation->arena.cap = SIZE_MAX;
    if (err != ERR_OK) {
        refuse(operation, KAFKA_INVALID_REQUEST, "the forwarded request cannot be read");
        return;
    }
    operation_submit(operation);
}
