#include "tests/sim/raft_cluster.h"

#include "common/checked.h"
#include "common/mem.h"
#include "common/reader.h"
#include "common/writer.h"
#include "controller/node/raft_node.h"
#include "proto/private_api.h"
#include "tests/sim/raft_checker.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>

#define NODES_MAX     8
#define PORT          9093
#define PROPOSALS_MAX 100000

struct cluster;

struct replica {
    struct cluster *cluster;
    int number;
    struct sim_node *node;
    struct env *env; /* of the running process */
    struct server server;
    struct raft_node *raft;
    uint64_t incarnation;
    bool is_wiped; /* its new disk is not among the voters yet */
    /* The state machine: a hash of everything it was given. */
    int64_t applied_index;
    uint64_t digest;
    bool is_leader;
};

struct proposal {
    int64_t index, term;
    uint64_t id;
    int replica;
    uint64_t incarnation;
    bool is_acknowledged;
};

struct cluster {
    const struct raft_cluster_options *options;
    struct raft_cluster_result *result;
    struct sim *sim;
    struct raft_checker *checker;
    struct replica replicas[NODES_MAX];
    int count;
    struct prng workload, faults;
    bool is_peaceful;
    struct proposal *proposals;
    size_t proposal_count;
    int64_t last_leader_term;
};

static void fail_run(void *context, const char *text)
{
    struct cluster *cluster = context;
    if (cluster->result->failure[0]) return;
    snprintf(cluster->result->failure, sizeof cluster->result->failure, "%s (at %" PRId64 " us)", text, sim_now_us(cluster->sim));
}

static bool has_failed(const struct cluster *cluster) { return cluster->result->failure[0] != 0; }

/* ---- the state machine ----------------------------------------------------------------------------------------------- */

static void acknowledge(struct replica *replica, int64_t index, int64_t term, struct buf *bytes)
{
    struct cluster *cluster = replica->cluster;
    if (!bytes) return;
    struct reader r = reader_make(buf_slice(bytes));
    uint64_t id = (uint64_t)reader_i64(&r);
    ASSERT(id < PROPOSALS_MAX);
    struct proposal *proposal = &cluster->proposals[id];
    bool is_here = proposal->replica == replica->number && proposal->incarnation == replica->incarnation;
    if (!is_here || proposal->index != index || proposal->term != term || proposal->is_acknowledged) return;
    proposal->is_acknowledged = true; /* the client has its answer: this must never be lost */
    cluster->result->acknowledged++;
}

static void on_committed(void *user, int64_t index, int64_t term, struct buf *bytes, int64_t now_us)
{
    struct replica *replica = user;
    (void)now_us;
    if (index != replica->applied_index + 1) fail_run(replica->cluster, "R-SAFE: an index was skipped or repeated");
    replica->applied_index = index;
    replica->digest = raft_checker_digest(replica->digest, index, term, bytes ? buf_slice(bytes) : SLICE_NULL);
    raft_checker_applied(replica->cluster->checker, replica->number, index, replica->digest);
    acknowledge(replica, index, term, bytes);
}

static struct buf *on_take_snapshot(void *user)
{
    struct replica *replica = user;
    struct writer w;
    writer_init(&w, 64);
    writer_i64(&w, replica->applied_index);
    writer_i64(&w, (int64_t)replica->digest);
    size_t padding = (size_t)(replica->digest % 5000); /* sizes of all kinds; several chunks now and then */
    memset(writer_reserve(&w, padding), 7, padding);
    return writer_take(&w);
}

static enum err on_load_snapshot(void *user, int64_t index, int64_t term, struct slice bytes, int64_t now_us)
{
    struct replica *replica = user;
    (void)now_us, (void)term;
    struct reader r = reader_make(bytes);
    replica->applied_index = reader_i64(&r);
    replica->digest = (uint64_t)reader_i64(&r);
    if (replica->applied_index != index) fail_run(replica->cluster, "R-SNAP: a snapshot of another index");
    if (replica->is_leader) fail_run(replica->cluster, "R-SNAP: a leader loads a snapshot");
    raft_checker_loaded(replica->cluster->checker, replica->number, index, replica->digest);
    raft_checker_applied(replica->cluster->checker, replica->number, index, replica->digest);
    replica->cluster->result->snapshots_installed++;
    return ERR_OK;
}

static void on_leader(void *user, const struct raft_node_leader *leader, int64_t now_us)
{
    struct replica *replica = user;
    (void)now_us;
    replica->is_leader = leader->is_self;
    if (!leader->is_self || leader->term <= replica->cluster->last_leader_term) return;
    replica->cluster->last_leader_term = leader->term;
    replica->cluster->result->leaders++;
}

