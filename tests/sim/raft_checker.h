/* The safety of Raft, watched from outside: what every replica says after every event, compared with what it said before, with what the
 * others said, and with what was ever committed. Costs O(what changed), by a rolling hash of each log's prefix.
 *
 * Checked (ids of the reliability list):
 *     R-ELEC     at most one leader in a term, over the whole history; a restarted leader never leads the same term again
 *     R-VOTE     a counted vote was durable, and is the only one of that (directory, term)
 *     R-EPOCH    a durable term never decreases, not across a restart either
 *     R-APPEND   a leader never changes what is in its log
 *     R-MATCH    two logs with the same (index, term) are the same up to there
 *     R-COMPLETE a new leader has everything that was ever committed
 *     R-OLDTERM  a leader commits only up to an entry of its own term
 *     R-HW       what a leader commits is durable on a majority of each voter set
 *     R-NOTRUNC  nothing committed is ever truncated
 *     R-SAFE     what is applied is what was committed, in order, without gaps
 *     R-SNAP     a snapshot's state is the state of the log up to there; a leader never loads one
 *     R-DUR      what a replica said to be durable is there after a crash */
#ifndef SKIFF_TESTS_SIM_RAFT_CHECKER_H
#define SKIFF_TESTS_SIM_RAFT_CHECKER_H

#include "controller/raft/raft.h"

#define CHECKED_NODES_MAX 8

struct raft_checker;

/* `failed` is called with "R-ID: what" at the first violation; nothing is checked after it. */
struct raft_checker *raft_checker_create(void (*failed)(void *context, const char *text), void *context);
void raft_checker_destroy(struct raft_checker *checker);

/* The replica runs; called after each event. `raft` may be another one than before: it was restarted. */
void raft_checker_observe(struct raft_checker *checker, int node, const struct raft *raft, uint64_t incarnation);
/* Its disk is gone. */
void raft_checker_wiped(struct raft_checker *checker, int node);
/* What the owner is given. `digest` is that of raft_checker_digest() over all entries up to `index`. */
void raft_checker_applied(struct raft_checker *checker, int node, int64_t index, uint64_t digest);
void raft_checker_loaded(struct raft_checker *checker, int node, int64_t index, uint64_t digest);
/* `bytes` SLICE_NULL: one of Raft's own entries. */
uint64_t raft_checker_digest(uint64_t before, int64_t index, int64_t term, struct slice bytes);

/* The highest index ever committed by anybody. */
int64_t raft_checker_committed(const struct raft_checker *checker);

#endif
