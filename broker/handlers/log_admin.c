/* What operators ask of a broker's logs: DeleteRecords (waits for all replicas), DescribeProducers and DescribeLogDirs (at once). */
#include "broker/handlers/topic_view.h"
#include "broker/log/producer_state.h"
#include "common/map.h"

/* ---- DeleteRecords --------------------------------------------------------------------------------------------------- */

struct delete_records_call {
    struct call *call;
    struct delete_records_response response;
    size_t pending;
};
struct delete_records_item {
    struct replica_delete_records request;
    struct delete_records_response_partitions *answer;
    struct delete_records_call *owner;
};

static void finish_one(struct delete_records_call *d)
{
    if (--d->pending == 0) call_respond(d->call, &d->response);
}

static void on_deleted(struct replica_delete_records *request, int64_t now_us)
{
    struct delete_records_item *item = CONTAINER_OF(request, struct delete_records_item, request);
    (void)now_us;
    item->answer->error_code = (int16_t)request->error;
    item->answer->low_watermark = request->low_watermark;
    finish_one(item->owner);
}

static enum kafka_error check_topic(struct slice name, const struct image_topic *topic, int32_t partition)
{
    if (!topic || partition < 0 || partition >= topic->partition_count) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return is_internal_topic(name) ? KAFKA_INVALID_TOPIC_EXCEPTION : KAFKA_NONE;
}

static void delete_one(struct delete_records_call *d, const struct delete_records_request *request,
                       const struct delete_records_request_topics *topic, int32_t at, struct delete_records_response_partitions *answer)
{
    struct call *call = d->call;
    const struct delete_records_request_partitions *from = &topic->partitions[at];
    const struct image_topic *known = image_topic_by_name(call_image(call), topic->name);
    enum kafka_error error = check_topic(topic->name, known, from->partition_index);
    *answer = (struct delete_records_response_partitions){
        .partition_index = from->partition_index, .low_watermark = -1, .error_code = (int16_t)error};
    if (error != KAFKA_NONE) return;
    struct delete_records_item *item = arena_alloc(&call->arena, sizeof *item);
    item->answer = answer;
    item->owner = d;
    item->request = (struct replica_delete_records){.topic_id = known->id,
                                                    .partition = from->partition_index,
                                                    .offset = from->offset,
                                                    .timeout_ms = request->timeout_ms,
                                                    .done = on_deleted};
    d->pending++;
    replica_manager_delete_records(call->dispatch->replicas, &item->request);
}

enum request_progress handle_delete_records(struct call *call, const void *message)
{
    const struct delete_records_request *request = message;
    struct delete_records_call *d = arena_alloc(&call->arena, sizeof *d);
    d->call = call;
    d->pending = 1; /* this function */
    d->response.topics_count = request->topics_count;
    d->response.topics = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *d->response.topics);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct delete_records_request_topics *topic = &request->topics[t];
        struct delete_records_response_topics *to = &d->response.topics[t];
        *to = (struct delete_records_response_topics){.name = topic->name, .partitions_count = topic->partitions_count};
        to->partitions = arena_calloc(&call->arena, (size_t)topic->partitions_count, sizeof *to->partitions);
        for (int32_t i = 0; i < topic->partitions_count; i++) delete_one(d, request, topic, i, &to->partitions[i]);
    }
    bool is_done = d->pending == 1;
    finish_one(d);
    return is_done ? REQUEST_DONE : REQUEST_PARKED;
}

/* ---- DescribeProducers ----------------------------------------------------------------------------------------------- */

static void list_producers(struct call *call, struct uuid topic_id, struct describe_producers_response_partitions *out)
{
    const struct replica_manager *replicas = call->dispatch->replicas;
    const struct producer *producer = NULL;
    size_t count = 0;
    for (uint32_t at = 0; replica_manager_next_producer(replicas, topic_id, out->partition_index, &at);) count++;
    out->active_producers = arena_calloc(&call->arena, count, sizeof *out->active_producers);
    for (uint32_t at = 0; (producer = replica_manager_next_producer(replicas, topic_id, out->partition_index, &at));)
        out->active_producers[out->active_producers_count++] = (struct describe_producers_response_active_producers){
            .producer_id = producer->id,
            .producer_epoch = producer->epoch,
            .last_sequence = producer->batch_count ? producer->batches[producer->batch_count - 1].last_sequence : PRODUCER_NO_SEQUENCE,
            .last_timestamp = producer->last_timestamp_ms,
            .coordinator_epoch = producer->coordinator_epoch,
            .current_txn_start_offset = producer->txn_first_offset};
}

static void describe_partition(struct call *call, struct slice name, const struct image_topic *topic,
                               struct describe_producers_response_partitions *out)
{
    enum kafka_error error = KAFKA_NONE;
    if (!is_valid_topic_name(name))
        error = KAFKA_INVALID_TOPIC_EXCEPTION;
    else
        error = topic ? replica_manager_check_replica(call->dispatch->replicas, topic->id, out->partition_index)
                      : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    out->error_code = (int16_t)error;
    if (error == KAFKA_INVALID_TOPIC_EXCEPTION || !topic) out->error_message = error_text(error);
    if (error == KAFKA_NONE) list_producers(call, topic->id, out);
}

