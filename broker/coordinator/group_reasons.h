/* Why a group rebalanced: the last few reasons, for a person who asks why consumption paused. One owner thread. */
#ifndef SKIFF_BROKER_COORDINATOR_GROUP_REASONS_H
#define SKIFF_BROKER_COORDINATOR_GROUP_REASONS_H

#include "common/limits.h"
#include "common/slice.h"

#include <stdint.h>

enum rebalance_cause {
    REBALANCE_MEMBER_JOINED,
    REBALANCE_MEMBER_LEFT,       /* LeaveGroup, its own or an administrator's */
    REBALANCE_MEMBER_TIMED_OUT,  /* no heartbeat within the session timeout; gap_ms tells how long */
    REBALANCE_NOT_REJOINED,      /* did not join within the rebalance timeout */
    REBALANCE_NOT_SYNCED,        /* joined, but did not sync within the rebalance timeout; the leader's assignment counts too */
    REBALANCE_PROTOCOLS_CHANGED, /* a member joined again with other metadata, e.g. another subscription */
    REBALANCE_LEADER_REJOINED,   /* e.g. because it saw that topics changed */
    REBALANCE_STATIC_REPLACED,   /* another process took over an instance id while the group could not go on with it */
    REBALANCE_STORE_FAILED,      /* the assignment could not be written */
    REBALANCE_OVER_CAPACITY,     /* loaded with more members than group.max.size */
};
const char *rebalance_cause_text(enum rebalance_cause cause);

struct rebalance_reason {
    enum rebalance_cause cause;
    int32_t generation; /* in which it happened */
    int64_t wall_ms;
    int64_t gap_ms;                         /* since the member was last heard of; -1: never, or does not apply */
    char member[GROUP_REASON_MEMBER_BYTES]; /* NUL-terminated, cut */
    char told[GROUP_REASON_TEXT_BYTES];     /* what the client said (KIP-800); often empty */
};

struct group_reasons {
    struct rebalance_reason *ring; /* NULL before the first one */
    uint32_t capacity;             /* grows up to GROUP_REASONS_KEPT */
    uint64_t total;                /* ever added; the newest stands at (total - 1) % capacity */
};
void group_reasons_deinit(struct group_reasons *reasons);
void group_reasons_add(struct group_reasons *reasons, const struct rebalance_reason *reason, struct slice member, struct slice told);
uint32_t group_reasons_count(const struct group_reasons *reasons);
/* 0 is the newest. */
const struct rebalance_reason *group_reasons_at(const struct group_reasons *reasons, uint32_t i);

#endif
