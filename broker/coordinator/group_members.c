/* SyncGroup, Heartbeat, LeaveGroup, all versions. See group.h, the table in group.c. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"

/* ---- SyncGroup ---- */

/* Null: the client's version does not say. */
static bool differs(struct slice told, struct slice ours)
{
    return !slice_is_null(told) && !slice_is_null(ours) && !slice_equal(told, ours);
}

static enum kafka_error check_sync(const struct group *group, const struct sync_group_request *in)
{
    enum kafka_error error = group_check_member(group, in->member_id, in->group_instance_id);
    if (error != KAFKA_NONE) return error;
    if (in->generation_id != group->generation) return KAFKA_ILLEGAL_GENERATION;
    if (differs(in->protocol_type, group->protocol_type) || differs(in->protocol_name, group->protocol_name))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    return group->state == GROUP_PREPARING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

/* G-LEADER: one assignment per generation, though a leader may send it again. */
static bool is_storing_assignment(struct group_shard *shard, const struct group *group)
{
    const struct group_batch *batch = batch_newest(shard, group);
    return batch && batch->kind == BATCH_ASSIGNMENT && batch->generation == group->generation && !batch->is_given_up;
}

static void store_assignment(struct group_shard *shard, struct group *group, const struct sync_group_request *in)
{
    if (is_storing_assignment(shard, group)) return;
    struct group_batch *batch = batch_create(group, BATCH_ASSIGNMENT);
    batch_add_metadata(batch, in->assignments, in->assignments_count);
    batch_submit(shard, batch, NULL);
}

void on_sync(struct group_shard *shard, struct group_request *request)
{
    const struct sync_group_request *in = request->in.sync;
    struct group *group = group_get(shard, request->group_id);
    if (!group || group->state == GROUP_EMPTY) {
        request_fail(shard, request, KAFKA_UNKNOWN_MEMBER_ID);
        return;
    }
    enum kafka_error error = check_sync(group, in);
    if (error == KAFKA_NONE && in->assignments_count > 0 && shard_is_exhausted(shard)) error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (error != KAFKA_NONE) {
        request_fail(shard, request, error);
        return;
    }
    struct group_member *member = group_find_member(group, in->member_id);
    rebalance_member_synced(shard, member);
    if (group->state == GROUP_STABLE) {
        request_fill_sync(request, member);
        request_complete(shard, request);
        return;
    }
    ASSERT(group->state == GROUP_COMPLETING_REBALANCE);
    member_park_sync(shard, member, request);
    if (group->leader == member) store_assignment(shard, group, in);
}

/* ---- Heartbeat ---- */

static enum kafka_error heartbeat(struct group_shard *shard, struct group *group, const struct heartbeat_request *in)
{
    if (!group) return KAFKA_UNKNOWN_MEMBER_ID;
    enum kafka_error error = group_check_member(group, in->member_id, in->group_instance_id);
    if (error != KAFKA_NONE) return error;
    if (in->generation_id != group->generation) return KAFKA_ILLEGAL_GENERATION;
    ASSERT(group->state != GROUP_EMPTY);
    member_heard(shard, group_find_member(group, in->member_id));
    return group->state == GROUP_PREPARING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

void on_heartbeat(struct group_shard *shard, struct group_request *request)
{
    enum kafka_error error = heartbeat(shard, group_get(shard, request->group_id), request->in.heartbeat);
    request->out.heartbeat.error_code = (int16_t)(request->is_unsure ? KAFKA_NOT_COORDINATOR : error);
    request_complete(shard, request);
}

/* ---- LeaveGroup ---- */

static void remove_leaver(struct group_shard *shard, struct group *group, struct group_member *member, struct slice told)
{
    if (group->state != GROUP_PREPARING_REBALANCE) group_remember(shard, group, REBALANCE_MEMBER_LEFT, member, told);
    member_drop(shard, member);
}

static enum kafka_error leave_one(struct group_shard *shard, struct group *group, const struct leave_group_request_members *leaver)
{
    if (leaver->member_id.n == 0) { /* an administrator names the instance only */
        struct group_member *member = group_find_instance(group, leaver->group_instance_id);
        if (!member) return KAFKA_UNKNOWN_MEMBER_ID;
        remove_leaver(shard, group, member, leaver->reason);
        return KAFKA_NONE;
    }
    struct group_pending *pending = group_find_pending(group, leaver->member_id);
    if (pending) {
        group_remove_pending(shard, pending);
        return KAFKA_NONE;
    }
    enum kafka_error error = group_check_member(group, leaver->member_id, leaver->group_instance_id);
    if (error == KAFKA_NONE) remove_leaver(shard, group, group_find_member(group, leaver->member_id), leaver->reason);
    return error;
}

static void go_on_without(struct group_shard *shard, struct group *group)
{
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING_REBALANCE)
        rebalance_prepare_or_complete(shard, group);
    else
        rebalance_complete_if_joined(shard, group);
}

/* A member that only had its id leaving a Stable group makes Kafka rebalance it, too. */
static enum kafka_error leave_all(struct group_shard *shard, struct group *group, const struct leave_group_request_members *leavers,
                                  int32_t count, struct leave_group_response_members *out)
{
    bool has_left = false;
    enum kafka_error error = KAFKA_NONE;
    for (int32_t i = 0; i < count; i++) {
        error = group ? leave_one(shard, group, &leavers[i]) : KAFKA_UNKNOWN_MEMBER_ID;
        has_left |= error == KAFKA_NONE;
        out[i].member_id = leavers[i].member_id;
        out[i].group_instance_id = leavers[i].group_instance_id;
        out[i].error_code = (int16_t)error;
    }
    if (has_left) {
        go_on_without(shard, group);
        group_account(shard, group);
    }
    return error;
}

void on_leave(struct group_shard *shard, struct group_request *request)
{
    const struct leave_group_request *in = request->in.leave;
    struct leave_group_response *out = &request->out.leave;
    struct group *group = group_get(shard, request->group_id);
    bool is_batch = request->version >= 3;
    struct leave_group_request_members only = {.member_id = in->member_id, .group_instance_id = SLICE_NULL, .reason = SLICE_NULL};
    int32_t count = is_batch ? in->members_count : 1;
    out->members = CODEC_NEW(&request->arena, leave_group_response_members, (size_t)count);
    out->members_count = count;
    enum kafka_error error = leave_all(shard, group, is_batch ? in->members : &only, count, out->members);
    if (!is_batch) { /* one member, whose error is the answer's */
        out->error_code = (int16_t)error;
        out->members = NULL;
        out->members_count = 0;
    }
    request_complete(shard, request);
}
