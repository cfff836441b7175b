/* Elections: when to campaign, pre-votes (9.6), votes, and the order of succession.
 *
 * Two timers lead to a campaign. Silence: nothing from the leader for controller.quorum.fetch.timeout.ms and up to half as much again.
 * Evidence: the connection to the leader broke; then the follower waits its rank times RAFT_RANK_DELAY_US, so that the one with the longest
 * log goes first and the others only help. Who still hears the leader refuses, so that a single broken connection elects nobody. */
#include "common/mutant.h"
#include "controller/raft/raft_state.h"

void raft_election_arm(struct raft *raft, int64_t delay_us)
{
    ASSERT(delay_us >= 0);
    raft->election_deadline_us = saturating_add_i64(raft->now_us, delay_us);
}

void raft_election_rearm(struct raft *raft)
{
    raft_election_arm(raft, raft->config.fetch_timeout_us + raft_random_below(raft, raft->config.fetch_timeout_us / 2));
}

void raft_election_arm_retry(struct raft *raft)
{
    int64_t least = RAFT_RETRY_LEAST_US << (raft->election_attempts < 10 ? raft->election_attempts : 10);
    int64_t spread = (least / RAFT_RETRY_LEAST_US) * (RAFT_RETRY_MOST_US - RAFT_RETRY_LEAST_US);
    least = min_i64(least, raft->config.election_timeout_us / 2);
    spread = min_i64(spread, raft->config.election_timeout_us / 2);
    raft_election_arm(raft, least + raft_random_below(raft, spread));
}

/* ---- campaigning ----------------------------------------------------------------------------------------------------- */

static bool is_up_to_date(const struct raft *raft, const struct raft_message *message)
{
    int64_t last_term = raft_log_last_term(&raft->log);
    if (message->vote.last_term != last_term) return message->vote.last_term > last_term;
    return message->vote.last_index >= raft_log_last_index(&raft->log);
}

static enum raft_vote_state vote_of(const void *context, struct raft_member member)
{
    const struct raft *raft = context;
    for (uint32_t i = 0; i < raft->state.candidate.voter_count; i++) {
        struct raft_member voter = raft->state.candidate.voters[i];
        if (raft_member_equal(voter, member)) return raft->state.candidate.votes[i];
    }
    return RAFT_VOTE_MISSING;
}

static void record_vote(struct raft *raft, struct raft_member voter, bool is_granted)
{
    for (uint32_t i = 0; i < raft->state.candidate.voter_count; i++) {
        bool is_it = raft_member_equal(raft->state.candidate.voters[i], voter);
        if (MUTANT("wiped_voter_votes")) is_it = raft->state.candidate.voters[i].id == voter.id;
        if (is_it) raft->state.candidate.votes[i] = is_granted ? RAFT_VOTE_GRANTED : RAFT_VOTE_REFUSED;
    }
}

static void add_voters(struct raft *raft, const struct raft_voters *voters)
{
    for (uint32_t i = 0; i < voters->count; i++) {
        bool is_there = false;
        for (uint32_t j = 0; j < raft->state.candidate.voter_count; j++)
            is_there |= raft_member_equal(raft->state.candidate.voters[j], voters->voters[i]);
        if (!is_there) raft->state.candidate.voters[raft->state.candidate.voter_count++] = voters->voters[i];
    }
    ASSERT(raft->state.candidate.voter_count <= 2 * VOTERS_MAX);
}

static void ask_for_votes(struct raft *raft, bool is_pre_vote, bool is_transfer)
{
    for (uint32_t i = 0; i < raft->state.candidate.voter_count; i++) {
        struct raft_member voter = raft->state.candidate.voters[i];
        if (raft_member_equal(voter, raft->config.self)) continue;
        struct raft_message message = raft_message_make(raft, RAFT_VOTE, voter);
        if (is_pre_vote) message.term++;
        message.vote.is_pre_vote = is_pre_vote;
        message.vote.is_transfer = is_transfer;
        message.vote.last_index = raft_log_last_index(&raft->log);
        message.vote.last_term = raft_log_last_term(&raft->log);
        if (is_pre_vote)
            raft_send_now(raft, &message);
        else
            raft_send_after_persist(raft, &message);
    }
}

