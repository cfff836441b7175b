/* Produce.
 *
 *   handle_produce ---- names to ids, what can be refused at once ----> replica_manager_produce
 *        | the frame is given back: the log holds what it needs               |
 *        v                                                                     v  appended (acks 0, 1), or high watermark passed it (all)
 *      PARKED ................................................................ on_produced -> the answer
 *
 * The answer keeps the request's order of topics and partitions. With acks=0 there is no answer; an error then closes the
 * connection, which is the only way to tell. */
#include "broker/handlers/handler.h"
#include "broker/handlers/topic_view.h"
#include "common/assert.h"
#include "proto/record_batch.h"

#define HINTS_FROM      10 /* KIP-951 */
#define TOPIC_IDS_FROM  13 /* KIP-516 */
#define ADMIN_CLIENT_ID "__admin_client"

struct produce_place {
    struct produce_response_partition_responses *answer;
};
struct produce_call {
    struct replica_produce produce; /* the partitions that were not refused at once */
    struct call *call;
    int16_t acks;
    struct produce_response response;
    struct produce_place *places; /* of each partition of `produce` in the answer */
    struct endpoints endpoints;
};

/* ---- the answer ---------------------------------------------------------------------------------------------------- */

/* Clients then fail these records with their reason, and the others for the company they are in (KIP-467). */
static void add_record_errors(struct produce_call *p, const struct produce_partition *from, struct produce_response_partition_responses *to)
{
    to->record_errors = arena_calloc(&p->call->arena, (size_t)from->fault_count, sizeof *to->record_errors);
    to->record_errors_count = from->fault_count;
    for (int32_t i = 0; i < from->fault_count; i++)
        to->record_errors[i] = (struct produce_response_record_errors){.batch_index = from->faults[i].index,
                                                                       .batch_index_error_message = slice_str(from->faults[i].message)};
}

static void fill_answer(struct produce_call *p, const struct produce_partition *from, struct produce_response_partition_responses *to)
{
    to->error_code = (int16_t)from->error;
    to->base_offset = from->base_offset;
    to->log_append_time_ms = from->append_time_ms;
    to->log_start_offset = from->log_start_offset;
    if (from->error) to->error_message = from->error_message ? slice_str(from->error_message) : error_text(from->error);
    if (from->fault_count > 0) add_record_errors(p, from, to);
    if (p->call->api_version < HINTS_FROM || (from->error != KAFKA_NOT_LEADER_OR_FOLLOWER && from->error != KAFKA_FENCED_LEADER_EPOCH))
        return;
    to->current_leader = (struct produce_response_current_leader){.leader_id = from->leader_id, .leader_epoch = from->leader_epoch};
    endpoints_add(&p->endpoints, from->leader_id);
}

static void add_endpoints(struct produce_call *p)
{
    struct call *call = p->call;
    p->response.node_endpoints = arena_calloc(&call->arena, p->endpoints.count, sizeof *p->response.node_endpoints);
    for (size_t i = 0; i < p->endpoints.count; i++) {
        const struct image_broker *broker = image_broker_get(call_image(call), p->endpoints.ids[i]);
        const struct image_listener *listener = call_endpoint(call, broker);
        if (!listener) continue;
        p->response.node_endpoints[p->response.node_endpoints_count++] =
            (struct produce_response_node_endpoints){.node_id = broker->id,
                                                     .host = slice_str(listener->host),
                                                     .port = listener->port,
                                                     .rack = *broker->rack ? slice_str(broker->rack) : SLICE_NULL};
    }
}

static const struct produce_response_partition_responses *first_error(const struct produce_response *response)
{
    for (int32_t t = 0; t < response->responses_count; t++)
        for (int32_t i = 0; i < response->responses[t].partition_responses_count; i++)
            if (response->responses[t].partition_responses[i].error_code) return &response->responses[t].partition_responses[i];
    return NULL;
}

static void answer(struct produce_call *p)
{
    const struct produce_response_partition_responses *failed = first_error(&p->response);
    if (p->acks != 0) {
        add_endpoints(p);
        call_respond(p->call, &p->response);
    } else if (failed) {
        call_close(p->call, "a produce with acks=0 failed with %s", kafka_error_name(failed->error_code));
    } else {
        call_finish(p->call);
    }
}

static void on_produced(struct replica_produce *produce, int64_t now_us)
{
    struct produce_call *p = CONTAINER_OF(produce, struct produce_call, produce);
    (void)now_us;
    for (size_t i = 0; i < produce->partition_count; i++) fill_answer(p, &produce->partitions[i], p->places[i].answer);
    answer(p);
}

/* ---- the request --------------------------------------------------------------------------------------------------- */

struct produce_refusal {
    enum kafka_error error;
    const char *message;
};

/* What holds for every partition of the request. */
static struct produce_refusal check_request(const struct produce_request *request)
{
    if (request->acks < -1 || request->acks > 1) return (struct produce_refusal){KAFKA_INVALID_REQUIRED_ACKS, NULL};
    if (!slice_is_null(request->transactional_id))
        return (struct produce_refusal){KAFKA_INVALID_TXN_STATE, "Transactions are not served yet."};
    return (struct produce_refusal){KAFKA_NONE, NULL};
}

