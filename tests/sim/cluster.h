/* Whole clusters in the simulator: production controllers and brokers on every node, model clients, faults, checkers.
 *
 * A run has four phases: birth (the topics are created), faults, heal (all faults end; the cluster must converge in a bound of
 * virtual time), and the final read of everything. It ends early with the first invariant that breaks. The seed decides all. */
#ifndef SKIFF_TESTS_SIM_CLUSTER_H
#define SKIFF_TESTS_SIM_CLUSTER_H

#include "tests/sim/checker.h"
#include "tests/sim/member.h"
#include "tests/sim/workload.h"

struct controller_node;
struct broker_node;
struct process;

enum fault {
    FAULT_KILL,      /* kill -9 of one process */
    FAULT_POWER,     /* one host loses power */
    FAULT_POWER_ALL, /* all hosts lose power */
    FAULT_STOP,      /* SIGTERM: controlled shutdown */
    FAULT_PAUSE,     /* SIGSTOP for a while, also for longer than a session */
    FAULT_ISOLATE,   /* one node from all others, in both directions or one */
    FAULT_SPLIT,     /* nodes and clients in two random halves */
    FAULT_CUT,       /* the connections of a node are reset */
    FAULT_SLOW,      /* the network is slow */
    FAULT_STALL,     /* a disk takes long to commit */
    FAULT_EIO,       /* a commit fails; its pages are lost */
    FAULT_FULL,      /* a disk is full */
    FAULT_CLOCK,     /* a wall clock jumps */
    FAULT_DRIFT,     /* a monotonic clock runs fast or slow from now on */
    FAULT_WIPE,      /* a node comes back with an empty disk; once in a run: the promise covers one lost disk */
    FAULT_RECREATE,  /* a topic is deleted and created again */
    FAULT_VOTE,      /* plots: faults_plots.c */
    FAULT_AMNESIA,
    FAULT_DEPOSE,
    FAULT_TRIM,  /* records are deleted */
    FAULT_USURP, /* with groups only */
    FAULT_COUNT
};
const char *fault_name(enum fault fault);

enum outcome { OUTCOME_PASS, OUTCOME_FAIL, OUTCOME_NO_PROGRESS, OUTCOME_VACUOUS };
const char *outcome_name(enum outcome outcome);

/* Nodes are voters of the quorum, brokers, or both: the voters come first, the brokers last. */
struct cluster_shape {
    uint32_t node_count, voter_count, first_broker;
};
struct cluster_options {
    uint64_t seed;
    struct cluster_shape shape;
    bool is_calm;    /* no faults */
    bool has_groups; /* the clients are members of a group, too; with faults of group_faults only */
    uint64_t faults; /* the kinds to choose from, as bits; 0: drawn from the seed */
};
/* Those under which a group must go on: all but failing disks and topics that go; and of these, those that make coordinators change while
 * the old one lives. */
extern const uint64_t group_faults, group_usurping_faults;
struct cluster_result {
    enum outcome outcome;
    struct verdict verdict;
    uint64_t events, hash, acked, read, elections, leader_changes;
    uint64_t faults[FAULT_COUNT];
    uint64_t group_commits, group_reads, rebalances;
    int64_t virtual_us;
};
void cluster_run(const struct cluster_options *options, struct cluster_result *result);

/* ---- inside -------------------------------------------------------------------------------------------------------- */

struct cluster_node {
    struct cluster *cluster;
    uint32_t index;
    struct sim_node *node;
    struct env *controller_env, *broker_env;
    struct controller_node *controller; /* NULL: not running */
    struct broker_node *broker;
    struct process *process; /* of cluster_node.c */
    bool is_stopping;
    int64_t restart_at; /* when it is dead */
    bool loses_power;   /* with its next death: a failed commit has dropped pages that a restart would still see */
    bool was_running;   /* the supervisor saw it so */
    int64_t undo_pause_at, undo_full_at, undo_slow_disk_at;
    int64_t voted_term; /* the newest in which it was seen to vote */
};
struct cluster {
    struct sim *sim;
    struct verdict verdict;
    struct workload workload;
    struct group_history groups;
    struct checker checker;
    uint32_t node_count; /* workload has the other two of its shape */
    struct cluster_node nodes[WORKLOAD_NODES_MAX];
    struct prng faults;
    bool is_enabled[FAULT_COUNT];
    int64_t fault_mean_us, next_fault_at, undo_network_at;
    int64_t usurped_epoch; /* of the last handover that was seen coming */
    bool injects, has_lost_disk, is_plotting_amnesia;
    uint64_t fault_counts[FAULT_COUNT];
    int64_t learned_index; /* of metadata */
    /* Settings of the nodes, drawn from the seed. */
    int64_t session_timeout_ms, lag_max_ms, segment_bytes, snapshot_log_bytes, rebalance_interval_ms;
};

static inline bool cluster_is_voter(const struct cluster_node *node) { return node->index < node->cluster->workload.voter_count; }
static inline bool cluster_is_broker(const struct cluster_node *node) { return node->index >= node->cluster->workload.first_broker; }

/* cluster_node.c: one node's process. */
void cluster_add_node(struct cluster *cluster, uint32_t index);
void cluster_view(struct cluster_node *node, struct checker_view *view, struct raft_status *raft);
/* As on SIGTERM. */
void cluster_stop_node(struct cluster_node *node);
/* The newest committed metadata that any controller has applied; NULL: none runs. */
const struct image *cluster_newest_image(struct cluster *cluster);
/* All partitions have a leader and all their replicas in the ISR, on every node's view. */
bool cluster_is_converged(struct cluster *cluster);
/* All replicas of each partition begin where the last DeleteRecords wanted them to. All nodes must run. */
bool cluster_is_trimmed(struct cluster *cluster);
/* L-MATCH: the replicas of each partition hold the same bytes. All nodes must run, and the clients be quiet. */
void cluster_check_logs(struct cluster *cluster);

/* faults.c */
void faults_init(struct cluster *cluster, uint64_t wanted);
/* Draws the next fault when it is time, ends those that have lasted, restarts the dead. */
void faults_tick(struct cluster *cluster);
void faults_heal(struct cluster *cluster);
/* The node has done something: is it the moment for a fault? */
void faults_on_event(struct cluster_node *node, const struct raft_status *raft);

#endif
