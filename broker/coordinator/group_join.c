/* JoinGroup, all versions. See group.h, the table in group.c. The order of the checks is Kafka's: clients see which one failed. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#define NEW_MEMBER_JOIN_TIMEOUT_MS 300000 /* Kafka's: a new member's client may be gone, and has no heartbeat to miss */
#define UUID_TEXT_BYTES            36
#define STRING_BYTES_MAX           32767

struct join {
    struct group_shard *shard;
    struct group *group;
    struct group_request *request;
    const struct join_group_request *in;
};

static void refuse(const struct join *join, struct slice member_id, enum kafka_error error)
{
    join->request->out.join.member_id = arena_copy(&join->request->arena, member_id);
    request_fail(join->shard, join->request, error);
}

/* Null where Kafka answers null: whom it does not know it tells no protocol. */
static void refuse_member(const struct join *join, enum kafka_error error)
{
    join->request->out.join.protocol_name = SLICE_NULL;
    refuse(join, join->in->member_id, error);
}

/* "consumer-1-" and a random UUID, from the client's name, or the instance's for a static member. */
static struct slice new_member_id(const struct join *join)
{
    struct slice prefix = slice_is_null(join->in->group_instance_id) ? join->request->client_id : join->in->group_instance_id;
    size_t n = min_size(prefix.n, STRING_BYTES_MAX - UUID_TEXT_BYTES - 1);
    const uint64_t *r = join->request->random;
    uint64_t high = (r[0] & ~(uint64_t)0xf000) | 0x4000, low = (r[1] & ~((uint64_t)3 << 62)) | (uint64_t)2 << 62;
    struct slice unique =
        arena_printf(&join->request->arena, "-%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xffff),
                     (unsigned)(high & 0xffff), (unsigned)(low >> 48), (unsigned long long)(low & 0xffffffffffffu));
    uint8_t *id = arena_alloc(&join->request->arena, n + unique.n);
    if (n > 0) memcpy(id, prefix.p, n);
    memcpy(id + n, unique.p, unique.n);
    return slice_make(id, n + unique.n);
}

static int32_t rebalance_timeout_ms(const struct join *join)
{
    return join->request->version == 0 ? join->in->session_timeout_ms : join->in->rebalance_timeout_ms;
}

/* A rebalance begins because of this member; those that join one under way are not its reason. */
static void remember_start(const struct join *join, enum rebalance_cause cause, const struct group_member *member)
{
    if (join->group->state == GROUP_PREPARING_REBALANCE) return;
    group_remember(join->shard, join->group, cause, member, join->in->reason);
}

/* ---- members that are new ---- */

static void add_member(const struct join *join, struct slice id)
{
    struct group *group = join->group;
    struct group_pending *pending = group_find_pending(group, id);
    if (pending) group_remove_pending(join->shard, pending);
    if (group->state == GROUP_PREPARING_REBALANCE && group->previous_state == GROUP_EMPTY) group->is_member_added = true;
    if (group_member_count(group) == 0) group_set_protocol_type(group, join->in->protocol_type);
    struct member_identity identity = {
        .id = id,
        .instance_id = join->in->group_instance_id,
        .client_id = slice_is_null(join->request->client_id) ? SLICE_LITERAL("") : join->request->client_id,
        .client_host = slice_is_null(join->request->client_host) ? SLICE_LITERAL("") : join->request->client_host,
        .session_timeout_ms = join->in->session_timeout_ms,
        .rebalance_timeout_ms = rebalance_timeout_ms(join),
    };
    struct group_member *member = group_add_member(group, &identity, join->in->protocols, join->in->protocols_count);
    member->is_new = true;
    remember_start(join, REBALANCE_MEMBER_JOINED, member);
    member_park_join(join->shard, member, join->request);
    timer_set(join->shard, &member->session, NEW_MEMBER_JOIN_TIMEOUT_MS);
    rebalance_prepare_or_complete(join->shard, group);
}

/* KIP-394: the client gets its id before it becomes a member, so that a retry does not leave a ghost behind. */
static void give_id(const struct join *join, struct slice id)
{
    if (map_count(&join->group->pending) >= GROUP_PENDING_MEMBERS_MAX) {
        refuse(join, SLICE_LITERAL(""), KAFKA_GROUP_MAX_SIZE_REACHED);
        return;
    }
    struct group_pending *pending = group_add_pending(join->group, id);
    timer_set(join->shard, &pending->timer, join->in->session_timeout_ms);
    refuse(join, id, KAFKA_MEMBER_ID_REQUIRED);
}

static struct member_protocol *swap_protocols(struct group_member *member, const struct join *join, uint32_t *old_count)
{
    uint32_t count = 0;
    struct member_protocol *copy = protocols_copy(member->group, join->in->protocols, join->in->protocols_count, &count);
    struct member_protocol *old = member->protocols;
    *old_count = member->protocol_count;
    group_exchange_protocols(member, copy, count);
    return old;
}

