/* Metadata: brokers, topics, leaders; and topics that come into being because somebody asked for them. */
#include "broker/handlers/leader_hold.h"
#include "broker/handlers/topic_creation.h"
#include "broker/handlers/topic_view.h"
#include "common/map.h"

#define OPERATIONS_UNKNOWN INT32_MIN /* the client did not ask */

static void add_brokers(struct call *call, struct metadata_response *response)
{
    const struct image *image = call_image(call);
    struct image_broker *broker = NULL;
    response->brokers = arena_calloc(&call->arena, map_count(&image->brokers), sizeof *response->brokers);
    for (uint32_t at = 0; (broker = image_next_broker(image, &at));) {
        if (!is_visible_broker(call, broker)) continue;
        const struct image_listener *listener = call_endpoint(call, broker);
        response->brokers[response->brokers_count++] =
            (struct metadata_response_brokers){.node_id = broker->id,
                                               .host = slice_str(listener->host),
                                               .port = listener->port,
                                               .rack = *broker->rack ? slice_str(broker->rack) : SLICE_NULL};
    }
}

static void fill_partition(struct call *call, const struct image_partition *partition, int32_t index,
                           struct metadata_response_partitions *out)
{
    enum kafka_error no_listener = call->api_version >= 6 ? KAFKA_LISTENER_NOT_FOUND : KAFKA_LEADER_NOT_AVAILABLE;
    struct partition_view view = partition_view(call, partition, no_listener);
    *out = (struct metadata_response_partitions){.error_code = (int16_t)view.error,
                                                 .partition_index = index,
                                                 .leader_id = view.leader_id,
                                                 .leader_epoch = view.leader_epoch,
                                                 .replica_nodes = view.replicas.items,
                                                 .replica_nodes_count = view.replicas.count,
                                                 .isr_nodes = view.isr.items,
                                                 .isr_nodes_count = view.isr.count,
                                                 .offline_replicas = view.offline.items,
                                                 .offline_replicas_count = view.offline.count};
}

static void fill_topic(struct call *call, const struct metadata_request *request, const struct image_topic *topic,
                       struct metadata_response_topics *out)
{
    struct slice name = slice_make(topic->name, topic->name_size);
    *out = (struct metadata_response_topics){.name = name,
                                             .topic_id = topic->id,
                                             .is_internal = is_internal_topic(name),
                                             .partitions_count = topic->partition_count,
                                             .topic_authorized_operations =
                                                 request->include_topic_authorized_operations ? ACL_TOPIC_OPERATIONS : OPERATIONS_UNKNOWN};
    out->partitions = arena_calloc(&call->arena, (size_t)topic->partition_count, sizeof *out->partitions);
    for (int32_t i = 0; i < topic->partition_count; i++) fill_partition(call, &topic->partitions[i], i, &out->partitions[i]);
}

/* An id goes before a name. */
static bool is_by_id(const struct metadata_request_topics *wanted)
{
    return slice_is_null(wanted->name) || !uuid_is_zero(wanted->topic_id);
}

static const struct image_topic *find_topic(const struct image *image, const struct metadata_request_topics *wanted)
{
    return is_by_id(wanted) ? image_topic_by_id(image, wanted->topic_id) : image_topic_by_name(image, wanted->name);
}

static void fill_missing(struct call *call, const struct metadata_request *request, const struct metadata_request_topics *wanted,
                         struct metadata_response_topics *out)
{
    bool has_id = is_by_id(wanted);
    enum kafka_error error = has_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!has_id && !is_valid_topic_name(wanted->name)) {
        error = KAFKA_INVALID_TOPIC_EXCEPTION;
    } else if (!has_id && request->allow_auto_topic_creation && config_flag(call->dispatch->config, CONFIG_AUTO_CREATE_TOPICS_ENABLE)) {
        /* As Kafka's KRaft brokers: the client hears "unknown", waits a little and asks again. */
        topic_creation_start(call->dispatch, wanted->name);
    }
    *out = (struct metadata_response_topics){.error_code = (int16_t)error,
                                             .name = !has_id                  ? wanted->name
                                                     : call->api_version < 12 ? SLICE_LITERAL("")
                                                                              : SLICE_NULL,
                                             .topic_id = wanted->topic_id,
                                             .is_internal = !has_id && is_internal_topic(wanted->name),
                                             .topic_authorized_operations = OPERATIONS_UNKNOWN};
}

static void add_all_topics(struct call *call, const struct metadata_request *request, struct metadata_response *response)
{
    const struct image *image = call_image(call);
    struct image_topic *topic = NULL;
    response->topics = arena_calloc(&call->arena, map_count(&image->topics), sizeof *response->topics);
    for (uint32_t at = 0; (topic = image_next_topic(image, &at));)
        fill_topic(call, request, topic, &response->topics[response->topics_count++]);
}

/* Whether `told` has it already: named twice, a topic is described once. Else it has it from now on. */
static bool is_told(struct map *told, const struct image_topic *topic, const struct metadata_request_topics *wanted)
{
    struct slice name = topic ? slice_make(topic->name, topic->name_size) : is_by_id(wanted) ? SLICE_NULL : wanted->name;
    if (slice_is_null(name)) return false;
    if (map_get(told, name)) return true;
    map_put(told, name, told);
    return false;
}

static void add_wanted_topics(struct call *call, const struct metadata_request *request, struct metadata_response *response)
{
    const struct image *image = call_image(call);
    struct map told;
    map_init(&told, image_seed(call_image(call)));
    response->topics = arena_calloc(&call->arena, (size_t)request->topics_count, sizeof *response->topics);
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct metadata_request_topics *wanted = &request->topics[i];
        const struct image_topic *topic = find_topic(image, wanted);
        if (is_told(&told, topic, wanted)) continue;
        struct metadata_response_topics *out = &response->topics[response->topics_count++];
        if (topic)
            fill_topic(call, request, topic, out);
        else
            fill_missing(call, request, wanted, out);
    }
    map_deinit(&told);
}

static void answer(struct call *call, const void *message)
{
    const struct metadata_request *request = message;
    const struct image *image = call_image(call);
    /* Version 0 has no null: its empty array means all topics. */
    bool wants_all = request->topics_count < 0 || (call->api_version == 0 && request->topics_count == 0);
    struct metadata_response response = {.cluster_id = slice_str(image->cluster_id),
                                         .controller_id = visible_controller(call),
                                         .cluster_authorized_operations =
                                             request->include_cluster_authorized_operations ? ACL_CLUSTER_OPERATIONS : OPERATIONS_UNKNOWN};
    add_brokers(call, &response);
    if (wants_all)
        add_all_topics(call, request, &response);
    else
        add_wanted_topics(call, request, &response);
    call_respond(call, &response);
}

static void each_leader(const struct call *call, const void *message, leader_visit_fn *visit, void *context)
{
    const struct metadata_request *request = message;
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct image_topic *topic = find_topic(call_image(call), &request->topics[i]);
        for (int32_t p = 0; topic && p < topic->partition_count; p++)
            if (visit(context, topic->partitions[p].leader)) return;
    }
}

static const struct leader_question WHO_LEADS = {each_leader, answer};

enum request_progress handle_metadata(struct call *call, const void *message)
{
    return leader_hold_ask(&call->dispatch->hold, call, &WHO_LEADS, message);
}
