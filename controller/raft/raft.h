/* Raft consensus as a pure state machine (Ongaro's dissertation; section numbers in the code refer to it).
 *
 * It performs no I/O, reads no clock and draws no random number: the caller turns the world into events, and the actions of each
 * step into effects, in this order:
 *     1. write what actions->persist says; writes are numbered, and become durable in the order of their numbers;
 *     2. actions->send_now may leave at once;
 *     3. when write number actions->write is durable, feed RAFT_PERSISTED and send actions->send_after_persist;
 *     4. apply the committed entries, in order;
 *     5. compact, if asked to;
 *     6. call again, with RAFT_TICK, no later than actions->deadline_us.
 * "After persist" is a list, not a rule to remember: a vote is durable before it is told, an entry before it is acknowledged.
 * A heartbeat's answer is always in send_now.
 *
 * Indexes and terms start at 1; 0 means "before the first". A member is a (node id, directory id) pair: a node that lost its
 * disk comes back with another directory id, and is somebody else to the protocol.
 *
 * Pointers in actions are valid until the next raft_step(). One owner thread. */
#ifndef SKIFF_CONTROLLER_RAFT_RAFT_H
#define SKIFF_CONTROLLER_RAFT_RAFT_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/uuid.h"

#define RAFT_NOBODY (-1)

/* ---- members --------------------------------------------------------------------------------------------------------- */

struct raft_member {
    int32_t id;
    struct uuid directory_id;
};
#define RAFT_NO_MEMBER ((struct raft_member){.id = RAFT_NOBODY})
static inline bool raft_member_equal(struct raft_member a, struct raft_member b)
{
    return a.id == b.id && uuid_equal(a.directory_id, b.directory_id);
}

/* Sorted by id, no id twice. */
struct raft_voters {
    uint32_t count;
    struct raft_member voters[VOTERS_MAX];
};

/* While a change is on its way, decisions need a majority of both sets (joint consensus, 4.3): `outgoing` is empty otherwise. */
struct raft_membership {
    struct raft_voters current;
    struct raft_voters outgoing;
};

/* ---- the log --------------------------------------------------------------------------------------------------------- */

enum raft_entry_type {
    RAFT_ENTRY_DATA = 1,   /* the state machine's */
    RAFT_ENTRY_LEADER = 2, /* a new leader's first entry: commits what its predecessors left (3.6.2, 6.4) */
    RAFT_ENTRY_VOTERS = 3, /* cluster id and membership; entry 1 of every log */
};

struct raft_entry {
    int64_t term;
    enum raft_entry_type type;
    uint64_t write; /* number of the write that makes it durable; 0: it is */
    struct buf *bytes;
};

/* What a snapshot replaces: all entries up to and including `index`. */
struct raft_snapshot {
    int64_t index; /* 0: there is none */
    int64_t term;
    int64_t size; /* bytes of the state machine's part */
    struct raft_membership membership;
};

/* ---- what must survive ----------------------------------------------------------------------------------------------- */

struct raft_hard_state {
    int64_t term;
    struct raft_member vote;     /* in `term`; RAFT_NO_MEMBER: none */
    struct uuid cluster_id;      /* zero until a cluster is promised, founded or found */
    struct raft_voters founders; /* empty unless this node took part in the birth: the membership before entry 1; in term 0 a promise */
};

struct raft_config {
    struct raft_member self;
    uint32_t listed_count; /* controller.quorum.voters, sorted; `self` need not be among them: then it is a learner for ever */
    int32_t listed[VOTERS_MAX];
    struct uuid expected_cluster_id; /* zero: an empty directory may join any */
    struct uuid proposed_cluster_id; /* used if this node has the lowest id among the founders */
    int64_t heartbeat_us;            /* between two heartbeats of a leader */
    int64_t election_timeout_us;     /* controller.quorum.election.timeout.ms: the longest round of votes */
    int64_t fetch_timeout_us;        /* controller.quorum.fetch.timeout.ms: silence after which a follower campaigns and a leader resigns */
    size_t message_bytes_max;        /* entries or snapshot bytes of one message; one larger entry travels alone */
    int64_t trailing_entries;        /* kept before a snapshot for followers that are a little behind */
};

/* What the store found at start. Takes over the references of the entries. */
struct raft_recovered {
    struct raft_hard_state hard_state;
    struct raft_snapshot snapshot;
    int64_t first_index; /* of entries[0]; <= snapshot.index + 1 */
    int64_t count;
    struct raft_entry *entries;
};

/* ---- messages -------------------------------------------------------------------------------------------------------- */

/* Answers of a node id come in the order of the requests, from whoever has its address then: an answer of a directory that was replaced
 * does not come after one of its successor (raft_birth.c needs it). A request is answered by at most one message; learners ask (FOLLOW) and
 * get APPEND, SNAPSHOT or PROBE_ANSWER for an answer, so that nobody has to be able to connect to a learner. */
