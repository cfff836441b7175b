/* What the node asks the controller for: ISR changes, producer ids, and what clients ask it to decide. See controller_channel.h. */
#include "broker/node/controller_internal.h"
#include "common/checked.h"
#include "common/mem.h"

#define REQUEST_ARENA_MAX     (64 << 20)
#define PROPOSALS_PER_REQUEST 5000 /* of METADATA_RECORDS_PER_OPERATION_MAX: one request stays one atomic append */

#define FORWARD_AGAIN_US 20000 /* a new controller is known about that soon */

/* ---- ISR proposals ---- */

static struct alter_partition *proposal_of(struct list_node *node) { return CONTAINER_OF(node, struct alter_partition, node); }

static Skiff__AlterPartitionItem *pack_proposal(const struct controller_channel *cc, const struct alter_partition *item,
                                                struct arena *arena, struct uuid *topic_id)
{
    Skiff__AlterPartitionItem *out = arena_alloc(arena, sizeof *out);
    skiff__alter_partition_item__init(out);
    *topic_id = item->topic_id;
    out->topic_id = pb_uuid_data(topic_id);
    out->partition = item->partition;
    out->leader_epoch = item->proposal.leader_epoch;
    out->partition_epoch = item->proposal.partition_epoch;
    out->recovering = item->is_recovering;
    out->isr = arena_calloc(arena, item->member_count, sizeof *out->isr);
    out->n_isr = item->member_count;
    for (size_t i = 0; i < item->member_count; i++) {
        const struct alter_partition_member *member = &item->members[i];
        out->isr[i] = arena_alloc(arena, sizeof **out->isr);
        skiff__isr_member__init(out->isr[i]);
        out->isr[i]->broker_id = member->broker_id;
        /* Our own may be newer than the proposal. */
        out->isr[i]->broker_epoch = member->broker_id == cc->options.node_id ? cc->broker_epoch : member->broker_epoch;
    }
    return out;
}

/* The proposal's fate is not known, or the controller could not say: it goes out again. */
static bool must_repeat(int32_t error)
{
    return error == KAFKA_UNKNOWN_SERVER_ERROR || error == KAFKA_REQUEST_TIMED_OUT || error == KAFKA_NOT_CONTROLLER;
}

static const Skiff__AlterPartitionResult *find_result(const Skiff__AlterPartitionResponse *response, const struct alter_partition *item)
{
    for (size_t i = 0; i < response->n_results; i++) {
        struct uuid topic_id;
        const Skiff__AlterPartitionResult *result = response->results[i];
        if (result->partition == item->partition && pb_uuid(result->topic_id, &topic_id) && uuid_equal(topic_id, item->topic_id))
            return result;
    }
    return NULL;
}

/* Results come in the order of the items; one that was cancelled meanwhile leaves a gap, hence the search when they differ. */
static void deliver_results(struct controller_channel *cc, const Skiff__AlterPartitionResponse *response, int64_t now_us)
{
    struct list answered;
    list_init(&answered);
    bool has_repeats = false;
    LIST_FOR_EACH (&cc->proposals, node) {
        struct alter_partition *item = proposal_of(node);
        if (!item->is_sent) continue;
        item->is_sent = false;
        const Skiff__AlterPartitionResult *result = find_result(response, item);
        has_repeats |= !result || must_repeat(result->error_code);
        if (!result || must_repeat(result->error_code)) continue;
        item->error = (enum kafka_error)result->error_code;
        list_remove(node);
        list_push_back(&answered, node);
    }
    if (has_repeats) controller_rpc_failed(&cc->alteration, now_us);
    struct list_node *node = NULL;
    while ((node = list_pop_front(&answered)) != NULL) proposal_of(node)->done(proposal_of(node), now_us);
}

static void unsend_proposals(struct controller_channel *cc)
{
    LIST_FOR_EACH (&cc->proposals, node) proposal_of(node)->is_sent = false;
}

static void on_alteration_answer(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    (void)frame;
    struct controller_rpc *rpc = CONTAINER_OF(call, struct controller_rpc, call);
    struct controller_channel *cc = rpc->owner;
    rpc->is_out = false;
    struct arena arena;
    arena_init(&arena, pb_unpack_budget(body.n));
    const Skiff__AlterPartitionResponse *response =
        err == ERR_OK ? pb_unpack(&skiff__alter_partition_response__descriptor, body, &arena) : NULL;
    bool has_results = response && !controller_handle_outcome(cc, rpc, response->outcome, now_us) && response->outcome &&
                       response->outcome->error_code == KAFKA_NONE;
    if (has_results) {
        deliver_results(cc, response, now_us);
    } else {
        unsend_proposals(cc);
        controller_rpc_failed(rpc, now_us);
    }
    arena_deinit(&arena);
    controller_schedule(cc);
}

