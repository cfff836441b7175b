/* The controller's part of /metrics: its office and the quorum. */
#include "common/mem.h"
#include "common/metrics.h"
#include "controller/node/controller_internal.h"
#include "controller/node/raft_node.h"

#include <stdio.h>

#define PEERS_MAX (BROKERS_MAX + VOTERS_MAX)

void controller_count_elections(struct controller_node *node)
{
    if (!controller_is_active(node)) return;
    for (uint32_t i = 0; i < node->delta.partition_count; i++) {
        const struct partition_change *change = &node->delta.partitions[i];
        const struct image_partition *now = partition_change_now(change);
        if (change->is_new || now->leader == NO_LEADER || now->leader == change->old_leader) continue;
        node->elections++;
        node->unclean_elections += now->recovering;
    }
}

struct cluster_totals {
    int64_t active_brokers, fenced_brokers, offline_partitions, not_preferred;
};

static struct cluster_totals count_cluster(const struct image *image)
{
    struct cluster_totals totals = {0};
    uint32_t at = 0;
    for (const struct image_broker *broker; (broker = image_next_broker(image, &at)) != NULL;) {
        totals.active_brokers += !broker->fenced;
        totals.fenced_brokers += broker->fenced;
    }
    at = 0;
    for (const struct image_topic *topic; (topic = image_next_topic(image, &at)) != NULL;) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct image_partition *partition = &topic->partitions[i];
            totals.offline_partitions += partition->leader == NO_LEADER;
            totals.not_preferred += partition->leader != image_replicas(partition).ids[0];
        }
    }
    return totals;
}

static void put_office(const struct controller_node *node, struct metrics *metrics)
{
    bool is_active = controller_is_active(node);
    struct cluster_totals totals = is_active ? count_cluster(&node->image) : (struct cluster_totals){0};
    metrics_put(metrics, METRIC_ACTIVE_CONTROLLER, is_active);
    metrics_put(metrics, METRIC_ACTIVE_BROKERS, (double)totals.active_brokers);
    metrics_put(metrics, METRIC_FENCED_BROKERS, (double)totals.fenced_brokers);
    metrics_put(metrics, METRIC_CLUSTER_TOPICS, is_active ? (double)map_count(&node->image.topics) : 0);
    metrics_put(metrics, METRIC_CLUSTER_PARTITIONS, is_active ? (double)node->image.partition_count : 0);
    metrics_put(metrics, METRIC_OFFLINE_PARTITIONS, (double)totals.offline_partitions);
    metrics_put(metrics, METRIC_NOT_PREFERRED, (double)totals.not_preferred);
    metrics_put(metrics, METRIC_ELECTIONS, (double)node->elections);
    metrics_put(metrics, METRIC_UNCLEAN_ELECTIONS, (double)node->unclean_elections);
}

static void put_peers(const struct controller_node *node, const struct raft_status *status, struct metrics *metrics)
{
    struct raft_peer_status *peers = mem_calloc(PEERS_MAX, sizeof *peers);
    size_t count = raft_node_peers_status(node->raft, peers, PEERS_MAX);
    for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
        char peer[16];
        if (peers[i].member.id == node->config.raft.node_id) continue;
        (void)snprintf(peer, sizeof peer, "%d", peers[i].member.id);
        metrics_put_one(metrics, METRIC_RAFT_PEER_LAG, peer, (double)(status->last_index - peers[i].match_index));
    }
    mem_free(peers);
}

static void put_raft(const struct controller_node *node, struct metrics *metrics)
{
    struct raft_status status;
    raft_node_status(node->raft, &status);
    metrics_put(metrics, METRIC_RAFT_LEADER, status.leader.id);
    metrics_put(metrics, METRIC_RAFT_TERM, (double)status.term);
    metrics_put(metrics, METRIC_RAFT_COMMIT, (double)status.commit_index);
    metrics_put(metrics, METRIC_RAFT_END, (double)status.last_index);
    metrics_put(metrics, METRIC_RAFT_APPLIED, (double)raft_node_applied_index(node->raft));
    metrics_put(metrics, METRIC_RAFT_VOTERS, status.membership.current.count);
    if (raft_is_leader(raft_node_raft(node->raft))) put_peers(node, &status, metrics);
}

void controller_node_measure(const struct controller_node *node, struct metrics *metrics)
{
    metrics->now_us = env_now_us(node->env);
    put_office(node, metrics);
    put_raft(node, metrics);
}

bool controller_node_is_ready(const struct controller_node *node, char reason[static CONTROLLER_REASON_MAX])
{
    bool has_leader = !node->has_failed && node->leader.id != RAFT_NOBODY;
    (void)snprintf(reason, CONTROLLER_REASON_MAX, "%s", has_leader ? "" : "this controller knows no leader of the quorum");
    return has_leader;
}
