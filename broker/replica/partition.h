/* One replica of one partition, as a state machine: leader or follower, in-sync set, high watermark.
 *
 * It knows the log only as numbers (start, end, durable end); reading and writing the log, the network and the controller are the
 * caller's business (broker/node/replica_manager.h). The caller turns the world into events, and the actions back into effects:
 *     1. complete the waiters of actions.completed (answers leave with the numbers they carry);
 *     2. when actions.propose is set, send actions.proposal to the controller and feed its answer as ISR_ANSWERED;
 *     3. wake those who watch the partition when actions.changed is not 0.
 * Time comes inside each event. Nothing here allocates except a new assignment. One owner thread. Invariants, states and the
 * table of transitions stand at the top of partition.c. */
#ifndef SKIFF_BROKER_REPLICA_PARTITION_H
#define SKIFF_BROKER_REPLICA_PARTITION_H

#include "broker/replica/isr.h"
#include "broker/replica/purgatory.h"
#include "common/uuid.h"

enum partition_role {
    PARTITION_IDLE, /* no leader is known, or this node is not told its part yet */
    PARTITION_LEADER,
    PARTITION_FOLLOWER,
    PARTITION_OFFLINE, /* its log directory failed; final until the process restarts */
};
const char *partition_role_name(enum partition_role role);

/* What the leader knows of one replica (the entry of the leader itself is used for its id only). */
struct partition_replica {
    int32_t id;
    bool is_eligible;        /* the broker is registered, unfenced and not shutting down: may join the ISR */
    bool is_ousted;          /* the controller took it out of the ISR though it is eligible: its disk failed, unless it fetches again */
    bool is_electable;       /* as in struct partition_member */
    int64_t broker_epoch;    /* of that registration; -1: there is none */
    int64_t end_offset;      /* its log is durable up to here, as its last counted fetch said; ISR_OFFSET_UNKNOWN before */
    int64_t fetched_epoch;   /* broker epoch that came with that fetch (KIP-903) */
    int64_t caught_up_us;    /* when it last held all that the leader held */
    int64_t fetched_us;      /* when it last fetched ... */
    int64_t leader_end_then; /* ... and how long the leader's log was */
    int64_t log_start;       /* where its log starts durably, as that fetch said; -1 before */
};

/* A proposed ISR, compare-and-set on (leader epoch, partition epoch). */
struct isr_proposal {
    int32_t leader_epoch, partition_epoch;
    isr_set isr;
};

struct partition_settings {
    int32_t local_id;
    bool counts_unflushed; /* log.flush.policy=os: a record counts as held when it is in the page cache */
    int64_t lag_max_us;    /* replica.lag.time.max.ms */
};

struct partition {
    const struct partition_settings *settings; /* the caller's; outlives the partition */
    struct uuid topic_id;
    int32_t index;

    enum partition_role role;
    int32_t leader_id; /* -1: none */
    int32_t leader_epoch, partition_epoch;
    int32_t min_insync; /* as configured */

    struct partition_replica *replicas; /* owned */
    size_t replica_count;
    size_t local; /* our place in it */
    isr_set isr;  /* committed */
    /* Leader: a proposal that the controller may have committed. In doubt: it was answered, and only newer metadata can tell what
     * became of it, for an earlier copy may have won; it stays in the maximal ISR until then. */
    struct isr_proposal proposal;
    enum { PROPOSAL_NONE, PROPOSAL_SENT, PROPOSAL_IN_DOUBT } proposal_state;
    int64_t propose_after_us; /* the controller knows better than our metadata who may join: ask again later */

    int64_t log_start, log_end; /* first offset, one past the last */
    int64_t durable_end;        /* <= log_end: survives a power cut */
    uint32_t truncations;       /* flushes that began before the last one do not count */
    bool is_truncation_durable;
    int64_t high_watermark;
    int64_t epoch_start; /* leader: log_end when it took office */

    struct purgatory produce; /* leader */
};

enum partition_event_type {
    PARTITION_ASSIGNED,     /* metadata: who leads, who replicates, who is in sync, who may join */
    PARTITION_CONFIGURED,   /* min.insync.replicas */
    PARTITION_APPENDED,     /* leader: the log grew to `offset`; follower: by records of its leader */
    PARTITION_FLUSHED,      /* a flush that began at `truncations` made the log durable up to `offset` */
    PARTITION_TRUNCATED,    /* the log ends at `offset` now, not durably so */
    PARTITION_TRIMMED,      /* the log starts at `offset` now */
    PARTITION_RESET,        /* follower: the log was emptied and starts at `offset`: the leader's start has passed our end */
    PARTITION_FETCHED_BY,   /* leader: a follower asks from its durable end */
    PARTITION_FETCHED,      /* follower: what the leader's answer said of it */
    PARTITION_WAITING,      /* leader: an acks=all produce was appended */
    PARTITION_ISR_ANSWERED, /* the controller's answer to a proposal */
    PARTITION_TICK,         /* look for lagging followers; several times in lag_max_us */
    PARTITION_REMOVED,      /* no longer this node's: waiters go; the last event */
    PARTITION_FAILED,       /* the log directory is offline */
};