static void on_failed(void *user, enum err err, const char *reason, int64_t now_us)
{
    struct replica *replica = user;
    (void)err, (void)reason, (void)now_us;
    sim_node_exit(replica->node);
}

/* ---- the process ----------------------------------------------------------------------------------------------------- */

static enum request_progress on_request(void *user, struct request *request)
{
    struct replica *replica = user;
    if (!private_api_is_raft(request->api_key)) {
        request_close(request, "not for a controller");
        return REQUEST_DONE;
    }
    return raft_node_on_request(replica->raft, request);
}

static void fill_config(const struct replica *replica, struct raft_node_config *config)
{
    const struct cluster *cluster = replica->cluster;
    *config = (struct raft_node_config){
        .node_id = replica->number,
        .directory = "/data/metadata",
        .voter_count = (uint32_t)cluster->options->voters,
        .snapshot_log_bytes = 2000,
    };
    for (int i = 0; i < cluster->options->voters; i++) {
        config->voters[i].id = i;
        config->voters[i].port = PORT;
        snprintf(config->voters[i].host, sizeof config->voters[i].host, "node%d", i);
    }
}

static void start(void *user, struct sim_node *node)
{
    struct replica *replica = user;
    replica->env = sim_env_create(node);
    replica->incarnation++;
    replica->applied_index = 0;
    replica->digest = 0;
    replica->is_leader = false;
    struct server_limits limits = {.frame_bytes_max = 64 << 20,
                                   .memory_bytes_max = 64 << 20,
                                   .connections_max = 100,
                                   .connections_per_ip_max = 100,
                                   .connections_per_s_max = CONNECTION_RATE_UNLIMITED};
    struct server_handler handler = {.on_request = on_request, .user = replica};
    struct raft_node_callbacks callbacks = {
        .user = replica,
        .committed = on_committed,
        .take_snapshot = on_take_snapshot,
        .load_snapshot = on_load_snapshot,
        .leader = on_leader,
        .failed = on_failed,
    };
    struct raft_node_config config;
    fill_config(replica, &config);
    server_init(&replica->server, replica->env, &limits, &handler);
    enum err err = raft_node_create(replica->env, &config, &callbacks, &replica->raft);
    uint16_t bound = 0;
    if (err == ERR_OK) err = server_listen(&replica->server, "CONTROLLER", "", PORT, true, &bound);
    if (err != ERR_OK) {
        fail_run(replica->cluster, "R-DUR: a node does not start from its own disk");
        return;
    }
    raft_node_start(replica->raft);
}

static void destroy(void *user, struct sim_node *node)
{
    struct replica *replica = user;
    (void)node;
    if (replica->raft) raft_node_destroy(replica->raft);
    replica->raft = NULL;
    server_deinit(&replica->server);
}

/* ---- after every event ----------------------------------------------------------------------------------------------- */

static void check(void *context)
{
    struct cluster *cluster = context;
    for (int i = 0; i < cluster->count; i++) {
        struct replica *replica = &cluster->replicas[i];
        if (replica->raft) raft_checker_observe(cluster->checker, i, raft_node_raft(replica->raft), replica->incarnation);
    }
}

/* ---- the client ------------------------------------------------------------------------------------------------------ */

static void propose(struct cluster *cluster)
{
    if (cluster->proposal_count == PROPOSALS_MAX) return;
    struct replica *replica = &cluster->replicas[prng_below(&cluster->workload, (uint64_t)cluster->options->voters)];
    if (!replica->raft || !sim_node_is_running(replica->node)) return;
    uint64_t id = cluster->proposal_count;
    struct writer w;
    writer_init(&w, 16);
    writer_i64(&w, (int64_t)id);
    size_t padding = (size_t)prng_below(&cluster->workload, prng_chance(&cluster->workload, 1, 50) ? 5000 : 60);
    memset(writer_reserve(&w, padding), (int)(id % 251), padding);
    struct buf *bytes = writer_take(&w);
    struct proposal *proposal = &cluster->proposals[id];
    *proposal = (struct proposal){.id = id, .replica = replica->number, .incarnation = replica->incarnation};
    if (raft_node_propose(replica->raft, bytes, &proposal->index, &proposal->term) == ERR_OK) cluster->proposal_count++;
    buf_unref(bytes);
}

static void client(void *context)
{
    struct cluster *cluster = context;
    int burst = prng_chance(&cluster->workload, 1, 10) ? 10 : 1;
    for (int i = 0; i < burst; i++) propose(cluster);
    sim_at(cluster->sim, sim_now_us(cluster->sim) + prng_range(&cluster->workload, 500, 10 * SIM_MS), client, cluster);
}

