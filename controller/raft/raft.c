/* The engine: dispatch, the changes of role, and what they share.
 *
 *                            founded, or found in the cluster's voters
 *     UNBORN ----------------------------------------------------------+
 *       | in the cluster without this directory                        v
 *       +-----> LEARNER --(a membership with this directory)------> FOLLOWER <--------------------------+
 *                  ^                                                |  ^  ^                             |
 *                  +----------(a membership without it)-------------+  |  | leader of this term,        |
 *                                                                      |  | higher term, round lost     |
 *                              silence, or the leader's connection gone|  |                             |
 *                                                                      v  |                             |
 *                                                            PRE_CANDIDATE                              |
 *                                                      majority would |                                 |
 *                                                                     v                                 |
 *                    (TIMEOUT_NOW comes here at once)             CANDIDATE                             |
 *                                                      majority did   |         higher term, no majority|
 *                                                                     v         heard, voted out        |
 *                                                                  LEADER ------------------------------+
 *
 *     transition                    function                      caused by
 *     -> UNBORN                     raft_become_unborn            start with an empty directory, or no more than a promise in it
 *     UNBORN -> LEARNER             raft_become_learner           raft_birth.c: a PROBE_ANSWER of a cluster
 *     UNBORN -> FOLLOWER            raft_become_follower          raft_birth.c: all have promised, or named among the voters
 *     any but UNBORN -> FOLLOWER    raft_become_follower          a higher term; a leader's message; a lost round; resignation
 *     FOLLOWER <-> LEARNER          raft_become_follower          raft_follower.c: the membership changed
 *     FOLLOWER -> PRE_CANDIDATE     raft_become_pre_candidate     raft_election.c: deadline
 *     PRE_CANDIDATE -> CANDIDATE    raft_become_candidate         raft_election.c: tally, TIMEOUT_NOW, one voter
 *     CANDIDATE -> LEADER           raft_become_leader            raft_election.c: tally
 *
 * Invariants (raft_invariants.c checks them after each step; ids of the reliability list where it has one):
 *     R1  term and commit_index never decrease; the vote does not change within a term.                          (R-EPOCH, R-VOTE)
 *     R2  a vote is told only after it is durable, an entry acknowledged only after it is durable: send_after_persist. (R-DUR)
 *     R3  a leader never removes an entry of its log.                                                            (R-APPEND)
 *     R4  a leader commits only up to an entry of its own term that a majority, itself included if so, has durably.
 *                                                                                                          (R-OLDTERM, R-HW)
 *     R5  no entry up to commit_index is ever removed, but by compaction below a durable snapshot.               (R-NOTRUNC)
 *     R6  who is not in the membership (node id and directory id) neither campaigns nor is counted: a disk that was lost, and the
 *         one that replaced it before the voters agreed to the replacement, have no say.
 *     R7  a restarted leader is a follower: the next term it leads is a later one.                               (R-ELEC)
 *     R8  0 <= match < next for each peer of a leader; match never beyond the leader's log.                      (R-MATCH)
 *     R9  at most one membership entry is not committed.                                                         (R-CONF)
 *     R10 terms in the log never decrease, and are at most the own term. */
#include "common/mem.h"
#include "common/mutant.h"
#include "controller/raft/raft_state.h"

/* ---- what a step asks for -------------------------------------------------------------------------------------------- */

uint64_t raft_write(struct raft *raft)
{
    if (!raft->is_write_open) {
        raft->is_write_open = true;
        raft->last_write++;
    }
    return raft->last_write;
}

void raft_persist_hard_state(struct raft *raft)
{
    (void)raft_write(raft);
    raft->hard_to_persist = raft->hard;
    raft->actions->persist.hard_state = &raft->hard_to_persist;
}

