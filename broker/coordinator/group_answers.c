/* What members are told, and what they wait for. See group_internal.h. Answers are copied into the request's arena: the group may
 * change before they are sent. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"

void member_schedule(struct group_shard *shard, struct group_member *member)
{
    timer_set(shard, &member->session, member->session_timeout_ms);
}

void member_heard(struct group_shard *shard, struct group_member *member)
{
    member->heard_ms = shard->now_ms;
    member_schedule(shard, member);
}

/* ---- JoinGroup ---- */

void member_park_join(struct group_shard *shard, struct group_member *member, struct group_request *request)
{
    ASSERT(request->type == GROUP_JOIN);
    /* The client gave that one up, or its connection is gone: nobody else answers it. */
    member_fail_join(shard, member, member->id, KAFKA_REBALANCE_IN_PROGRESS);
    member->join = request;
    member->group->joining_count++;
    member->heard_ms = shard->now_ms;
    request->is_input_needed = false;
}

static struct group_request *take_join(struct group_member *member)
{
    struct group_request *request = member->join;
    if (!request) return NULL;
    ASSERT(member->group->joining_count > 0);
    member->join = NULL;
    member->group->joining_count--;
    return request;
}

void member_fail_join(struct group_shard *shard, struct group_member *member, struct slice member_id, enum kafka_error error)
{
    struct group_request *request = take_join(member);
    if (!request) return;
    request->out.join.member_id = arena_copy(&request->arena, member_id);
    request_fail(shard, request, error);
}

static void fill_members(struct group_request *request, const struct group *group)
{
    struct join_group_response *out = &request->out.join;
    uint32_t count = group_member_count(group);
    out->members = CODEC_NEW(&request->arena, join_group_response_members, count);
    out->members_count = (int32_t)count;
    struct join_group_response_members *to = out->members;
    MAP_FOR_EACH (&group->members, const struct group_member, member) {
        to->member_id = arena_copy(&request->arena, member->id);
        to->group_instance_id = arena_copy(&request->arena, member->instance_id);
        to->metadata = arena_copy(&request->arena, group_member_metadata(member, group->protocol_name));
        ASSERT(!slice_is_null(to->metadata));
        to++;
    }
}

void request_fill_join(struct group_request *request, const struct group_member *member, bool with_members)
{
    const struct group *group = member->group;
    struct join_group_response *out = &request->out.join;
    ASSERT(group->leader != NULL);
    out->error_code = KAFKA_NONE;
    out->generation_id = group->generation;
    out->protocol_type = arena_copy(&request->arena, group->protocol_type);
    out->protocol_name = arena_copy(&request->arena, group->protocol_name);
    out->leader = arena_copy(&request->arena, group->leader->id);
    out->member_id = arena_copy(&request->arena, member->id);
    if (with_members) fill_members(request, group);
}

void member_complete_join(struct group_shard *shard, struct group_member *member)
{
    struct group_request *request = take_join(member);
    if (!request) return;
    request_fill_join(request, member, member->group->leader == member);
    request_complete(shard, request);
}

/* ---- SyncGroup ---- */

void member_park_sync(struct group_shard *shard, struct group_member *member, struct group_request *request)
{
    ASSERT(request->type == GROUP_SYNC);
    member_fail_sync(shard, member, KAFKA_REBALANCE_IN_PROGRESS);
    member->sync = request;
    member->heard_ms = shard->now_ms;
    request->is_input_needed = false;
}

void member_fail_sync(struct group_shard *shard, struct group_member *member, enum kafka_error error)
{
    struct group_request *request = member->sync;
    member->sync = NULL;
    if (request) request_fail(shard, request, error);
}

void request_fill_sync(struct group_request *request, const struct group_member *member)
{
    const struct group *group = member->group;
    struct sync_group_response *out = &request->out.sync;
    out->error_code = KAFKA_NONE;
    out->protocol_type = arena_copy(&request->arena, group->protocol_type);
    out->protocol_name = arena_copy(&request->arena, group->protocol_name);
    out->assignment = arena_copy(&request->arena, member->assignment);
}

/* The session begins anew: its timer did not count while the member waited. */
void member_complete_sync(struct group_shard *shard, struct group_member *member)
{
    struct group_request *request = member->sync;
    if (!request) return;
    member->sync = NULL;
    request_fill_sync(request, member);
    request_complete(shard, request);
    member_schedule(shard, member);
}

void member_drop(struct group_shard *shard, struct group_member *member)
{
    member_fail_join(shard, member, SLICE_LITERAL(""), KAFKA_UNKNOWN_MEMBER_ID);
    member_fail_sync(shard, member, KAFKA_UNKNOWN_MEMBER_ID);
    group_remove_member(shard, member);
}
