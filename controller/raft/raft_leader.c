/* Leading: the log goes out, acknowledgements come in, the commit index moves.
 *
 * Voters are sent to; learners are answered. One function, send_to(), decides what a peer gets next, and is called whenever
 * something about the peer or the log changed. */
#include "common/mem.h"
#include "common/mutant.h"
#include "controller/raft/raft_state.h"

/* ---- peers ----------------------------------------------------------------------------------------------------------- */

struct raft_progress *raft_leader_peer(struct raft *raft, struct raft_member member)
{
    ASSERT(raft->role == RAFT_LEADER);
    for (size_t i = 0; i < raft->state.leader.peer_count; i++)
        if (raft_member_equal(raft->state.leader.peers[i].member, member)) return &raft->state.leader.peers[i];
    return NULL;
}

static struct raft_progress *add_peer(struct raft *raft, struct raft_member member, bool is_voter)
{
    if (raft->state.leader.peer_count == RAFT_PEERS_MAX) return NULL;
    if (raft->state.leader.peer_count == raft->state.leader.peer_capacity) {
        raft->state.leader.peer_capacity = raft->state.leader.peer_capacity ? 2 * raft->state.leader.peer_capacity : 8;
        raft->state.leader.peers =
            mem_realloc(raft->state.leader.peers, raft->state.leader.peer_capacity, sizeof *raft->state.leader.peers);
    }
    struct raft_progress *peer = &raft->state.leader.peers[raft->state.leader.peer_count++];
    raft_progress_init(peer, member, is_voter, raft_log_last_index(&raft->log) + 1);
    return peer;
}

static void release_follow(struct raft *raft, struct raft_progress *peer)
{
    if (peer->follow_request == 0) return;
    raft_send_probe_answer(raft, peer->member, peer->follow_request);
    peer->follow_request = 0;
}

static void sync_set(struct raft *raft, const struct raft_voters *voters)
{
    for (uint32_t i = 0; i < voters->count; i++) {
        if (raft_member_equal(voters->voters[i], raft->config.self)) continue;
        struct raft_progress *peer = raft_leader_peer(raft, voters->voters[i]);
        if (!peer) peer = add_peer(raft, voters->voters[i], true);
        ASSERT(peer); /* the limit leaves room for all voters */
        if (peer->is_voter) continue;
        release_follow(raft, peer); /* from now on it is sent to */
        peer->is_voter = true;
        raft_progress_become_probe(peer);
    }
}

void raft_leader_sync_peers(struct raft *raft)
{
    const struct raft_membership *membership = raft_membership_now(raft);
    size_t kept = 0;
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        struct raft_progress *peer = &raft->state.leader.peers[i];
        if (peer->is_voter && !raft_membership_contains(membership, peer->member)) continue;
        raft->state.leader.peers[kept++] = *peer;
    }
    raft->state.leader.peer_count = kept;
    sync_set(raft, &membership->current);
    sync_set(raft, &membership->outgoing);
}

/* A learner that no longer asks is gone. */
static void forget_lost_learners(struct raft *raft)
{
    size_t kept = 0;
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        struct raft_progress *peer = &raft->state.leader.peers[i];
        bool is_lost = !peer->is_voter && peer->follow_request == 0 && raft->now_us - peer->last_asked_us > raft->config.fetch_timeout_us;
        if (!is_lost) raft->state.leader.peers[kept++] = *peer;
    }
    raft->state.leader.peer_count = kept;
}

/* ---- sending --------------------------------------------------------------------------------------------------------- */

/* The next entries that fit into a message; at least one, if there is one. */
static uint32_t take_entries(const struct raft *raft, int64_t from)
{
    size_t bytes = 0;
    uint32_t count = 0;
    int64_t last = raft_log_last_index(&raft->log);
    for (int64_t index = from; index <= last && count < UINT16_MAX; index++, count++) {
        bytes += raft_log_at(&raft->log, index)->bytes->size + 32;
        if (count > 0 && bytes > raft->config.message_bytes_max) break;
    }
    return count;
}

static void send_append(struct raft *raft, struct raft_progress *peer)
{
    int64_t prev = peer->next_index - 1, prev_term = 0;
    bool is_known = raft_log_term(&raft->log, prev, &prev_term);
    ASSERT(is_known);
    struct raft_message message = raft_message_make(raft, RAFT_APPEND, peer->member);
    message.append.prev_index = prev;
    message.append.prev_term = prev_term;
    message.append.commit = raft->commit_index;
    message.append.count = take_entries(raft, peer->next_index); /* lent when the step is done */
    raft_progress_sent(peer, prev + message.append.count);
    peer->sent_commit = min_i64(raft->commit_index, prev + message.append.count);
    if (!peer->is_voter) {
        message.request = peer->follow_request;
        peer->follow_request = 0;
    }
    raft_send_now(raft, &message);
}