int64_t raft_append(struct raft *raft, int64_t term, enum raft_entry_type type, struct buf *bytes)
{
    ASSERT(term <= raft->hard.term);
    struct raft_entry entry = {.term = term, .type = type, .write = raft_write(raft), .bytes = bytes};
    raft_log_append(&raft->log, &entry);
    int64_t index = raft_log_last_index(&raft->log);
    if (type == RAFT_ENTRY_VOTERS) {
        struct uuid cluster_id;
        struct raft_membership membership;
        enum err err = raft_membership_decode(buf_slice(bytes), &cluster_id, &membership);
        ASSERT(err == ERR_OK); /* made here, or checked when it came in */
        raft_history_append(&raft->history, index, &membership);
        raft->is_disowned = false;
    }
    if (raft->actions->persist.append_to < raft->actions->persist.append_from) raft->actions->persist.append_from = index;
    raft->actions->persist.append_to = index;
    return index;
}

void raft_truncate(struct raft *raft, int64_t from)
{
    ASSERT(from > raft->commit_index); /* R5 */
    ASSERT(raft->role != RAFT_LEADER); /* R3 */
    (void)raft_write(raft);
    raft_log_truncate(&raft->log, from);
    if (raft_history_last(&raft->history)->index >= from) raft->is_disowned = false;
    raft_history_truncate(&raft->history, from);
    ASSERT(raft->actions->persist.append_to < raft->actions->persist.append_from);
    raft->actions->persist.truncate_from = from;
}

void raft_commit_to(struct raft *raft, int64_t index)
{
    if (index <= raft->commit_index) return;
    ASSERT(index <= raft_log_last_index(&raft->log));
    struct raft_actions *actions = raft->actions;
    if (actions->committed_to < actions->committed_from) actions->committed_from = raft->commit_index + 1;
    actions->committed_to = index;
    raft->commit_index = index;
}

/* ---- messages -------------------------------------------------------------------------------------------------------- */

static void push(struct raft_messages *messages, const struct raft_message *message)
{
    if (messages->count == messages->capacity) {
        messages->capacity = messages->capacity ? 2 * messages->capacity : 8;
        messages->items = mem_realloc(messages->items, messages->capacity, sizeof *messages->items);
    }
    messages->items[messages->count++] = *message;
}

bool raft_message_is_request(enum raft_message_type type)
{
    return type == RAFT_PROBE || type == RAFT_VOTE || type == RAFT_APPEND || type == RAFT_HEARTBEAT || type == RAFT_SNAPSHOT ||
           type == RAFT_TIMEOUT_NOW || type == RAFT_FOLLOW;
}

struct raft_message raft_message_make(const struct raft *raft, enum raft_message_type type, struct raft_member to)
{
    return (struct raft_message){
        .type = type,
        .from = raft->config.self,
        .to = to,
        .cluster_id = raft_cluster_id(raft),
        .term = raft->hard.term,
    };
}

struct raft_message raft_answer_make(const struct raft *raft, enum raft_message_type type, const struct raft_message *request)
{
    struct raft_message answer = raft_message_make(raft, type, request->from);
    answer.request = request->request;
    return answer;
}

static void note_answer(struct raft *raft, const struct raft_message *message)
{
    ASSERT(message->request != 0 || raft_message_is_request(message->type));
    if (message->request != 0 && message->request == raft->open_request) raft->open_request = 0;
}

void raft_send_now(struct raft *raft, const struct raft_message *message)
{
    note_answer(raft, message);
    push(&raft->now, message);
}

void raft_send_after_persist(struct raft *raft, const struct raft_message *message)
{
    note_answer(raft, message);
    push(&raft->after_persist, message);
}

void raft_keep_request(struct raft *raft)
{
    ASSERT(raft->open_request != 0);
    raft->open_request = 0;
}