static void send_proposals(struct controller_channel *cc)
{
    struct arena arena;
    arena_init(&arena, REQUEST_ARENA_MAX);
    Skiff__AlterPartitionRequest request;
    skiff__alter_partition_request__init(&request);
    Skiff__Sender sender = controller_sender(cc);
    request.sender = &sender;
    request.broker_id = cc->options.node_id;
    request.broker_epoch = cc->broker_epoch;
    request.items = arena_calloc(&arena, PROPOSALS_PER_REQUEST, sizeof *request.items);
    struct uuid *topic_ids = arena_calloc(&arena, PROPOSALS_PER_REQUEST, sizeof *topic_ids);
    LIST_FOR_EACH (&cc->proposals, node) {
        if (request.n_items == PROPOSALS_PER_REQUEST) break;
        struct alter_partition *item = proposal_of(node);
        item->is_sent = true;
        request.items[request.n_items] = pack_proposal(cc, item, &arena, &topic_ids[request.n_items]);
        request.n_items++;
    }
    controller_send(cc, &cc->alteration, PRIVATE_API_ALTER_PARTITION, &request.base, on_alteration_answer);
    arena_deinit(&arena);
}

void controller_channel_alter_partition(struct controller_channel *cc, struct alter_partition *item)
{
    item->is_sent = false;
    list_node_init(&item->node);
    list_push_back(&cc->proposals, &item->node);
    controller_schedule(cc);
}

void controller_channel_cancel_alter(struct controller_channel *cc, struct alter_partition *item)
{
    (void)cc;
    if (list_is_linked(&item->node)) list_remove(&item->node);
}

/* ---- producer ids ---- */

static void hand_out_ids(struct controller_channel *cc, int64_t now_us)
{
    while (cc->ids_left > 0 && !list_is_empty(&cc->id_requests)) {
        struct list_node *node = list_first(&cc->id_requests);
        struct producer_id_request *request = CONTAINER_OF(node, struct producer_id_request, node);
        list_remove(node);
        cc->ids_left--;
        request->done(request, KAFKA_NONE, cc->next_id++, now_us);
    }
}

static void on_allocation_answer(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    (void)frame;
    struct controller_rpc *rpc = CONTAINER_OF(call, struct controller_rpc, call);
    struct controller_channel *cc = rpc->owner;
    rpc->is_out = false;
    struct arena arena;
    arena_init(&arena, pb_unpack_budget(body.n));
    const Skiff__AllocateProducerIdsResponse *response =
        err == ERR_OK ? pb_unpack(&skiff__allocate_producer_ids_response__descriptor, body, &arena) : NULL;
    bool is_ok = response && !controller_handle_outcome(cc, rpc, response->outcome, now_us) && response->outcome &&
                 response->outcome->error_code == KAFKA_NONE && response->count > 0;
    if (is_ok) {
        cc->next_id = response->first;
        cc->ids_left = response->count;
        hand_out_ids(cc, now_us);
    } else {
        controller_rpc_failed(rpc, now_us);
    }
    arena_deinit(&arena);
    controller_schedule(cc);
}

static void send_allocation(struct controller_channel *cc)
{
    Skiff__AllocateProducerIdsRequest request;
    skiff__allocate_producer_ids_request__init(&request);
    Skiff__Sender sender = controller_sender(cc);
    request.sender = &sender;
    request.broker_id = cc->options.node_id;
    request.broker_epoch = cc->broker_epoch;
    controller_send(cc, &cc->allocation, PRIVATE_API_ALLOCATE_PRODUCER_IDS, &request.base, on_allocation_answer);
}

void controller_channel_next_producer_id(struct controller_channel *cc, struct producer_id_request *request)
{
    list_node_init(&request->node);
    list_push_back(&cc->id_requests, &request->node);
    hand_out_ids(cc, env_now_us(cc->env));
    if (!list_is_empty(&cc->id_requests)) controller_schedule(cc);
}

void controller_channel_cancel_producer_id(struct producer_id_request *request)
{
    if (list_is_linked(&request->node)) list_remove(&request->node);
}

/* ---- forwarding ---- */

static void end_forward(struct forward *forward)
{
    env_timer_clear(forward->owner->env, &forward->timer);
    channel_cancel(&forward->call);
    if (list_is_linked(&forward->node)) list_remove(&forward->node);
    buf_unref(forward->encoded);
    forward->encoded = NULL;
}

static void fail_forward(struct forward *forward, enum kafka_error error, int64_t now_us)
{
    end_forward(forward);
    forward->done(forward, error, NULL, SLICE_NULL, now_us);
}

static void on_forward_timeout(struct env_timer *timer, int64_t now_us)
{
    fail_forward(CONTAINER_OF(timer, struct forward, timer), KAFKA_REQUEST_TIMED_OUT, now_us);
}

static void repeat_forward(struct forward *forward, int64_t now_us)
{
    forward->not_before_us = now_us + FORWARD_AGAIN_US;
    controller_schedule(forward->owner);
}

