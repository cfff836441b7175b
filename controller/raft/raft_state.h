/* Inside struct raft, for the files of controller/raft/ only. raft.c has the state diagram and the invariants. */
#ifndef SKIFF_CONTROLLER_RAFT_RAFT_STATE_H
#define SKIFF_CONTROLLER_RAFT_RAFT_STATE_H

#include "common/assert.h"
#include "common/checked.h"
#include "controller/raft/raft.h"
#include "controller/raft/raft_log.h"
#include "controller/raft/raft_membership.h"
#include "controller/raft/raft_progress.h"
#include "controller/raft/raft_quorum.h"

#define RAFT_NEVER     INT64_MAX
#define RAFT_PEERS_MAX (VOTERS_MAX * 2 + BROKERS_MAX) /* both sets of a joint membership, and every broker as a learner */

/* DESIGN 3: who lost the leader's connection campaigns after its rank in the succession times this ... */
#define RAFT_RANK_DELAY_US 15000
/* ... plus a little, so that two that think they have the same rank do not meet for ever. */
#define RAFT_RANK_JITTER_US 5000
/* A lost round of votes is tried again after 10-50 ms, then after twice that, up to the election timeout. */
#define RAFT_RETRY_LEAST_US 10000
#define RAFT_RETRY_MOST_US  50000
/* The first round of votes waits this long for the answers, the next ones longer, up to the election timeout. */
#define RAFT_FIRST_ROUND_US 100000
/* Looking for founders or for a leader: first again after this, then after twice that, up to the heartbeat interval. */
#define RAFT_FIRST_PROBE_US 5000

struct raft_messages {
    struct raft_message *items;
    size_t count, capacity;
};

/* Each role has its own; raft_become() is the only place where the role changes. */
union raft_role_state {
    struct {
        struct raft_member founders[VOTERS_MAX]; /* by place in config.listed; id RAFT_NOBODY: no answer yet */
        struct uuid proposed[VOTERS_MAX];
        bool has_same_promise[VOTERS_MAX]; /* as hard.founders */
        uint64_t promise_write;            /* the own promise is told when this write is durable */
        int64_t probed_us, probe_deadline_us;
        int64_t probe_delay_us;
    } unborn;
    struct {
        int64_t probe_deadline_us;
        int64_t probe_delay_us;
        int64_t asked_us; /* when the FOLLOW that has no answer yet was sent; RAFT_NEVER: none is under way */
    } learner;
    struct {
        uint32_t voter_count; /* those of both sets */
        struct raft_member voters[2 * VOTERS_MAX];
        enum raft_vote_state votes[2 * VOTERS_MAX];
        uint64_t own_vote_write; /* candidate: its own vote counts when this write is durable */
        bool is_transfer;
        int64_t deadline_us;
    } candidate; /* and pre-candidate */
    struct {
        size_t peer_count, peer_capacity;
        struct raft_progress *peers;
        int64_t term_first_index;
        int64_t heartbeat_deadline_us;
        int64_t since_us;    /* took office */
        int32_t transfer_to; /* RAFT_NOBODY: not handing over */
        bool is_transfer_sent;
        int64_t transfer_deadline_us;
    } leader;
};

struct raft {
    struct raft_config config;
    struct raft_hard_state hard;
    struct raft_log log;
    struct raft_history history;
    struct raft_snapshot snapshot;
    int64_t commit_index;

    enum raft_role role;
    union raft_role_state state;

    /* What is known of the leader of hard.term. */
    struct raft_member leader;
    int64_t leader_contact_us;
    bool is_leader_connected;
    int32_t rank; /* own place in the succession */
    /* A leader counts another disk in this node's place: what the own log says about the own seat was never committed. */
    bool is_disowned;
    int64_t seat_term; /* the last term whose leader sent to this very directory, as to a voter */

    int64_t election_deadline_us; /* follower: campaign then */
    uint32_t election_attempts;   /* since a leader was heard */

    /* A snapshot that is coming in; index 0: none. */
    struct {
        struct raft_snapshot snapshot;
        int64_t offset;
        bool is_installing; /* complete, not durable yet */
        uint64_t request;   /* the request to be answered then */
        struct raft_member leader;
    } incoming;

    uint64_t last_write, durable_write;

    /* This step. */
    int64_t now_us;
    uint64_t random;
    struct raft_actions *actions;
    bool is_write_open;    /* this step has asked for write last_write */
    uint64_t open_request; /* the received request that has no answer yet */
    struct raft_messages now, after_persist;
    struct raft_hard_state hard_to_persist;
    struct raft_snapshot_chunk chunk;

    /* At the end of the last step, for the delta invariants. */
    struct {
        enum raft_role role;
        int64_t term, commit_index, last_index;
        struct raft_member vote, leader;
    } before;
};

/* ---- raft.c ---------------------------------------------------------------------------------------------------------- */

/* The number of the write that this step asks for. */
uint64_t raft_write(struct raft *raft);
void raft_persist_hard_state(struct raft *raft);
/* Appends to the log and to what this step persists. */
int64_t raft_append(struct raft *raft, int64_t term, enum raft_entry_type type, struct buf *bytes);
void raft_truncate(struct raft *raft, int64_t from);
/* No-op when not beyond the commit index. */
void raft_commit_to(struct raft *raft, int64_t index);