void raft_send_probe_answer(struct raft *raft, struct raft_member to, uint64_t request)
{
    struct raft_message answer = raft_message_make(raft, RAFT_PROBE_ANSWER, to);
    answer.request = request;
    answer.probe.leader = raft->leader;
    answer.probe.proposed_cluster_id = raft->config.proposed_cluster_id;
    answer.probe.is_born = raft->role != RAFT_UNBORN;
    const struct raft_membership *membership = raft_membership_now(raft);
    if (!answer.probe.is_born) {
        raft_birth_describe(raft, &answer.probe.voters);
    } else {
        /* Of a joint one the old set: who was there from the beginning may be needed to commit the new one. With an empty log it
         * cannot be elected by a majority of the old set, which has the first entry. */
        answer.probe.voters = raft_membership_is_joint(membership) ? membership->outgoing : membership->current;
    }
    raft_send_now(raft, &answer);
}

/* ---- small things ---------------------------------------------------------------------------------------------------- */

int64_t raft_random_below(struct raft *raft, int64_t bound)
{
    ASSERT(bound > 0);
    raft->random += 0x9e3779b97f4a7c15u; /* splitmix64 over the event's bits */
    uint64_t z = raft->random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (int64_t)((z ^ z >> 31) % (uint64_t)bound);
}

int64_t raft_backoff(struct raft *raft, int64_t least_us, uint32_t attempts, int64_t most_us)
{
    ASSERT(least_us > 0);
    int64_t delay = least_us;
    for (uint32_t i = 0; i < attempts && delay < most_us; i++) delay *= 2;
    delay = min_i64(delay, most_us);
    return delay + raft_random_below(raft, delay);
}

const struct raft_membership *raft_membership_now(const struct raft *raft) { return &raft_history_last(&raft->history)->membership; }

bool raft_is_voter(const struct raft *raft)
{
    return !raft->is_disowned && raft_membership_contains(raft_membership_now(raft), raft->config.self);
}

void raft_set_leader(struct raft *raft, struct raft_member leader)
{
    raft->leader = leader;
    raft->leader_contact_us = raft->now_us;
    raft->is_leader_connected = leader.id != RAFT_NOBODY;
    if (raft->is_leader_connected) raft->election_attempts = 0;
}

/* ---- roles ----------------------------------------------------------------------------------------------------------- */

static void change_role(struct raft *raft, enum raft_role role)
{
    if (raft->role == RAFT_LEADER) raft_leader_end(raft);
    raft->role = role;
    memset(&raft->state, 0, sizeof raft->state);
}

void raft_become_unborn(struct raft *raft)
{
    ASSERT(raft->hard.term == 0);
    ASSERT(raft_log_last_index(&raft->log) == 0);
    change_role(raft, RAFT_UNBORN);
    raft_birth_begin(raft);
}

void raft_become_learner(struct raft *raft)
{
    ASSERT(!uuid_is_zero(raft->hard.cluster_id));
    ASSERT(!raft_is_voter(raft));
    change_role(raft, RAFT_LEARNER);
    raft->election_deadline_us = RAFT_NEVER;
    raft->state.learner.asked_us = RAFT_NEVER;
    raft->state.learner.probe_deadline_us = raft->now_us;
    raft->state.learner.probe_delay_us = RAFT_FIRST_PROBE_US;
}

void raft_become_follower(struct raft *raft, int64_t term, struct raft_member leader)
{
    ASSERT(term >= raft->hard.term);
    ASSERT(!uuid_is_zero(raft->hard.cluster_id));
    if (term > raft->hard.term) {
        raft->hard.term = term;
        raft->hard.vote = RAFT_NO_MEMBER;
        raft_persist_hard_state(raft);
    }
    if (!raft_is_voter(raft)) {
        if (raft->role != RAFT_LEARNER)
            raft_become_learner(raft);
        else if (leader.id == RAFT_NOBODY && raft->leader.id != RAFT_NOBODY)
            raft_learner_lost_leader(raft);
    } else {
        if (raft->role != RAFT_FOLLOWER) change_role(raft, RAFT_FOLLOWER);
        if (leader.id != RAFT_NOBODY)
            raft_election_rearm(raft);
        else
            raft_election_arm_retry(raft);
    }
    raft_set_leader(raft, leader);
}