enum raft_message_type {
    RAFT_PROBE, /* "who are you?": birth, and looking for the leader */
    RAFT_PROBE_ANSWER,
    RAFT_VOTE, /* pre-vote and vote */
    RAFT_VOTE_ANSWER,
    RAFT_APPEND,
    RAFT_APPEND_ANSWER,
    RAFT_HEARTBEAT,
    RAFT_HEARTBEAT_ANSWER,
    RAFT_SNAPSHOT, /* one chunk */
    RAFT_SNAPSHOT_ANSWER,
    RAFT_TIMEOUT_NOW, /* leadership transfer (3.10) */
    RAFT_TIMEOUT_NOW_ANSWER,
    RAFT_FOLLOW,
    RAFT_MESSAGE_TYPES
};

struct raft_message {
    enum raft_message_type type;
    struct raft_member from;
    struct raft_member to;  /* directory id zero: whoever has that id */
    struct uuid cluster_id; /* zero: the sender is in none yet */
    int64_t term;           /* the sender's; of a pre-vote request: the term it would campaign in */
    uint64_t request;       /* the transport's name for the request that this is (received) or answers (sent); 0: a new request */
    union {
        struct {
            bool is_born; /* false: the sender's directory is empty and in no cluster */
            struct uuid proposed_cluster_id;
            struct raft_member leader; /* that the sender knows of, or RAFT_NO_MEMBER */
            struct raft_voters voters; /* born: the voters it goes by; unborn: the founders promised, or the listed ids alone */
        } probe;                       /* PROBE and PROBE_ANSWER */
        struct {
            bool is_pre_vote;
            bool is_transfer; /* the leader asked for it: a living leader is no reason to refuse */
            int64_t last_index, last_term;
        } vote;
        struct {
            bool is_pre_vote;
            bool is_granted;
        } vote_answer;
        struct {
            int64_t commit; /* never beyond what the receiver is known to share with the leader */
            int32_t rank;   /* the receiver's place in the succession: 0 campaigns first */
            int64_t sent_us;
        } heartbeat;
        struct {
            int64_t sent_us; /* of the heartbeat that is answered */
        } heartbeat_answer;
        struct {
            int64_t prev_index, prev_term, commit;
            uint32_t count;
            const struct raft_entry *entries; /* term, type, bytes; borrowed */
        } append;
        struct {
            bool is_rejected;
            int64_t index;                 /* durable and the same as the leader's up to here; rejected: the prev_index refused */
            int64_t hint_index, hint_term; /* rejected: where the leader should try next */
        } append_answer;                   /* also what FOLLOW carries */
        struct {
            int64_t index, term, size;
            const struct raft_membership *membership; /* borrowed */
            int64_t offset;
            int64_t length;
            struct slice bytes; /* received: the chunk; sent: empty, the transport reads `length` bytes at `offset` */
        } snapshot;
        struct {
            int64_t index;
            int64_t offset; /* the next byte wanted; == size: installed */
        } snapshot_answer;  /* also in FOLLOW while is_snapshot */
        struct {
            bool is_snapshot; /* the second pair of fields counts */
            bool is_rejected;
            int64_t index, hint_index, hint_term;
            int64_t snapshot_index, snapshot_offset;
        } follow;
    };
};

/* ---- events ---------------------------------------------------------------------------------------------------------- */

enum raft_event_type {
    RAFT_TICK,               /* time has passed */
    RAFT_RECEIVE,            /* a message came */
    RAFT_PERSISTED,          /* all writes up to number `write` are durable */
    RAFT_PROPOSE,            /* the leader shall append `entry`; actions->proposed_index says where */
    RAFT_REPLICATE,          /* end of turn: what was proposed since leaves in one message a peer */
    RAFT_SNAPSHOT_TAKEN,     /* the state up to `snapshot` is durable */
    RAFT_SNAPSHOT_INSTALLED, /* the received snapshot is durable (or is_failed: its bytes were bad; it is asked for again) */
    RAFT_TRANSFER,           /* hand leadership to `node_id`; RAFT_NOBODY: to the best follower */
    RAFT_CONNECTION_BROKEN,  /* the connection to `node_id` is gone */
    RAFT_SEND_FAILED,        /* a request to `node_id` has no answer and will get none */
};

struct raft_event {
    enum raft_event_type type;
    int64_t now_us;  /* monotonic */
    uint64_t random; /* fresh bits */
    union {
        const struct raft_message *message; /* RECEIVE */
        uint64_t write;                     /* PERSISTED */
        struct buf *entry;                  /* PROPOSE; the log takes its own reference */
        struct {
            int64_t index, size;
        } snapshot_taken;
        struct {
            int64_t index;
            bool is_failed;
        } snapshot_installed;
        int32_t node_id; /* TRANSFER, CONNECTION_BROKEN, SEND_FAILED */
    };
};