static void send_chunk(struct raft *raft, struct raft_progress *peer)
{
    const struct raft_snapshot *snapshot = &raft->snapshot;
    if (peer->snapshot_index != snapshot->index) raft_progress_become_snapshot(peer, snapshot->index); /* a newer one: start over */
    struct raft_message message = raft_message_make(raft, RAFT_SNAPSHOT, peer->member);
    message.snapshot.index = snapshot->index;
    message.snapshot.term = snapshot->term;
    message.snapshot.size = snapshot->size;
    message.snapshot.membership = &raft->snapshot.membership;
    message.snapshot.offset = peer->snapshot_offset;
    message.snapshot.length = min_i64(snapshot->size - peer->snapshot_offset, (int64_t)raft->config.message_bytes_max);
    peer->is_waiting = true;
    if (!peer->is_voter) {
        message.request = peer->follow_request;
        peer->follow_request = 0;
    }
    raft_send_now(raft, &message);
}

/* Everything that may leave for this peer now. `is_due`: also a message without entries, to a learner. */
static void send_to(struct raft *raft, struct raft_progress *peer, bool is_due)
{
    int64_t last = raft_log_last_index(&raft->log);
    while (!raft_progress_is_paused(peer)) {
        int64_t ignored;
        bool has_entries = peer->next_index <= last;
        if (peer->state != RAFT_PROGRESS_SNAPSHOT && !raft_log_term(&raft->log, peer->next_index - 1, &ignored))
            raft_progress_become_snapshot(peer, raft->snapshot.index);
        if (peer->state == RAFT_PROGRESS_SNAPSHOT) {
            send_chunk(raft, peer);
            return;
        }
        bool has_commit = !peer->is_voter && peer->sent_commit < min_i64(raft->commit_index, peer->match_index);
        if (!has_entries && !has_commit && !(is_due && !peer->is_voter)) return;
        send_append(raft, peer);
    }
}

void raft_leader_replicate(struct raft *raft)
{
    ASSERT(raft->role == RAFT_LEADER);
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) send_to(raft, &raft->state.leader.peers[i], false);
}

/* How many voters would campaign before this one: longest log first, then lowest id. */
static int32_t rank_of(const struct raft *raft, const struct raft_progress *peer)
{
    int32_t rank = 0;
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        const struct raft_progress *other = &raft->state.leader.peers[i];
        if (!other->is_voter || other == peer) continue;
        bool is_longer = other->match_index > peer->match_index;
        rank += is_longer || (other->match_index == peer->match_index && other->member.id < peer->member.id);
    }
    return rank;
}

static void send_heartbeat(struct raft *raft, struct raft_progress *peer)
{
    struct raft_message message = raft_message_make(raft, RAFT_HEARTBEAT, peer->member);
    message.heartbeat.commit = min_i64(raft->commit_index, peer->match_index);
    message.heartbeat.rank = rank_of(raft, peer);
    message.heartbeat.sent_us = raft->now_us;
    peer->sent_commit = message.heartbeat.commit;
    raft_send_now(raft, &message);
}

static void send_heartbeats(struct raft *raft)
{
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        struct raft_progress *peer = &raft->state.leader.peers[i];
        if (peer->is_voter)
            send_heartbeat(raft, peer);
        else
            send_to(raft, peer, true);
    }
    raft->state.leader.heartbeat_deadline_us = raft->now_us + raft->config.heartbeat_us;
}

/* The commit index moved: tell those that have the entries, without waiting for the next heartbeat. */
static void tell_commit(struct raft *raft)
{
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        struct raft_progress *peer = &raft->state.leader.peers[i];
        if (!peer->is_voter)
            send_to(raft, peer, false);
        else if (peer->sent_commit < min_i64(raft->commit_index, peer->match_index))
            send_heartbeat(raft, peer);
    }
}

/* ---- committing ------------------------------------------------------------------------------------------------------ */

static int64_t reached(const void *context, struct raft_member member)
{
    const struct raft *raft = context;
    if (raft_member_equal(member, raft->config.self))
        return MUTANT("leader_counts_unflushed") ? raft_log_last_index(&raft->log) : raft->log.durable_index; /* R4 */
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        const struct raft_progress *peer = &raft->state.leader.peers[i];
        if (raft_member_equal(peer->member, member)) return peer->match_index;
    }
    return 0;
}

