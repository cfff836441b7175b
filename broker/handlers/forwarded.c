#include "broker/handlers/forwarded.h"

#include "common/assert.h"

/* The controller keeps its own deadline; past it by this much, it is gone. */
#define FORWARD_MARGIN_MS 1000

struct forward_call {
    struct forward forward;
    struct call *call;
    const void *message;
    forward_answer_fn *answer; /* NULL: the controller's answer is the answer */
    void *state;
};

/* ---- answers when there is no controller --------------------------------------------------------------------------- */

static void create_topics_error(struct call *call, const struct create_topics_request *request, int16_t error, struct slice text)
{
    struct create_topics_response response = {.topics_count = request->topics_count};
    response.topics = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *response.topics);
    for (int32_t i = 0; i < request->topics_count; i++)
        response.topics[i] = (struct create_topics_response_topics){.name = request->topics[i].name,
                                                                    .error_code = error,
                                                                    .error_message = text,
                                                                    .num_partitions = -1,
                                                                    .replication_factor = -1,
                                                                    .configs_count = -1};
    call_respond(call, &response);
}

static void delete_topics_error(struct call *call, const struct delete_topics_request *request, int16_t error, struct slice text)
{
    bool has_ids = call->api_version >= 6;
    struct delete_topics_response response = {.responses_count = has_ids ? request->topics_count : request->topic_names_count};
    response.responses = arena_calloc(&call->arena, (size_t)response.responses_count, sizeof *response.responses);
    for (int32_t i = 0; i < response.responses_count; i++)
        response.responses[i] =
            (struct delete_topics_response_responses){.name = has_ids ? request->topics[i].name : request->topic_names[i],
                                                      .topic_id = has_ids ? request->topics[i].topic_id : UUID_ZERO,
                                                      .error_code = error,
                                                      .error_message = text};
    call_respond(call, &response);
}

static void create_partitions_error(struct call *call, const struct create_partitions_request *request, int16_t error, struct slice text)
{
    struct create_partitions_response response = {.results_count = request->topics_count};
    response.results = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *response.results);
    for (int32_t i = 0; i < request->topics_count; i++)
        response.results[i] =
            (struct create_partitions_response_results){.name = request->topics[i].name, .error_code = error, .error_message = text};
    call_respond(call, &response);
}

static void alter_configs_error(struct call *call, const struct alter_configs_request *request, int16_t error, struct slice text)
{
    struct alter_configs_response response = {.responses_count = request->resources_count};
    response.responses = arena_calloc(&call->arena, (size_t)request->resources_count, sizeof *response.responses);
    for (int32_t i = 0; i < request->resources_count; i++)
        response.responses[i] = (struct alter_configs_response_responses){.error_code = error,
                                                                          .error_message = text,
                                                                          .resource_type = request->resources[i].resource_type,
                                                                          .resource_name = request->resources[i].resource_name};
    call_respond(call, &response);
}

static void incremental_alter_configs_error(struct call *call, const struct incremental_alter_configs_request *request, int16_t error,
                                            struct slice text)
{
    struct incremental_alter_configs_response response = {.responses_count = request->resources_count};
    response.responses = arena_calloc(&call->arena, (size_t)request->resources_count, sizeof *response.responses);
    for (int32_t i = 0; i < request->resources_count; i++)
        response.responses[i] = (struct incremental_alter_configs_response_responses){.error_code = error,
                                                                                      .error_message = text,
                                                                                      .resource_type = request->resources[i].resource_type,
                                                                                      .resource_name = request->resources[i].resource_name};
    call_respond(call, &response);
}

static void alter_client_quotas_error(struct call *call, const struct alter_client_quotas_request *request, int16_t error,
                                      struct slice text)
{
    struct alter_client_quotas_response response = {.entries_count = request->entries_count};
    response.entries = arena_calloc(&call->arena, (size_t)request->entries_count, sizeof *response.entries);
    for (int32_t i = 0; i < request->entries_count; i++) {
        response.entries[i].error_code = error;
        response.entries[i].error_message = text;
    }
    call_respond(call, &response);
}

static void elect_leaders_error(struct call *call, int16_t error)
{
    /* Version 0 has no place for it: then the tools see that nothing was elected. */
    struct elect_leaders_response response = {0};
    if (call->api_version > 0) response.error_code = error;
    call_respond(call, &response);
}