static void count_votes(struct raft *raft)
{
    ASSERT(raft->role == RAFT_PRE_CANDIDATE || raft->role == RAFT_CANDIDATE);
    switch (raft_quorum_tally(raft_membership_now(raft), vote_of, raft)) {
    case RAFT_TALLY_OPEN: break;
    case RAFT_TALLY_WON:
        if (raft->role == RAFT_PRE_CANDIDATE)
            raft_become_candidate(raft, false);
        else
            raft_become_leader(raft);
        break;
    case RAFT_TALLY_LOST: raft_become_follower(raft, raft->hard.term, RAFT_NO_MEMBER); break;
    }
}

void raft_election_begin_round(struct raft *raft, bool is_pre_vote, bool is_transfer)
{
    const struct raft_membership *membership = raft_membership_now(raft);
    add_voters(raft, &membership->current);
    add_voters(raft, &membership->outgoing);
    raft->election_attempts++;
    raft->state.candidate.is_transfer = is_transfer;
    raft->state.candidate.deadline_us =
        raft->now_us + raft_backoff(raft, RAFT_FIRST_ROUND_US, raft->election_attempts - 1, raft->config.election_timeout_us);
    ask_for_votes(raft, is_pre_vote, is_transfer);
    if (is_pre_vote) {
        record_vote(raft, raft->config.self, true);
        count_votes(raft); /* one voter: won already */
    } else {
        raft->state.candidate.own_vote_write = raft->last_write;
    }
}

void raft_election_persisted(struct raft *raft)
{
    ASSERT(raft->role == RAFT_CANDIDATE);
    if (raft->durable_write < raft->state.candidate.own_vote_write) return;
    record_vote(raft, raft->config.self, true);
    count_votes(raft);
}

void raft_election_campaign(struct raft *raft)
{
    if (raft->incoming.is_installing) { /* the log is about to be replaced */
        raft_election_rearm(raft);
        return;
    }
    raft_become_pre_candidate(raft);
}

void raft_election_tick(struct raft *raft)
{
    int64_t deadline = raft->role == RAFT_FOLLOWER ? raft->election_deadline_us : raft->state.candidate.deadline_us;
    if (raft->now_us >= deadline) raft_election_campaign(raft);
}

void raft_election_on_connection_broken(struct raft *raft, int32_t node_id)
{
    if (node_id == RAFT_NOBODY || raft->leader.id != node_id || raft->role == RAFT_LEADER) return;
    raft->is_leader_connected = false;
    if (raft->role == RAFT_LEARNER) raft_learner_on_send_failed(raft, node_id);
    if (raft->role != RAFT_FOLLOWER) return;
    int64_t delay = raft->rank * (int64_t)RAFT_RANK_DELAY_US + raft_random_below(raft, RAFT_RANK_JITTER_US);
    raft->election_deadline_us = min_i64(raft->election_deadline_us, raft->now_us + delay);
}

/* ---- voting ---------------------------------------------------------------------------------------------------------- */

static bool is_leader_alive(const struct raft *raft)
{
    if (raft->role == RAFT_LEADER) return true;
    return raft->is_leader_connected && raft->now_us - raft->leader_contact_us < raft->config.fetch_timeout_us;
}

/* The candidate's node id is a voter's, but with another disk: it was wiped, or is a ghost from before. */
static bool is_void(const struct raft *raft, struct raft_member candidate)
{
    const struct raft_membership *membership = raft_membership_now(raft);
    bool is_known_id = raft_voters_find(&membership->current, candidate.id) || raft_voters_find(&membership->outgoing, candidate.id);
    return is_known_id && !raft_membership_contains(membership, candidate) && !MUTANT("wiped_voter_votes");
}

/* Also a learner votes when it is asked by the directory id that it has now: who asks counts it among the voters, and it may not
 * have heard of that yet (4.2.2). A request for a directory that was lost never comes this far. */