struct raft_message raft_message_make(const struct raft *raft, enum raft_message_type type, struct raft_member to);
/* An answer to a request received in this step. */
struct raft_message raft_answer_make(const struct raft *raft, enum raft_message_type type, const struct raft_message *request);
void raft_send_now(struct raft *raft, const struct raft_message *message);
/* Leaves when everything asked for so far, this step included, is durable. */
void raft_send_after_persist(struct raft *raft, const struct raft_message *message);
/* The request of this step will be answered later. */
void raft_keep_request(struct raft *raft);
/* "This is who I am, and whom I follow": the answer to a probe, and to every request that cannot be served. */
void raft_send_probe_answer(struct raft *raft, struct raft_member to, uint64_t request);

/* Uniform in [0, bound). */
int64_t raft_random_below(struct raft *raft, int64_t bound);
/* least << attempts, at most `most`, plus up to the same again at random. */
int64_t raft_backoff(struct raft *raft, int64_t least_us, uint32_t attempts, int64_t most_us);
const struct raft_membership *raft_membership_now(const struct raft *raft);
bool raft_is_voter(const struct raft *raft);
void raft_set_leader(struct raft *raft, struct raft_member leader);

void raft_become_unborn(struct raft *raft);
void raft_become_learner(struct raft *raft);
/* A term above the own one is taken over, and the vote of the old one forgotten. Learners stay learners. */
void raft_become_follower(struct raft *raft, int64_t term, struct raft_member leader);
void raft_become_pre_candidate(struct raft *raft);
void raft_become_candidate(struct raft *raft, bool is_transfer);
void raft_become_leader(struct raft *raft);

/* ---- raft_birth.c ---------------------------------------------------------------------------------------------------- */

void raft_birth_begin(struct raft *raft);
void raft_birth_tick(struct raft *raft);
void raft_birth_persisted(struct raft *raft);
void raft_birth_probe_soon(struct raft *raft);
/* The voters of a probe or its answer: the founders that were promised, or the bare list. */
void raft_birth_describe(const struct raft *raft, struct raft_voters *voters);
void raft_birth_hear(struct raft *raft, const struct raft_message *message);

/* ---- raft_election.c ------------------------------------------------------------------------------------------------- */

void raft_election_arm(struct raft *raft, int64_t delay_us);
/* Silence from now on lasts until the fetch timeout, and some. */
void raft_election_rearm(struct raft *raft);
/* No leader is known: soon, and later each time. */
void raft_election_arm_retry(struct raft *raft);
void raft_election_campaign(struct raft *raft);
void raft_election_begin_round(struct raft *raft, bool is_pre_vote, bool is_transfer);
void raft_election_tick(struct raft *raft);
void raft_election_persisted(struct raft *raft);
void raft_election_on_vote(struct raft *raft, const struct raft_message *message);
void raft_election_on_vote_answer(struct raft *raft, const struct raft_message *message);
void raft_election_on_timeout_now(struct raft *raft, const struct raft_message *message);
void raft_election_on_connection_broken(struct raft *raft, int32_t node_id);
void raft_election_on_send_failed(struct raft *raft, int32_t node_id);

/* ---- raft_leader.c --------------------------------------------------------------------------------------------------- */

void raft_leader_begin(struct raft *raft);
/* Leaves office: answers what is still asked. */
void raft_leader_end(struct raft *raft);
void raft_leader_tick(struct raft *raft);
void raft_leader_persisted(struct raft *raft);
int64_t raft_leader_propose(struct raft *raft, struct buf *bytes);
void raft_leader_replicate(struct raft *raft);
void raft_leader_on_append_answer(struct raft *raft, const struct raft_message *message);
void raft_leader_on_heartbeat_answer(struct raft *raft, const struct raft_message *message);
void raft_leader_on_snapshot_answer(struct raft *raft, const struct raft_message *message);
void raft_leader_on_follow(struct raft *raft, const struct raft_message *message);
void raft_leader_on_send_failed(struct raft *raft, int32_t node_id);
void raft_leader_transfer(struct raft *raft, int32_t node_id);
struct raft_progress *raft_leader_peer(struct raft *raft, struct raft_member member);
/* The peers of the membership that holds now. */
void raft_leader_sync_peers(struct raft *raft);
int64_t raft_leader_deadline(const struct raft *raft);

/* ---- raft_change.c --------------------------------------------------------------------------------------------------- */

/* Changes the voters when there is something to change and nothing on its way (4.1). */
void raft_change_consider(struct raft *raft);
/* After the commit index moved: finishes a joint membership. */
void raft_change_committed(struct raft *raft);

/* ---- raft_follower.c, raft_install.c --------------------------------------------------------------------------------- */

void raft_follower_on_append(struct raft *raft, const struct raft_message *message);
void raft_follower_on_heartbeat(struct raft *raft, const struct raft_message *message);
/* Learner: asks the leader for more, saying how far it is. */
void raft_learner_follow(struct raft *raft);
void raft_learner_tick(struct raft *raft);
void raft_learner_hear(struct raft *raft, const struct raft_message *message);
void raft_learner_on_send_failed(struct raft *raft, int32_t node_id);
void raft_learner_lost_leader(struct raft *raft);
void raft_install_on_chunk(struct raft *raft, const struct raft_message *message);
void raft_install_done(struct raft *raft, int64_t index, bool is_failed);
void raft_install_taken(struct raft *raft, int64_t index, int64_t size);

/* ---- raft_invariants.c ----------------------------------------------------------------------------------------------- */

void raft_invariants(const struct raft *raft);
/* O(log): simulator and test builds. */
void raft_invariants_full(const struct raft *raft);

#endif