void respond_error(struct call *call, const void *message, enum kafka_error error, struct slice text)
{
    int16_t code = (int16_t)error;
    switch (call->api_key) {
    case API_CREATE_TOPICS: create_topics_error(call, message, code, text); break;
    case API_DELETE_TOPICS: delete_topics_error(call, message, code, text); break;
    case API_CREATE_PARTITIONS: create_partitions_error(call, message, code, text); break;
    case API_ALTER_CONFIGS: alter_configs_error(call, message, code, text); break;
    case API_INCREMENTAL_ALTER_CONFIGS: incremental_alter_configs_error(call, message, code, text); break;
    case API_DESCRIBE_QUORUM: call_respond(call, &(struct describe_quorum_response){.error_code = code, .error_message = text}); break;
    case API_ELECT_LEADERS: elect_leaders_error(call, code); break;
    case API_ALTER_PARTITION_REASSIGNMENTS:
        call_respond(call, &(struct alter_partition_reassignments_response){
                               .allow_replication_factor_change = true, .error_code = code, .error_message = text});
        break;
    case API_ALTER_CLIENT_QUOTAS: alter_client_quotas_error(call, message, code, text); break;
    case API_UPDATE_FEATURES: call_respond(call, &(struct update_features_response){.error_code = code, .error_message = text}); break;
    case API_UNREGISTER_BROKER: call_respond(call, &(struct unregister_broker_response){.error_code = code, .error_message = text}); break;
    default: UNREACHABLE();
    }
}

/* ---- the way there and back ---------------------------------------------------------------------------------------- */

static void on_forwarded(struct forward *forward, enum kafka_error error, struct buf *frame, struct slice body, int64_t now_us)
{
    struct forward_call *f = CONTAINER_OF(forward, struct forward_call, forward);
    (void)now_us;
    if (error)
        respond_error(f->call, f->message, error, error_text(error));
    else if (f->answer)
        f->answer(f->call, f->state, body);
    else
        call_respond_encoded(f->call, frame, body);
}

static void on_abandoned(struct request *request)
{
    struct call *call = request->user;
    struct forward_call *f = call->state;
    controller_channel_cancel_forward(&f->forward);
    call_finish(call);
}

static const char *client_id_of(struct call *call)
{
    return (const char *)arena_printf(&call->arena, "%.*s", SLICE_ARG(call->request->client_id)).p;
}

enum request_progress forward_part(struct call *call, const void *message, int64_t timeout_ms, struct slice body, forward_answer_fn *answer,
                                   void *state)
{
    struct forward_call *f = arena_alloc(&call->arena, sizeof *f);
    const struct connection *connection = call->request->connection;
    f->call = call;
    f->message = message;
    f->answer = answer;
    f->state = state;
    f->forward = (struct forward){.principal = connection_principal(connection),
                                  .client_address = connection_peer(connection),
                                  .client_id = call_has_quotas(call) ? client_id_of(call) : NULL,
                                  .api_key = call->api_key,
                                  .api_version = call->api_version,
                                  .body = body,
                                  .timeout_ms = timeout_ms,
                                  .done = on_forwarded};
    call->state = f;
    call->request->user = call;
    call->request->on_abandoned = on_abandoned;
    controller_channel_forward(call->dispatch->controller, &f->forward);
    return REQUEST_BLOCKED;
}

enum request_progress forward_call(struct call *call, const void *message, int64_t timeout_ms)
{
    return forward_part(call, message, timeout_ms, call->body, NULL, NULL);
}

enum request_progress handle_forwarded(struct call *call, const void *message)
{
    int64_t default_ms = config_number(call->dispatch->config, CONFIG_CONTROLLER_SOCKET_TIMEOUT_MS), asked_ms = default_ms;
    if (call->api_key == API_CREATE_TOPICS) asked_ms = ((const struct create_topics_request *)message)->timeout_ms;
    if (call->api_key == API_DELETE_TOPICS) asked_ms = ((const struct delete_topics_request *)message)->timeout_ms;
    if (call->api_key == API_CREATE_PARTITIONS) asked_ms = ((const struct create_partitions_request *)message)->timeout_ms;
    if (call->api_key == API_ELECT_LEADERS) asked_ms = ((const struct elect_leaders_request *)message)->timeout_ms;
    if (call->api_key == API_UPDATE_FEATURES) asked_ms = ((const struct update_features_request *)message)->timeout_ms;
    if (call->api_key == API_ALTER_PARTITION_REASSIGNMENTS)
        asked_ms = ((const struct alter_partition_reassignments_request *)message)->timeout_ms;
    return forward_call(call, message, (asked_ms < 0 ? 0 : asked_ms) + FORWARD_MARGIN_MS);
}