static void on_forward_answer(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct forward *forward = CONTAINER_OF(call, struct forward, call);
    (void)frame;
    if (err != ERR_OK) { /* connection lost: the next controller may know; the forward's own timer ends it */
        repeat_forward(forward, now_us);
        return;
    }
    struct arena arena;
    arena_init(&arena, pb_unpack_budget(body.n));
    const Skiff__ForwardResponse *response = pb_unpack(&skiff__forward_response__descriptor, body, &arena);
    int32_t error = response && response->outcome ? response->outcome->error_code : KAFKA_UNKNOWN_SERVER_ERROR;
    if (error == KAFKA_NOT_CONTROLLER) {
        repeat_forward(forward, now_us);
    } else if (error != KAFKA_NONE) {
        fail_forward(forward, (enum kafka_error)error, now_us);
    } else {
        /* Unpacking copied the body out of the frame. */
        struct buf *copy = buf_copy(pb_slice(response->body));
        end_forward(forward);
        forward->done(forward, KAFKA_NONE, copy, buf_slice(copy), now_us);
        buf_unref(copy);
    }
    arena_deinit(&arena);
}

static char *text_copy(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = arena_alloc(arena, size);
    memcpy(copy, text, size);
    return copy;
}

static struct buf *encode_forward(struct controller_channel *cc, const struct forward *forward)
{
    struct arena arena;
    arena_init(&arena, REQUEST_ARENA_MAX);
    Skiff__ForwardRequest request;
    skiff__forward_request__init(&request);
    Skiff__Sender sender = controller_sender(cc);
    uint8_t *body = arena_alloc(&arena, forward->body.n);
    if (forward->body.n) memcpy(body, forward->body.p, forward->body.n);
    request.sender = &sender;
    request.principal = text_copy(&arena, forward->principal);
    request.client_address = text_copy(&arena, forward->client_address);
    if (forward->client_id) request.client_id = text_copy(&arena, forward->client_id);
    request.api_key = forward->api_key;
    request.api_version = forward->api_version;
    request.body = (ProtobufCBinaryData){forward->body.n, body};
    struct buf *encoded = pb_pack(&request.base);
    arena_deinit(&arena);
    return encoded;
}

void controller_channel_forward(struct controller_channel *cc, struct forward *forward)
{
    forward->owner = cc;
    forward->encoded = encode_forward(cc, forward);
    forward->not_before_us = 0;
    forward->call = (struct channel_call){.api_key = PRIVATE_API_FORWARD, .api_version = PRIVATE_API_VERSION, .done = on_forward_answer};
    list_node_init(&forward->node);
    list_push_back(&cc->forwards, &forward->node);
    env_timer_init(&forward->timer, on_forward_timeout);
    env_timer_set(cc->env, &forward->timer, saturating_add_i64(env_now_us(cc->env), max_i64(forward->timeout_ms, 0) * 1000 + 1));
    controller_schedule(cc);
}

void controller_channel_cancel_forward(struct forward *forward) { end_forward(forward); }

static void send_forward(struct controller_channel *cc, struct forward *forward)
{
    struct env_piece piece = env_piece_buf(buf_ref(forward->encoded));
    /* Its own timer ends it. */
    channel_send(cc->channel, &forward->call, &piece, 1, max_i64(forward->timeout_ms, 1) * 2000);
}

/* ---- all of them ---- */

static bool is_known_to_controller(const struct controller_channel *cc)
{
    return cc->phase == PHASE_REGISTERED || cc->phase == PHASE_STARTED;
}

void controller_calls_pump(struct controller_channel *cc, int64_t now_us)
{
    LIST_FOR_EACH (&cc->forwards, node) {
        struct forward *forward = CONTAINER_OF(node, struct forward, node);
        if (!channel_call_is_pending(&forward->call) && now_us >= forward->not_before_us) send_forward(cc, forward);
    }
    if (!is_known_to_controller(cc)) return;
    if (!list_is_empty(&cc->proposals) && controller_rpc_may_go(&cc->alteration, now_us)) send_proposals(cc);
    if (!list_is_empty(&cc->id_requests) && controller_rpc_may_go(&cc->allocation, now_us)) send_allocation(cc);
}

int64_t controller_calls_next_us(const struct controller_channel *cc)
{
    int64_t at_us = INT64_MAX;
    if (!cc->channel) return at_us;
    if (!list_is_empty(&cc->proposals) && !cc->alteration.is_out) at_us = min_i64(at_us, cc->alteration.not_before_us);
    if (!list_is_empty(&cc->id_requests) && !cc->allocation.is_out) at_us = min_i64(at_us, cc->allocation.not_before_us);
    LIST_FOR_EACH (&cc->forwards, node) {
        const struct forward *forward = CONTAINER_OF(node, struct forward, node);
        if (!channel_call_is_pending(&forward->call)) at_us = min_i64(at_us, forward->not_before_us);
    }
    return at_us;
}

void controller_calls_disconnected(struct controller_channel *cc)
{
    unsend_proposals(cc);
    LIST_FOR_EACH (&cc->forwards, node) CONTAINER_OF(node, struct forward, node)->not_before_us = 0;
}

void controller_calls_drop(struct controller_channel *cc)
{
    while (!list_is_empty(&cc->forwards)) end_forward(CONTAINER_OF(list_first(&cc->forwards), struct forward, node));
    while (list_pop_front(&cc->proposals) != NULL) continue;
    while (list_pop_front(&cc->id_requests) != NULL) continue;
}