/* ---- faults ---------------------------------------------------------------------------------------------------------- */

static struct replica *any(struct cluster *cluster) { return &cluster->replicas[prng_below(&cluster->faults, (uint64_t)cluster->count)]; }

static const struct raft *some_leader(const struct cluster *cluster)
{
    for (int i = 0; i < cluster->count; i++)
        if (cluster->replicas[i].raft && cluster->replicas[i].is_leader) return raft_node_raft(cluster->replicas[i].raft);
    return NULL;
}

/* A disk may be lost while all others are whole: every committed entry keeps a majority of voters that have it, or would not be
 * outvoted. Whole again means: a leader has the new directory in its committed, final membership. */
static bool may_wipe(struct cluster *cluster)
{
    const struct raft *leader = some_leader(cluster);
    struct raft_status status;
    if (!leader || raft_checker_committed(cluster->checker) < 3) return false;
    raft_status(leader, &status);
    if (status.membership.outgoing.count > 0) return false;
    for (int i = 0; i < cluster->options->voters; i++) {
        struct replica *replica = &cluster->replicas[i];
        if (!replica->is_wiped) continue;
        if (!replica->raft) return false;
        struct uuid directory = raft_node_directory_id(replica->raft);
        bool is_back = false;
        for (uint32_t v = 0; v < status.membership.current.count; v++)
            is_back |= uuid_equal(status.membership.current.voters[v].directory_id, directory);
        if (!is_back || status.commit_index < status.term_first_index) return false;
        replica->is_wiped = false;
    }
    return true;
}

static void restart(void *context)
{
    struct replica *replica = context;
    if (!sim_node_is_running(replica->node)) sim_node_start(replica->node);
}

/* In the middle of the birth: the others may have taken the old disk for a founder's. */
static void wipe_at_birth(void *context)
{
    struct replica *replica = context;
    struct cluster *cluster = replica->cluster;
    if (!sim_node_is_running(replica->node) || raft_checker_committed(cluster->checker) > 0) return;
    sim_node_crash(replica->node, SIM_CRASH_PROCESS);
    sim_disk_wipe(replica->node);
    raft_checker_wiped(cluster->checker, replica->number);
    replica->is_wiped = true;
    cluster->result->wipes++;
    sim_at(cluster->sim, sim_now_us(cluster->sim) + prng_range(&cluster->faults, 0, 20 * SIM_MS), restart, replica);
}

static void heal(void *context) { sim_net_heal(((struct cluster *)context)->sim); }

/* Once in three runs, around the start of the last node. Most often the lowest id is wiped, which proposes the cluster's, and two others do
 * not hear each other for a while. */
static void plan_birth(struct cluster *cluster, int64_t last_start_us)
{
    if (cluster->options->voters == 1 || !prng_chance(&cluster->faults, 1, 3)) return;
    int victim = prng_chance(&cluster->faults, 2, 3) ? 0 : (int)prng_below(&cluster->faults, (uint64_t)cluster->options->voters);
    sim_at(cluster->sim, last_start_us + prng_range(&cluster->faults, 0, 40 * SIM_MS), wipe_at_birth, &cluster->replicas[victim]);
    if (prng_chance(&cluster->faults, 1, 2)) return;
    sim_net_block(cluster->sim, cluster->replicas[1].node, cluster->replicas[2].node);
    sim_at(cluster->sim, last_start_us + prng_range(&cluster->faults, 5 * SIM_MS, 100 * SIM_MS), heal, cluster);
}

static void crash(struct cluster *cluster, struct replica *replica)
{
    bool is_power = prng_chance(&cluster->faults, 1, 2);
    bool is_wipe = cluster->options->voters > 1 && prng_chance(&cluster->faults, 1, 4) && may_wipe(cluster);
    int64_t pause = prng_chance(&cluster->faults, 1, 2) ? prng_range(&cluster->faults, 0, 20 * SIM_MS)
                                                        : prng_range(&cluster->faults, 0, 5 * SIM_SECOND);
    if (!sim_node_is_running(replica->node)) return;
    sim_node_crash(replica->node, is_power ? SIM_CRASH_POWER : SIM_CRASH_PROCESS);
    cluster->result->crashes++;
    if (is_wipe) {
        sim_disk_wipe(replica->node);
        raft_checker_wiped(cluster->checker, replica->number);
        replica->is_wiped = true;
        cluster->result->wipes++;
    }
    sim_at(cluster->sim, sim_now_us(cluster->sim) + pause, restart, replica);
}

