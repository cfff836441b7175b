#include "broker/node/broker_metrics.h"

#include <stdio.h>

/* ---- connections --------------------------------------------------------------------------------------------------- */

void measure_server(const struct server *server, struct metrics *metrics)
{
    struct server_traffic traffic;
    server_traffic(server, &traffic);
    for (size_t i = 0; i < traffic.listener_count; i++)
        metrics_put_one(metrics, METRIC_CONNECTIONS, traffic.listeners[i].name, traffic.listeners[i].connections);
    metrics_put(metrics, METRIC_CONNECTIONS_ACCEPTED, (double)traffic.accepted);
    metrics_put(metrics, METRIC_CONNECTIONS_REFUSED, (double)traffic.refused);
    metrics_put(metrics, METRIC_CONNECTIONS_DELAYED, (double)traffic.delayed);
    metrics_put_one(metrics, METRIC_REQUEST_MEMORY, "clients", (double)server->memory.used);
    metrics_put_one(metrics, METRIC_REQUEST_MEMORY, "nodes", (double)server->reserve.used);
}

/* ---- groups -------------------------------------------------------------------------------------------------------- */

struct group_page {
    struct metrics *metrics;
    const struct image *image;
    const struct replica_manager *replicas;
    struct slice group;
};

static void put_offset(const struct group_page *page, struct slice topic, const struct image_topic *known,
                       const struct committed_offset *offset)
{
    char partition[16];
    struct replica_info info;
    (void)snprintf(partition, sizeof partition, "%d", offset->partition);
    struct slice labels[] = {page->group, topic, slice_str(partition)};
    metrics_put_labelled(page->metrics, METRIC_GROUP_OFFSET, labels, (double)offset->offset);
    if (!known || !replica_manager_info(page->replicas, known->id, offset->partition, &info) || info.role == PARTITION_OFFLINE) return;
    int64_t lag = info.high_watermark - offset->offset;
    metrics_put_labelled(page->metrics, METRIC_GROUP_LAG, labels, lag > 0 ? (double)lag : 0);
}

static void put_topic(const struct group_page *page, const struct group_topic *topic)
{
    struct slice name = group_topic_name(topic);
    const struct image_topic *known = image_topic_by_name(page->image, name);
    for (uint32_t i = 0; i < group_topic_count(topic); i++) {
        struct committed_offset offset = group_topic_at(topic, i);
        put_offset(page, name, known, &offset);
    }
}

static void put_group(struct group_page *page, const struct group *group)
{
    if (metrics_is_full(page->metrics, METRIC_GROUP_MEMBERS)) {
        metrics_leave_out(page->metrics, 1 + group->offsets.count);
        return;
    }
    page->group = group->id;
    metrics_put_labelled(page->metrics, METRIC_GROUP_MEMBERS, &group->id, group_member_count(group));
    if (metrics_is_full(page->metrics, METRIC_GROUP_OFFSET)) {
        metrics_leave_out(page->metrics, group->offsets.count);
        return;
    }
    MAP_FOR_EACH (&group->offsets.topics, const struct group_topic, topic) put_topic(page, topic);
}

void measure_groups(const struct group_coordinator *groups, const struct image *image, const struct replica_manager *replicas,
                    struct metrics *metrics)
{
    struct group_page page = {.metrics = metrics, .image = image, .replicas = replicas};
    uint64_t group_count = 0, offset_count = 0;
    uint32_t shard_at = 0;
    for (const struct group_shard *shard; (shard = group_coordinator_next(groups, &shard_at)) != NULL;) {
        uint32_t group_at = 0;
        offset_count += shard->offset_count;
        for (const struct group *group; (group = group_shard_next(shard, &group_at)) != NULL; group_count++) put_group(&page, group);
    }
    metrics_put(metrics, METRIC_GROUPS, (double)group_count);
    metrics_put(metrics, METRIC_GROUP_OFFSETS, (double)offset_count);
}
