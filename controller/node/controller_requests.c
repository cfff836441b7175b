/* Requests of brokers to the active controller. */
#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"
#include "controller/metadata/producer_ids.h"
#include "controller/metadata/replication_control.h"
#include "controller/node/controller_internal.h"
#include "proto/pb.h"

#include <stdio.h>

#define EVIDENCE_WAIT_US 500000  /* how long a newcomer waits for evidence about its predecessor before it is told to come again */
#define LEAVE_WAIT_US    1000000 /* how long a broker that shuts down waits for the others before it is told to go on asking */

/* A registration whose predecessor is being dialed; a broker that may leave as soon as the others know; or any request to a leader that
 * has not applied all of its predecessors' log yet. Each is looked at again when something happens. */
struct held_request {
    struct list_node node;
    struct request *request;
    int64_t until_us;
};

/* ---- answers --------------------------------------------------------------------------------------------------------- */

/* All responses begin with their outcome, so one kind serves for all refusals. */
void controller_refuse(struct controller_node *node, struct request *request, enum kafka_error error, const char *message)
{
    Skiff__Outcome outcome;
    Skiff__ForwardResponse response;
    skiff__outcome__init(&outcome);
    skiff__forward_response__init(&response);
    outcome.error_code = error;
    outcome.error_message = pb_lend(message);
    outcome.leader_id = node->leader.id;
    response.outcome = &outcome;
    request_respond_buf(request, pb_pack(&response.base));
}

/* ---- connections ----------------------------------------------------------------------------------------------------- */

/* Connections get numbers, so that a session can name one that is gone. The number is kept in the place of the user's pointer. */
_Static_assert(sizeof(void *) == sizeof(uint64_t), "");

static uint64_t id_of(const struct connection *connection)
{
    uint64_t id = NO_CONNECTION;
    void *user = connection_user(connection);
    memcpy(&id, &user, sizeof id);
    return id;
}

uint64_t controller_connection_id(struct controller_node *node, struct request *request)
{
    if (!request->connection) return NO_CONNECTION;
    uint64_t id = id_of(request->connection);
    if (id == NO_CONNECTION) {
        void *user = NULL;
        id = ++node->last_connection;
        memcpy(&user, &id, sizeof user);
        connection_set_user(request->connection, user);
    }
    return id;
}

void controller_on_closed(void *user, struct connection *connection)
{
    struct controller_node *node = user;
    uint64_t id = id_of(connection);
    if (id == NO_CONNECTION || !controller_is_active(node)) return;
    int64_t now_us = env_now_us(node->env);
    if (heartbeats_on_closed(&node->heartbeats, id, now_us) != NO_BROKER) sessions_update(node, now_us);
}

/* Of an operation's request, now: NO_CONNECTION when it broke meanwhile. */
static uint64_t live_connection(const struct operation *operation)
{
    return operation->request && operation->request->connection ? operation->connection : NO_CONNECTION;
}

/* ---- REGISTER_BROKER ------------------------------------------------------------------------------------------------- */

static void lock_all_brokers(struct operation *operation) { operation_lock_brokers(operation, LOCK_EXCLUSIVE); }

/* After a restart of the whole cluster every endpoint answers again, so no dial is ever refused: then the locked directories speak,
 * or, for a broker with new ones, that its predecessor had time enough to say that it lives at the address that the newcomer has. */
static bool is_predecessor_gone(const struct controller_node *node, const struct image_broker *before,
                                const Skiff__RegisterBrokerRequest *message, int64_t waited_us)
{
    if (heartbeats_is_gone(&node->heartbeats, before, env_now_us(node->env))) return true;
    if (heartbeats_is_connected(&node->heartbeats, before)) return false;
    return cluster_has_directories(before, message) || (cluster_has_endpoint(before, message) && waited_us >= EVIDENCE_WAIT_US);
}

