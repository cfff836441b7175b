#include "broker/handlers/topic_view.h"

static struct ids copy_ids(struct call *call, struct node_ids nodes)
{
    struct ids ids = {.items = arena_calloc(&call->arena, nodes.count, sizeof *ids.items), .count = (int32_t)nodes.count};
    if (nodes.count) memcpy(ids.items, nodes.ids, nodes.count * sizeof *ids.items);
    return ids;
}

static struct ids offline_ids(struct call *call, struct node_ids replicas)
{
    struct ids ids = {.items = arena_calloc(&call->arena, replicas.count, sizeof *ids.items)};
    for (uint32_t i = 0; i < replicas.count; i++) {
        const struct image_broker *broker = image_broker_get(call_image(call), replicas.ids[i]);
        if (!broker || broker->fenced) ids.items[ids.count++] = replicas.ids[i];
    }
    return ids;
}

struct partition_view partition_view(struct call *call, const struct image_partition *partition, enum kafka_error error_of_listener)
{
    struct partition_view view = {.leader_id = partition->leader, .leader_epoch = partition->leader_epoch};
    view.replicas = copy_ids(call, image_replicas(partition));
    view.isr = copy_ids(call, image_isr(partition));
    view.elr = copy_ids(call, image_elr(partition));
    view.offline = offline_ids(call, image_replicas(partition));
    const struct image_broker *leader = partition->leader == NO_LEADER ? NULL : image_broker_get(call_image(call), partition->leader);
    if (!leader || leader->fenced)
        view.error = KAFKA_LEADER_NOT_AVAILABLE;
    else if (!call_endpoint(call, leader))
        view.error = error_of_listener;
    if (view.error) view.leader_id = NO_LEADER;
    return view;
}

bool is_visible_broker(const struct call *call, const struct image_broker *broker)
{
    return broker && !broker->fenced && call_endpoint(call, broker) != NULL;
}

int32_t visible_controller(const struct call *call)
{
    const struct image *image = call_image(call);
    if (is_visible_broker(call, image_broker_get(image, image->controller_id))) return image->controller_id;
    if (is_visible_broker(call, image_broker_get(image, call->dispatch->node_id))) return call->dispatch->node_id;
    return NO_BROKER;
}

bool is_internal_topic(struct slice name)
{
    return slice_equal_str(name, "__consumer_offsets") || slice_equal_str(name, "__transaction_state") ||
           slice_equal_str(name, "__share_group_state");
}
