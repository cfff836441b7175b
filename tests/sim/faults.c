/* What goes wrong, and when: kinds, frequency and targets are drawn from the seed, a different mixture for each (swarm). */
#include "tests/sim/faults_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "controller/node/controller_node.h"

#define DRIFT_MAX 100000 /* microseconds in a second: a tenth, far more than a real clock */

const char *fault_name(enum fault fault)
{
    static const char *const names[] = {"kill", "power",    "power-all", "stop",    "pause",  "isolate", "split",
                                        "cut",  "slow",     "stall",     "eio",     "full",   "clock",   "drift",
                                        "wipe", "recreate", "vote",      "amnesia", "depose", "trim",    "usurp"};
    _Static_assert(sizeof names / sizeof *names == FAULT_COUNT, "a name for each");
    ASSERT((size_t)fault < FAULT_COUNT);
    return names[fault];
}

static int64_t now_us(const struct cluster *cluster) { return sim_now_us(cluster->sim); }
int64_t faults_later(struct cluster *cluster, int64_t least_ms, int64_t most_ms)
{
    return now_us(cluster) + prng_range(&cluster->faults, least_ms, most_ms) * SIM_MS;
}

static uint64_t count_kinds(const struct cluster *cluster) { return cluster->workload.groups ? FAULT_COUNT : FAULT_USURP; }

void faults_init(struct cluster *cluster, uint64_t wanted)
{
    const int kinds = (int)count_kinds(cluster);
    cluster->faults = sim_prng(cluster->sim, "faults");
    unsigned enabled = 0;
    for (int fault = 0; fault < FAULT_COUNT; fault++) enabled += cluster->is_enabled[fault] = wanted >> fault & 1;
    while (enabled == 0) {
        for (int fault = 0; fault < kinds; fault++) {
            cluster->is_enabled[fault] = prng_chance(&cluster->faults, 1, 2);
            enabled += cluster->is_enabled[fault];
        }
    }
    cluster->fault_mean_us = prng_range(&cluster->faults, 100, 1500) * SIM_MS;
    cluster->next_fault_at = faults_later(cluster, 500, 3000);
}

/* ---- targets ------------------------------------------------------------------------------------------------------- */

/* The leader of the quorum more often than its share: what happens to it matters most. */
static struct cluster_node *draw_target(struct cluster *cluster)
{
    struct cluster_node *any = &cluster->nodes[prng_below(&cluster->faults, cluster->node_count)];
    if (!prng_chance(&cluster->faults, 1, 3)) return any;
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (sim_node_is_running(node->node) && node->controller && controller_node_is_leader(node->controller)) return node;
    }
    return any;
}

static uint64_t everybody(const struct cluster *cluster)
{
    return (UINT64_C(1) << (cluster->node_count + cluster->workload.client_count)) - 1;
}

/* ---- kinds --------------------------------------------------------------------------------------------------------- */

void faults_crash(struct cluster_node *node, enum sim_crash how)
{
    if (!sim_node_is_running(node->node)) return;
    sim_node_crash(node->node, node->loses_power ? SIM_CRASH_POWER : how);
    checker_on_crash(&node->cluster->checker, node->index, how == SIM_CRASH_POWER || node->loses_power);
    node->loses_power = node->was_running = false;
    node->controller = NULL;
    node->broker = NULL;
    node->restart_at = faults_later(node->cluster, 20, 3000);
}

bool faults_may_lose_disk(const struct cluster_node *node)
{
    bool is_only_voter = cluster_is_voter(node) && node->cluster->workload.voter_count == 1;
    return !node->cluster->has_lost_disk && !is_only_voter;
}

void faults_wipe(struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    ASSERT(faults_may_lose_disk(node));
    faults_crash(node, SIM_CRASH_POWER);
    sim_disk_wipe(node->node);
    checker_on_wipe(&cluster->checker, node->index);
    cluster->has_lost_disk = true;
}