void raft_become_pre_candidate(struct raft *raft)
{
    ASSERT(raft->role == RAFT_FOLLOWER || raft->role == RAFT_PRE_CANDIDATE || raft->role == RAFT_CANDIDATE);
    ASSERT(raft_is_voter(raft)); /* R6 */
    change_role(raft, RAFT_PRE_CANDIDATE);
    raft_set_leader(raft, RAFT_NO_MEMBER);
    raft_election_begin_round(raft, true, false);
}

void raft_become_candidate(struct raft *raft, bool is_transfer)
{
    ASSERT(raft->role == RAFT_FOLLOWER || raft->role == RAFT_PRE_CANDIDATE);
    ASSERT(raft_is_voter(raft)); /* R6 */
    change_role(raft, RAFT_CANDIDATE);
    raft_set_leader(raft, RAFT_NO_MEMBER);
    raft->hard.term++;
    raft->hard.vote = raft->config.self;
    raft_persist_hard_state(raft);
    raft_election_begin_round(raft, false, is_transfer);
}

void raft_become_leader(struct raft *raft)
{
    ASSERT(raft->role == RAFT_CANDIDATE); /* R7: no other way into office */
    ASSERT(raft_member_equal(raft->hard.vote, raft->config.self));
    change_role(raft, RAFT_LEADER);
    raft_set_leader(raft, raft->config.self);
    raft->election_deadline_us = RAFT_NEVER;
    raft_leader_begin(raft);
}

/* ---- receiving ------------------------------------------------------------------------------------------------------- */

static bool is_foreign(const struct raft *raft, const struct raft_message *message)
{
    struct uuid own = raft_cluster_id(raft);
    if (uuid_is_zero(own)) own = raft->config.expected_cluster_id;
    return !uuid_is_zero(message->cluster_id) && !uuid_is_zero(own) && !uuid_equal(message->cluster_id, own);
}

static bool is_for_another_directory(const struct raft *raft, const struct raft_message *message)
{
    if (MUTANT("wiped_voter_votes")) return message->to.id != raft->config.self.id;
    return message->to.id != raft->config.self.id ||
           (!uuid_is_zero(message->to.directory_id) && !uuid_equal(message->to.directory_id, raft->config.self.directory_id));
}

static void receive_probe_answer(struct raft *raft, const struct raft_message *message)
{
    /* Whatever was asked was refused, perhaps by one that does not know yet what to do with it. */
    if (raft->role == RAFT_LEADER) raft_leader_on_send_failed(raft, message->from.id);
    if (!message->probe.is_born || is_foreign(raft, message)) return;
    /* A learner waits for a leader of the term: a candidate may take its term to the grave, and those that nobody elects cannot depose
     * the leader of a lower one. */
    if (raft->role == RAFT_LEARNER)
        raft_learner_hear(raft, message);
    else if (message->term > raft->hard.term)
        raft_become_follower(raft, message->term, RAFT_NO_MEMBER);
}

static void receive_probe(struct raft *raft, const struct raft_message *message)
{
    if (raft->role == RAFT_UNBORN && !is_foreign(raft, message))
        raft_birth_hear(raft, message);
    else if (message->type == RAFT_PROBE_ANSWER)
        receive_probe_answer(raft, message);
    if (message->type == RAFT_PROBE) raft_send_probe_answer(raft, message->from, message->request);
}

/* The message is of the own term. */
static void receive_of_term(struct raft *raft, const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_VOTE: raft_election_on_vote(raft, message); break;
    case RAFT_VOTE_ANSWER: raft_election_on_vote_answer(raft, message); break;
    case RAFT_APPEND: raft_follower_on_append(raft, message); break;
    case RAFT_APPEND_ANSWER: raft_leader_on_append_answer(raft, message); break;
    case RAFT_HEARTBEAT: raft_follower_on_heartbeat(raft, message); break;
    case RAFT_HEARTBEAT_ANSWER: raft_leader_on_heartbeat_answer(raft, message); break;
    case RAFT_SNAPSHOT: raft_install_on_chunk(raft, message); break;
    case RAFT_SNAPSHOT_ANSWER: raft_leader_on_snapshot_answer(raft, message); break;
    case RAFT_TIMEOUT_NOW: raft_election_on_timeout_now(raft, message); break;
    case RAFT_TIMEOUT_NOW_ANSWER: break;
    case RAFT_PROBE:
    case RAFT_PROBE_ANSWER:
    case RAFT_FOLLOW:
    case RAFT_MESSAGE_TYPES: UNREACHABLE();
    }
}

