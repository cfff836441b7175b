/* How a group comes to a new generation: prepare, join, assign, store. See group.h, the table in group.c. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"
#include "common/checked.h"

/* ---- the second half: sync ---- */

static void clear_pending_syncs(struct group_shard *shard, struct group *group)
{
    MAP_FOR_EACH (&group->members, struct group_member, member) member->is_pending_sync = false;
    group->pending_sync_count = 0;
    timer_cancel(shard, &group->sync_timer);
}

void rebalance_member_synced(struct group_shard *shard, struct group_member *member)
{
    struct group *group = member->group;
    if (!member->is_pending_sync) return;
    ASSERT(group->pending_sync_count > 0);
    member->is_pending_sync = false;
    if (--group->pending_sync_count == 0) timer_cancel(shard, &group->sync_timer);
}

static void fail_syncs(struct group_shard *shard, struct group *group, enum kafka_error error)
{
    ASSERT(group->state == GROUP_COMPLETING_REBALANCE);
    MAP_FOR_EACH (&group->members, struct group_member, member) {
        group_set_assignment(member, SLICE_LITERAL(""));
        if (member->sync) member_schedule(shard, member);
        member_fail_sync(shard, member, error);
    }
}

/* The record holds each member's part: what is told is what was stored. */
static void take_assignments(struct group *group, const struct group_record *record)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX); /* our own record */
    struct group_metadata_value value;
    enum err err = group_record_parse_metadata(record->value, &arena, &value);
    ASSERT(err == ERR_OK);
    MAP_FOR_EACH (&group->members, struct group_member, member) group_set_assignment(member, SLICE_LITERAL(""));
    for (int32_t i = 0; i < value.members_count; i++) {
        struct group_member *member = group_find_member(group, value.members[i].member_id);
        if (member) group_set_assignment(member, value.members[i].assignment);
    }
    arena_deinit(&arena);
}

void on_assignment_stored(struct group_shard *shard, struct group_batch *batch, enum kafka_error error)
{
    struct group *group = batch->group;
    /* The group may have moved on while the record was on its way. */
    if (group->state != GROUP_COMPLETING_REBALANCE || batch->generation != group->generation) return;
    if (error != KAFKA_NONE) {
        fail_syncs(shard, group, error);
        group_remember(shard, group, REBALANCE_STORE_FAILED, NULL, SLICE_NULL);
        rebalance_prepare_or_complete(shard, group);
        return;
    }
    take_assignments(group, &batch->append.records[0]);
    group_become(shard, group, GROUP_STABLE);
    shard->counters.rebalances_completed++;
    MAP_FOR_EACH (&group->members, struct group_member, member) member_complete_sync(shard, member);
}

/* ---- the first half: join ---- */

static void start_initial_delay(struct group_shard *shard, struct group *group)
{
    int32_t delay_ms = shard->config->group_initial_rebalance_delay_ms;
    group->is_delaying = true;
    group->is_member_added = false;
    group->delay_ms = delay_ms;
    group->delay_left_ms = max_i32(group_rebalance_timeout_ms(group) - delay_ms, 0);
    timer_set(shard, &group->join_timer, delay_ms);
}

void rebalance_prepare(struct group_shard *shard, struct group *group)
{
    if (group->state == GROUP_COMPLETING_REBALANCE) fail_syncs(shard, group, KAFKA_REBALANCE_IN_PROGRESS);
    clear_pending_syncs(shard, group);
    bool is_initial = group->state == GROUP_EMPTY;
    group_become(shard, group, GROUP_PREPARING_REBALANCE);
    shard->counters.rebalances_started++;
    if (is_initial)
        start_initial_delay(shard, group);
    else if (group_all_joined(group))
        rebalance_complete(shard, group);
    else
        timer_set(shard, &group->join_timer, group_rebalance_timeout_ms(group));
}

/* In the first rebalance of an empty group the delay decides, not who is there. */
void rebalance_complete_if_joined(struct group_shard *shard, struct group *group)
{
    if (group->state != GROUP_PREPARING_REBALANCE || group->previous_state == GROUP_EMPTY) return;
    if (group_all_joined(group)) rebalance_complete(shard, group);
}

void rebalance_prepare_or_complete(struct group_shard *shard, struct group *group)
{
    if (group->state == GROUP_PREPARING_REBALANCE)
        rebalance_complete_if_joined(shard, group);
    else
        rebalance_prepare(shard, group);
}

/* Static members keep their place until their session ends (KIP-345). */
static void drop_absent_members(struct group_shard *shard, struct group *group)
{
    MAP_FOR_EACH (&group->members, struct group_member, member) {
        if (member->join || !slice_is_null(member->instance_id)) continue;
        group_remember(shard, group, REBALANCE_NOT_REJOINED, member, SLICE_NULL);
        member_drop(shard, member);
    }
}

/* A leader that did not join again loses its office to one that did. */
static bool elect_joined_leader(struct group *group)
{
    if (!group->leader || group->leader->join) return group->leader != NULL;
    MAP_FOR_EACH (&group->members, struct group_member, member) {
        if (!member->join) continue;
        group->leader = member;
        return true;
    }
    return false;
}