static void update_timeouts(struct group_member *member, const struct join *join)
{
    member->session_timeout_ms = join->in->session_timeout_ms;
    member->rebalance_timeout_ms = rebalance_timeout_ms(join);
}

/* The new member id must be in the log before anyone is told: a successor would fence the wrong process. */
static void store_replacement(const struct join *join, struct static_swap *swap)
{
    struct group_batch *batch = batch_create(join->group, BATCH_STATIC);
    batch->swap = *swap;
    batch_add_metadata(batch, NULL, 0);
    batch_submit(join->shard, batch, NULL);
}

static void free_swap(struct static_swap *swap)
{
    text_free(swap->old_id);
    text_free(swap->new_id);
    text_free(swap->leader_id);
    mem_free(swap->protocols);
}

/* KIP-345: another process, or the same one after a restart, takes an instance id over. */
static void replace_static(const struct join *join, struct group_member *member, struct slice id)
{
    struct group_shard *shard = join->shard;
    struct group *group = join->group;
    struct static_swap swap = {
        .old_id = text_copy(member->id),
        .new_id = text_copy(id),
        .session_timeout_ms = member->session_timeout_ms,
        .rebalance_timeout_ms = member->rebalance_timeout_ms,
        .leader_id = text_copy(group->leader->id),
    };
    if (member->join) member->join->out.join.protocol_name = SLICE_NULL;
    member_fail_join(shard, member, member->id, KAFKA_FENCED_INSTANCE_ID);
    member_fail_sync(shard, member, KAFKA_FENCED_INSTANCE_ID);
    group_rename_member(member, id);
    member->is_new = false;
    member_schedule(shard, member);
    swap.protocols = swap_protocols(member, join, &swap.protocol_count);
    update_timeouts(member, join);
    bool is_same_choice = group->state == GROUP_STABLE && slice_equal(group->protocol_name, group_select_protocol(group));
    if (!is_same_choice) remember_start(join, REBALANCE_STATIC_REPLACED, member);
    member_park_join(shard, member, join->request);
    if (is_same_choice) {
        store_replacement(join, &swap);
        return;
    }
    free_swap(&swap);
    rebalance_prepare_or_complete(shard, group);
}

static void put_back(struct group_shard *shard, struct group_member *member, struct group_batch *batch)
{
    struct static_swap *swap = &batch->swap;
    if (group_find_member(member->group, swap->old_id)) return;
    group_rename_member(member, swap->old_id);
    struct member_protocol *failed = member->protocols;
    group_exchange_protocols(member, swap->protocols, swap->protocol_count);
    swap->protocols = failed; /* goes with the batch */
    member->session_timeout_ms = swap->session_timeout_ms;
    member->rebalance_timeout_ms = swap->rebalance_timeout_ms;
    member_schedule(shard, member);
}

/* Before version 9 a leader could not be told to leave the assignment alone (KIP-814), so it is told that another one leads. */
static void answer_replacement(struct group_shard *shard, struct group_member *member, const struct static_swap *swap)
{
    struct group_request *request = member->join;
    bool can_skip = request->version >= 9, is_leader = member->group->leader == member;
    member->join = NULL;
    member->group->joining_count--;
    request_fill_join(request, member, can_skip && is_leader);
    request->out.join.skip_assignment = can_skip && is_leader;
    if (!can_skip) request->out.join.leader = arena_copy(&request->arena, swap->leader_id);
    request_complete(shard, request);
    member_schedule(shard, member); /* its timer did not count while it waited */
}

void on_static_stored(struct group_shard *shard, struct group_batch *batch, enum kafka_error error)
{
    struct group *group = batch->group;
    struct group_member *member = group_find_member(group, batch->swap.new_id);
    /* Replaced again, or part of a rebalance that has begun since: then that one answers. */
    if (!member || !member->join || group->state != GROUP_STABLE || batch->generation != group->generation) return;
    if (error == KAFKA_NONE) {
        answer_replacement(shard, member, &batch->swap);
        return;
    }
    struct group_request *request = member->join;
    request_fill_join(request, member, false);
    member_fail_join(shard, member, SLICE_LITERAL(""), error);
    put_back(shard, member, batch);
}

