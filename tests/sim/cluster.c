/* The phases of a run. */
#include "tests/sim/cluster.h"

#include "common/assert.h"
#include "common/checked.h"
#include "tests/sim/sim_internal.h"

#include <stdio.h>

#define TICK_US       (10 * SIM_MS)
#define BIRTH_US      (30 * (int64_t)SIM_SECOND)
#define CONVERGE_US   (120 * (int64_t)SIM_SECOND)
#define FINAL_READ_US (60 * (int64_t)SIM_SECOND)
#define CLIENT_PORT   9092
#define ACKED_MIN     20 /* with fewer acknowledged records a run has shown nothing */

#define BIT(fault) (UINT64_C(1) << (fault))
const uint64_t group_faults = BIT(FAULT_KILL) | BIT(FAULT_POWER) | BIT(FAULT_POWER_ALL) | BIT(FAULT_STOP) | BIT(FAULT_PAUSE) |
                              BIT(FAULT_ISOLATE) | BIT(FAULT_SPLIT) | BIT(FAULT_CUT) | BIT(FAULT_SLOW) | BIT(FAULT_STALL) |
                              BIT(FAULT_CLOCK) | BIT(FAULT_DRIFT) | BIT(FAULT_DEPOSE) | BIT(FAULT_USURP);
const uint64_t group_usurping_faults = BIT(FAULT_KILL) | BIT(FAULT_STOP) | BIT(FAULT_PAUSE) | BIT(FAULT_DRIFT) | BIT(FAULT_USURP);

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[] = {"PASS", "FAIL", "NOPROGRESS", "VACUOUS"};
    ASSERT((size_t)outcome < sizeof names / sizeof *names);
    return names[outcome];
}

/* ---- drawing the cluster ------------------------------------------------------------------------------------------- */

static void draw_topics(struct workload *workload, struct prng *prng)
{
    uint32_t brokers = workload->node_count - workload->first_broker;
    workload->topic_count = 1 + (uint32_t)prng_below(prng, 2);
    for (uint32_t t = 0; t < workload->topic_count; t++) {
        struct workload_topic *topic = &workload->topics[t];
        (void)snprintf(topic->name, sizeof topic->name, "topic%u", t);
        topic->partition_count = 1 + (int32_t)prng_below(prng, 3);
        topic->replication_factor = brokers >= 5 && prng_chance(prng, 1, 4) ? 5 : (int16_t)min_i64(brokers, 3);
        topic->min_insync = 2;
        topic->first = workload->partition_count;
        workload->partition_count += (uint32_t)topic->partition_count;
    }
    workload->first_life_count = workload->topic_count;
}

static void draw_workload(struct cluster *cluster, const struct cluster_shape *shape, struct prng *prng)
{
    struct workload *workload = &cluster->workload;
    workload->sim = cluster->sim;
    workload->verdict = &cluster->verdict;
    workload->node_count = cluster->node_count;
    workload->voter_count = shape->voter_count;
    workload->first_broker = shape->first_broker;
    workload->port = CLIENT_PORT;
    for (uint32_t i = 0; i < cluster->node_count; i++) (void)snprintf(workload->hosts[i], sizeof workload->hosts[i], "node%u", i);
    draw_topics(workload, prng);
    workload->client_count = 1 + (uint32_t)prng_below(prng, 2);
    workload->window = 1 + (uint32_t)prng_below(prng, PRODUCER_WINDOW_MAX);
    workload->records_max = 400;
    workload->think_us = prng_range(prng, 5, 60) * SIM_MS;
    workload->produce_version = (int16_t)prng_range(prng, 9, 13);
    workload->fetch_version = (int16_t)prng_range(prng, 11, 17);
    workload->metadata_version = (int16_t)prng_range(prng, 10, 13);
    if (prng_chance(prng, 1, 2)) workload->move_us = prng_range(prng, 300, 3000) * SIM_MS;
    history_init(&workload->history, &cluster->verdict);
}

static void on_acked(void *context, uint32_t partition, int64_t offset)
{
    struct cluster *cluster = context;
    checker_acked(&cluster->checker, partition, offset);
}