struct partition_member {
    int32_t id;
    bool is_eligible;
    bool is_electable; /* in the ELR: may lead without having fetched from anybody */
    int64_t broker_epoch;
};
struct partition_assignment {
    int32_t leader_id, leader_epoch, partition_epoch;
    const struct partition_member *members; /* the replicas, in the order of preference */
    size_t member_count;
    const int32_t *isr;
    size_t isr_count;
};

struct partition_event {
    enum partition_event_type type;
    int64_t now_us;
    union {
        struct partition_assignment assigned;
        struct {
            int32_t min_insync;
        } configured;
        struct {
            int64_t offset;
            uint32_t truncations; /* FLUSHED */
        } log;
        struct {
            int32_t replica_id;
            int64_t broker_epoch;
            int64_t offset;
            int64_t log_start; /* durably so; -1: not said */
            bool is_matching;  /* the leader's log holds the follower's last epoch up to `offset` (Q-MATCH) */
        } fetched_by;
        struct {
            int64_t leader_high_watermark;
        } fetched;
        struct produce_waiter *waiting; /* required_offset and leader_epoch set */
        struct {
            struct isr_proposal proposal; /* the one that is answered */
            enum kafka_error error;       /* NONE: committed; metadata will bring it, and only that counts */
        } isr_answered;
    };
};

enum partition_moved {
    PARTITION_END_MOVED = 1,
    PARTITION_WATERMARK_MOVED = 2,
    PARTITION_START_MOVED = 4,
    PARTITION_ROLE_CHANGED = 8, /* role, leader or leader epoch */
    PARTITION_ISR_CHANGED = 16,
};
struct partition_actions {
    struct list completed; /* struct produce_waiter, in offset order */
    bool propose;
    struct isr_proposal proposal;
    unsigned changed; /* enum partition_moved */
};

/* The log as it was opened: `durable_end` <= `log_end`; `high_watermark` from the checkpoint, cut to what the log holds. */
void partition_init(struct partition *partition, const struct partition_settings *settings, struct uuid topic_id, int32_t index,
                    int64_t log_start, int64_t log_end, int64_t durable_end, int64_t high_watermark);
/* Asserts that nobody waits: feed PARTITION_REMOVED or PARTITION_FAILED first. */
void partition_deinit(struct partition *partition);
void partition_step(struct partition *partition, const struct partition_event *event, struct partition_actions *actions);
void partition_invariants(const struct partition *partition);

/* ---- questions: no effect ---- */

static inline bool partition_is_leader(const struct partition *p) { return p->role == PARTITION_LEADER; }
#define EPOCH_UNSAID (-1) /* by a peer that does not know */
/* NONE, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. */
enum kafka_error partition_check_leader(const struct partition *p, int32_t leader_epoch);
/* The same, but a follower will do (KIP-392). */
enum kafka_error partition_check_reader(const struct partition *p, int32_t leader_epoch);
/* The same and NOT_ENOUGH_REPLICAS: may a batch with these acks be appended? */
enum kafka_error partition_check_produce(const struct partition *p, int16_t acks);
/* May this follower fetch? Also UNKNOWN_TOPIC_OR_PARTITION for one that is not (yet) a replica, and NOT_LEADER_OR_FOLLOWER for
 * another incarnation than the registered one (KIP-903): an earlier one, one that our metadata does not show yet, or a stranger. */
enum kafka_error partition_check_follower(const struct partition *p, int32_t replica_id, int64_t broker_epoch, int32_t leader_epoch);
/* Clients may be told the end of the log: the high watermark has reached the start of this leader's epoch. */
static inline bool partition_is_end_known(const struct partition *p) { return p->high_watermark >= p->epoch_start; }
/* Follower: all that it holds is durable, where only that counts, and that it cut what it cut; the next fetch asks from log_end. */
bool partition_can_fetch(const struct partition *p);
/* Where a follower's log parts from its leader's (KIP-101, KIP-279): the leader says where its largest epoch up to ours ends, the own
 * log where that epoch, or the largest below it, ends here. Below log_end, or the leader contradicts itself. */
int64_t partition_cut_offset(const struct partition *p, int64_t leader_epoch_end, int64_t own_epoch_end);
/* Bytes or a truncation wait for a flush. */
bool partition_needs_flush(const struct partition *p);
/* One past the last offset that counts as held by this node. */
int64_t partition_held_end(const struct partition *p);
isr_set partition_maximal_isr(const struct partition *p);
/* Leader: the offset below which every live replica has given its records up, ours from `own_start` on. */
int64_t partition_low_watermark(const struct partition *p, int64_t own_start);
/* Place of a broker in replicas[], or -1. */
int32_t partition_find(const struct partition *p, int32_t broker_id);

#endif