static bool is_from_leader(enum raft_message_type type) { return type == RAFT_APPEND || type == RAFT_HEARTBEAT || type == RAFT_SNAPSHOT; }

/* A leader counts another directory of this node id. In its log this one is nobody, whatever the own log hopes: follow as a learner, and
 * the logs will meet. */
static void hear_of_other_directory(struct raft *raft, const struct raft_message *message)
{
    bool is_leaders = is_from_leader(message->type) && message->to.id == raft->config.self.id && message->term >= raft->hard.term;
    /* While the disks are being exchanged the leader sends to both. */
    if (!is_leaders || raft->role == RAFT_LEADER || raft->seat_term == message->term) return;
    if (raft->role != RAFT_LEARNER) {
        raft->is_disowned = true;
        raft_become_follower(raft, message->term, RAFT_NO_MEMBER);
    }
    raft_learner_hear(raft, message);
}

/* Tells a sender that is behind what the term is. A request of an old leader or candidate has no other effect. */
static void refuse_old_term(struct raft *raft, const struct raft_message *message)
{
    if (message->request == 0) return;
    raft_send_probe_answer(raft, message->from, message->request);
}

static void receive(struct raft *raft, const struct raft_message *message)
{
    ASSERT(message->type < RAFT_MESSAGE_TYPES);
    if (message->type == RAFT_PROBE || message->type == RAFT_PROBE_ANSWER) {
        receive_probe(raft, message);
        return;
    }
    if (raft->role == RAFT_UNBORN) { /* somebody takes it for a voter: it may have missed the birth */
        raft_birth_probe_soon(raft);
        return;
    }
    /* Of another cluster, for another disk, or from one that was never born: void. */
    if (is_foreign(raft, message) || uuid_is_zero(message->cluster_id)) return;
    if (is_for_another_directory(raft, message)) {
        hear_of_other_directory(raft, message);
        return;
    }
    if (message->type == RAFT_VOTE || (message->type == RAFT_VOTE_ANSWER && message->vote_answer.is_pre_vote)) {
        receive_of_term(raft, message); /* they have rules of their own about terms */
        return;
    }
    if (message->type == RAFT_FOLLOW) { /* a learner's term says nothing */
        if (raft->role == RAFT_LEADER) raft_leader_on_follow(raft, message);
        return;
    }
    if (message->term < raft->hard.term) {
        refuse_old_term(raft, message);
        return;
    }
    if (is_from_leader(message->type)) {
        if (raft->role == RAFT_LEADER && message->term == raft->hard.term) return; /* two leaders of a term: not from us */
        if (message->request) {                                                    /* only voters are sent to */
            raft->is_disowned = false;
            raft->seat_term = message->term;
        }
        raft_become_follower(raft, message->term, message->from);
    } else if (message->term > raft->hard.term) {
        raft_become_follower(raft, message->term, RAFT_NO_MEMBER);
    }
    receive_of_term(raft, message);
}

/* ---- the step -------------------------------------------------------------------------------------------------------- */

static void tick(struct raft *raft)
{
    switch (raft->role) {
    case RAFT_UNBORN: raft_birth_tick(raft); break;
    case RAFT_LEARNER: raft_learner_tick(raft); break;
    case RAFT_FOLLOWER:
    case RAFT_PRE_CANDIDATE:
    case RAFT_CANDIDATE: raft_election_tick(raft); break;
    case RAFT_LEADER: raft_leader_tick(raft); break;
    }
}

