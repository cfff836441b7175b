/* FindCoordinator: the leader of the partition that has the group. The internal topic comes into being when it is first asked for. */
#include "broker/handlers/topic_creation.h"
#include "broker/node/group_coordinator.h"

#define BATCHES_FROM 4 /* one answer for each of several keys (KIP-699) */

enum coordinator_key_type { COORDINATOR_OF_GROUP = 0, COORDINATOR_OF_TRANSACTION = 1 };

static void refuse(struct find_coordinator_response_coordinators *to, enum kafka_error error, const char *text)
{
    to->node_id = to->port = -1;
    to->host = SLICE_LITERAL("");
    to->error_code = (int16_t)error;
    to->error_message = text ? slice_str(text) : error_text(error);
}

static void find_group(struct call *call, struct find_coordinator_response_coordinators *to)
{
    struct dispatch *dispatch = call->dispatch;
    const struct image *image = call_image(call);
    int32_t partition = 0;
    if (group_coordinator_partition(dispatch->groups, to->key, &partition) != KAFKA_NONE) {
        topic_creation_start(dispatch, SLICE_LITERAL(OFFSETS_TOPIC));
        refuse(to, KAFKA_COORDINATOR_NOT_AVAILABLE, "The offsets topic is being created.");
        return;
    }
    const struct image_topic *topic = image_topic_by_name(image, SLICE_LITERAL(OFFSETS_TOPIC));
    const struct image_broker *leader = image_broker_get(image, topic->partitions[partition].leader);
    const struct image_listener *listener = leader && !leader->fenced ? call_endpoint(call, leader) : NULL;
    if (!listener) {
        refuse(to, KAFKA_COORDINATOR_NOT_AVAILABLE, "The partition of the offsets topic that has this group has no leader.");
        return;
    }
    to->node_id = leader->id;
    to->host = slice_str(listener->host);
    to->port = listener->port;
    to->error_message = call->api_version < BATCHES_FROM ? SLICE_LITERAL("NONE") : SLICE_LITERAL(""); /* as Kafka has it */
}

static void find(struct call *call, int8_t type, struct slice key, struct find_coordinator_response_coordinators *to)
{
    *to = (struct find_coordinator_response_coordinators){.key = key};
    switch (type) {
    case COORDINATOR_OF_GROUP: find_group(call, to); break;
    case COORDINATOR_OF_TRANSACTION:
        /* Of the errors that fit, clients retry all but this one, librdkafka even UNSUPPORTED_VERSION, until they run out of time. */
        refuse(to, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "Transactions are not served yet.");
        break;
    default: refuse(to, KAFKA_INVALID_REQUEST, "Only groups (0) and transactions (1) have coordinators here.");
    }
}

static void respond_one(struct call *call, const struct find_coordinator_request *request)
{
    struct find_coordinator_response_coordinators found;
    int8_t type = COORDINATOR_OF_GROUP;
    if (call->api_version > 0) type = request->key_type;
    find(call, type, request->key, &found);
    struct find_coordinator_response response = {.error_code = found.error_code,
                                                 .error_message = found.error_message,
                                                 .node_id = found.node_id,
                                                 .host = found.host,
                                                 .port = found.port};
    call_respond(call, &response);
}

enum request_progress handle_find_coordinator(struct call *call, const void *message)
{
    const struct find_coordinator_request *request = message;
    if (call->api_version < BATCHES_FROM) {
        respond_one(call, request);
        return REQUEST_DONE;
    }
    struct find_coordinator_response response = {.host = SLICE_LITERAL(""), .coordinators_count = request->coordinator_keys_count};
    response.coordinators = arena_calloc(&call->arena, (size_t)request->coordinator_keys_count, sizeof *response.coordinators);
    for (int32_t i = 0; i < request->coordinator_keys_count; i++)
        find(call, request->key_type, request->coordinator_keys[i], &response.coordinators[i]);
    call_respond(call, &response);
    return REQUEST_DONE;
}