static bool leads(void *context, uint32_t partition, int32_t node, int32_t leader_epoch)
{
    const struct cluster *cluster = context;
    return checker_is_leader(&cluster->checker, partition, node, leader_epoch);
}

/* ---- looking, ticking ---------------------------------------------------------------------------------------------- */

const struct image *cluster_newest_image(struct cluster *cluster)
{
    const struct image *newest = NULL;
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        struct checker_view view;
        struct raft_status raft;
        cluster_view(&cluster->nodes[i], &view, &raft);
        if (view.image && (!newest || view.image->index > newest->index)) newest = view.image;
    }
    return newest;
}

static void learn_topics(struct cluster *cluster, const struct image *newest)
{
    const struct image_topic *topic = NULL;
    if (!newest || newest->index <= cluster->learned_index) return;
    cluster->learned_index = newest->index;
    for (uint32_t at = 0; (topic = image_next_topic(newest, &at)) != NULL;)
        workload_learn(&cluster->workload, slice_str(topic->name), topic->id);
}

static void after_event(void *context)
{
    struct cluster *cluster = context;
    const struct sim_node *last = sim_last_node(cluster->sim);
    for (uint32_t i = 0; last && i < cluster->node_count; i++) {
        if (cluster->nodes[i].node != last) continue;
        struct checker_view view;
        struct raft_status raft;
        cluster_view(&cluster->nodes[i], &view, &raft);
        const struct image *newest = cluster_newest_image(cluster);
        learn_topics(cluster, newest);
        checker_look(&cluster->checker, i, &view, newest);
        if (view.raft) faults_on_event(&cluster->nodes[i], view.raft);
    }
}

static void on_tick(void *context)
{
    struct cluster *cluster = context;
    faults_tick(cluster);
    sim_at(cluster->sim, sim_now_us(cluster->sim) + TICK_US, on_tick, cluster);
}

static bool has_failed(void *context) { return ((struct cluster *)context)->verdict.id != NULL; }
static bool is_born(void *context)
{
    struct cluster *cluster = context;
    return has_failed(cluster) || cluster_is_converged(cluster);
}
static bool is_settled(void *context)
{
    struct cluster *cluster = context;
    const struct workload *workload = &cluster->workload;
    bool is_shared_out = !workload->groups || members_are_stable(workload);
    bool is_quiet = workload_is_quiet(workload) && is_shared_out;
    return has_failed(cluster) || (is_quiet && cluster_is_converged(cluster) && cluster_is_trimmed(cluster));
}

/* ---- phases -------------------------------------------------------------------------------------------------------- */

static enum outcome run_phases(struct cluster *cluster, const struct cluster_options *options)
{
    struct sim *sim = cluster->sim;
    struct prng prng = sim_prng(sim, "phases");
    if (!sim_wait(sim, is_born, cluster, BIRTH_US)) return OUTCOME_NO_PROGRESS;
    cluster->injects = !options->is_calm;
    sim_wait(sim, has_failed, cluster, prng_range(&prng, 5, 20) * SIM_SECOND);
    faults_heal(cluster);
    cluster->workload.is_stopping = true;
    if (!sim_wait(sim, is_settled, cluster, CONVERGE_US)) return OUTCOME_NO_PROGRESS;
    if (has_failed(cluster)) return OUTCOME_FAIL;
    if (!workload_final_read(&cluster->workload, FINAL_READ_US)) return has_failed(cluster) ? OUTCOME_FAIL : OUTCOME_NO_PROGRESS;
    if (!sim_wait(sim, is_settled, cluster, CONVERGE_US)) return OUTCOME_NO_PROGRESS;
    if (!has_failed(cluster)) cluster_check_logs(cluster);
    if (has_failed(cluster)) return OUTCOME_FAIL;
    return cluster->workload.history.acked < ACKED_MIN ? OUTCOME_VACUOUS : OUTCOME_PASS;
}

/* A request that names a topic may come late, and hit the next one of that name: Kafka's own weakness, not ours to find. */
static void name_topics_by_id(struct workload *workload)
{
    workload->produce_version = 13;
    if (workload->fetch_version < 13) workload->fetch_version = 13;
}