static void persisted(struct raft *raft, uint64_t write)
{
    ASSERT(write <= raft->last_write);
    if (write <= raft->durable_write) return;
    raft->durable_write = write;
    raft_log_persisted(&raft->log, write);
    if (raft->role == RAFT_UNBORN) raft_birth_persisted(raft);
    if (raft->role == RAFT_CANDIDATE) raft_election_persisted(raft);
    if (raft->role == RAFT_LEADER) raft_leader_persisted(raft);
}

static void send_failed(struct raft *raft, int32_t node_id)
{
    if (raft->role == RAFT_LEADER)
        raft_leader_on_send_failed(raft, node_id);
    else if (raft->role == RAFT_LEARNER)
        raft_learner_on_send_failed(raft, node_id);
    else if (raft->role == RAFT_PRE_CANDIDATE || raft->role == RAFT_CANDIDATE)
        raft_election_on_send_failed(raft, node_id);
}

static void dispatch(struct raft *raft, const struct raft_event *event)
{
    switch (event->type) {
    case RAFT_TICK: tick(raft); break;
    case RAFT_RECEIVE:
        raft->open_request = raft_message_is_request(event->message->type) ? event->message->request : 0;
        receive(raft, event->message);
        if (raft->open_request) raft_send_probe_answer(raft, event->message->from, raft->open_request);
        break;
    case RAFT_PERSISTED: persisted(raft, event->write); break;
    case RAFT_PROPOSE: raft->actions->proposed_index = raft->role == RAFT_LEADER ? raft_leader_propose(raft, event->entry) : 0; break;
    case RAFT_REPLICATE:
        if (raft->role == RAFT_LEADER) raft_leader_replicate(raft);
        break;
    case RAFT_SNAPSHOT_TAKEN: raft_install_taken(raft, event->snapshot_taken.index, event->snapshot_taken.size); break;
    case RAFT_SNAPSHOT_INSTALLED: raft_install_done(raft, event->snapshot_installed.index, event->snapshot_installed.is_failed); break;
    case RAFT_TRANSFER:
        if (raft->role == RAFT_LEADER) raft_leader_transfer(raft, event->node_id);
        break;
    case RAFT_CONNECTION_BROKEN: raft_election_on_connection_broken(raft, event->node_id); break;
    case RAFT_SEND_FAILED: send_failed(raft, event->node_id); break;
    }
}

static void begin(struct raft *raft, const struct raft_event *event, struct raft_actions *actions)
{
    ASSERT(event->now_us >= raft->now_us);
    *actions = (struct raft_actions){.persist.append_from = 1, .committed_from = 1};
    raft->actions = actions;
    raft->now_us = event->now_us;
    raft->random = event->random;
    raft->is_write_open = false;
    raft->open_request = 0;
    raft->now.count = raft->after_persist.count = 0;
}

static int64_t deadline(const struct raft *raft)
{
    switch (raft->role) {
    case RAFT_UNBORN: return raft->state.unborn.probe_deadline_us;
    case RAFT_LEARNER: return raft->state.learner.probe_deadline_us;
    case RAFT_FOLLOWER: return raft->election_deadline_us;
    case RAFT_PRE_CANDIDATE:
    case RAFT_CANDIDATE: return raft->state.candidate.deadline_us;
    case RAFT_LEADER: return raft_leader_deadline(raft);
    }
    return RAFT_NEVER;
}

/* Only now: what a step appends may move the log. */
static void lend_entries(struct raft *raft)
{
    for (size_t i = 0; i < raft->now.count; i++) {
        struct raft_message *message = &raft->now.items[i];
        if (message->type != RAFT_APPEND || message->append.count == 0) continue;
        message->append.entries = raft_log_at(&raft->log, message->append.prev_index + 1);
    }
}

