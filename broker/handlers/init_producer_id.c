/* InitProducerId for idempotent producers: a fresh id out of this node's block, always with epoch 0. */
#include "broker/handlers/handler.h"

struct init_producer_id_call {
    struct producer_id_request request;
    struct call *call;
    bool *is_answered; /* inside the handler; NULL afterwards */
};

static void answer(struct call *call, enum kafka_error error, int64_t producer_id)
{
    struct init_producer_id_response response = {.error_code = (int16_t)error,
                                                 .producer_id = error ? -1 : producer_id,
                                                 .producer_epoch = error ? -1 : 0,
                                                 .ongoing_txn_producer_id = -1,
                                                 .ongoing_txn_producer_epoch = -1};
    call_respond(call, &response);
}

static void on_producer_id(struct producer_id_request *request, enum kafka_error error, int64_t producer_id, int64_t now_us)
{
    struct init_producer_id_call *i = CONTAINER_OF(request, struct init_producer_id_call, request);
    (void)now_us;
    if (i->is_answered) *i->is_answered = true;
    answer(i->call, error, producer_id);
}

static void on_abandoned(struct request *request)
{
    struct call *call = request->user;
    struct init_producer_id_call *i = call->state;
    controller_channel_cancel_producer_id(&i->request);
    call_finish(call);
}

enum request_progress handle_init_producer_id(struct call *call, const void *message)
{
    const struct init_producer_id_request *request = message;
    /* Both, or neither (-1). */
    bool is_known = request->producer_id >= 0 && request->producer_epoch >= 0;
    bool is_half_known = !is_known && (request->producer_id != -1 || request->producer_epoch != -1);
    if (is_half_known || (!slice_is_null(request->transactional_id) && request->transactional_id.n == 0)) {
        answer(call, KAFKA_INVALID_REQUEST, -1);
        return REQUEST_DONE;
    }
    if (!slice_is_null(request->transactional_id)) {
        /* The transaction coordinator's business, and FindCoordinator has none: as it says. */
        answer(call, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1);
        return REQUEST_DONE;
    }
    struct init_producer_id_call *i = arena_alloc(&call->arena, sizeof *i);
    bool is_answered = false; /* mostly at once: the node holds a block of ids */
    i->call = call;
    i->is_answered = &is_answered;
    i->request.done = on_producer_id;
    call->state = i;
    call->request->user = call;
    call->request->on_abandoned = on_abandoned;
    controller_channel_next_producer_id(call->dispatch->controller, &i->request);
    if (is_answered) return REQUEST_DONE;
    i->is_answered = NULL;
    return REQUEST_PARKED;
}