void faults_isolate(const struct cluster_node *node, bool in, bool out, bool from_clients)
{
    struct cluster *cluster = node->cluster;
    uint64_t others = everybody(cluster) & ~(UINT64_C(1) << node->index);
    if (!from_clients) others &= (UINT64_C(1) << cluster->node_count) - 1;
    for (uint32_t i = 0; i < cluster->node_count + cluster->workload.client_count; i++) {
        if (!(others >> i & 1)) continue;
        const struct sim_node *other =
            i < cluster->node_count ? cluster->nodes[i].node : cluster->workload.client_nodes[i - cluster->node_count];
        if (in) sim_net_block(cluster->sim, other, node->node);
        if (out) sim_net_block(cluster->sim, node->node, other);
    }
}

static void isolate(const struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    bool in = prng_chance(&cluster->faults, 2, 3), out = !in || prng_chance(&cluster->faults, 2, 3);
    /* Sometimes the clients still reach it: it must not acknowledge what the others do not have. */
    faults_isolate(node, in, out, prng_chance(&cluster->faults, 1, 2));
    cluster->undo_network_at = faults_later(cluster, 50, 2 * cluster->session_timeout_ms);
}

static void split(struct cluster *cluster)
{
    uint64_t side = prng_next(&cluster->faults) & everybody(cluster);
    sim_net_partition(cluster->sim, side, everybody(cluster) & ~side);
    cluster->undo_network_at = faults_later(cluster, 50, 2 * cluster->session_timeout_ms);
}

static void slow_down(struct cluster *cluster)
{
    sim_net_set_delay(cluster->sim, prng_range(&cluster->faults, 0, 20) * SIM_MS, prng_range(&cluster->faults, 1, 20) * SIM_MS);
    cluster->undo_network_at = faults_later(cluster, 100, 3000);
}

static void fill_disk(struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    sim_disk_set_capacity(node->node, sim_disk_used(node->node) + prng_range(&cluster->faults, 0, 4000));
    node->undo_full_at = faults_later(cluster, 100, 3000);
}

static void pause_node(struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    sim_node_pause(node->node);
    node->undo_pause_at = faults_later(cluster, 10, prng_chance(&cluster->faults, 1, 3) ? 3 * cluster->session_timeout_ms : 500);
}

static bool inject(struct cluster *cluster, enum fault fault)
{
    struct cluster_node *node = draw_target(cluster);
    bool is_running = sim_node_is_running(node->node);
    switch (fault) {
    case FAULT_KILL: faults_crash(node, SIM_CRASH_PROCESS); return is_running;
    case FAULT_POWER: faults_crash(node, SIM_CRASH_POWER); return is_running;
    case FAULT_POWER_ALL:
        for (uint32_t i = 0; i < cluster->node_count; i++) faults_crash(&cluster->nodes[i], SIM_CRASH_POWER);
        return true;
    case FAULT_STOP:
        if (is_running) cluster_stop_node(node);
        return is_running;
    case FAULT_PAUSE:
        if (is_running) pause_node(node);
        return is_running;
    case FAULT_ISOLATE: isolate(node); return true;
    case FAULT_SPLIT: split(cluster); return true;
    case FAULT_CUT: sim_net_cut(cluster->sim, node->node, NULL); return is_running;
    case FAULT_SLOW: slow_down(cluster); return true;
    case FAULT_STALL: sim_disk_stall_commits(node->node, faults_later(cluster, 10, 2000)); return is_running;
    case FAULT_EIO:
        if (is_running) sim_disk_fail_commits(node->node, 1);
        node->loses_power = is_running;
        return is_running;
    case FAULT_FULL:
        if (is_running) fill_disk(node);
        return is_running;
    case FAULT_CLOCK: sim_node_shift_wall_clock(node->node, prng_range(&cluster->faults, -300000, 300000)); return true;
    case FAULT_DRIFT: sim_node_set_clock_drift(node->node, prng_range(&cluster->faults, -DRIFT_MAX, DRIFT_MAX)); return true;
    case FAULT_WIPE:
        if (!faults_may_lose_disk(node) || !is_running) return false;
        faults_wipe(node);
        return true;
    case FAULT_RECREATE:
        return workload_recreate(&cluster->workload, (uint32_t)prng_below(&cluster->faults, cluster->workload.topic_count));
    case FAULT_VOTE: return false; /* faults_on_event() sees its moment */
    case FAULT_AMNESIA: return plot_amnesia(cluster);
    case FAULT_DEPOSE: return plot_depose(node);
    case FAULT_USURP: return plot_usurp(node);
    case FAULT_TRIM:
        return workload_trim(&cluster->workload, (uint32_t)prng_below(&cluster->faults, cluster->workload.partition_count),
                             &cluster->faults);
    case FAULT_COUNT: break;
    }
    UNREACHABLE();
}