static void advance_commit(struct raft *raft)
{
    int64_t index = raft_quorum_index(raft_membership_now(raft), reached, raft);
    if (index <= raft->commit_index) return;
    if (!raft_log_matches(&raft->log, index, raft->hard.term) && !MUTANT("commit_of_old_term")) return; /* 5.4.2, R4 */
    raft_commit_to(raft, index);
    raft_change_committed(raft);
    if (raft->role == RAFT_LEADER) tell_commit(raft);
}

void raft_leader_persisted(struct raft *raft)
{
    ASSERT(raft->role == RAFT_LEADER);
    advance_commit(raft);
}

int64_t raft_leader_propose(struct raft *raft, struct buf *bytes)
{
    ASSERT(raft->role == RAFT_LEADER);
    if (raft->state.leader.transfer_to != RAFT_NOBODY) return 0;
    return raft_append(raft, raft->hard.term, RAFT_ENTRY_DATA, bytes);
}

/* ---- office ---------------------------------------------------------------------------------------------------------- */

static void append_first_entry(struct raft *raft)
{
    struct buf *bytes;
    bool is_birth = raft_log_last_index(&raft->log) == 0;
    if (is_birth)
        bytes = raft_membership_encode(raft->hard.cluster_id, raft_membership_now(raft)); /* record 1 */
    else
        bytes = buf_create(0);
    enum raft_entry_type type = is_birth ? RAFT_ENTRY_VOTERS : RAFT_ENTRY_LEADER;
    raft->state.leader.term_first_index = raft_append(raft, raft->hard.term, type, bytes);
    buf_unref(bytes);
}

void raft_leader_begin(struct raft *raft)
{
    ASSERT(raft->role == RAFT_LEADER);
    raft->state.leader.transfer_to = RAFT_NOBODY;
    raft->state.leader.since_us = raft->now_us;
    raft_leader_sync_peers(raft);
    append_first_entry(raft);
    raft_leader_replicate(raft);
    send_heartbeats(raft);
}

void raft_leader_end(struct raft *raft)
{
    ASSERT(raft->role == RAFT_LEADER);
    raft->leader = RAFT_NO_MEMBER; /* what is told to those who still ask */
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) release_follow(raft, &raft->state.leader.peers[i]);
    mem_free(raft->state.leader.peers);
}

static enum raft_vote_state heard_of(const void *context, struct raft_member member)
{
    const struct raft *raft = context;
    if (raft_member_equal(member, raft->config.self)) return RAFT_VOTE_GRANTED;
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        const struct raft_progress *peer = &raft->state.leader.peers[i];
        if (!raft_member_equal(peer->member, member)) continue;
        int64_t contact = max_i64(peer->last_contact_us, raft->state.leader.since_us);
        return raft->now_us - contact < raft->config.fetch_timeout_us ? RAFT_VOTE_GRANTED : RAFT_VOTE_REFUSED;
    }
    return RAFT_VOTE_REFUSED;
}

void raft_leader_tick(struct raft *raft)
{
    ASSERT(raft->role == RAFT_LEADER);
    if (raft->state.leader.transfer_to != RAFT_NOBODY && raft->now_us >= raft->state.leader.transfer_deadline_us)
        raft->state.leader.transfer_to = RAFT_NOBODY;
    if (raft->now_us < raft->state.leader.heartbeat_deadline_us) return;
    /* Check-quorum: a leader that a majority does not answer may be the only one who believes in it. */
    if (raft_quorum_tally(raft_membership_now(raft), heard_of, raft) != RAFT_TALLY_WON) {
        raft_become_follower(raft, raft->hard.term, RAFT_NO_MEMBER);
        return;
    }
    forget_lost_learners(raft);
    send_heartbeats(raft);
    raft_change_consider(raft);
}

int64_t raft_leader_deadline(const struct raft *raft)
{
    if (raft->state.leader.transfer_to == RAFT_NOBODY) return raft->state.leader.heartbeat_deadline_us;
    return min_i64(raft->state.leader.heartbeat_deadline_us, raft->state.leader.transfer_deadline_us);
}

/* ---- answers --------------------------------------------------------------------------------------------------------- */

static void note_contact(struct raft *raft, struct raft_progress *peer)
{
    peer->last_contact_us = raft->now_us;
    if (peer->match_index >= raft->commit_index) peer->last_caught_up_us = raft->now_us;
}