enum request_progress handle_describe_producers(struct call *call, const void *message)
{
    const struct describe_producers_request *request = message;
    struct describe_producers_response response = {.topics_count = request->topics_count};
    response.topics = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *response.topics);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct describe_producers_request_topics *from = &request->topics[t];
        const struct image_topic *topic = image_topic_by_name(call_image(call), from->name);
        struct describe_producers_response_topics *to = &response.topics[t];
        *to = (struct describe_producers_response_topics){.name = from->name, .partitions_count = from->partition_indexes_count};
        to->partitions = arena_calloc(&call->arena, (size_t)to->partitions_count, sizeof *to->partitions);
        for (int32_t i = 0; i < to->partitions_count; i++) {
            if (call_is_too_much(call)) return call_refuse_too_much(call);
            to->partitions[i].partition_index = from->partition_indexes[i];
            describe_partition(call, from->name, topic, &to->partitions[i]);
        }
    }
    call_respond(call, &response);
    return REQUEST_DONE;
}

/* ---- DescribeLogDirs ------------------------------------------------------------------------------------------------- */

/* A topic that was asked for, with the partitions that were: however often something is named, it is described once. */
struct wanted_topic {
    const struct image_topic *topic;
    bool *partitions; /* [partition_count]; NULL: all */
};
struct wanted {
    struct wanted_topic *items;
    size_t count;
};

static struct wanted want_all(struct call *call)
{
    const struct image *image = call_image(call);
    struct wanted wanted = {.items = arena_calloc(&call->arena, map_count(&image->topics), sizeof *wanted.items)};
    const struct image_topic *topic = NULL;
    for (uint32_t at = 0; (topic = image_next_topic(image, &at));) wanted.items[wanted.count++].topic = topic;
    return wanted;
}

static struct wanted want_named(struct call *call, const struct describe_log_dirs_request *request)
{
    struct wanted wanted = {.items = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *wanted.items)};
    struct map seen;
    map_init(&seen, image_seed(call_image(call)));
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct describe_log_dirs_request_topics *asked = &request->topics[t];
        const struct image_topic *topic = image_topic_by_name(call_image(call), asked->topic);
        if (!topic) continue;
        struct wanted_topic *item = map_get(&seen, asked->topic);
        if (!item) {
            item = &wanted.items[wanted.count++];
            *item = (struct wanted_topic){topic, arena_calloc(&call->arena, (size_t)topic->partition_count, sizeof(bool))};
            map_put(&seen, asked->topic, item);
        }
        for (int32_t i = 0; i < asked->partitions_count; i++)
            if (asked->partitions[i] >= 0 && asked->partitions[i] < topic->partition_count) item->partitions[asked->partitions[i]] = true;
    }
    map_deinit(&seen);
    return wanted;
}

/* Those of the topic's partitions that lie in this directory. */
static void list_logs(struct call *call, const struct wanted_topic *wanted, struct uuid directory,
                      struct describe_log_dirs_response_topics *out)
{
    const struct image_topic *topic = wanted->topic;
    *out = (struct describe_log_dirs_response_topics){.name = slice_make(topic->name, topic->name_size)};
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct replica_info info;
        if (wanted->partitions && !wanted->partitions[i]) continue;
        if (!replica_manager_info(call->dispatch->replicas, topic->id, i, &info) || !uuid_equal(info.directory_id, directory)) continue;
        if (!out->partitions) out->partitions = arena_calloc(&call->arena, (size_t)topic->partition_count, sizeof *out->partitions);
        /* The lag of a log that is in its place is how far its high watermark is beyond its end: never. */
        out->partitions[out->partitions_count++] =
            (struct describe_log_dirs_response_partitions){.partition_index = i, .partition_size = info.size_bytes};
    }
}

enum request_progress handle_describe_log_dirs(struct call *call, const void *message)
{
    const struct describe_log_dirs_request *request = message;
    struct replica_dir_info dirs[LOG_DIRS_MAX];
    struct wanted wanted = request->topics_count < 0 ? want_all(call) : want_named(call, request);
    struct describe_log_dirs_response response = {0};
    response.results_count = (int32_t)replica_manager_dir_infos(call->dispatch->replicas, dirs);
    response.results = arena_calloc(&call->arena, (size_t)response.results_count, sizeof *response.results);
    for (int32_t d = 0; d < response.results_count; d++) {
        struct describe_log_dirs_response_results *to = &response.results[d];
        to->log_dir = slice_str(dirs[d].path);
        to->total_bytes = dirs[d].total_bytes;
        to->usable_bytes = dirs[d].usable_bytes;
        to->error_code = dirs[d].is_online ? KAFKA_NONE : KAFKA_KAFKA_STORAGE_ERROR;
        if (!dirs[d].is_online) continue;
        to->topics = arena_calloc(&call->arena, wanted.count, sizeof *to->topics);
        for (size_t t = 0; t < wanted.count; t++) {
            list_logs(call, &wanted.items[t], dirs[d].id, &to->topics[to->topics_count]);
            to->topics_count += to->topics[to->topics_count].partitions_count > 0;
        }
    }
    call_respond(call, &response);
    return REQUEST_DONE;
}