/* ---- actions --------------------------------------------------------------------------------------------------------- */

/* A chunk of a snapshot from the leader. Chunks come in order; offset 0 starts over. */
struct raft_snapshot_chunk {
    struct raft_snapshot snapshot;
    int64_t offset;
    struct slice bytes; /* borrowed from the message */
    bool is_last;       /* make it durable, then feed SNAPSHOT_INSTALLED */
};

struct raft_actions {
    struct {
        const struct raft_hard_state *hard_state; /* NULL: unchanged */
        int64_t truncate_from;                    /* remove the entries from here on, before appending; 0: none */
        int64_t append_from, append_to;           /* raft_entry_at() of each; empty when append_to < append_from */
        int64_t restart_after;                    /* drop the whole log; the next entry has the index after this; 0: no */
        const struct raft_snapshot_chunk *chunk;  /* NULL: none; not part of the write, durable with SNAPSHOT_INSTALLED */
    } persist;
    uint64_t write; /* the number of the last write asked for, by this step or an earlier one */
    size_t send_now_count, send_after_persist_count;
    const struct raft_message *send_now;
    const struct raft_message *send_after_persist;
    int64_t committed_from, committed_to; /* newly committed; empty when committed_to < committed_from */
    bool snapshot_installed;              /* load the installed snapshot before applying anything */
    int64_t compact_to;                   /* entries up to here are no longer needed on disk; 0: no change */
    bool leader_changed;                  /* look at raft_status() */
    int64_t proposed_index;               /* PROPOSE: 0 means refused: not the leader, or handing over */
    int64_t deadline_us;
};

struct raft;

/* `recovered` may be all zero with the vote RAFT_NO_MEMBER: an empty directory. */
struct raft *raft_create(const struct raft_config *config, const struct raft_recovered *recovered, int64_t now_us, uint64_t random);
void raft_destroy(struct raft *raft);
void raft_step(struct raft *raft, const struct raft_event *event, struct raft_actions *actions);

/* ---- looking inside -------------------------------------------------------------------------------------------------- */

enum raft_role {
    RAFT_UNBORN,  /* empty directory: looking for founders or for a cluster */
    RAFT_LEARNER, /* follows without a vote */
    RAFT_FOLLOWER,
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER,
};

struct raft_peer_status {
    struct raft_member member;
    bool is_voter;
    int64_t match_index;
    int64_t last_contact_us;   /* the last answer; INT64_MIN: none in this term */
    int64_t last_caught_up_us; /* when it last had all that the leader had */
};

struct raft_status {
    enum raft_role role;
    int64_t term;
    struct raft_member leader; /* RAFT_NO_MEMBER: unknown */
    struct uuid cluster_id;    /* zero before birth */
    int64_t commit_index;
    int64_t last_index, last_term;
    int64_t durable_index;
    int64_t first_index;      /* of the log in memory */
    int64_t term_first_index; /* leader: its first entry in this term; it serves when that is applied */
    struct raft_snapshot snapshot;
    struct raft_membership membership;
    struct raft_member vote;
};

void raft_status(const struct raft *raft, struct raft_status *status);
/* The parts of it that are asked for often. */
bool raft_is_leader(const struct raft *raft);
int64_t raft_commit_index(const struct raft *raft);
int64_t raft_last_index(const struct raft *raft);
int64_t raft_term(const struct raft *raft);
struct uuid raft_cluster_id(const struct raft *raft);
/* Leader: at this time, or later, a majority still followed it, so that nobody else had been elected. INT64_MIN: not known, or no leader.
 */
int64_t raft_confirmed_us(const struct raft *raft);
/* Leader: fills at most `capacity` places, itself included; the number of peers there are. */
size_t raft_peers_status(const struct raft *raft, struct raft_peer_status *peers, size_t capacity);
/* Asserts first_index <= index <= last_index. */
const struct raft_entry *raft_entry_at(const struct raft *raft, int64_t index);
/* What a snapshot of the state after `index` (committed, not compacted away) says about itself; its size is the caller's to fill in. */
void raft_describe_snapshot(const struct raft *raft, int64_t index, struct raft_snapshot *snapshot);
const char *raft_role_name(enum raft_role role);
const char *raft_message_name(enum raft_message_type type);
/* One that wants an answer; APPEND and SNAPSHOT are also what a FOLLOW is answered with. */
bool raft_message_is_request(enum raft_message_type type);

/* Entry 1 and every later change of the voters, as RAFT_ENTRY_VOTERS carries it. */
struct buf *raft_membership_encode(struct uuid cluster_id, const struct raft_membership *membership);
NODISCARD enum err raft_membership_decode(struct slice bytes, struct uuid *cluster_id, struct raft_membership *membership);

#endif