static void try_transfer(struct raft *raft)
{
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        struct raft_progress *peer = &raft->state.leader.peers[i];
        if (peer->member.id != raft->state.leader.transfer_to || !peer->is_voter || raft->state.leader.is_transfer_sent) continue;
        if (peer->match_index != raft_log_last_index(&raft->log)) continue;
        struct raft_message message = raft_message_make(raft, RAFT_TIMEOUT_NOW, peer->member);
        raft->state.leader.is_transfer_sent = true;
        raft_send_now(raft, &message);
    }
}

/* `index`: what it has; or what it refused, with a hint. */
static void take_answer(struct raft *raft, struct raft_progress *peer, bool is_rejected, int64_t index, int64_t hint_index,
                        int64_t hint_term)
{
    if (index < 0 || index > raft_log_last_index(&raft->log)) {
        if (!is_rejected) return; /* nobody can have more than its leader sent */
    }
    if (is_rejected) {
        int64_t retry = raft_log_last_with_term(&raft->log, hint_index, hint_term);
        if (hint_index < raft->log.base_index) retry = hint_index;
        if (raft_progress_rejected(peer, index, retry)) send_to(raft, peer, false);
        return;
    }
    bool is_news = raft_progress_matched(peer, index);
    note_contact(raft, peer);
    if (peer->state == RAFT_PROGRESS_PROBE) raft_progress_become_replicate(peer);
    struct raft_member member = peer->member;
    if (is_news) advance_commit(raft);
    if (raft->role != RAFT_LEADER) return; /* voted itself out */
    peer = raft_leader_peer(raft, member); /* a membership that was committed moves the peers */
    if (!peer) return;
    /* It acknowledged after the majority: it was not told when the commit index passed. */
    if (peer->is_voter && peer->sent_commit < min_i64(raft->commit_index, peer->match_index)) send_heartbeat(raft, peer);
    send_to(raft, peer, false);
    if (raft->state.leader.transfer_to != RAFT_NOBODY) try_transfer(raft);
    raft_change_consider(raft);
}

void raft_leader_on_append_answer(struct raft *raft, const struct raft_message *message)
{
    if (raft->role != RAFT_LEADER) return;
    struct raft_progress *peer = raft_leader_peer(raft, message->from);
    if (!peer || !peer->is_voter || peer->state == RAFT_PROGRESS_SNAPSHOT) return;
    peer->last_contact_us = raft->now_us;
    take_answer(raft, peer, message->append_answer.is_rejected, message->append_answer.index, message->append_answer.hint_index,
                message->append_answer.hint_term);
}

void raft_leader_on_heartbeat_answer(struct raft *raft, const struct raft_message *message)
{
    if (raft->role != RAFT_LEADER) return;
    struct raft_progress *peer = raft_leader_peer(raft, message->from);
    if (!peer || !peer->is_voter) return;
    note_contact(raft, peer);
    peer->confirmed_us = max_i64(peer->confirmed_us, min_i64(message->heartbeat_answer.sent_us, raft->now_us));
    peer->is_unreachable = false;
    send_to(raft, peer, false);
}

static int64_t confirmed(const void *context, struct raft_member member)
{
    const struct raft *raft = context;
    if (raft_member_equal(member, raft->config.self)) return raft->now_us;
    for (size_t i = 0; i < raft->state.leader.peer_count; i++)
        if (raft_member_equal(raft->state.leader.peers[i].member, member)) return raft->state.leader.peers[i].confirmed_us;
    return INT64_MIN;
}

/* Whoever is elected has a vote from this majority, and none of them gave one before it answered. */
int64_t raft_confirmed_us(const struct raft *raft)
{
    return raft->role == RAFT_LEADER ? raft_quorum_index(raft_membership_now(raft), confirmed, raft) : INT64_MIN;
}

static void take_snapshot_answer(struct raft *raft, struct raft_progress *peer, int64_t index, int64_t offset)
{
    if (peer->state != RAFT_PROGRESS_SNAPSHOT || peer->snapshot_index != index || offset < 0) return;
    peer->last_contact_us = raft->now_us;
    peer->is_waiting = false;
    if (raft->snapshot.index != index || offset < raft->snapshot.size) {
        peer->snapshot_offset = raft->snapshot.index == index ? offset : 0;
        send_to(raft, peer, false);
        return;
    }
    raft_progress_become_probe(peer);
    take_answer(raft, peer, false, index, 0, 0);
}

