/* Snapshots: taking part in them. Their bytes pass through; they belong to the store.
 *
 * An incoming one arrives in chunks, in order, from one leader; the last chunk makes the store write it durably under its name, and
 * only then the log starts over behind it. In between nothing else may touch the log: APPEND, votes and campaigns are refused. */
#include "controller/raft/raft_state.h"

static void answer_offset(struct raft *raft, struct raft_member leader, uint64_t request, int64_t index, int64_t offset)
{
    if (request == 0) {
        if (raft->role != RAFT_LEARNER) return;
        struct raft_message follow = raft_message_make(raft, RAFT_FOLLOW, leader);
        follow.follow.is_snapshot = true;
        follow.follow.snapshot_index = index;
        follow.follow.snapshot_offset = offset;
        raft->state.learner.asked_us = raft->now_us;
        raft_send_after_persist(raft, &follow);
        return;
    }
    struct raft_message answer = raft_message_make(raft, RAFT_SNAPSHOT_ANSWER, leader);
    answer.request = request;
    answer.snapshot_answer.index = index;
    answer.snapshot_answer.offset = offset;
    raft_send_after_persist(raft, &answer);
}

static bool is_well_formed(const struct raft_message *message)
{
    int64_t offset = message->snapshot.offset, size = message->snapshot.size, length = (int64_t)message->snapshot.bytes.n;
    return message->snapshot.index > 0 && message->snapshot.term > 0 && message->snapshot.term <= message->term && offset >= 0 &&
           size >= 0 && length <= size && offset <= size - length && (length > 0 || offset == size) &&
           message->snapshot.membership->current.count > 0 && raft_voters_are_valid(&message->snapshot.membership->current) &&
           raft_voters_are_valid(&message->snapshot.membership->outgoing);
}

static void begin_incoming(struct raft *raft, const struct raft_message *message)
{
    raft->incoming.snapshot = (struct raft_snapshot){
        .index = message->snapshot.index,
        .term = message->snapshot.term,
        .size = message->snapshot.size,
        .membership = *message->snapshot.membership,
    };
    raft->incoming.offset = 0;
    raft->incoming.leader = message->from;
}

static bool is_same_incoming(const struct raft *raft, const struct raft_message *message)
{
    return raft->incoming.snapshot.index == message->snapshot.index && raft->incoming.snapshot.size == message->snapshot.size &&
           raft_member_equal(raft->incoming.leader, message->from);
}

static void take_chunk(struct raft *raft, const struct raft_message *message)
{
    raft->chunk = (struct raft_snapshot_chunk){
        .snapshot = raft->incoming.snapshot,
        .offset = message->snapshot.offset,
        .bytes = message->snapshot.bytes,
    };
    raft->incoming.offset += (int64_t)message->snapshot.bytes.n;
    raft->chunk.is_last = raft->incoming.offset == raft->incoming.snapshot.size;
    raft->actions->persist.chunk = &raft->chunk;
}

void raft_install_on_chunk(struct raft *raft, const struct raft_message *message)
{
    ASSERT(raft->role == RAFT_FOLLOWER || raft->role == RAFT_LEARNER);
    if (!is_well_formed(message) || raft->incoming.is_installing) return;
    if (message->snapshot.index <= raft->commit_index) { /* nothing new in it */
        answer_offset(raft, message->from, message->request, message->snapshot.index, message->snapshot.size);
        return;
    }
    if (message->snapshot.offset == 0)
        begin_incoming(raft, message);
    else if (!is_same_incoming(raft, message) || raft->incoming.offset != message->snapshot.offset) {
        int64_t wanted = is_same_incoming(raft, message) ? raft->incoming.offset : 0;
        answer_offset(raft, message->from, message->request, message->snapshot.index, wanted);
        return;
    }
    take_chunk(raft, message);
    if (raft->chunk.is_last) {
        raft->incoming.is_installing = true;
        raft->incoming.request = message->request;
        if (message->request) raft_keep_request(raft);
    } else {
        answer_offset(raft, message->from, message->request, message->snapshot.index, raft->incoming.offset);
    }
}

static void replace_log(struct raft *raft, const struct raft_snapshot *snapshot)
{
    ASSERT(snapshot->index > raft->commit_index);
    raft->snapshot = *snapshot;
    raft->commit_index = snapshot->index;
    raft->actions->snapshot_installed = true;
    raft->is_disowned = false;
    if (raft_log_matches(&raft->log, snapshot->index, snapshot->term)) {
        raft_history_compact(&raft->history, snapshot->index);
        raft_log_compact(&raft->log, snapshot->index);
        raft->actions->compact_to = snapshot->index;
        return;
    }
    (void)raft_write(raft);
    raft_history_deinit(&raft->history);
    raft_history_init(&raft->history, snapshot->index, &snapshot->membership);
    raft_log_reset(&raft->log, snapshot->index, snapshot->term);
    raft->actions->persist.restart_after = snapshot->index;
}

void raft_install_done(struct raft *raft, int64_t index, bool is_failed)
{
    ASSERT(raft->incoming.is_installing);
    ASSERT(raft->incoming.snapshot.index == index);
    struct raft_snapshot snapshot = raft->incoming.snapshot;
    uint64_t request = raft->incoming.request;
    struct raft_member leader = raft->incoming.leader;
    memset(&raft->incoming, 0, sizeof raft->incoming);
    ASSERT(raft->role != RAFT_LEADER);
    if (!is_failed) {
        replace_log(raft, &snapshot);
        if (raft_is_voter(raft) == (raft->role == RAFT_LEARNER)) raft_become_follower(raft, raft->hard.term, raft->leader);
    }
    if (request == 0 && raft->leader.id == RAFT_NOBODY) return; /* a learner that lost its leader meanwhile looks for one */
    answer_offset(raft, leader, request, index, is_failed ? 0 : snapshot.size);
}

void raft_install_taken(struct raft *raft, int64_t index, int64_t size)
{
    if (index <= raft->snapshot.index) return; /* one that was installed meanwhile has more */
    ASSERT(index <= raft->commit_index);
    int64_t term = 0;
    bool is_known = raft_log_term(&raft->log, index, &term);
    ASSERT(is_known);
    raft->snapshot = (struct raft_snapshot){
        .index = index,
        .term = term,
        .size = size,
        .membership = raft_history_at(&raft->history, index)->membership,
    };
    raft_history_compact(&raft->history, index);
    int64_t to = index - raft->config.trailing_entries;
    if (to <= raft->log.base_index) return;
    raft_log_compact(&raft->log, to);
    raft->actions->compact_to = to;
}

void raft_describe_snapshot(const struct raft *raft, int64_t index, struct raft_snapshot *snapshot)
{
    ASSERT(index > 0);
    ASSERT(index <= raft->commit_index);
    *snapshot = (struct raft_snapshot){.index = index, .membership = raft_history_at(&raft->history, index)->membership};
    bool is_known = raft_log_term(&raft->log, index, &snapshot->term);
    ASSERT(is_known);
}
