/* Majorities: pure arithmetic over a voter set, or over both sets of a joint one. What is known of each voter comes through a
 * function, so that the tests are tables. */
#ifndef SKIFF_CONTROLLER_RAFT_RAFT_QUORUM_H
#define SKIFF_CONTROLLER_RAFT_RAFT_QUORUM_H

#include "controller/raft/raft.h"

enum raft_vote_state { RAFT_VOTE_MISSING, RAFT_VOTE_GRANTED, RAFT_VOTE_REFUSED };
enum raft_tally { RAFT_TALLY_OPEN, RAFT_TALLY_WON, RAFT_TALLY_LOST };

typedef int64_t (*raft_index_fn)(const void *context, struct raft_member member);
typedef enum raft_vote_state (*raft_vote_fn)(const void *context, struct raft_member member);

static inline uint32_t raft_majority(uint32_t count) { return count / 2 + 1; }

/* The highest index that a majority (of both sets) has reached. */
int64_t raft_quorum_index(const struct raft_membership *membership, raft_index_fn reached, const void *context);
/* WON: a majority (of both sets) granted. LOST: it no longer can. */
enum raft_tally raft_quorum_tally(const struct raft_membership *membership, raft_vote_fn vote, const void *context);

#endif
