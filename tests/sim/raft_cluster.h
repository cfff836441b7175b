/* A cluster of Raft nodes in the simulator: production's raft_node, store, peers and connections; a state machine that hashes what it is
 * given; a client that proposes; faults from the seed; raft_checker.h after every event. */
#ifndef SKIFF_TESTS_SIM_RAFT_CLUSTER_H
#define SKIFF_TESTS_SIM_RAFT_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

struct raft_cluster_options {
    uint64_t seed;
    int voters;   /* 1, 3 or 5 */
    int learners; /* further nodes that are no voters */
    bool has_faults;
    int64_t fault_us; /* how long faults last */
};

struct raft_cluster_result {
    bool is_ok;
    char failure[512]; /* the first violation: "R-...: ..." */
    uint64_t hash;
    uint64_t events;
    int64_t committed;
    int64_t acknowledged;
    int64_t virtual_us;
    uint32_t crashes, wipes, partitions, leaders, snapshots_installed;
};

/* Faults for a while, then peace: one leader, everything acknowledged is there, everybody has it. */
void raft_cluster_run(const struct raft_cluster_options *options, struct raft_cluster_result *result);

#endif