static void decide_registration(struct operation *operation)
{
    struct controller_node *node = operation->controller;
    const Skiff__RegisterBrokerRequest *request = operation->message;
    struct control control = operation_control(operation);
    const struct image_broker *before = image_broker_get(&node->image, request->broker_id);
    int64_t waited_us = env_now_us(node->env) - operation->request->received_us;
    bool is_gone = !before || is_predecessor_gone(node, before, request, waited_us);
    Skiff__Outcome outcome;
    Skiff__RegisterBrokerResponse response;
    skiff__outcome__init(&outcome);
    skiff__register_broker_response__init(&response);
    response.outcome = &outcome;
    cluster_register_broker(&control, request, is_gone ? PREVIOUS_IS_GONE : PREVIOUS_MAY_LIVE, &response);
    operation->answer = pb_pack(&response.base);
    operation->broker_id = request->broker_id;
}

static void registration_committed(struct operation *operation, int64_t now_us)
{
    struct controller_node *node = operation->controller;
    const struct image_broker *broker = image_broker_get(&node->image, (int32_t)operation->broker_id);
    ASSERT(broker);
    heartbeats_on_registered(&node->heartbeats, broker, live_connection(operation), now_us);
    log_line(env_logger(node->env), LOG_INFO, "controller", "broker %d registered at %s:%u, epoch %lld", broker->id,
             broker->listeners[0].host, broker->listeners[0].port, (long long)broker->epoch);
    sessions_update(node, now_us);
}

static const struct operation_kind REGISTRATION = {"register broker", lock_all_brokers, decide_registration, registration_committed, false};

static void hold(struct controller_node *node, struct request *request, int64_t wait_us)
{
    struct held_request *held = mem_alloc(sizeof *held);
    held->request = request;
    held->until_us = request->received_us + wait_us;
    list_push_back(&node->held, &held->node);
}

/* Another incarnation is registered and may be dying: wait for the dial. */
static bool hold_registration(struct controller_node *node, struct request *request, const Skiff__RegisterBrokerRequest *message)
{
    const struct image_broker *before = image_broker_get(&node->image, message->broker_id);
    int64_t now_us = env_now_us(node->env);
    bool is_same = before && slice_equal(pb_slice(message->incarnation_id), slice_make(before->incarnation.bytes, 16));
    if (!before || is_same || !heartbeats_is_undecided(&node->heartbeats, before, now_us)) return false;
    int64_t waited_us = now_us - request->received_us;
    if (waited_us >= EVIDENCE_WAIT_US || is_predecessor_gone(node, before, message, waited_us)) return false;
    hold(node, request, EVIDENCE_WAIT_US);
    sessions_update(node, now_us);
    return true;
}

/* ---- BROKER_HEARTBEAT ------------------------------------------------------------------------------------------------ */

static enum heartbeat_wish wish_of(const struct controller_node *node, const Skiff__BrokerHeartbeatRequest *request)
{
    return cluster_heartbeat_wish(&node->image, request, heartbeats_lowest_applied(&node->heartbeats, &node->image, request->broker_id),
                                  heartbeats_shutdown_index(&node->heartbeats, request->broker_id));
}

/* What an unfenced broker may rely on (docs/GROUPS.md). */
static void promise(const struct controller_node *node, const struct operation *operation, Skiff__BrokerHeartbeatResponse *response)
{
    const Skiff__BrokerHeartbeatRequest *request = operation->message;
    int64_t confirmed_us = raft_node_confirmed_us(node->raft);
    if (response->is_fenced || request->want_shutdown || confirmed_us == INT64_MIN) return;
    response->session_timeout_us = node->heartbeats.timeout_us;
    response->confirmed_ago_us = max_i64(operation->request->received_us - confirmed_us, 0);
    response->index = node->image.index;
    response->others_applied = min_i64(heartbeats_lowest_applied(&node->heartbeats, &node->image, request->broker_id), node->image.index);
}

static void decide_heartbeat(struct operation *operation)
{
    struct controller_node *node = operation->controller;
    const Skiff__BrokerHeartbeatRequest *request = operation->message;
    struct control control = operation_control(operation);
    Skiff__Outcome outcome;
    Skiff__BrokerHeartbeatResponse response;
    skiff__outcome__init(&outcome);
    skiff__broker_heartbeat_response__init(&response);
    response.outcome = &outcome;
    enum heartbeat_wish wish = wish_of(node, request);
    cluster_heartbeat(&control, request, wish, &response);
    if (wish != HEARTBEAT_STALE) promise(node, operation, &response);
    operation->answer = pb_pack(&response.base);
    operation->broker_id = request->broker_id;
    operation->is_shutdown = wish == HEARTBEAT_SHUT_DOWN;
}