void raft_leader_on_snapshot_answer(struct raft *raft, const struct raft_message *message)
{
    if (raft->role != RAFT_LEADER) return;
    struct raft_progress *peer = raft_leader_peer(raft, message->from);
    if (peer && peer->is_voter) take_snapshot_answer(raft, peer, message->snapshot_answer.index, message->snapshot_answer.offset);
}

/* A learner that is new, or starts over: begin where its log may meet ours. */
static void meet_learner(struct raft *raft, struct raft_progress *peer, int64_t hint_index, int64_t hint_term)
{
    raft_progress_become_probe(peer);
    int64_t retry = raft_log_last_with_term(&raft->log, hint_index, hint_term);
    if (hint_index < raft->log.base_index) retry = hint_index;
    peer->next_index = max_i64(retry, peer->match_index) + 1;
    send_to(raft, peer, true);
}

void raft_leader_on_follow(struct raft *raft, const struct raft_message *message)
{
    ASSERT(raft->role == RAFT_LEADER);
    if (raft_membership_contains(raft_membership_now(raft), message->from)) return; /* it will be sent to, and learn so */
    if (message->follow.index < 0 || message->follow.hint_index < 0) return;
    struct raft_progress *peer = raft_leader_peer(raft, message->from);
    if (!peer) peer = add_peer(raft, message->from, false);
    if (!peer) return;
    release_follow(raft, peer);
    peer->follow_request = message->request;
    peer->last_asked_us = peer->last_contact_us = raft->now_us;
    raft_keep_request(raft);
    if (message->follow.is_snapshot)
        take_snapshot_answer(raft, peer, message->follow.snapshot_index, message->follow.snapshot_offset);
    else if (message->follow.is_rejected)
        meet_learner(raft, peer, message->follow.hint_index, message->follow.hint_term);
    else if (message->term != raft->hard.term || peer->state == RAFT_PROGRESS_SNAPSHOT)
        meet_learner(raft, peer, message->follow.index, message->term); /* it says what it had of an earlier term, or before a snapshot */
    else
        take_answer(raft, peer, false, message->follow.index, 0, 0);
}

void raft_leader_on_send_failed(struct raft *raft, int32_t node_id)
{
    ASSERT(raft->role == RAFT_LEADER);
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        struct raft_progress *peer = &raft->state.leader.peers[i];
        if (peer->member.id != node_id || !peer->is_voter) continue;
        if (peer->state != RAFT_PROGRESS_PROBE || peer->is_waiting) raft_progress_become_probe(peer);
        peer->is_unreachable = true;
    }
}

/* ---- handing over (3.10) --------------------------------------------------------------------------------------------- */

static int32_t best_follower(const struct raft *raft)
{
    const struct raft_progress *best = NULL;
    for (size_t i = 0; i < raft->state.leader.peer_count; i++) {
        const struct raft_progress *peer = &raft->state.leader.peers[i];
        bool is_fit = peer->is_voter && !peer->is_unreachable && raft_voters_contain(&raft_membership_now(raft)->current, peer->member);
        if (is_fit && (!best || rank_of(raft, peer) < rank_of(raft, best))) best = peer;
    }
    return best ? best->member.id : RAFT_NOBODY;
}

void raft_leader_transfer(struct raft *raft, int32_t node_id)
{
    ASSERT(raft->role == RAFT_LEADER);
    int32_t target = node_id == RAFT_NOBODY ? best_follower(raft) : node_id;
    if (target == RAFT_NOBODY || target == raft->config.self.id || raft->state.leader.transfer_to != RAFT_NOBODY) return;
    raft->state.leader.transfer_to = target;
    raft->state.leader.is_transfer_sent = false;
    raft->state.leader.transfer_deadline_us = raft->now_us + raft->config.election_timeout_us;
    raft_leader_replicate(raft);
    try_transfer(raft);
}

size_t raft_peers_status(const struct raft *raft, struct raft_peer_status *peers, size_t capacity)
{
    if (raft->role != RAFT_LEADER) return 0;
    size_t count = raft->state.leader.peer_count + 1;
    for (size_t i = 0; i < count && i < capacity; i++) {
        if (i == 0) {
            peers[0] = (struct raft_peer_status){raft->config.self, raft_is_voter(raft), raft_log_last_index(&raft->log), raft->now_us,
                                                 raft->now_us};
            continue;
        }
        const struct raft_progress *peer = &raft->state.leader.peers[i - 1];
        peers[i] =
            (struct raft_peer_status){peer->member, peer->is_voter, peer->match_index, peer->last_contact_us, peer->last_caught_up_us};
    }
    return count;
}
