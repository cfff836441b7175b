/* See group_reasons.h. */
#include "broker/coordinator/group_reasons.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

const char *rebalance_cause_text(enum rebalance_cause cause)
{
    static const char *const texts[] = {
        [REBALANCE_MEMBER_JOINED] = "a member joined",
        [REBALANCE_MEMBER_LEFT] = "a member left",
        [REBALANCE_MEMBER_TIMED_OUT] = "a member sent no heartbeat within its session timeout",
        [REBALANCE_NOT_REJOINED] = "a member did not join again within the rebalance timeout",
        [REBALANCE_NOT_SYNCED] = "a member joined but did not sync within the rebalance timeout",
        [REBALANCE_PROTOCOLS_CHANGED] = "a member joined again with another subscription",
        [REBALANCE_LEADER_REJOINED] = "the leader joined again",
        [REBALANCE_STATIC_REPLACED] = "another process took over a group instance id",
        [REBALANCE_STORE_FAILED] = "the assignment could not be written",
        [REBALANCE_OVER_CAPACITY] = "the group has more members than group.max.size",
    };
    ASSERT((size_t)cause < sizeof texts / sizeof *texts);
    return texts[cause];
}

void group_reasons_deinit(struct group_reasons *reasons)
{
    mem_free(reasons->ring);
    *reasons = (struct group_reasons){0};
}

uint32_t group_reasons_count(const struct group_reasons *reasons)
{
    return reasons->total < reasons->capacity ? (uint32_t)reasons->total : reasons->capacity;
}

/* What a stranger said ends up on a terminal: printable ASCII only. */
static void copy_text(char *to, size_t size, struct slice from)
{
    size_t n = min_size(from.n, size - 1);
    for (size_t i = 0; i < n; i++) to[i] = (char)(from.p[i] >= 0x20 && from.p[i] < 0x7f ? from.p[i] : '?');
    to[n] = 0;
}

static void grow(struct group_reasons *reasons)
{
    if (reasons->total < reasons->capacity || reasons->capacity == GROUP_REASONS_KEPT) return;
    /* Not full before: the ring has not wrapped, so its order stays right. */
    reasons->capacity = reasons->capacity ? reasons->capacity * 2 : 2;
    reasons->ring = mem_realloc(reasons->ring, reasons->capacity, sizeof *reasons->ring);
}
_Static_assert((GROUP_REASONS_KEPT & (GROUP_REASONS_KEPT - 1)) == 0, "doubling reaches it");

void group_reasons_add(struct group_reasons *reasons, const struct rebalance_reason *reason, struct slice member, struct slice told)
{
    grow(reasons);
    struct rebalance_reason *entry = &reasons->ring[reasons->total++ % reasons->capacity];
    *entry = *reason;
    copy_text(entry->member, sizeof entry->member, member);
    copy_text(entry->told, sizeof entry->told, told);
}

const struct rebalance_reason *group_reasons_at(const struct group_reasons *reasons, uint32_t i)
{
    ASSERT(i < group_reasons_count(reasons));
    return &reasons->ring[(reasons->total - 1 - i) % reasons->capacity];
}