/* ---- in time ------------------------------------------------------------------------------------------------------- */

static void undo_slow_disk(struct cluster_node *node)
{
    sim_disk_set_commit_latency(node->node, 100, 300);
    node->undo_slow_disk_at = 0;
}

static void supervise(struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    int64_t now = now_us(cluster);
    bool is_running = sim_node_is_running(node->node);
    if (!is_running && node->was_running) { /* it ended by itself */
        if (node->loses_power) sim_node_crash(node->node, SIM_CRASH_POWER);
        checker_on_crash(&cluster->checker, node->index, node->loses_power);
        node->loses_power = false;
        node->controller = NULL;
        node->broker = NULL;
        node->restart_at = faults_later(cluster, 20, 1000);
    }
    node->was_running = is_running;
    if (!is_running && now >= node->restart_at) {
        sim_node_start(node->node);
        node->was_running = true;
    }
    if (node->undo_pause_at && now >= node->undo_pause_at) {
        sim_node_resume(node->node);
        node->undo_pause_at = 0;
    }
    if (node->undo_full_at && now >= node->undo_full_at) {
        sim_disk_set_capacity(node->node, INT64_MAX);
        node->undo_full_at = 0;
    }
    if (node->undo_slow_disk_at && now >= node->undo_slow_disk_at) undo_slow_disk(node);
}

static void undo_network(struct cluster *cluster)
{
    sim_net_heal(cluster->sim);
    sim_net_set_delay(cluster->sim, 50, 100);
    cluster->undo_network_at = 0;
}

void faults_tick(struct cluster *cluster)
{
    int64_t now = now_us(cluster);
    for (uint32_t i = 0; i < cluster->node_count; i++) supervise(&cluster->nodes[i]);
    if (cluster->undo_network_at && now >= cluster->undo_network_at) undo_network(cluster);
    if (cluster->injects && cluster->is_enabled[FAULT_USURP]) plot_handover(cluster);
    if (!cluster->injects || now < cluster->next_fault_at) return;
    enum fault fault = (enum fault)prng_below(&cluster->faults, count_kinds(cluster));
    while (!cluster->is_enabled[fault]) fault = (enum fault)prng_below(&cluster->faults, count_kinds(cluster));
    if (fault == FAULT_POWER_ALL && !prng_chance(&cluster->faults, 1, 4)) return;
    cluster->fault_counts[fault] += inject(cluster, fault);
    int64_t next_us = now + prng_range(&cluster->faults, 0, 2 * cluster->fault_mean_us);
    cluster->next_fault_at = max_i64(cluster->next_fault_at, next_us); /* a plot may want to be alone */
}

void faults_heal(struct cluster *cluster)
{
    cluster->injects = false;
    undo_network(cluster);
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        sim_disk_stall_commits(node->node, 0);
        sim_disk_set_capacity(node->node, INT64_MAX);
        node->undo_full_at = 0;
        undo_slow_disk(node);
        if (node->undo_pause_at) node->undo_pause_at = now_us(cluster);
        /* A disk whose failure nobody has noticed yet would fail later, in the healthy phase. */
        if (node->loses_power) {
            sim_disk_fail_commits(node->node, 0);
            faults_crash(node, SIM_CRASH_POWER);
        }
        node->restart_at = now_us(cluster);
    }
}