/* Killed with writes in the page cache, started, and then the power goes before the disk has them: what the second start read there
 * must not have been called durable. */
static void kill_once(void *context)
{
    struct replica *replica = context;
    if (sim_node_is_running(replica->node)) sim_node_crash(replica->node, SIM_CRASH_PROCESS);
}

static void cut_power(void *context)
{
    struct replica *replica = context;
    if (!sim_node_is_running(replica->node)) return;
    sim_disk_set_outcome(replica->node, SIM_DISK_DROP_ALL);
    sim_node_crash(replica->node, SIM_CRASH_POWER);
    sim_disk_set_outcome(replica->node, SIM_DISK_RANDOM);
}

static void kill_twice(struct cluster *cluster, struct replica *replica)
{
    int64_t at_us = sim_now_us(cluster->sim);
    sim_disk_stall_commits(replica->node, at_us + 100 * SIM_MS);
    sim_at(cluster->sim, at_us += prng_range(&cluster->faults, 0, 90 * SIM_MS), kill_once, replica);
    sim_at(cluster->sim, at_us += 1, restart, replica);
    sim_at(cluster->sim, at_us += prng_range(&cluster->faults, 0, 30 * SIM_MS), cut_power, replica);
    sim_at(cluster->sim, at_us + prng_range(&cluster->faults, 0, SIM_SECOND), restart, replica);
    cluster->result->crashes += 2;
}

static struct replica *leader_or_any(struct cluster *cluster)
{
    for (int i = 0; i < cluster->count && prng_chance(&cluster->faults, 1, 2); i++)
        if (cluster->replicas[i].is_leader && sim_node_is_running(cluster->replicas[i].node)) return &cluster->replicas[i];
    return any(cluster);
}

static void partition(struct cluster *cluster)
{
    uint64_t all = (1u << cluster->count) - 1, side = prng_below(&cluster->faults, all) + 1;
    if (prng_chance(&cluster->faults, 1, 3)) {
        struct replica *a = leader_or_any(cluster), *b = any(cluster);
        if (a != b) sim_net_block(cluster->sim, a->node, b->node); /* one direction only */
    } else {
        sim_net_partition(cluster->sim, side, all & ~side);
    }
    cluster->result->partitions++;
}

static void fault(void *context)
{
    struct cluster *cluster = context;
    if (cluster->is_peaceful) return;
    struct replica *replica = leader_or_any(cluster);
    switch (prng_below(&cluster->faults, 11)) {
    case 0:
    case 1:
    case 2: crash(cluster, replica); break;
    case 3: partition(cluster); break;
    case 4:
    case 5: sim_net_heal(cluster->sim); break;
    case 6: sim_net_cut(cluster->sim, replica->node, prng_chance(&cluster->faults, 1, 2) ? NULL : any(cluster)->node); break;
    case 7: sim_disk_stall_commits(replica->node, sim_now_us(cluster->sim) + prng_range(&cluster->faults, 0, 3 * SIM_SECOND)); break;
    case 8:
        if (replica->raft && sim_node_is_running(replica->node)) raft_node_transfer(replica->raft);
        break;
    case 9:
        for (int i = 0; i < cluster->count; i++)
            if (prng_chance(&cluster->faults, 1, 10)) crash(cluster, &cluster->replicas[i]);
        break;
    case 10: kill_twice(cluster, replica); break;
    }
    int64_t pause =
        prng_chance(&cluster->faults, 1, 3) ? prng_range(&cluster->faults, 0, 5 * SIM_MS) : prng_range(&cluster->faults, 0, 1500 * SIM_MS);
    sim_at(cluster->sim, sim_now_us(cluster->sim) + pause, fault, cluster);
}

/* ---- the verdict ----------------------------------------------------------------------------------------------------- */

/* R-LIVE: one leader, everybody at the same place, all voters voting again. */
static bool has_converged(void *context)
{
    struct cluster *cluster = context;
    const struct raft *leader = some_leader(cluster);
    struct raft_status status, other;
    if (has_failed(cluster)) return true;
    if (!leader) return false;
    raft_status(leader, &status);
    if (status.commit_index != status.last_index || status.membership.outgoing.count > 0) return false;
    for (int i = 0; i < cluster->count; i++) {
        const struct replica *replica = &cluster->replicas[i];
        if (!replica->raft || replica->applied_index != status.commit_index) return false;
        raft_status(raft_node_raft(replica->raft), &other);
        if (other.term != status.term || other.leader.id != status.leader.id) return false;
        if (i < cluster->options->voters && other.role == RAFT_LEARNER) return false;
        if (replica->digest != cluster->replicas[0].digest) return false;
    }
    return true;
}

