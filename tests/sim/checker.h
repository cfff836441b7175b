/* Invariants of the whole cluster, looked at after every event of a node. Only what that node can have changed is compared.
 *
 *   R-ELEC      one leader a term, for ever
 *   R-TERM      the term of a replica never goes back while it runs
 *   R-HW        the commit index of a replica never goes back while it runs; what is committed is durable on a majority
 *   R-COMPLETE  a leader holds what was committed in earlier terms
 *   R-VOTE      the votes that elected a leader are not forgotten
 *   R-SAFE      images at the same index are equal
 *   R-DUR       what was durable before a crash is there after it
 *   P-PE        leader epoch and partition epoch of a partition never go back
 *   L-EPOCH     one leader a leader epoch
 *   L-ENDS      log start <= high watermark <= log end, durable end <= log end
 *   Q-HW        the high watermark of a leader never goes back in its epoch; when it moves, every member of the committed ISR is
 *               durable up to it, the leader included
 *   Q-LEADER    a new leader's log reaches the greatest high watermark that ever was
 *   Q-LOST      so does every member of ISR and ELR, also one that is down (by what was durable)
 *   Q-DUR       what a replica called durable before a crash is there after it
 *   L-TORN      no log is called damaged: power cuts and failing disks leave torn tails, and nothing rots here
 *   Q-ACK       nothing is acknowledged above the greatest high watermark
 *   L-START     no log starts above what clients asked to be deleted
 *   Q-TRIM      the leader's log does not start below what an answer called deleted
 *   L-MATCH     in the end all replicas hold the same bytes
 *
 * A node whose disk was wiped owes nothing until it has registered again and left every ISR and ELR: the promise allows for it
 * (reliability 1.4), and until then late heartbeats and fetches of its earlier life may bring it back. */
#ifndef SKIFF_TESTS_SIM_CHECKER_H
#define SKIFF_TESTS_SIM_CHECKER_H

#include "broker/node/replica_manager.h"
#include "controller/metadata/image.h"
#include "controller/raft/raft.h"
#include "tests/sim/workload.h"

/* What the checker looks at; NULL where the process does not run (yet). */
struct checker_view {
    const struct image *image; /* the controller's */
    const struct raft_status *raft;
    const struct replica_manager *replicas;
};

struct checker_replica {
    bool is_seen;         /* since the process started */
    bool is_known;        /* ever */
    bool owes_nothing;    /* its disk was wiped */
    int32_t moved_before; /* in this partition epoch: what it tells of earlier ones was deleted since */
    enum partition_role role;
    int32_t leader_epoch;
    int64_t log_start, log_end, durable_end, high_watermark;
};
struct checker_partition {
    bool is_known;     /* committed metadata has it */
    int64_t watermark; /* the greatest of any leader */
    int32_t *leaders;  /* by leader epoch; -1: none seen */
    int32_t epoch_count;
    int32_t leader, leader_epoch, partition_epoch; /* committed */
    struct checker_replica replicas[WORKLOAD_NODES_MAX];
};
struct checker_node {
    bool is_seen, is_known;
    bool is_replaced; /* has another disk, and so is another voter */
    int64_t lost;     /* entries that its wiped disk held: their acknowledgements may still be on their way */
    int64_t term, commit, last_term;
    int64_t durable; /* was once, and was not seen cut: enough to have been counted */
    int64_t owed;    /* is for sure: the least that a restart must find */
    int32_t vote;    /* in `term`; RAFT_NOBODY: none */
    int64_t image_index;
};
struct checker {
    struct verdict *verdict;
    const struct workload *workload;
    uint32_t node_count, voter_count;
    struct checker_node nodes[WORKLOAD_NODES_MAX];
    struct checker_partition partitions[WORKLOAD_PARTITIONS_MAX];
    int32_t *raft_leaders; /* by term */
    int64_t raft_term_count;
    int64_t committed;          /* the greatest commit index of any replica */
    int32_t *committed_in_term; /* by term; -1: nothing was first seen committed in it */
    int64_t committed_count;
    int32_t *votes; /* by term and candidate: a bit for each voter that may have voted so */
    int64_t vote_count;
    uint64_t *image_hashes; /* by index; 0: not seen */
    int64_t image_count;
    uint64_t elections, leader_changes, isr_shrinks, isr_grows; /* for VACUOUS and the summary */
    const struct image *newest;                                 /* of the controllers that run, or NULL */
    int64_t truth_index;                                        /* of the newest that ever was: what is committed */
    struct checker_view current;                                /* during a check */
    uint32_t current_node;
};

void checker_init(struct checker *checker, struct verdict *verdict, const struct workload *workload);
void checker_deinit(struct checker *checker);
/* The node's process ended; with power loss only what was durable counts from now on. */
void checker_on_crash(struct checker *checker, uint32_t node, bool is_power);
void checker_on_wipe(struct checker *checker, uint32_t node);
/* Something happened on the node. `newest`: the newest image of any node that runs. */
void checker_look(struct checker *checker, uint32_t node, const struct checker_view *view, const struct image *newest);
/* By the newest committed metadata that was seen. */
bool checker_is_leader(const struct checker *checker, uint32_t partition, int32_t node, int32_t leader_epoch);
/* Nothing was acknowledged that could be lost. */
void checker_acked(struct checker *checker, uint32_t partition, int64_t offset);

#endif