static const struct image_topic *find_topic(const struct call *call, const struct produce_request_topic_data *topic)
{
    return call->api_version >= TOPIC_IDS_FROM ? image_topic_by_id(call_image(call), topic->topic_id)
                                               : image_topic_by_name(call_image(call), topic->name);
}

/* The coordinators' logs are theirs; as in Kafka, only those who call themselves its admin client may write there. */
static bool may_write(const struct call *call, const struct image_topic *topic)
{
    return !is_internal_topic(slice_make(topic->name, topic->name_size)) || slice_equal_str(call->request->client_id, ADMIN_CLIENT_ID);
}

static void refuse(struct produce_response_partition_responses *to, struct produce_refusal refusal)
{
    to->error_code = (int16_t)refusal.error;
    to->error_message = refusal.message ? slice_str(refusal.message) : error_text(refusal.error);
}

static void take_partition(struct produce_call *p, const struct image_topic *topic, const struct produce_request_partition_data *from,
                           struct produce_response_partition_responses *to)
{
    if (from->records.n == 0) {
        refuse(to, (struct produce_refusal){KAFKA_INVALID_RECORD, "A partition of a Produce request must hold exactly one record batch."});
        return;
    }
    size_t at = p->produce.partition_count++;
    p->produce.partitions[at] = (struct produce_partition){.topic_id = topic->id,
                                                           .partition = from->index,
                                                           .records = from->records,
                                                           .base_offset = -1,
                                                           .append_time_ms = -1,
                                                           .log_start_offset = -1,
                                                           .leader_id = -1,
                                                           .leader_epoch = -1};
    p->places[at].answer = to;
}

static void take_topic(struct produce_call *p, const struct produce_request_topic_data *from, struct produce_refusal refusal,
                       struct produce_response_responses *to)
{
    struct call *call = p->call;
    const struct image_topic *topic = find_topic(call, from);
    enum kafka_error unknown = call->api_version >= TOPIC_IDS_FROM ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!topic && !refusal.error) refusal = (struct produce_refusal){unknown, NULL};
    if (topic && !refusal.error && !may_write(call, topic))
        refusal = (struct produce_refusal){KAFKA_INVALID_TOPIC_EXCEPTION, "Only the brokers write to internal topics."};
    *to = (struct produce_response_responses){.topic_id = from->topic_id, .partition_responses_count = from->partition_data_count};
    /* The frame is gone when the answer is written. */
    to->name = call->api_version >= TOPIC_IDS_FROM ? SLICE_LITERAL("") : arena_copy(&call->arena, from->name);
    to->partition_responses = arena_calloc(&call->arena, (size_t)from->partition_data_count, sizeof *to->partition_responses);
    for (int32_t i = 0; i < from->partition_data_count; i++) {
        struct produce_response_partition_responses *partition = &to->partition_responses[i];
        *partition = (struct produce_response_partition_responses){.index = from->partition_data[i].index,
                                                                   .base_offset = -1,
                                                                   .log_append_time_ms = -1,
                                                                   .log_start_offset = -1,
                                                                   .current_leader = {.leader_id = -1, .leader_epoch = -1}};
        if (refusal.error)
            refuse(partition, refusal);
        else
            take_partition(p, topic, &from->partition_data[i], partition);
    }
}

enum request_progress handle_produce(struct call *call, const void *message)
{
    const struct produce_request *request = message;
    struct produce_call *p = arena_alloc(&call->arena, sizeof *p);
    size_t partition_count = 0;
    for (int32_t i = 0; i < request->topic_data_count; i++) partition_count += (size_t)request->topic_data[i].partition_data_count;
    p->call = call;
    p->acks = request->acks;
    p->places = arena_calloc(&call->arena, partition_count, sizeof *p->places);
    p->produce = (struct replica_produce){.buf = call->request->frame,
                                          .acks = request->acks,
                                          .api_version = call->api_version,
                                          .timeout_ms = request->timeout_ms,
                                          .partitions = arena_calloc(&call->arena, partition_count, sizeof *p->produce.partitions),
                                          .arena = &call->arena,
                                          .done = on_produced};
    p->response.throttle_time_ms = call_charge(call, QUOTA_PRODUCE, call->request->client_id, (int64_t)call->request->frame->size);
    p->response.responses_count = request->topic_data_count;
    p->response.responses = arena_calloc(&call->arena, (size_t)request->topic_data_count, sizeof *p->response.responses);
    struct produce_refusal refusal = check_request(request);
    for (int32_t i = 0; i < request->topic_data_count; i++) take_topic(p, &request->topic_data[i], refusal, &p->response.responses[i]);
    if (p->produce.partition_count == 0) {
        answer(p);
        return REQUEST_DONE;
    }
    replica_manager_produce(call->dispatch->replicas, &p->produce);
    call_release_frame(call);
    return REQUEST_PARKED;
}
