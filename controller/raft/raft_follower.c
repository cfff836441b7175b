/* Following: APPEND and HEARTBEAT (3.5), and learners, who ask for what voters are sent. */
#include "common/mutant.h"
#include "controller/raft/raft_state.h"

/* ---- answers --------------------------------------------------------------------------------------------------------- */

/* What was asked for came in an answer to our FOLLOW: the next FOLLOW is the acknowledgement. */
static bool is_answer_to_follow(const struct raft_message *message) { return message->request == 0; }

static void send_follow(struct raft *raft, struct raft_message *follow)
{
    ASSERT(raft->role == RAFT_LEARNER);
    raft->state.learner.asked_us = raft->now_us;
    raft_send_after_persist(raft, follow);
}

static void answer_match(struct raft *raft, const struct raft_message *message, int64_t index)
{
    if (is_answer_to_follow(message)) {
        if (raft->role != RAFT_LEARNER) return; /* a voter now: the leader will send */
        struct raft_message follow = raft_message_make(raft, RAFT_FOLLOW, message->from);
        follow.follow.index = index;
        send_follow(raft, &follow);
        return;
    }
    struct raft_message answer = raft_answer_make(raft, RAFT_APPEND_ANSWER, message);
    answer.append_answer.index = index;
    raft_send_after_persist(raft, &answer); /* R2 */
}

/* The logs part before prev_index: skip back to the last place where they can agree (5.3, with etcd's term hint). */
static void answer_mismatch(struct raft *raft, const struct raft_message *message)
{
    int64_t hint = raft_log_last_with_term(&raft->log, message->append.prev_index, message->append.prev_term);
    int64_t hint_term = 0;
    bool is_known = raft_log_term(&raft->log, hint, &hint_term);
    ASSERT(is_known);
    if (is_answer_to_follow(message)) {
        if (raft->role != RAFT_LEARNER) return;
        struct raft_message follow = raft_message_make(raft, RAFT_FOLLOW, message->from);
        follow.follow.is_rejected = true;
        follow.follow.index = message->append.prev_index;
        follow.follow.hint_index = hint;
        follow.follow.hint_term = hint_term;
        send_follow(raft, &follow);
        return;
    }
    struct raft_message answer = raft_answer_make(raft, RAFT_APPEND_ANSWER, message);
    answer.append_answer.is_rejected = true;
    answer.append_answer.index = message->append.prev_index;
    answer.append_answer.hint_index = hint;
    answer.append_answer.hint_term = hint_term;
    raft_send_after_persist(raft, &answer);
}

/* ---- APPEND ---------------------------------------------------------------------------------------------------------- */

/* The message comes from outside: nothing about it is certain but that it decoded. */
static bool is_well_formed(const struct raft_message *message)
{
    int64_t term = message->append.prev_term;
    for (uint32_t i = 0; i < message->append.count; i++) {
        const struct raft_entry *entry = &message->append.entries[i];
        if (entry->term < term || entry->term < 1 || entry->term > message->term) return false;
        term = entry->term;
        struct uuid cluster_id;
        struct raft_membership membership;
        if (entry->type == RAFT_ENTRY_VOTERS && raft_membership_decode(buf_slice(entry->bytes), &cluster_id, &membership) != ERR_OK)
            return false;
    }
    return message->append.prev_index >= 0 && message->append.prev_term >= 0 && message->append.commit >= 0;
}

/* Index of the first entry that is not in the log yet; the ones before are. */
static int64_t first_new(const struct raft *raft, const struct raft_message *message)
{
    int64_t index = message->append.prev_index + 1;
    if (MUTANT("truncate_without_conflict")) return index;
    for (uint32_t i = 0; i < message->append.count; i++, index++) {
        if (index <= raft->commit_index) continue; /* the same in every log, and perhaps compacted away here */
        if (!raft_log_matches(&raft->log, index, message->append.entries[i].term)) break;
    }
    return index;
}

/* False: it cannot follow what is committed here, so no leader sent it. */
static bool append_entries(struct raft *raft, const struct raft_message *message)
{
    int64_t prev = message->append.prev_index, last = prev + message->append.count, from = first_new(raft, message);
    if (from > last) return true;
    int64_t term_before = 0;
    bool is_known = raft_log_term(&raft->log, from - 1, &term_before);
    if (is_known && message->append.entries[from - prev - 1].term < term_before) return false;
    if (from <= raft_log_last_index(&raft->log)) raft_truncate(raft, from);
    ASSERT(from == raft_log_last_index(&raft->log) + 1);
    for (int64_t index = from; index <= last; index++) {
        const struct raft_entry *entry = &message->append.entries[index - prev - 1];
        (void)raft_append(raft, entry->term, entry->type, entry->bytes);
    }
    return true;
}

/* A membership holds as soon as it is in the log, and no longer. */
static void take_membership(struct raft *raft, struct raft_member leader)
{
    if (raft_is_voter(raft) != (raft->role == RAFT_LEARNER)) return;
    raft_become_follower(raft, raft->hard.term, leader);
}

