#include "controller/raft/raft_quorum.h"

#include "common/assert.h"
#include "common/checked.h"

static int64_t set_index(const struct raft_voters *voters, raft_index_fn reached, const void *context)
{
    int64_t sorted[VOTERS_MAX]; /* descending */
    ASSERT(voters->count > 0);
    ASSERT(voters->count <= VOTERS_MAX);
    for (uint32_t i = 0; i < voters->count; i++) {
        int64_t index = reached(context, voters->voters[i]);
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] < index; at--) sorted[at] = sorted[at - 1];
        sorted[at] = index;
    }
    return sorted[raft_majority(voters->count) - 1];
}

int64_t raft_quorum_index(const struct raft_membership *membership, raft_index_fn reached, const void *context)
{
    int64_t index = set_index(&membership->current, reached, context);
    if (membership->outgoing.count == 0) return index;
    return min_i64(index, set_index(&membership->outgoing, reached, context));
}

static enum raft_tally set_tally(const struct raft_voters *voters, raft_vote_fn vote, const void *context)
{
    ASSERT(voters->count > 0);
    uint32_t granted = 0, missing = 0;
    for (uint32_t i = 0; i < voters->count; i++) {
        enum raft_vote_state state = vote(context, voters->voters[i]);
        granted += state == RAFT_VOTE_GRANTED;
        missing += state == RAFT_VOTE_MISSING;
    }
    ASSERT(granted + missing <= voters->count);
    if (granted >= raft_majority(voters->count)) return RAFT_TALLY_WON;
    return granted + missing < raft_majority(voters->count) ? RAFT_TALLY_LOST : RAFT_TALLY_OPEN;
}

enum raft_tally raft_quorum_tally(const struct raft_membership *membership, raft_vote_fn vote, const void *context)
{
    enum raft_tally current = set_tally(&membership->current, vote, context);
    if (membership->outgoing.count == 0) return current;
    enum raft_tally outgoing = set_tally(&membership->outgoing, vote, context);
    if (current == RAFT_TALLY_LOST || outgoing == RAFT_TALLY_LOST) return RAFT_TALLY_LOST;
    return current == RAFT_TALLY_WON && outgoing == RAFT_TALLY_WON ? RAFT_TALLY_WON : RAFT_TALLY_OPEN;
}
