/* Plots: chance alone rarely puts these together.
 *
 *   vote     power fails at about the time when a vote becomes durable: was it told before?
 *   amnesia  a minority sleeps; of the majority that goes on without it one disk is lost and the others die while the sleepers wake:
 *            a lost disk that votes would make them a majority
 *   depose   a node that clients still reach is cut off from its peers, and its disk stalls: it has a tail to cut, and a flush of it
 *            on its way, when it comes back; soon after that flush has ended its power fails
 *   usurp    a node that clients still reach is cut off from its peers, in peace, for so long that others take its place: as the leader of
 * the quorum it believes in itself, as a coordinator it hears of no successor. Best when it is about to hand over anyway */
#include "tests/sim/faults_internal.h"

#include "common/assert.h"
#include "controller/raft/raft.h"

/* ---- a node's appointments ----------------------------------------------------------------------------------------- */

static void cut_power(void *context)
{
    struct cluster_node *node = context;
    if (node->cluster->injects) faults_crash(node, SIM_CRASH_POWER);
}

void faults_on_event(struct cluster_node *node, const struct raft_status *raft)
{
    struct cluster *cluster = node->cluster;
    bool is_new = raft->vote.id != RAFT_NOBODY && raft->term > node->voted_term;
    if (!is_new) return;
    node->voted_term = raft->term;
    if (!cluster->injects || !cluster->is_enabled[FAULT_VOTE] || raft->vote.id == (int32_t)node->index) return;
    if (!prng_chance(&cluster->faults, 1, 3)) return;
    cluster->fault_counts[FAULT_VOTE]++;
    sim_at(cluster->sim, sim_now_us(cluster->sim) + prng_range(&cluster->faults, 0, 1500), cut_power, node);
}

/* ---- amnesia ------------------------------------------------------------------------------------------------------- */

static bool is_sleeping(const struct cluster_node *node) { return node->undo_pause_at != 0; }

/* The majority is gone but for one empty disk; the sleepers wake up beside it. */
static void spring_amnesia(void *context)
{
    struct cluster *cluster = context;
    uint32_t voters = cluster->workload.voter_count, victim = (uint32_t)prng_below(&cluster->faults, voters);
    for (uint32_t i = 0; i < voters && is_sleeping(&cluster->nodes[victim]); i++) victim = (victim + 1) % voters;
    if (!cluster->injects || is_sleeping(&cluster->nodes[victim]) || !faults_may_lose_disk(&cluster->nodes[victim])) return;
    for (uint32_t i = 0; i < voters; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (is_sleeping(node)) {
            node->undo_pause_at = sim_now_us(cluster->sim);
        } else if (i != victim) {
            faults_crash(node, SIM_CRASH_PROCESS);
            node->restart_at = faults_later(cluster, 3000, 8000);
        }
    }
    faults_wipe(&cluster->nodes[victim]);
    cluster->nodes[victim].restart_at = faults_later(cluster, 10, 200);
}

bool plot_amnesia(struct cluster *cluster)
{
    uint32_t voters = cluster->workload.voter_count;
    if (voters < 3 || cluster->has_lost_disk || cluster->is_plotting_amnesia) return false;
    for (uint32_t i = 0; i < voters; i++) {
        if (!sim_node_is_running(cluster->nodes[i].node) || is_sleeping(&cluster->nodes[i])) return false;
    }
    cluster->is_plotting_amnesia = true;
    uint32_t first = (uint32_t)prng_below(&cluster->faults, voters);
    int64_t until = faults_later(cluster, 300, 2 * cluster->session_timeout_ms);
    for (uint32_t i = 0; i < (voters - 1) / 2; i++) {
        struct cluster_node *node = &cluster->nodes[(first + i) % voters];
        sim_node_pause(node->node);
        node->undo_pause_at = until + SIM_SECOND;
    }
    sim_at(cluster->sim, until, spring_amnesia, cluster);
    return true;
}

/* ---- depose -------------------------------------------------------------------------------------------------------- */

