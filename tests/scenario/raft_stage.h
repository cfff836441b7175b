/* A stage for Raft cores: pure nodes, a disk that answers when told to, messages that arrive when told to, and a transcript of what
 * happens. scenario_raft.c reads the commands. */
#ifndef SKIFF_TESTS_SCENARIO_RAFT_STAGE_H
#define SKIFF_TESTS_SCENARIO_RAFT_STAGE_H

#include "common/list.h"
#include "controller/raft/raft_state.h"

#include <stdio.h>

#define STAGE_NODES_MAX   8
#define STAGE_ENTRIES_MAX 64
#define STAGE_FAR         1000000

struct stage_message {
    struct list_node node;
    struct raft_message message;
    struct raft_membership membership;
    struct raft_entry *entries;
    uint64_t write; /* leaves when this one is durable */
};

/* What a disk holds. */
struct stage_disk {
    struct raft_hard_state hard;
    struct raft_snapshot snapshot;
    int64_t base, count;
    struct raft_entry entries[STAGE_ENTRIES_MAX]; /* after `base` */
    uint8_t directory;                            /* the byte that its directory id is made of */
};

struct stage_write {
    struct list_node node;
    uint64_t number;
    bool has_hard;
    struct raft_hard_state hard;
    int64_t truncate_from, restart_after;
    int64_t from, count;
    struct raft_entry *entries;
};

struct stage_node {
    struct raft *raft; /* NULL: down */
    struct stage_disk disk;
    struct list writes;              /* struct stage_write, not durable yet */
    struct list waiting;             /* struct stage_message, each until its write is durable */
    struct raft_snapshot installing; /* complete, not durable yet; index 0: none */
    int64_t deadline_us;
    bool is_cut;
    enum raft_role shown_role;
    int64_t shown_term, shown_commit;
};

struct stage {
    struct stage_node nodes[STAGE_NODES_MAX];
    int count, voters;
    struct list network; /* struct stage_message in the order of sending */
    int64_t now_us;
    uint64_t random;
    uint64_t next_token;
    FILE *out;
};

void stage_init(struct stage *stage, FILE *out);
void stage_deinit(struct stage *stage);
/* Nodes 0..voters-1 are listed, the others are learners. All directories are empty. */
void stage_new(struct stage *stage, int voters, int learners);
/* Gives a node that was never started a past: in the cluster of all voters, with entries of these terms. */
void stage_past(struct stage *stage, int n, int64_t term, const int64_t *terms, int count);

void stage_start(struct stage *stage, int n);
void stage_crash(struct stage *stage, int n);
void stage_wipe(struct stage *stage, int n);
void stage_cut(struct stage *stage, int n, bool is_cut);
/* Lets time pass to the node's deadline, or by `ms` if that is >= 0. */
void stage_tick(struct stage *stage, int n, int64_t ms);
void stage_event(struct stage *stage, int n, struct raft_event event);
void stage_persist(struct stage *stage, int n);
/* Messages under way from `from` to `to` (-1: anybody) arrive, in order; those sent meanwhile do not. How many. */
int stage_deliver(struct stage *stage, int from, int to);
void stage_lose(struct stage *stage, int from, int to);
/* Disks answer and messages arrive until nothing moves. */
void stage_settle(struct stage *stage);
void stage_show(struct stage *stage, int n);
void stage_propose(struct stage *stage, int n, const char *text);
void stage_snapshot(struct stage *stage, int n);

#endif
