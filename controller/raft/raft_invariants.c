/* The invariants of raft.c, checked: the O(1) part after every step, everywhere; the full scan where SKIFF_VERIFY is set. */
#include "controller/raft/raft_state.h"

static void check_delta(const struct raft *raft)
{
    ASSERT(raft->hard.term >= raft->before.term); /* R1 */
    ASSERT(raft->commit_index >= raft->before.commit_index);
    bool has_new_term = raft->hard.term != raft->before.term;
    bool had_vote = raft->before.vote.id != RAFT_NOBODY;
    ASSERT_IMPLIES(!has_new_term && had_vote, raft_member_equal(raft->hard.vote, raft->before.vote)); /* R1 */
    bool still_leads = !has_new_term && raft->role == RAFT_LEADER && raft->before.role == RAFT_LEADER;
    ASSERT_IMPLIES(still_leads, raft_log_last_index(&raft->log) >= raft->before.last_index); /* R3 */
    bool has_taken_office = raft->role == RAFT_LEADER && raft->before.role != RAFT_LEADER;
    ASSERT_IMPLIES(has_taken_office, raft->before.role == RAFT_CANDIDATE); /* R7 */
}

static void check_state(const struct raft *raft)
{
    int64_t last = raft_log_last_index(&raft->log);
    ASSERT(raft->commit_index <= last);
    ASSERT(raft->log.base_index <= raft->commit_index);
    ASSERT(raft->log.base_index <= raft->snapshot.index);
    ASSERT(raft->snapshot.index <= raft->commit_index);
    ASSERT(raft->log.durable_index <= last);
    ASSERT(raft_log_last_term(&raft->log) <= raft->hard.term); /* R10 */
    ASSERT(raft->durable_write <= raft->last_write);
    ASSERT_IMPLIES(raft->role == RAFT_UNBORN, last == 0 && raft->hard.term == 0);
    ASSERT_IMPLIES(raft->role == RAFT_LEARNER, !raft_is_voter(raft));
    ASSERT_IMPLIES(raft->is_disowned, raft->role == RAFT_LEARNER);
    bool is_campaigning = raft->role == RAFT_PRE_CANDIDATE || raft->role == RAFT_CANDIDATE;
    ASSERT_IMPLIES(is_campaigning, raft_is_voter(raft)); /* R6 */
    ASSERT_IMPLIES(raft->role == RAFT_LEADER, raft_member_equal(raft->leader, raft->config.self));
    ASSERT_IMPLIES(raft->role == RAFT_LEADER, raft->state.leader.term_first_index <= last);
}

/* What this step asks for must be what it did. */
static void check_actions(const struct raft *raft)
{
    const struct raft_actions *actions = raft->actions;
    bool has_entries = actions->persist.append_to >= actions->persist.append_from;
    bool has_write = has_entries || actions->persist.hard_state || actions->persist.truncate_from || actions->persist.restart_after;
    ASSERT(has_write == raft->is_write_open);
    ASSERT_IMPLIES(has_entries, actions->persist.append_to == raft_log_last_index(&raft->log));
    ASSERT_IMPLIES(actions->committed_to >= actions->committed_from, actions->committed_to == raft->commit_index);
    ASSERT_IMPLIES(raft->hard.term != raft->before.term, actions->persist.hard_state != NULL);
    ASSERT(raft->open_request == 0); /* every request has an answer, or is kept for one */
}

static void check_log(const struct raft *raft)
{
    int64_t term = raft->log.base_term;
    uint64_t write = 0;
    for (int64_t index = raft_log_first_index(&raft->log); index <= raft_log_last_index(&raft->log); index++) {
        const struct raft_entry *entry = raft_log_at(&raft->log, index);
        ASSERT(entry->term >= term); /* R10 */
        ASSERT(entry->write >= write);
        term = entry->term;
        write = entry->write;
    }
    size_t open = 0;
    for (size_t i = 1; i < raft->history.count; i++) {
        ASSERT(raft->history.items[i - 1].index < raft->history.items[i].index);
        open += raft->history.items[i].index > raft->commit_index;
    }
    ASSERT_IMPLIES(raft->role == RAFT_LEADER && raft->commit_index >= raft->state.leader.term_first_index, open <= 1); /* R9 */
}

static void check_peers(const struct raft *raft)
{
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        const struct raft_progress *peer = &raft->state.leader.peers[i];
        ASSERT(peer->match_index >= 0); /* R8 */
        ASSERT(peer->match_index < peer->next_index);
        ASSERT(peer->match_index <= raft_log_last_index(&raft->log));
        ASSERT(peer->next_index <= raft_log_last_index(&raft->log) + 1);
        ASSERT(!raft_member_equal(peer->member, raft->config.self));
        ASSERT_IMPLIES(peer->is_voter, raft_membership_contains(raft_membership_now(raft), peer->member)); /* R6 */
        ASSERT_IMPLIES(peer->is_voter, peer->follow_request == 0);
    }
}

void raft_invariants(const struct raft *raft)
{
    check_delta(raft);
    check_state(raft);
    check_actions(raft);
#ifdef SKIFF_VERIFY
    raft_invariants_full(raft);
#endif
}

void raft_invariants_full(const struct raft *raft)
{
    check_log(raft);
    if (raft->role == RAFT_LEADER) check_peers(raft);
}