static void store_empty(struct group_shard *shard, struct group *group)
{
    group_set_protocol_name(group, SLICE_NULL);
    group_become(shard, group, GROUP_EMPTY);
    struct group_batch *batch = batch_create(group, BATCH_EMPTY);
    batch_add_metadata(batch, NULL, 0);
    batch_submit(shard, batch, NULL);
}

static void announce_generation(struct group_shard *shard, struct group *group)
{
    struct slice selected = group_select_protocol(group);
    group_set_protocol_name(group, selected);
    group_become(shard, group, GROUP_COMPLETING_REBALANCE);
    MAP_FOR_EACH (&group->members, struct group_member, member) {
        member_complete_join(shard, member);
        member_schedule(shard, member);
        member->is_new = false;
        member->is_pending_sync = true;
        group->pending_sync_count++;
    }
    timer_set(shard, &group->sync_timer, group_rebalance_timeout_ms(group));
}

void rebalance_complete(struct group_shard *shard, struct group *group)
{
    ASSERT(group->state == GROUP_PREPARING_REBALANCE);
    timer_cancel(shard, &group->join_timer);
    group->is_delaying = false;
    drop_absent_members(shard, group);
    if (!elect_joined_leader(group) && group_member_count(group) > 0) {
        /* Only static members that are away: their sessions end the wait. */
        timer_set(shard, &group->join_timer, group_rebalance_timeout_ms(group));
        return;
    }
    ASSERT(group->pending_sync_count == 0);
    group->generation = group->generation == INT32_MAX ? 1 : group->generation + 1;
    if (group_member_count(group) == 0)
        store_empty(shard, group);
    else
        announce_generation(shard, group);
}

/* ---- timers ---- */

static void on_initial_delay(struct group_shard *shard, struct group *group)
{
    if (!group->is_member_added || group->delay_left_ms == 0) {
        rebalance_complete(shard, group);
        return;
    }
    int32_t past_ms = group->delay_ms;
    group->is_member_added = false;
    group->delay_ms = min_i32(shard->config->group_initial_rebalance_delay_ms, group->delay_left_ms);
    group->delay_left_ms = max_i32(group->delay_left_ms - past_ms, 0);
    timer_set(shard, &group->join_timer, group->delay_ms);
}

static void on_sync_timeout(struct group_shard *shard, struct group *group)
{
    if (group->state != GROUP_COMPLETING_REBALANCE && group->state != GROUP_STABLE) return;
    ASSERT(group->pending_sync_count > 0);
    MAP_FOR_EACH (&group->members, struct group_member, member) {
        if (!member->is_pending_sync) continue;
        group_remember(shard, group, REBALANCE_NOT_SYNCED, member, SLICE_NULL);
        member_drop(shard, member);
    }
    rebalance_prepare(shard, group);
}

static void on_member_gone(struct group_shard *shard, struct group *group)
{
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING_REBALANCE)
        rebalance_prepare_or_complete(shard, group);
    else if (group->state == GROUP_PREPARING_REBALANCE && group_all_joined(group))
        rebalance_complete(shard, group);
}

/* Who waits for a rebalance needs no heartbeat; but a new member does not know its id yet, so if its client went away only this
 * timer notices. */
static void on_session_timeout(struct group_shard *shard, struct group_member *member)
{
    struct group *group = member->group;
    if (!member->is_new && (member->join || member->sync)) return;
    group_remember(shard, group, REBALANCE_MEMBER_TIMED_OUT, member, SLICE_NULL);
    member_drop(shard, member);
    on_member_gone(shard, group);
}

static void on_pending_timeout(struct group_shard *shard, struct group_pending *pending)
{
    struct group *group = pending->group;
    group_remove_pending(shard, pending);
    if (group->state == GROUP_PREPARING_REBALANCE && group_all_joined(group)) rebalance_complete(shard, group);
}

void on_group_timer(struct group_shard *shard, struct group_timer *timer)
{
    struct group *group = NULL;
    switch (timer->kind) {
    case GROUP_TIMER_SESSION: {
        struct group_member *member = CONTAINER_OF(timer, struct group_member, session);
        group = member->group;
        on_session_timeout(shard, member);
        break;
    }
    case GROUP_TIMER_PENDING: {
        struct group_pending *pending = CONTAINER_OF(timer, struct group_pending, timer);
        group = pending->group;
        on_pending_timeout(shard, pending);
        break;
    }
    case GROUP_TIMER_JOIN:
        group = CONTAINER_OF(timer, struct group, join_timer);
        ASSERT(group->state == GROUP_PREPARING_REBALANCE);
        if (group->is_delaying)
            on_initial_delay(shard, group);
        else
            rebalance_complete(shard, group);
        break;
    case GROUP_TIMER_SYNC:
        group = CONTAINER_OF(timer, struct group, sync_timer);
        on_sync_timeout(shard, group);
        break;
    case GROUP_TIMER_COMMIT:
    case GROUP_TIMER_EXPIRY: UNREACHABLE();
    }
    group_account(shard, group);
}