void raft_follower_on_append(struct raft *raft, const struct raft_message *message)
{
    ASSERT(raft->role == RAFT_FOLLOWER || raft->role == RAFT_LEARNER);
    if (!is_well_formed(message) || raft->incoming.is_installing) return;
    int64_t prev = message->append.prev_index, last = prev + message->append.count;
    bool is_joined = prev <= raft->commit_index || raft_log_matches(&raft->log, prev, message->append.prev_term);
    if (!is_joined) {
        answer_mismatch(raft, message);
        return;
    }
    if (!append_entries(raft, message)) return;
    raft_commit_to(raft, min_i64(message->append.commit, max_i64(last, raft->commit_index)));
    take_membership(raft, message->from);
    answer_match(raft, message, max_i64(last, raft->commit_index));
}

void raft_follower_on_heartbeat(struct raft *raft, const struct raft_message *message)
{
    ASSERT(raft->role == RAFT_FOLLOWER || raft->role == RAFT_LEARNER);
    raft->rank = message->heartbeat.rank;
    /* The leader does not say more than what it knows to be the same here. */
    raft_commit_to(raft, min_i64(message->heartbeat.commit, raft_log_last_index(&raft->log)));
    struct raft_message answer = raft_answer_make(raft, RAFT_HEARTBEAT_ANSWER, message);
    answer.heartbeat_answer.sent_us = message->heartbeat.sent_us;
    raft_send_now(raft, &answer); /* waits for no disk */
}

/* ---- learners -------------------------------------------------------------------------------------------------------- */

void raft_learner_follow(struct raft *raft)
{
    ASSERT(raft->role == RAFT_LEARNER);
    ASSERT(raft->leader.id != RAFT_NOBODY);
    struct raft_message follow = raft_message_make(raft, RAFT_FOLLOW, raft->leader);
    follow.follow.is_rejected = true; /* nothing is known to be the same yet */
    follow.follow.index = follow.follow.hint_index = raft_log_last_index(&raft->log);
    follow.follow.hint_term = raft_log_last_term(&raft->log);
    send_follow(raft, &follow);
    raft->state.learner.probe_deadline_us = raft->now_us + raft->config.fetch_timeout_us;
}

static void probe_listed(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->config.listed_count; i++) {
        if (raft->config.listed[i] == raft->config.self.id) continue;
        struct raft_message probe = raft_message_make(raft, RAFT_PROBE, (struct raft_member){.id = raft->config.listed[i]});
        probe.probe.is_born = true;
        probe.probe.leader = RAFT_NO_MEMBER;
        raft_send_now(raft, &probe);
    }
}

static void look_for_leader(struct raft *raft, int64_t delay_us)
{
    raft_set_leader(raft, RAFT_NO_MEMBER);
    raft->state.learner.asked_us = RAFT_NEVER;
    raft->state.learner.probe_deadline_us = saturating_add_i64(raft->now_us, delay_us);
}

/* Voters agree on the next one in a few tens of milliseconds. */
void raft_learner_lost_leader(struct raft *raft)
{
    ASSERT(raft->role == RAFT_LEARNER);
    look_for_leader(raft, raft_random_below(raft, RAFT_RETRY_MOST_US));
}

void raft_learner_tick(struct raft *raft)
{
    ASSERT(raft->role == RAFT_LEARNER);
    if (raft->now_us < raft->state.learner.probe_deadline_us) return;
    if (raft->leader.id != RAFT_NOBODY && raft->now_us - raft->leader_contact_us < raft->config.fetch_timeout_us) {
        raft->state.learner.probe_deadline_us = raft->leader_contact_us + raft->config.fetch_timeout_us;
        return;
    }
    int64_t delay = raft->state.learner.probe_delay_us;
    raft->state.learner.probe_delay_us = min_i64(2 * delay, raft->config.heartbeat_us);
    look_for_leader(raft, delay + raft_random_below(raft, delay));
    probe_listed(raft);
}

/* Whether the answer to our FOLLOW may have been this PROBE_ANSWER, so that none is under way any more. */
static bool is_refused_by_leader(const struct raft *raft, const struct raft_message *message)
{
    return message->type == RAFT_PROBE_ANSWER && raft_member_equal(message->from, raft->leader) &&
           raft->state.learner.asked_us != RAFT_NEVER;
}

void raft_learner_hear(struct raft *raft, const struct raft_message *message)
{
    ASSERT(raft->role == RAFT_LEARNER);
    struct raft_member leader = message->type == RAFT_PROBE_ANSWER ? message->probe.leader : message->from;
    bool is_known = leader.id != RAFT_NOBODY && leader.id != raft->config.self.id && message->term >= raft->hard.term;
    if (is_refused_by_leader(raft, message) && !is_known) {
        raft_learner_lost_leader(raft);
        return;
    }
    if (!is_known) return;
    bool is_asking = raft->state.learner.asked_us != RAFT_NEVER && raft_member_equal(raft->leader, leader);
    /* An answer to an older FOLLOW must not make two of them, and then four. */
    bool is_fresh = is_asking && raft->now_us - raft->state.learner.asked_us < raft->config.heartbeat_us;
    if (is_asking && (is_fresh || !is_refused_by_leader(raft, message))) return;
    raft_become_follower(raft, message->term, leader); /* takes the term; a learner stays one */
    raft->state.learner.probe_delay_us = RAFT_FIRST_PROBE_US;
    raft_learner_follow(raft);
}

void raft_learner_on_send_failed(struct raft *raft, int32_t node_id)
{
    if (raft->role == RAFT_LEARNER && raft->leader.id == node_id) raft_learner_lost_leader(raft);
}