static bool may_grant(const struct raft *raft, const struct raft_message *message)
{
    if (is_void(raft, message->from)) return false;
    if (raft->incoming.is_installing) return false;
    return is_up_to_date(raft, message);
}

static void on_pre_vote(struct raft *raft, const struct raft_message *message)
{
    struct raft_message answer = raft_answer_make(raft, RAFT_VOTE_ANSWER, message);
    answer.vote_answer.is_pre_vote = true;
    answer.vote_answer.is_granted = message->term > raft->hard.term && !is_leader_alive(raft) && may_grant(raft, message);
    raft_send_now(raft, &answer);
}

static void answer_vote(struct raft *raft, const struct raft_message *message, bool is_granted)
{
    struct raft_message answer = raft_answer_make(raft, RAFT_VOTE_ANSWER, message);
    answer.vote_answer.is_granted = is_granted;
    if (is_granted && !MUTANT("vote_before_flush"))
        raft_send_after_persist(raft, &answer); /* R2 */
    else
        raft_send_now(raft, &answer);
}

void raft_election_on_vote(struct raft *raft, const struct raft_message *message)
{
    if (message->vote.is_pre_vote) {
        on_pre_vote(raft, message);
        return;
    }
    bool is_disturbing = is_leader_alive(raft) && !message->vote.is_transfer && message->term > raft->hard.term;
    if (message->term < raft->hard.term || is_disturbing || is_void(raft, message->from)) {
        answer_vote(raft, message, false); /* without looking at the term (4.2.3) */
        return;
    }
    if (message->term > raft->hard.term) raft_become_follower(raft, message->term, RAFT_NO_MEMBER);
    ASSERT(message->term == raft->hard.term);
    bool is_free = raft->hard.vote.id == RAFT_NOBODY || raft_member_equal(raft->hard.vote, message->from);
    bool is_granted = is_free && raft->leader.id == RAFT_NOBODY && may_grant(raft, message);
    if (is_granted) {
        if (raft->hard.vote.id == RAFT_NOBODY) {
            raft->hard.vote = message->from;
            raft_persist_hard_state(raft);
        }
        /* Leave it the time of a round. */
        if (raft->role == RAFT_FOLLOWER)
            raft_election_arm(raft, raft->config.election_timeout_us + raft_random_below(raft, raft->config.election_timeout_us));
    }
    answer_vote(raft, message, is_granted);
}

void raft_election_on_vote_answer(struct raft *raft, const struct raft_message *message)
{
    bool is_pre_vote = message->vote_answer.is_pre_vote;
    if (message->term > raft->hard.term) { /* not granted: the other one is ahead */
        raft_become_follower(raft, message->term, RAFT_NO_MEMBER);
        return;
    }
    if (raft->role != (is_pre_vote ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE)) return;
    /* A granted pre-vote comes with the voter's term, which may be below ours; a vote is of this term or void. */
    if (!is_pre_vote && message->term != raft->hard.term) return;
    record_vote(raft, message->from, message->vote_answer.is_granted);
    count_votes(raft);
}

/* Who cannot be asked will not answer in this round: do not wait for it. */
void raft_election_on_send_failed(struct raft *raft, int32_t node_id)
{
    ASSERT(raft->role == RAFT_PRE_CANDIDATE || raft->role == RAFT_CANDIDATE);
    for (uint32_t i = 0; i < raft->state.candidate.voter_count; i++) {
        bool is_it = raft->state.candidate.voters[i].id == node_id;
        if (is_it && raft->state.candidate.votes[i] == RAFT_VOTE_MISSING) raft->state.candidate.votes[i] = RAFT_VOTE_REFUSED;
    }
    count_votes(raft);
}

void raft_election_on_timeout_now(struct raft *raft, const struct raft_message *message)
{
    struct raft_message answer = raft_answer_make(raft, RAFT_TIMEOUT_NOW_ANSWER, message);
    raft_send_now(raft, &answer);
    if (raft->role == RAFT_FOLLOWER && raft_is_voter(raft) && !raft->incoming.is_installing) raft_become_candidate(raft, true);
}