static void cluster_begin(struct cluster *cluster, const struct cluster_options *options)
{
    cluster->sim = sim_create(options->seed);
    struct prng prng = sim_prng(cluster->sim, "cluster");
    cluster->node_count = options->shape.node_count;
    cluster->session_timeout_ms = prng_range(&prng, 1000, 4000);
    cluster->lag_max_ms = prng_range(&prng, 500, 3000);
    cluster->segment_bytes = prng_chance(&prng, 1, 2) ? prng_range(&prng, 1000, 20000) : 1 << 20;
    cluster->snapshot_log_bytes = prng_chance(&prng, 1, 2) ? 2000 : 1 << 20;
    cluster->rebalance_interval_ms = 2000;
    draw_workload(cluster, &options->shape, &prng);
    if (options->has_groups) {
        cluster->rebalance_interval_ms = prng_range(&prng, 100, 2000);
        cluster->workload.move_us /= 10; /* often there and back before the broker knows of it */
        group_history_init(&cluster->groups, &cluster->verdict);
        cluster->workload.groups = &cluster->groups;
        cluster->workload.client_count = 3;
        cluster->workload.topic_count = cluster->workload.first_life_count = 1;
        cluster->workload.partition_count = GROUP_PARTITIONS;
        cluster->workload.topics[0].partition_count = GROUP_PARTITIONS;
    }
    cluster->workload.leads = leads;
    cluster->workload.context = cluster;
    cluster->workload.history.on_acked = on_acked;
    cluster->workload.history.context = cluster;
    checker_init(&cluster->checker, &cluster->verdict, &cluster->workload);
    for (uint32_t i = 0; i < cluster->node_count; i++) cluster_add_node(cluster, i);
    workload_add_clients(&cluster->workload);
    faults_init(cluster, options->faults);
    if (cluster->is_enabled[FAULT_RECREATE]) name_topics_by_id(&cluster->workload);
    /* There and back while logs of the same name are deleted and created. */
    bool is_restless = cluster->is_enabled[FAULT_RECREATE] && !options->has_groups;
    if (is_restless && prng_chance(&prng, 1, 2)) cluster->workload.move_us = 60 * SIM_MS;
    sim_after_each_event(cluster->sim, after_event, cluster);
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        sim_node_start(cluster->nodes[i].node);
        cluster->nodes[i].was_running = true;
    }
    for (uint32_t i = 0; i < cluster->workload.client_count; i++) sim_node_start(cluster->workload.client_nodes[i]);
    on_tick(cluster);
}

void cluster_run(const struct cluster_options *options, struct cluster_result *result)
{
    struct cluster *cluster = sim_alloc(sizeof *cluster);
    ASSERT(options->shape.node_count <= WORKLOAD_NODES_MAX);
    ASSERT(options->shape.voter_count > 0 && options->shape.voter_count >= options->shape.first_broker);
    ASSERT(options->shape.first_broker + 2 <= options->shape.node_count); /* min.insync.replicas is 2 */
    cluster_begin(cluster, options);
    *result = (struct cluster_result){.outcome = run_phases(cluster, options)};
    if (has_failed(cluster)) result->outcome = OUTCOME_FAIL;
    result->verdict = cluster->verdict;
    result->events = sim_event_count(cluster->sim);
    result->hash = sim_hash(cluster->sim);
    result->virtual_us = sim_now_us(cluster->sim);
    result->acked = cluster->workload.history.acked;
    result->read = cluster->workload.history.read;
    result->elections = cluster->checker.elections;
    result->leader_changes = cluster->checker.leader_changes;
    result->group_commits = cluster->groups.acked;
    result->group_reads = cluster->groups.read;
    result->rebalances = cluster->groups.rebalances;
    memcpy(result->faults, cluster->fault_counts, sizeof result->faults);
    sim_after_each_event(cluster->sim, NULL, NULL);
    sim_destroy(cluster->sim);
    checker_deinit(&cluster->checker);
    history_deinit(&cluster->workload.history);
    sim_free(cluster);
}