static void join_unknown(const struct join *join)
{
    struct group *group = join->group;
    if (!group_supports(group, join->in->protocol_type, join->in->protocols, join->in->protocols_count)) {
        refuse(join, SLICE_LITERAL(""), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    struct slice id = new_member_id(join);
    struct group_member *holder = group_find_instance(group, join->in->group_instance_id);
    if (holder)
        replace_static(join, holder, id);
    else if (shard_is_full(join->shard))
        refuse(join, SLICE_LITERAL(""), KAFKA_COORDINATOR_NOT_AVAILABLE);
    else if (slice_is_null(join->in->group_instance_id) && join->request->version >= 4)
        give_id(join, id);
    else
        add_member(join, id);
}

/* ---- members that are known ---- */

static void update_member(const struct join *join, struct group_member *member, enum rebalance_cause cause)
{
    uint32_t old_count = 0;
    mem_free(swap_protocols(member, join, &old_count));
    update_timeouts(member, join);
    remember_start(join, cause, member);
    member_park_join(join->shard, member, join->request);
    rebalance_prepare_or_complete(join->shard, join->group);
}

/* It did not get, or not believe, the answer of this generation: here it is again. */
static void answer_again(const struct join *join, const struct group_member *member, bool with_members)
{
    request_fill_join(join->request, member, with_members);
    request_complete(join->shard, join->request);
}

static void join_known(const struct join *join)
{
    struct group *group = join->group;
    const struct join_group_request *in = join->in;
    if (!group_supports(group, in->protocol_type, in->protocols, in->protocols_count)) {
        refuse(join, in->member_id, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    if (group_find_pending(group, in->member_id)) {
        if (slice_is_null(in->group_instance_id))
            add_member(join, in->member_id);
        else
            refuse(join, in->member_id, KAFKA_UNKNOWN_SERVER_ERROR); /* ids are given out to dynamic members only */
        return;
    }
    enum kafka_error error = group_check_member(group, in->member_id, in->group_instance_id);
    if (error != KAFKA_NONE) {
        refuse_member(join, error);
        return;
    }
    struct group_member *member = group_find_member(group, in->member_id);
    bool is_same = group_has_protocols(member, in->protocols, in->protocols_count);
    bool is_leader = group->leader == member;
    if (!is_same && shard_is_exhausted(join->shard))
        refuse(join, in->member_id, KAFKA_COORDINATOR_NOT_AVAILABLE);
    else if (group->state == GROUP_COMPLETING_REBALANCE && is_same)
        answer_again(join, member, is_leader);
    else if (group->state == GROUP_STABLE && is_same && !is_leader)
        answer_again(join, member, false);
    else
        update_member(join, member, is_same && is_leader ? REBALANCE_LEADER_REJOINED : REBALANCE_PROTOCOLS_CHANGED);
}

/* ---- the group ---- */

/* group.max.size. While members join again, those that are back count, so that the last ones find no place. */
static bool has_place(const struct join *join)
{
    const struct group *group = join->group;
    const struct group_member *member = group_find_member(group, join->in->member_id);
    uint32_t size_max = (uint32_t)max_i32(join->shard->config->group_max_size, 0);
    if (group->state == GROUP_EMPTY) return true;
    if (group->state == GROUP_PREPARING_REBALANCE) return (member && member->join) || group->joining_count < size_max;
    return member || group_member_count(group) < size_max;
}

static void refuse_for_size(const struct join *join)
{
    struct group_member *member = group_find_member(join->group, join->in->member_id);
    struct group_pending *pending = group_find_pending(join->group, join->in->member_id);
    if (member) member_drop(join->shard, member);
    if (pending) group_remove_pending(join->shard, pending);
    refuse(join, SLICE_LITERAL(""), KAFKA_GROUP_MAX_SIZE_REACHED);
}

static void join_group(const struct join *join)
{
    if (!has_place(join))
        refuse_for_size(join);
    else if (join->in->member_id.n == 0)
        join_unknown(join);
    else
        join_known(join);
}

/* Its first record says that it exists; should that be refused, it does not. */
static void create_and_join(struct join *join)
{
    if (join->in->member_id.n > 0) {
        refuse(join, join->in->member_id, KAFKA_UNKNOWN_MEMBER_ID);
        return;
    }
    if (join->in->protocol_type.n == 0 || join->in->protocols_count == 0) {
        refuse(join, SLICE_LITERAL(""), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    if (shard_is_full(join->shard)) {
        refuse(join, SLICE_LITERAL(""), KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    join->group = group_create(join->shard, join->request->group_id);
    struct group_batch *batch = batch_create(join->group, BATCH_CREATE);
    batch_add_metadata(batch, NULL, 0);
    batch_submit(join->shard, batch, NULL);
    join_group(join);
}

void on_create_failed(struct group_shard *shard, struct group *group, enum kafka_error error)
{
    if (group->is_committed || group->state == GROUP_COMPLETING_REBALANCE || group->state == GROUP_STABLE) return;
    MAP_FOR_EACH (&group->members, struct group_member, member) member_fail_join(shard, member, SLICE_LITERAL(""), error);
    group_forget_members(shard, group);
    if (group->state == GROUP_PREPARING_REBALANCE) group_become(shard, group, GROUP_EMPTY);
    group_set_protocol_type(group, SLICE_NULL);
    group_account(shard, group);
}

void on_join(struct group_shard *shard, struct group_request *request)
{
    struct join join = {shard, group_get(shard, request->group_id), request, request->in.join};
    if (join.group && request_waits(shard, join.group, request)) return;
    if (join.group)
        join_group(&join);
    else
        create_and_join(&join);
    if (join.group) group_account(shard, join.group);
}
