/* Changing the voters: one change at a time, each in two entries (joint consensus, 4.3).
 *
 * The first entry holds the new set and, as `outgoing`, the old one; from then on every decision needs a majority of both. When it
 * is committed, the leader appends the second, without `outgoing`. So the majority of the old set decides, and no two majorities
 * can ever miss each other, whatever the sets are.
 *
 * What changes today: a listed voter whose disk was replaced. Its old directory id cannot come back by itself; the new one follows as
 * a learner, holding no vote, until it has caught up; then the leader puts it in the old one's place. */
#include "common/mutant.h"
#include "controller/raft/raft_state.h"

static void append_membership(struct raft *raft, const struct raft_membership *membership)
{
    struct buf *bytes = raft_membership_encode(raft->hard.cluster_id, membership);
    (void)raft_append(raft, raft->hard.term, RAFT_ENTRY_VOTERS, bytes);
    buf_unref(bytes);
    raft_leader_sync_peers(raft);
    raft_leader_replicate(raft);
}

/* 4.1: nothing on its way, and an entry of the own term committed (the 2015 correction). */
static bool may_change(const struct raft *raft)
{
    return raft->role == RAFT_LEADER && raft->commit_index >= raft->state.leader.term_first_index &&
           raft_history_last(&raft->history)->index <= raft->commit_index && raft->state.leader.transfer_to == RAFT_NOBODY;
}

/* It is asking, it has everything, and the disk that it replaces is silent. */
static bool has_replaced(struct raft *raft, const struct raft_progress *learner)
{
    const struct raft_membership *membership = raft_membership_now(raft);
    const struct raft_member *old = raft_voters_find(&membership->current, learner->member.id);
    if (learner->is_voter || !old || raft_member_equal(*old, raft->config.self)) return false;
    if (learner->match_index < raft->commit_index) return false;
    const struct raft_progress *voter = raft_leader_peer(raft, *old);
    ASSERT(voter);
    return voter->last_contact_us == INT64_MIN || raft->now_us - voter->last_contact_us > 2 * raft->config.heartbeat_us;
}

void raft_change_consider(struct raft *raft)
{
    if (!may_change(raft) || raft_membership_is_joint(raft_membership_now(raft))) return;
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        const struct raft_progress *peer = &raft->state.leader.peers[i];
        if (!has_replaced(raft, peer)) continue;
        struct raft_membership joint = {.outgoing = raft_membership_now(raft)->current};
        joint.current = joint.outgoing;
        raft_voters_put(&joint.current, peer->member);
        if (MUTANT("replaced_at_once")) joint.outgoing.count = 0;
        append_membership(raft, &joint);
        return; /* one at a time; the array of peers has changed */
    }
}

void raft_change_committed(struct raft *raft)
{
    const struct raft_history_item *last = raft_history_last(&raft->history);
    if (raft->role != RAFT_LEADER || last->index > raft->commit_index) return;
    if (raft_membership_is_joint(&last->membership)) {
        struct raft_membership final = {.current = last->membership.current};
        append_membership(raft, &final);
    } else if (!raft_is_voter(raft)) {
        raft_become_follower(raft, raft->hard.term, RAFT_NO_MEMBER); /* voted out (4.2.2) */
    }
}
