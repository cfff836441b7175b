/* FindCoordinator: the leader of the partition that has the group. The internal topic comes into being when it is first asked for. */
#include "broker/handlers/leader_hold.h"
#include "broker/handlers/topic_creation.h"
#include "broker/node/group_coordinator.h"

#define BATCHES_FROM       4  /* one answer for each of several keys (KIP-699) */
#define GROUPS_AWAITED_MAX 16 /* of one request; each is looked at with every batch of metadata meanwhile */

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

static int8_t type_of(const struct call *call, const struct find_coordinator_request *request)
{
    if (call->api_version > 0) return request->key_type;
    return COORDINATOR_OF_GROUP;
}

static void respond_one(struct call *call, const struct find_coordinator_request *request)
{
    struct find_coordinator_response_coordinators found;
    find(call, type_of(call, request), request->key, &found);
    struct find_coordinator_response response = {.error_code = found.error_code,
                                                 .error_message = found.error_message,
                                                 .node_id = found.node_id,
                                                 .host = found.host,
                                                 .port = found.port};
    call_respond(call, &response);
}

static void respond_all(struct call *call, const struct find_coordinator_request *request)
{
    struct find_coordinator_response response = {.host = SLICE_LITERAL(""), .coordinators_count = request->coordinator_keys_count};
    response.coordinators = arena_calloc(&call->arena, (size_t)request->coordinator_keys_count, sizeof *response.coordinators);
    for (int32_t i = 0; i < request->coordinator_keys_count; i++)
        find(call, request->key_type, request->coordinator_keys[i], &response.coordinators[i]);
    call_respond(call, &response);
}

static void answer(struct call *call, const void *message)
{
    if (call->api_version < BATCHES_FROM)
        respond_one(call, message);
    else
        respond_all(call, message);
}

/* ---- who coordinates, as a question of leaders --------------------------------------------------------------------- */

static int32_t leader_of(const struct call *call, struct slice group)
{
    int32_t partition = 0;
    if (group_coordinator_partition(call->dispatch->groups, group, &partition) != KAFKA_NONE) return NO_LEADER;
    return image_topic_by_name(call_image(call), SLICE_LITERAL(OFFSETS_TOPIC))->partitions[partition].leader;
}

/* Whoever asks for many groups is a tool, which may as well ask again. */
static void each_leader(const struct call *call, const void *message, leader_visit_fn *visit, void *context)
{
    const struct find_coordinator_request *request = message;
    if (type_of(call, request) != COORDINATOR_OF_GROUP || request->coordinator_keys_count > GROUPS_AWAITED_MAX) return;
    if (call->api_version < BATCHES_FROM) {
        (void)visit(context, leader_of(call, request->key));
        return;
    }
    for (int32_t i = 0; i < request->coordinator_keys_count; i++)
        if (visit(context, leader_of(call, request->coordinator_keys[i]))) return;
}

static const struct leader_question WHO_COORDINATES = {each_leader, answer};

enum request_progress handle_find_coordinator(struct call *call, const void *message)
{
    return leader_hold_ask(&call->dispatch->hold, call, &WHO_COORDINATES, message);
}