static void heartbeat_committed(struct operation *operation, int64_t now_us)
{
    struct controller_node *node = operation->controller;
    const struct image_broker *broker = image_broker_get(&node->image, (int32_t)operation->broker_id);
    if (operation->is_shutdown) {
        heartbeats_on_shutting_down(&node->heartbeats, (int32_t)operation->broker_id, operation->index);
        /* The answer comes when the others have applied it. */
        hold(node, operation->request, LEAVE_WAIT_US);
        operation->request = NULL;
    }
    if (broker)
        log_line(env_logger(node->env), LOG_INFO, "controller", "broker %d is %s", broker->id,
                 broker->in_controlled_shutdown ? (broker->fenced ? "shut down" : "shutting down")
                 : broker->fenced               ? "fenced"
                                                : "unfenced");
    sessions_update(node, now_us);
    controller_retry_held(node);
}

static const struct operation_kind HEARTBEAT = {"heartbeat", lock_all_brokers, decide_heartbeat, heartbeat_committed, false};

/* The session first, whatever comes of the rest. Most heartbeats want nothing: they are answered at once. */
static void on_heartbeat(struct operation *operation)
{
    struct controller_node *node = operation->controller;
    const Skiff__BrokerHeartbeatRequest *request = operation->message;
    int64_t now_us = env_now_us(node->env);
    const struct image_broker *broker = image_broker_get(&node->image, request->broker_id);
    if (broker && broker->epoch == request->broker_epoch && operation->connection != NO_CONNECTION) {
        heartbeats_on_contact(&node->heartbeats, request->broker_id, operation->connection, request->applied_index, now_us);
        operations_on_applied(node, now_us);
    }
    enum heartbeat_wish wish = wish_of(node, request);
    bool may_leave_soon = request->want_shutdown && wish == HEARTBEAT_NOTHING && broker && !broker->fenced;
    if (may_leave_soon && now_us - operation->request->received_us < LEAVE_WAIT_US) {
        hold(node, operation->request, LEAVE_WAIT_US);
        operation_forget(operation);
    } else if (wish == HEARTBEAT_NOTHING || wish == HEARTBEAT_STALE)
        operation_decide_now(operation);
    else
        operation_submit(operation);
    controller_retry_held(node);
}

/* ---- ALTER_PARTITION, ALLOCATE_PRODUCER_IDS -------------------------------------------------------------------------- */

static void lock_altered(struct operation *operation)
{
    const Skiff__AlterPartitionRequest *request = operation->message;
    operation_lock_brokers(operation, LOCK_SHARED);
    for (size_t i = 0; i < request->n_items; i++) operation_lock_topic_id(operation, request->items[i]->topic_id);
}

static void decide_alter(struct operation *operation)
{
    struct control control = operation_control(operation);
    Skiff__Outcome outcome;
    Skiff__AlterPartitionResponse response;
    skiff__outcome__init(&outcome);
    skiff__alter_partition_response__init(&response);
    response.outcome = &outcome;
    replication_alter_partition(&control, operation->message, &response);
    operation->answer = pb_pack(&response.base);
}

static void lock_producer_ids(struct operation *operation) { operation_lock_name(operation, "producer ids"); }

static void decide_producer_ids(struct operation *operation)
{
    struct control control = operation_control(operation);
    Skiff__Outcome outcome;
    Skiff__AllocateProducerIdsResponse response;
    skiff__outcome__init(&outcome);
    skiff__allocate_producer_ids_response__init(&response);
    response.outcome = &outcome;
    producer_ids_allocate(&control, operation->message, &response);
    operation->answer = pb_pack(&response.base);
}

static const struct operation_kind ALTER_PARTITION = {"alter partition", lock_altered, decide_alter, NULL, false};
static const struct operation_kind PRODUCER_IDS = {"producer ids", lock_producer_ids, decide_producer_ids, NULL, false};

/* ---- dispatch -------------------------------------------------------------------------------------------------------- */

static void on_registration(struct operation *operation)
{
    if (hold_registration(operation->controller, operation->request, operation->message))
        operation_forget(operation);
    else
        operation_submit(operation);
}

