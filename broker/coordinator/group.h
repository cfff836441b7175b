/* One group of the classic protocol: its members, and where it stands in a rebalance.
 *
 * Members are kept in the order in which they joined; each protocol's metadata and assignment are opaque bytes. The group is a part of
 * its shard (group_shard.h), which has the clock, the timers and the log; readers elsewhere look and do not touch. Invariants, states
 * and the table of transitions stand at the top of group.c. */
#ifndef SKIFF_BROKER_COORDINATOR_GROUP_H
#define SKIFF_BROKER_COORDINATOR_GROUP_H

#include "broker/coordinator/group_offsets.h"
#include "broker/coordinator/group_reasons.h"

#include "common/heap.h"
#include "common/list.h"

struct group_request;
struct group_batch;

enum group_state {
    GROUP_EMPTY, /* no members; offsets may be committed by anyone */
    GROUP_PREPARING_REBALANCE,
    GROUP_COMPLETING_REBALANCE,
    GROUP_STABLE,
    GROUP_DEAD,
};
/* As DescribeGroups names it. */
const char *group_state_name(enum group_state state);

enum group_timer_kind {
    GROUP_TIMER_SESSION, /* a member's */
    GROUP_TIMER_PENDING, /* of a member id that was given out and not used yet */
    GROUP_TIMER_JOIN,    /* the group's: initial delay, or rebalance timeout */
    GROUP_TIMER_SYNC,    /* the group's: who joined and does not sync */
    GROUP_TIMER_COMMIT,  /* a batch's: offsets.commit.timeout.ms */
    GROUP_TIMER_EXPIRY,  /* the shard's: offsets.retention.check.interval.ms */
};
struct group_timer {
    struct heap_node node;
    enum group_timer_kind kind;
};

/* How many members support a protocol. */
struct protocol_votes {
    uint32_t members;
    uint32_t cast; /* while one is selected */
    uint32_t size;
    uint8_t name[];
};

struct member_protocol {
    struct slice name, metadata;
};

struct group_member {
    struct group *group;
    struct slice id;          /* owned, like all slices here */
    struct slice instance_id; /* SLICE_NULL: dynamic */
    struct slice client_id, client_host;
    int32_t session_timeout_ms, rebalance_timeout_ms;
    struct member_protocol *protocols; /* in the order of the member's preference; one block of memory */
    uint32_t protocol_count;
    struct slice assignment;
    struct group_request *join, *sync; /* parked */
    bool is_new;                       /* has not been told its first generation: may expire while it waits to join */
    bool is_pending_sync;              /* was told the current generation and has not synced */
    int64_t heard_ms;                  /* last heartbeat, join, sync or commit */
    struct group_timer session;
};

/* A member id that was given out with MEMBER_ID_REQUIRED (KIP-394). */
struct group_pending {
    struct group *group;
    struct slice id;
    struct group_timer timer;
};

struct group {
    struct slice id;   /* owned */
    bool is_committed; /* a record of it is committed in the log: it exists for readers */
    enum group_state state, previous_state;
    int64_t state_ms; /* wall clock of the last transition; -1: not known (old records) */
    int32_t generation;
    struct slice protocol_type;  /* SLICE_NULL: a simple group, which only stores offsets */
    struct slice protocol_name;  /* SLICE_NULL: none selected */
    struct group_member *leader; /* NULL: no members */
    struct map members;          /* id -> struct group_member, in the order of joining */
    struct map instances;        /* group instance id -> struct group_member */
    struct map pending;          /* id -> struct group_pending */
    struct map votes;            /* protocol name -> struct protocol_votes: how many members support it */
    uint32_t joining_count;      /* members whose JoinGroup is parked */
    uint32_t pending_sync_count;
    /* The initial delay (group.initial.rebalance.delay.ms): more members may come together. */
    bool is_delaying, is_member_added;
    int32_t delay_ms, delay_left_ms; /* this round's, and what may still be added */
    struct group_timer join_timer, sync_timer;

    struct slice logged;          /* the value of its newest committed metadata record; SLICE_NULL: none */
    struct list_node in_snapshot; /* in shard->snapshot.groups: not yet written again */
    uint32_t snapshot_serial;     /* of the snapshot that its metadata record was written for */
    struct group_offsets offsets;
    uint32_t batch_count; /* under way */
    bool is_deleting;     /* its tombstone is under way: whoever would change the group waits for the outcome */
    struct list waiting;  /* struct group_request, for that */
    struct group_reasons reasons;
    size_t bytes;     /* heap of members and pending ids, estimated */
    size_t accounted; /* what the shard has counted for this group */
};

static inline uint32_t group_member_count(const struct group *group) { return map_count(&group->members); }
/* Protocol type "consumer". */
bool group_is_consumer(const struct group *group);
/* Which of `topics` (name -> bool, false at first) a member subscribes to; all, when it cannot be told. */
void group_mark_subscribed(const struct group *group, const struct map *topics);
/* The member's metadata for a protocol; SLICE_NULL: it does not have it. */
struct slice group_member_metadata(const struct group_member *member, struct slice protocol);
void group_invariants(const struct group *group);

#endif