/* It hears of its successor, cuts its tail and fetches, while a flush from before is still on its way; the next ones take long. */
static void end_reign(void *context)
{
    struct cluster_node *node = context;
    struct cluster *cluster = node->cluster;
    sim_disk_stall_commits(node->node, 0);
    if (!cluster->injects) return;
    sim_disk_set_commit_latency(node->node, 100, prng_range(&cluster->faults, 5, 200) * SIM_MS);
    node->undo_slow_disk_at = faults_later(cluster, 1000, 3000);
}

bool plot_depose(struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    if (!sim_node_is_running(node->node) || cluster->undo_network_at || node->undo_slow_disk_at) return false;
    int64_t healed_at = faults_later(cluster, cluster->session_timeout_ms / 2, 2 * cluster->session_timeout_ms);
    int64_t flushed_at = healed_at + prng_range(&cluster->faults, 0, 1000) * SIM_MS;
    faults_isolate(node, true, true, false);
    cluster->undo_network_at = healed_at;
    sim_disk_stall_commits(node->node, flushed_at);
    sim_at(cluster->sim, healed_at, end_reign, node);
    if (prng_chance(&cluster->faults, 3, 4))
        sim_at(cluster->sim, flushed_at + prng_range(&cluster->faults, 0, 200) * SIM_MS, cut_power, node);
    return true;
}

/* ---- usurp --------------------------------------------------------------------------------------------------------- */

static const struct image_topic *offsets_topic(struct cluster *cluster)
{
    const struct image *image = cluster_newest_image(cluster);
    return image ? image_topic_by_name(image, SLICE_LITERAL("__consumer_offsets")) : NULL;
}

/* A coordinator, when there is one. */
static struct cluster_node *choose_victim(struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    const struct image_topic *topic = offsets_topic(cluster);
    if (!topic || prng_chance(&cluster->faults, 1, 3)) return node;
    int32_t leader = topic->partitions[prng_below(&cluster->faults, (uint64_t)topic->partition_count)].leader;
    return leader == NO_LEADER ? node : &cluster->nodes[leader];
}

static void shut_out(void *context)
{
    const struct cluster_node *node = context;
    if (node->cluster->injects) faults_isolate(node, true, true, false);
}

static bool usurp(struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    if (!sim_node_is_running(node->node) || cluster->undo_network_at) return false;
    int64_t from_us = sim_now_us(cluster->sim);
    if (prng_chance(&cluster->faults, 1, 2)) { /* connections that break make the others hurry, if they see it */
        sim_net_cut(cluster->sim, node->node, NULL);
        from_us += SIM_MS;
    }
    sim_at(cluster->sim, from_us, shut_out, node);
    cluster->undo_network_at = faults_later(cluster, cluster->session_timeout_ms / 2, 3 * cluster->session_timeout_ms);
    cluster->next_fault_at = cluster->undo_network_at;
    return true;
}

bool plot_usurp(struct cluster_node *node) { return usurp(choose_victim(node)); }

/* A leader that lives while the preferred one is in sync again. */
static const struct image_partition *find_leaving(struct cluster *cluster)
{
    const struct image_topic *topic = offsets_topic(cluster);
    for (int32_t i = 0; topic && i < topic->partition_count; i++) {
        const struct image_partition *partition = &topic->partitions[i];
        int32_t preferred = image_replicas(partition).ids[0];
        bool is_leaving = partition->leader != NO_LEADER && partition->leader != preferred;
        if (is_leaving && node_ids_contain(image_isr(partition), preferred)) return partition;
    }
    return NULL;
}

void plot_handover(struct cluster *cluster)
{
    const struct image_partition *leaving = find_leaving(cluster);
    if (!leaving || leaving->leader_epoch == cluster->usurped_epoch) return;
    cluster->usurped_epoch = leaving->leader_epoch;
    if (prng_chance(&cluster->faults, 1, 2)) cluster->fault_counts[FAULT_USURP] += usurp(&cluster->nodes[leaving->leader]);
}