static void finish(struct raft *raft)
{
    struct raft_actions *actions = raft->actions;
    lend_entries(raft);
    actions->write = raft->last_write;
    actions->send_now = raft->now.items;
    actions->send_now_count = raft->now.count;
    actions->send_after_persist = raft->after_persist.items;
    actions->send_after_persist_count = raft->after_persist.count;
    actions->deadline_us = deadline(raft);
    actions->leader_changed = raft->before.term != raft->hard.term || !raft_member_equal(raft->before.leader, raft->leader);
    raft_invariants(raft);
    raft->actions = NULL;
    raft->before.role = raft->role;
    raft->before.term = raft->hard.term;
    raft->before.vote = raft->hard.vote;
    raft->before.leader = raft->leader;
    raft->before.commit_index = raft->commit_index;
    raft->before.last_index = raft_log_last_index(&raft->log);
}

void raft_step(struct raft *raft, const struct raft_event *event, struct raft_actions *actions)
{
    begin(raft, event, actions);
    dispatch(raft, event);
    finish(raft);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void recover_history(struct raft *raft, const struct raft_recovered *recovered)
{
    struct raft_membership membership = recovered->snapshot.membership;
    if (recovered->snapshot.index == 0) membership = (struct raft_membership){.current = recovered->hard_state.founders};
    raft_history_init(&raft->history, recovered->snapshot.index, &membership);
    for (int64_t i = 0; i < recovered->count; i++) {
        int64_t index = recovered->first_index + i;
        if (recovered->entries[i].type != RAFT_ENTRY_VOTERS || index <= recovered->snapshot.index) continue;
        struct uuid cluster_id;
        enum err err = raft_membership_decode(buf_slice(recovered->entries[i].bytes), &cluster_id, &membership);
        ASSERT(err == ERR_OK);
        raft_history_append(&raft->history, index, &membership);
    }
}

static void recover_log(struct raft *raft, const struct raft_recovered *recovered)
{
    const struct raft_snapshot *snapshot = &recovered->snapshot;
    if (recovered->count == 0) {
        raft_log_init(&raft->log, snapshot->index, snapshot->term, NULL, 0);
        return;
    }
    int64_t base = recovered->first_index - 1;
    ASSERT(base <= snapshot->index);
    ASSERT(base + recovered->count >= snapshot->index);
    if (base == snapshot->index) {
        raft_log_init(&raft->log, base, snapshot->term, recovered->entries, recovered->count);
        return;
    }
    /* The term of the entry before the first is not known any more; nobody can be made to match there: start one later. */
    raft_log_init(&raft->log, recovered->first_index, recovered->entries[0].term, recovered->entries + 1, recovered->count - 1);
    buf_unref(recovered->entries[0].bytes);
}

static void take_up_role(struct raft *raft)
{
    struct raft_actions nothing = {.persist.append_from = 1, .committed_from = 1};
    raft->actions = &nothing;
    /* Founders without a term are a promise: it may have been sealed, but not used. */
    bool has_promised = raft->hard.term == 0 && raft->hard.founders.count > 0 && raft_log_last_index(&raft->log) == 0;
    if (uuid_is_zero(raft->hard.cluster_id) || has_promised) {
        raft_become_unborn(raft);
    } else if (!raft_is_voter(raft)) {
        raft_become_learner(raft);
    } else {
        change_role(raft, RAFT_FOLLOWER); /* R7 */
        /* Nobody is known to lead: campaign soon, in the order of the ids; where a leader lives, the others refuse. */
        bool is_alone = raft_membership_now(raft)->current.count == 1 && !raft_membership_is_joint(raft_membership_now(raft));
        int64_t delay = raft->rank * (int64_t)RAFT_RANK_DELAY_US + raft_random_below(raft, RAFT_RANK_JITTER_US);
        raft_election_arm(raft, is_alone ? 0 : delay);
    }
    ASSERT(!raft->is_write_open);
    raft->actions = NULL;
}

struct raft *raft_create(const struct raft_config *config, const struct raft_recovered *recovered, int64_t now_us, uint64_t random)
{
    ASSERT(config->self.id >= 0 && !uuid_is_zero(config->self.directory_id));
    ASSERT(config->listed_count > 0 && config->listed_count <= VOTERS_MAX);
    ASSERT(config->heartbeat_us > 0 && config->heartbeat_us < config->fetch_timeout_us);
    struct raft *raft = mem_alloc(sizeof *raft);
    raft->config = *config;
    raft->hard = recovered->hard_state;
    raft->snapshot = recovered->snapshot;
    raft->commit_index = recovered->snapshot.index;
    raft->leader = RAFT_NO_MEMBER;
    raft->leader_contact_us = INT64_MIN;
    raft->now_us = now_us;
    raft->random = random;
    recover_log(raft, recovered);
    recover_history(raft, recovered);
    for (uint32_t i = 0; i < config->listed_count; i++) raft->rank += config->listed[i] < config->self.id;
    raft->role = RAFT_FOLLOWER;
    take_up_role(raft);
    raft->before.role = raft->role;
    raft->before.term = raft->hard.term;
    raft->before.vote = raft->hard.vote;
    raft->before.leader = raft->leader;
    raft->before.commit_index = raft->commit_index;
    raft->before.last_index = raft_log_last_index(&raft->log);
    return raft;
}

void raft_destroy(struct raft *raft)
{
    if (raft->role == RAFT_LEADER) mem_free(raft->state.leader.peers);
    raft_log_deinit(&raft->log);
    raft_history_deinit(&raft->history);
    mem_free(raft->now.items);
    mem_free(raft->after_persist.items);
    mem_free(raft);
}

/* ---- looking inside -------------------------------------------------------------------------------------------------- */

void raft_status(const struct raft *raft, struct raft_status *status)
{
    *status = (struct raft_status){
        .role = raft->role,
        .term = raft->hard.term,
        .leader = raft->leader,
        .cluster_id = raft_cluster_id(raft),
        .commit_index = raft->commit_index,
        .last_index = raft_log_last_index(&raft->log),
        .last_term = raft_log_last_term(&raft->log),
        .durable_index = raft->log.durable_index,
        .first_index = raft_log_first_index(&raft->log),
        .term_first_index = raft->role == RAFT_LEADER ? raft->state.leader.term_first_index : 0,
        .snapshot = raft->snapshot,
        .membership = *raft_membership_now(raft),
        .vote = raft->hard.vote,
    };
}

bool raft_is_leader(const struct raft *raft) { return raft->role == RAFT_LEADER; }
int64_t raft_commit_index(const struct raft *raft) { return raft->commit_index; }
int64_t raft_last_index(const struct raft *raft) { return raft_log_last_index(&raft->log); }
int64_t raft_term(const struct raft *raft) { return raft->hard.term; }
struct uuid raft_cluster_id(const struct raft *raft) { return raft->role == RAFT_UNBORN ? UUID_ZERO : raft->hard.cluster_id; }

const struct raft_entry *raft_entry_at(const struct raft *raft, int64_t index) { return raft_log_at(&raft->log, index); }

const char *raft_role_name(enum raft_role role)
{
    static const char *const names[] = {"unborn", "learner", "follower", "pre-candidate", "candidate", "leader"};
    ASSERT((size_t)role < sizeof names / sizeof *names);
    return names[role];
}

const char *raft_message_name(enum raft_message_type type)
{
    static const char *const names[] = {
        "PROBE",    "PROBE_ANSWER",    "VOTE",        "VOTE_ANSWER",        "APPEND", "APPEND_ANSWER", "HEARTBEAT", "HEARTBEAT_ANSWER",
        "SNAPSHOT", "SNAPSHOT_ANSWER", "TIMEOUT_NOW", "TIMEOUT_NOW_ANSWER", "FOLLOW",
    };
    _Static_assert(sizeof names / sizeof *names == RAFT_MESSAGE_TYPES, "a name for each");
    ASSERT((size_t)type < RAFT_MESSAGE_TYPES);
    return names[type];
}
