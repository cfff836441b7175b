/* A model member of the one consumer group of a simulated cluster, and what all of them were told.
 *
 * It joins, assigns when it leads, syncs, reads the group's offsets, and then sends heartbeats, commits, reads and sometimes leaves.
 * Nothing is consumed: an offset is a number that says which commit it was. What the coordinators answer must fit together:
 *
 *   G-GEN     no generation is older than one that was stored before the question
 *   G-OWN     in a generation that was stored no partition has two owners
 *   G-OFFDUR  once a commit was acknowledged, there is an offset
 *   G-OFFMON  the offset that is read is that of a commit, and of none that an acknowledged one has replaced
 *   G-LIVE    when the faults are over, the group is stable in a bound of time (the caller waits for it)
 *
 * A commit whose answer did not come may count at any time, or never.
 * Members read offsets from any node now and then: one that was coordinator, is cut off and does not know it yet must not answer. */
#ifndef SKIFF_TESTS_SIM_MEMBER_H
#define SKIFF_TESTS_SIM_MEMBER_H

#include "common/env.h"
#include "tests/sim/workload.h"

#define GROUP_COMMITS_MAX     4096 /* of a partition and run; then no more */
#define GROUP_GENERATIONS_MAX 4096
#define MEMBER_ID_MAX         128

struct client;

struct group_commit {
    int64_t began_us, acked_us; /* -1: not acknowledged */
};
struct group_history {
    struct verdict *verdict;
    int32_t stored_generation; /* the newest that a member was told after it had been stored; -1 */
    struct group_commit commits[GROUP_PARTITIONS][GROUP_COMMITS_MAX];
    int64_t counts[GROUP_PARTITIONS];
    uint8_t owners[GROUP_GENERATIONS_MAX][GROUP_PARTITIONS]; /* client + 1 */
    uint64_t acked, read, rebalances;
};
void group_history_init(struct group_history *history, struct verdict *verdict);
/* The offset to commit; -1: enough. */
int64_t group_history_begin(struct group_history *history, uint32_t partition, int64_t now_us);
void group_history_acked(struct group_history *history, uint32_t partition, int64_t offset, int64_t now_us);
/* `asked_us`: when the question left. */
void group_history_read(struct group_history *history, uint32_t partition, int64_t offset, int64_t asked_us);
void group_history_synced(struct group_history *history, uint32_t client, int32_t generation, uint32_t owned);

/* All members are in one generation and have all partitions. */
bool members_are_stable(const struct workload *workload);

#endif