struct rpc {
    int16_t key;
    const ProtobufCMessageDescriptor *descriptor;
    const struct operation_kind *kind;
    void (*start)(struct operation *operation);
};

static const struct rpc RPCS[] = {
    {PRIVATE_API_REGISTER_BROKER, &skiff__register_broker_request__descriptor, &REGISTRATION, on_registration},
    {PRIVATE_API_BROKER_HEARTBEAT, &skiff__broker_heartbeat_request__descriptor, &HEARTBEAT, on_heartbeat},
    {PRIVATE_API_ALTER_PARTITION, &skiff__alter_partition_request__descriptor, &ALTER_PARTITION, operation_submit},
    {PRIVATE_API_ALLOCATE_PRODUCER_IDS, &skiff__allocate_producer_ids_request__descriptor, &PRODUCER_IDS, operation_submit},
    {PRIVATE_API_FORWARD, &skiff__forward_request__descriptor, NULL, controller_on_forward},
};

#define REASON_MAX 160

/* How every request of controller_rpc.proto begins. */
struct any_request {
    ProtobufCMessage base;
    Skiff__Sender *sender;
};

/* NULL: fine. Else why not; `text` is room for it. */
static const char *check_sender(const struct controller_node *node, const struct any_request *message, char text[static REASON_MAX])
{
    if (!message || !message->sender) return "the request cannot be read";
    const char *own = node->image.cluster_id, *other = message->sender->cluster_id;
    if (!own[0] || !other[0] || strcmp(own, other) == 0) return NULL;
    (void)snprintf(text, REASON_MAX, "the sender belongs to cluster %s, this is cluster %s", other, own);
    return text;
}

static void start(struct controller_node *node, const struct rpc *rpc, struct request *request)
{
    struct operation *operation = operation_create(node, rpc->kind, request, pb_unpack_budget(request->body.n));
    struct any_request *message = pb_unpack(rpc->descriptor, request->body, &operation->arena);
    char text[REASON_MAX];
    const char *wrong = check_sender(node, message, text);
    if (wrong) {
        enum kafka_error error = message && message->sender ? KAFKA_INCONSISTENT_CLUSTER_ID : KAFKA_INVALID_REQUEST;
        operation_forget(operation);
        controller_refuse(node, request, error, wrong);
        return;
    }
    /* What follows is as large as the request makes it. */
    operation->arena.cap = SIZE_MAX;
    operation->message = message;
    rpc->start(operation);
}

static void dispatch(struct controller_node *node, struct request *request)
{
    for (size_t i = 0; i < sizeof RPCS / sizeof *RPCS; i++) {
        if (RPCS[i].key != request->api_key) continue;
        bool is_elected = node->leader.id == node->config.raft.node_id;
        if (controller_is_active(node))
            start(node, &RPCS[i], request);
        else if (is_elected)
            hold(node, request, EVIDENCE_WAIT_US); /* it is about to be active */
        else
            controller_refuse(node, request, KAFKA_NOT_CONTROLLER, "");
        return;
    }
    controller_on_tool_request(node, request);
}

enum request_progress controller_on_request(void *user, struct request *request)
{
    struct controller_node *node = user;
    if (private_api_is_raft(request->api_key)) return raft_node_on_request(node->raft, request);
    dispatch(node, request);
    return REQUEST_PARKED;
}

void controller_retry_held(struct controller_node *node)
{
    if (node->is_retrying) return;
    node->is_retrying = true;
    struct list again;
    list_init(&again);
    for (struct list_node *each; (each = list_pop_front(&node->held));) list_push_back(&again, each);
    for (struct list_node *each; (each = list_pop_front(&again));) {
        struct held_request *held = CONTAINER_OF(each, struct held_request, node);
        struct request *request = held->request;
        mem_free(held);
        dispatch(node, request);
    }
    node->is_retrying = false;
}

int64_t controller_held_until_us(const struct controller_node *node)
{
    int64_t until_us = INT64_MAX;
    LIST_FOR_EACH (&node->held, each) until_us = min_i64(until_us, CONTAINER_OF(each, struct held_request, node)->until_us);
    return until_us;
}
