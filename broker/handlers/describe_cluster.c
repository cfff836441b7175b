/* DescribeCluster and DescribeTopicPartitions: what admin clients ask in place of Metadata. */
#include "broker/handlers/topic_view.h"

#include <stdlib.h>

#define ENDPOINT_BROKERS     1
#define ENDPOINT_CONTROLLERS 2
#define OPERATIONS_UNKNOWN   INT32_MIN
#define PARTITIONS_MAX       2000 /* Kafka's max.request.partition.size.limit */

enum request_progress handle_describe_cluster(struct call *call, const void *message)
{
    const struct describe_cluster_request *request = message;
    const struct image *image = call_image(call);
    struct image_broker *broker = NULL;
    struct describe_cluster_response response = {
        .endpoint_type = request->endpoint_type,
        .cluster_id = slice_str(image->cluster_id),
        .controller_id = visible_controller(call),
        .cluster_authorized_operations = request->include_cluster_authorized_operations ? ACL_CLUSTER_OPERATIONS : OPERATIONS_UNKNOWN};
    if (request->endpoint_type != ENDPOINT_BROKERS) {
        bool is_known = request->endpoint_type == ENDPOINT_CONTROLLERS;
        response.error_code = is_known ? KAFKA_MISMATCHED_ENDPOINT_TYPE : KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        response.error_message = SLICE_LITERAL("This is a broker's listener: ask it for brokers (endpoint type 1).");
        call_respond(call, &response);
        return REQUEST_DONE;
    }
    response.brokers = arena_calloc(&call->arena, map_count(&image->brokers), sizeof *response.brokers);
    for (uint32_t at = 0; (broker = image_next_broker(image, &at));) {
        const struct image_listener *listener = call_endpoint(call, broker);
        if (!listener || (broker->fenced && !request->include_fenced_brokers)) continue;
        response.brokers[response.brokers_count++] =
            (struct describe_cluster_response_brokers){.broker_id = broker->id,
                                                       .host = slice_str(listener->host),
                                                       .port = listener->port,
                                                       .rack = *broker->rack ? slice_str(broker->rack) : SLICE_NULL,
                                                       .is_fenced = broker->fenced};
    }
    call_respond(call, &response);
    return REQUEST_DONE;
}

/* ---- DescribeTopicPartitions (KIP-966): topics in the order of their names, a page at a time ------------------------ */

struct page {
    struct call *call;
    struct describe_topic_partitions_response response;
    int32_t left; /* partitions */
};

static int compare_names(const void *a, const void *b) { return slice_compare(*(const struct slice *)a, *(const struct slice *)b); }

/* All names, or those asked for; sorted, without doubles. */
static struct slice *sorted_names(struct call *call, const struct describe_topic_partitions_request *request, size_t *count)
{
    const struct image *image = call_image(call);
    size_t capacity = request->topics_count > 0 ? (size_t)request->topics_count : map_count(&image->topics);
    struct slice *names = arena_calloc(&call->arena, capacity, sizeof *names);
    struct image_topic *topic = NULL;
    *count = 0;
    for (int32_t i = 0; i < request->topics_count; i++) names[(*count)++] = request->topics[i].name;
    for (uint32_t at = 0; request->topics_count <= 0 && (topic = image_next_topic(image, &at));)
        names[(*count)++] = slice_make(topic->name, topic->name_size);
    if (*count == 0) return names;
    qsort(names, *count, sizeof *names, compare_names);
    size_t kept = 1;
    for (size_t i = 1; i < *count; i++)
        if (!slice_equal(names[i], names[kept - 1])) names[kept++] = names[i];
    *count = kept;
    return names;
}

static void fill_partition(struct call *call, const struct image_partition *partition, int32_t index,
                           struct describe_topic_partitions_response_partitions *out)
{
    struct partition_view view = partition_view(call, partition, KAFKA_LISTENER_NOT_FOUND);
    *out = (struct describe_topic_partitions_response_partitions){.error_code = (int16_t)view.error,
                                                                  .partition_index = index,
                                                                  .leader_id = view.leader_id,
                                                                  .leader_epoch = view.leader_epoch,
                                                                  .replica_nodes = view.replicas.items,
                                                                  .replica_nodes_count = view.replicas.count,
                                                                  .isr_nodes = view.isr.items,
                                                                  .isr_nodes_count = view.isr.count,
                                                                  .eligible_leader_replicas = view.elr.items,
                                                                  .eligible_leader_replicas_count = view.elr.count,
                                                                  .offline_replicas = view.offline.items,
                                                                  .offline_replicas_count = view.offline.count};
    out->last_known_elr = arena_calloc(&call->arena, 1, sizeof *out->last_known_elr);
    if (partition->last_known_leader != NO_BROKER) out->last_known_elr[out->last_known_elr_count++] = partition->last_known_leader;
}

static void turn_page(struct page *page, struct slice topic, int32_t partition)
{
    struct describe_topic_partitions_response_next_cursor *cursor = arena_alloc(&page->call->arena, sizeof *cursor);
    *cursor = (struct describe_topic_partitions_response_next_cursor){.topic_name = topic, .partition_index = partition};
    page->response.next_cursor = cursor;
}

/* False when the page is full. */
static bool add_topic(struct page *page, struct slice name, int32_t first_partition)
{
    struct call *call = page->call;
    if (page->left == 0) {
        turn_page(page, name, first_partition);
        return false;
    }
    struct describe_topic_partitions_response_topics *out = &page->response.topics[page->response.topics_count++];
    const struct image_topic *topic = image_topic_by_name(call_image(call), name);
    *out = (struct describe_topic_partitions_response_topics){
        .name = name, .is_internal = is_internal_topic(name), .topic_authorized_operations = ACL_TOPIC_OPERATIONS};
    if (!topic) {
        out->error_code = is_valid_topic_name(name) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_INVALID_TOPIC_EXCEPTION;
        return true;
    }
    out->topic_id = topic->id;
    int32_t end = topic->partition_count;
    if (first_partition > end) first_partition = end;
    if (end - first_partition > page->left) end = first_partition + page->left;
    out->partitions = arena_calloc(&call->arena, (size_t)(end - first_partition), sizeof *out->partitions);
    for (int32_t i = first_partition; i < end; i++)
        fill_partition(call, &topic->partitions[i], i, &out->partitions[out->partitions_count++]);
    page->left -= end - first_partition;
    if (end == topic->partition_count) return true;
    turn_page(page, name, end);
    return false;
}

enum request_progress handle_describe_topic_partitions(struct call *call, const void *message)
{
    const struct describe_topic_partitions_request *request = message;
    const struct describe_topic_partitions_request_cursor *cursor = request->cursor;
    struct page page = {.call = call, .left = request->response_partition_limit};
    size_t count = 0;
    struct slice *names = sorted_names(call, request, &count);
    if (page.left < 1) page.left = 1;
    if (page.left > PARTITIONS_MAX) page.left = PARTITIONS_MAX;
    page.response.topics = arena_calloc(&call->arena, count, sizeof *page.response.topics);
    for (size_t i = 0; i < count; i++) {
        int order = cursor ? slice_compare(names[i], cursor->topic_name) : 1;
        if (order < 0) continue;
        int32_t first = order == 0 && cursor->partition_index > 0 ? cursor->partition_index : 0;
        if (!add_topic(&page, names[i], first)) break;
    }
    call_respond(call, &page.response);
    return REQUEST_DONE;
}