static void stop_client(struct cluster *cluster) { cluster->proposal_count = PROPOSALS_MAX; }

static void describe(struct cluster *cluster, char *text, size_t size)
{
    size_t n = 0;
    for (int i = 0; i < cluster->count && n < size; i++) {
        struct raft_status status;
        const struct replica *replica = &cluster->replicas[i];
        if (!replica->raft) {
            n += (size_t)snprintf(text + n, size - n, " [%d down]", i);
            continue;
        }
        raft_status(raft_node_raft(replica->raft), &status);
        n += (size_t)snprintf(text + n, size - n, " [%d %s term %" PRId64 " leader %d log %" PRId64 "..%" PRId64 " commit %" PRId64 "]", i,
                              raft_role_name(status.role), status.term, status.leader.id, status.first_index, status.last_index,
                              status.commit_index);
    }
}

static void check_acknowledged(struct cluster *cluster, size_t proposals)
{
    /* R-SAFE made all committed logs one; an acknowledged proposal was committed at its index, so it is there. What is left to
     * see is that the log is at least that long everywhere. */
    for (size_t i = 0; i < proposals; i++)
        if (cluster->proposals[i].is_acknowledged && cluster->proposals[i].index > cluster->replicas[0].applied_index)
            fail_run(cluster, "an acknowledged proposal is beyond the log");
}

static void run_phases(struct cluster *cluster)
{
    int64_t last_us = 0;
    for (int i = 0; i < cluster->count; i++) {
        int64_t at_us = (int64_t)prng_below(&cluster->faults, cluster->options->has_faults ? 500 * SIM_MS : 20 * SIM_MS);
        sim_at(cluster->sim, at_us, restart, &cluster->replicas[i]);
        last_us = max_i64(last_us, at_us);
    }
    if (cluster->options->has_faults) plan_birth(cluster, last_us);
    sim_at(cluster->sim, 1, client, cluster);
    if (cluster->options->has_faults) sim_at(cluster->sim, 300 * SIM_MS, fault, cluster);
    for (int64_t end = sim_now_us(cluster->sim) + cluster->options->fault_us; sim_now_us(cluster->sim) < end && !has_failed(cluster);)
        if (!sim_step(cluster->sim)) break;
    cluster->is_peaceful = true;
    size_t proposals = cluster->proposal_count;
    stop_client(cluster);
    sim_net_heal(cluster->sim);
    sim_run_for(cluster->sim, 5 * SIM_SECOND); /* the last restarts */
    bool is_over = has_failed(cluster) || sim_wait(cluster->sim, has_converged, cluster, 30 * SIM_SECOND);
    cluster->result->virtual_us = sim_now_us(cluster->sim);
    if (!is_over) {
        char text[400] = "R-LIVE:";
        describe(cluster, text + 7, sizeof text - 7);
        fail_run(cluster, text);
    }
    if (!has_failed(cluster)) check_acknowledged(cluster, proposals);
}

void raft_cluster_run(const struct raft_cluster_options *options, struct raft_cluster_result *result)
{
    *result = (struct raft_cluster_result){0};
    struct cluster *cluster = mem_alloc(sizeof *cluster);
    cluster->options = options;
    cluster->result = result;
    cluster->sim = sim_create(options->seed);
    cluster->checker = raft_checker_create(fail_run, cluster);
    cluster->count = options->voters + options->learners;
    ASSERT(cluster->count <= NODES_MAX);
    cluster->workload = sim_prng(cluster->sim, "raft workload");
    cluster->faults = sim_prng(cluster->sim, "raft faults");
    cluster->proposals = mem_calloc(PROPOSALS_MAX, sizeof *cluster->proposals);
    for (int i = 0; i < cluster->count; i++) {
        struct replica *replica = &cluster->replicas[i];
        char host[16];
        snprintf(host, sizeof host, "node%d", i);
        replica->cluster = cluster;
        replica->number = i;
        struct sim_process process = {.start = start, .destroy = destroy, .user = replica};
        replica->node = sim_node_add(cluster->sim, host, &process);
    }
    sim_after_each_event(cluster->sim, check, cluster);
    run_phases(cluster);
    result->is_ok = !has_failed(cluster);
    result->hash = sim_hash(cluster->sim);
    result->events = sim_event_count(cluster->sim);
    result->committed = raft_checker_committed(cluster->checker);
    sim_destroy(cluster->sim);
    raft_checker_destroy(cluster->checker);
    mem_free(cluster->proposals);
    mem_free(cluster);
}
