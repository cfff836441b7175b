/* ListOffsets (each partition may wait for a cold read) and OffsetForLeaderEpoch (at once). */
#include "broker/handlers/handler.h"

#define LEADER_EPOCH_FROM  4    /* before, an answer that sets it cannot be written */
#define DEBUGGING_CONSUMER (-2) /* a replica id that may look at the log end, of any replica */

struct list_offsets_call {
    struct call *call;
    struct list_offsets_response response;
    size_t pending;
};
struct list_offsets_item {
    struct replica_list_offset request;
    struct list_offsets_response_partitions *answer;
    struct list_offsets_call *owner;
};

static void finish_one(struct list_offsets_call *l)
{
    if (--l->pending == 0) call_respond(l->call, &l->response);
}

static void on_listed(struct replica_list_offset *request, int64_t now_us)
{
    struct list_offsets_item *item = CONTAINER_OF(request, struct list_offsets_item, request);
    (void)now_us;
    item->answer->error_code = (int16_t)request->error;
    item->answer->timestamp = request->found_timestamp;
    item->answer->offset = request->offset;
    if (item->owner->call->api_version >= LEADER_EPOCH_FROM) item->answer->leader_epoch = request->leader_epoch;
    finish_one(item->owner);
}

/* Asking for one partition twice is a client's mistake (Kafka's words: a duplicate partition). */
static bool is_duplicate(const struct list_offsets_request_topics *topic, int32_t at)
{
    for (int32_t i = 0; i < topic->partitions_count && i < 64; i++)
        if (i != at && topic->partitions[i].partition_index == topic->partitions[at].partition_index) return true;
    return false;
}

/* The version from which on each special time may be asked for: -1 (latest), -2, ... -6. */
static const int16_t special_times_from[] = {1, 1, 7, 8, 9, 11};

static bool is_known_time(const struct call *call, int64_t timestamp)
{
    const int64_t count = sizeof special_times_from / sizeof *special_times_from;
    return timestamp >= 0 || (timestamp >= -count && call->api_version >= special_times_from[-timestamp - 1]);
}

static void start_one(struct list_offsets_call *l, const struct list_offsets_request *request,
                      const struct list_offsets_request_topics *topic, int32_t at, struct list_offsets_response_partitions *answer)
{
    struct call *call = l->call;
    const struct list_offsets_request_partitions *from = &topic->partitions[at];
    const struct image_topic *known = image_topic_by_name(call_image(call), topic->name);
    *answer = (struct list_offsets_response_partitions){
        .partition_index = from->partition_index, .timestamp = -1, .offset = -1, .leader_epoch = -1};
    if (is_duplicate(topic, at))
        answer->error_code = KAFKA_INVALID_REQUEST;
    else if (!known)
        answer->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (!is_known_time(call, from->timestamp))
        answer->error_code = KAFKA_UNSUPPORTED_VERSION;
    if (answer->error_code) return;
    struct list_offsets_item *item = arena_alloc(&call->arena, sizeof *item);
    item->answer = answer;
    item->owner = l;
    item->request = (struct replica_list_offset){.topic_id = known->id,
                                                 .partition = from->partition_index,
                                                 .current_leader_epoch = from->current_leader_epoch,
                                                 .timestamp = from->timestamp,
                                                 .is_read_committed = request->isolation_level == 1,
                                                 .is_replica = request->replica_id >= 0 || request->replica_id == DEBUGGING_CONSUMER,
                                                 .may_read_followers = request->replica_id == DEBUGGING_CONSUMER,
                                                 .done = on_listed};
    l->pending++;
    replica_manager_list_offset(call->dispatch->replicas, &item->request);
}

enum request_progress handle_list_offsets(struct call *call, const void *message)
{
    const struct list_offsets_request *request = message;
    struct list_offsets_call *l = arena_alloc(&call->arena, sizeof *l);
    l->call = call;
    l->pending = 1; /* this function */
    l->response.topics_count = request->topics_count;
    l->response.topics = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *l->response.topics);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct list_offsets_request_topics *topic = &request->topics[t];
        struct list_offsets_response_topics *to = &l->response.topics[t];
        *to = (struct list_offsets_response_topics){.name = topic->name, .partitions_count = topic->partitions_count};
        to->partitions = arena_calloc(&call->arena, (size_t)topic->partitions_count, sizeof *to->partitions);
        for (int32_t i = 0; i < topic->partitions_count; i++) start_one(l, request, topic, i, &to->partitions[i]);
    }
    bool is_done = l->pending == 1;
    finish_one(l);
    return is_done ? REQUEST_DONE : REQUEST_PARKED;
}

enum request_progress handle_offset_for_leader_epoch(struct call *call, const void *message)
{
    const struct offset_for_leader_epoch_request *request = message;
    struct offset_for_leader_epoch_response response = {.topics_count = request->topics_count};
    response.topics = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *response.topics);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct offset_for_leader_epoch_request_topics *topic = &request->topics[t];
        const struct image_topic *known = image_topic_by_name(call_image(call), topic->topic);
        struct offset_for_leader_epoch_response_topics *to = &response.topics[t];
        *to = (struct offset_for_leader_epoch_response_topics){.topic = topic->topic, .partitions_count = topic->partitions_count};
        to->partitions = arena_calloc(&call->arena, (size_t)topic->partitions_count, sizeof *to->partitions);
        for (int32_t i = 0; i < topic->partitions_count; i++) {
            const struct offset_for_leader_epoch_request_partitions *from = &topic->partitions[i];
            struct replica_epoch_end end = {.error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION, .leader_epoch = -1, .end_offset = -1};
            if (known)
                end = replica_manager_epoch_end(call->dispatch->replicas, known->id, from->partition, from->current_leader_epoch,
                                                from->leader_epoch);
            to->partitions[i] = (struct offset_for_leader_epoch_response_partitions){.error_code = (int16_t)end.error,
                                                                                     .partition = from->partition,
                                                                                     .leader_epoch = end.leader_epoch,
                                                                                     .end_offset = end.end_offset};
        }
    }
    call_respond(call, &response);
    return REQUEST_DONE;
}
