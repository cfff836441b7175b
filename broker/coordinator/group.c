/* One classic group: members, votes, transitions. See group.h.
 *
 * Invariants (group_invariants() checks them after every step)
 *  G1  An Empty group has no members; CompletingRebalance and Stable have some.
 *  G2  There is a leader exactly when there are members, and it is one of them (G-LEADER: one leader in a generation, and only its
 *      assignment is stored).
 *  G3  votes[p] is the number of members that support protocol p; while there are members, one protocol is supported by all.
 *  G4  An instance id belongs to one member (KIP-345).
 *  G5  A JoinGroup is parked in PreparingRebalance, or in Stable while a static member is being replaced; a SyncGroup in
 *      CompletingRebalance. joining_count and pending_sync_count are what they say.
 *  G6  A pending id is no member's.
 *  G7  The generation never decreases (G-GEN); group_become() is the only writer of the state, but for loading.
 *  G8  Requests wait for the group only while it is being deleted.
 *
 *                        a member joins                      all joined, or timeout
 *          +-----------+ -------------> +--------------------+ ----------> +---------------------+
 *    +---> |   EMPTY   |                | PREPARING_REBALANCE |             | COMPLETING_REBALANCE |
 *    |     +-----------+ <------------- +--------------------+ <---------- +---------------------+
 *  loaded        |        nobody joined     ^       ^   |   join, leave, failure,        |
 *                |                          |       +---+   missing sync                 | the leader's assignment
 *                | deleted, expired         |                                            v is committed
 *                v                          |   join, leave, failure, missing sync   +--------+
 *          [ destroyed ]                    +--------------------------------------- | STABLE | <--- loaded
 *                                                                                    +--------+
 *
 *   event                    EMPTY             PREPARING           COMPLETING             STABLE               function
 *   JoinGroup, new           prepare (delay)   add                 add, prepare           add, prepare         on_join
 *   JoinGroup, known         UNKNOWN_MEMBER    update              same: answer           follower, same: answer; on_join
 *                                                                  else prepare           else prepare
 *   JoinGroup, static again  add               replace             replace, prepare       replace, store       on_join
 *   SyncGroup                UNKNOWN_MEMBER    REBALANCE           park; leader: store    answer               on_sync
 *   Heartbeat                UNKNOWN_MEMBER    REBALANCE           NONE                   NONE                 on_heartbeat
 *   LeaveGroup               UNKNOWN_MEMBER    remove, complete?   remove, prepare        remove, prepare      on_leave
 *   session timer            pending id only   remove, complete?   remove, prepare        remove, prepare      on_group_timer
 *   join timer               -                 complete            -                      -                    on_group_timer
 *   sync timer               -                 -                   remove those, prepare  remove those, prepare on_group_timer
 *   assignment committed     -                 -                   propagate, STABLE      -                    on_assignment_stored
 *   tombstone committed      destroy           -                   -                      -                    apply_record
 *
 * A group that is gone is DEAD to those who ask for it. */
#include "broker/coordinator/group_internal.h"
#include "broker/coordinator/subscription.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

const char *group_state_name(enum group_state state)
{
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"};
    ASSERT((size_t)state < sizeof names / sizeof *names);
    return names[state];
}

/* ---- memory ---- */

struct slice text_copy(struct slice text)
{
    if (slice_is_null(text)) return SLICE_NULL;
    uint8_t *copy = mem_alloc(text.n);
    if (text.n) memcpy(copy, text.p, text.n);
    return slice_make(copy, text.n);
}

void text_free(struct slice text)
{
    uintptr_t memory = (uintptr_t)text.p; /* ours to free; a slice only reads */
    mem_free((void *)memory);
}

static void text_replace(struct slice *text, struct slice by)
{
    struct slice copy = text_copy(by);
    text_free(*text);
    *text = copy;
}

static size_t member_bytes(const struct group_member *m)
{
    size_t bytes = sizeof *m + m->id.n + m->instance_id.n + m->client_id.n + m->client_host.n + m->assignment.n;
    for (uint32_t i = 0; i < m->protocol_count; i++) bytes += sizeof *m->protocols + m->protocols[i].name.n + m->protocols[i].metadata.n;
    return bytes;
}

static size_t pending_bytes(const struct group_pending *p) { return sizeof *p + p->id.n; }

/* ---- questions ---- */

bool group_is_consumer(const struct group *group) { return slice_equal_str(group->protocol_type, "consumer"); }

struct group_member *group_find_member(const struct group *group, struct slice id) { return map_get(&group->members, id); }

struct group_member *group_find_instance(const struct group *group, struct slice instance_id)
{
    return slice_is_null(instance_id) ? NULL : map_get(&group->instances, instance_id);
}

struct group_pending *group_find_pending(const struct group *group, struct slice id) { return map_get(&group->pending, id); }

struct slice group_member_metadata(const struct group_member *member, struct slice protocol)
{
    for (uint32_t i = 0; i < member->protocol_count; i++)
        if (slice_equal(member->protocols[i].name, protocol)) return member->protocols[i].metadata;
    return SLICE_NULL;
}

void group_mark_subscribed(const struct group *group, const struct map *topics)
{
    bool is_clear = true;
    if (!group_is_consumer(group) || map_count(topics) == 0) return;
    MAP_FOR_EACH (&group->members, const struct group_member, member) {
        struct slice metadata = group_member_metadata(member, group->protocol_name);
        is_clear = is_clear && !slice_is_null(metadata) && subscription_mark(metadata, topics);
    }
    if (is_clear) return;
    MAP_FOR_EACH (topics, bool, is_subscribed) *is_subscribed = true;
}

static const struct protocol_votes *votes_for(const struct group *group, struct slice name) { return map_get(&group->votes, name); }

static bool is_supported_by_all(const struct group *group, struct slice name)
{
    const struct protocol_votes *votes = votes_for(group, name);
    uint32_t supporters = votes ? votes->members : 0;
    return supporters == group_member_count(group);
}

bool group_supports(const struct group *group, struct slice type, const struct join_group_request_protocols *protocols, int32_t count)
{
    if (group->state == GROUP_EMPTY) return type.n > 0 && count > 0;
    if (slice_is_null(group->protocol_type) || !slice_equal(group->protocol_type, type)) return false;
    for (int32_t i = 0; i < count; i++)
        if (is_supported_by_all(group, protocols[i].name)) return true;
    return false;
}

/* Each member votes for the first of its protocols that all support; the most votes win, the earliest voted-for on a tie. */
struct slice group_select_protocol(const struct group *group)
{
    ASSERT(group_member_count(group) > 0);
    MAP_FOR_EACH (&group->votes, struct protocol_votes, votes) votes->cast = 0;
    struct protocol_votes *winner = NULL;
    MAP_FOR_EACH (&group->members, const struct group_member, member) {
        uint32_t i = 0;
        while (i < member->protocol_count && !is_supported_by_all(group, member->protocols[i].name)) i++;
        ASSERT(i < member->protocol_count);
        struct protocol_votes *votes = map_get(&group->votes, member->protocols[i].name);
        votes->cast++;
        if (!winner || votes->cast > winner->cast) winner = votes;
    }
    ASSERT(winner != NULL);
    return slice_make(winner->name, winner->size);
}

int32_t group_rebalance_timeout_ms(const struct group *group)
{
    int32_t longest = 0;
    MAP_FOR_EACH (&group->members, const struct group_member, member) longest = max_i32(longest, member->rebalance_timeout_ms);
    return longest;
}

bool group_all_joined(const struct group *group)
{
    return group->joining_count == group_member_count(group) && map_count(&group->pending) == 0;
}

enum kafka_error group_check_member(const struct group *group, struct slice member_id, struct slice instance_id)
{
    if (!slice_is_null(instance_id)) {
        const struct group_member *holder = group_find_instance(group, instance_id);
        if (!holder) return KAFKA_UNKNOWN_MEMBER_ID;
        if (!slice_equal(holder->id, member_id)) return KAFKA_FENCED_INSTANCE_ID;
    }
    return group_find_member(group, member_id) ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID;
}

/* ---- protocols ---- */

static void vote(struct group *group, const struct group_member *member)
{
    for (uint32_t i = 0; i < member->protocol_count; i++) {
        struct slice name = member->protocols[i].name;
        struct protocol_votes *votes = map_get(&group->votes, name);
        if (!votes) {
            votes = mem_alloc(sizeof *votes + name.n);
            votes->size = (uint32_t)name.n;
            if (name.n) memcpy(votes->name, name.p, name.n);
            map_put(&group->votes, slice_make(votes->name, votes->size), votes);
        }
        votes->members++;
    }
}

static void withdraw_votes(struct group *group, const struct group_member *member)
{
    for (uint32_t i = 0; i < member->protocol_count; i++) {
        struct protocol_votes *votes = map_get(&group->votes, member->protocols[i].name);
        ASSERT(votes != NULL);
        ASSERT(votes->members > 0);
        if (--votes->members > 0) continue;
        map_remove(&group->votes, slice_make(votes->name, votes->size));
        mem_free(votes);
    }
}

/* One block: the array, then the bytes. A name that comes twice counts once, in its first place. */
struct member_protocol *protocols_copy(const struct group *group, const struct join_group_request_protocols *protocols, int32_t count,
                                       uint32_t *out_count)
{
    ASSERT(count >= 0);
    struct map seen;
    map_init(&seen, group->members.seed);
    size_t bytes = (size_t)count * sizeof(struct member_protocol);
    for (int32_t i = 0; i < count; i++) bytes += protocols[i].name.n + protocols[i].metadata.n;
    struct member_protocol *copy = mem_alloc(bytes);
    uint8_t *at = (uint8_t *)(copy + count);
    uint32_t n = 0;
    for (int32_t i = 0; i < count; i++) {
        struct slice name = protocols[i].name, metadata = protocols[i].metadata;
        if (map_get(&seen, name)) continue;
        struct member_protocol *to = &copy[n++];
        *to = (struct member_protocol){{at, name.n}, {at + name.n, metadata.n}};
        if (name.n) memcpy(at, name.p, name.n);
        if (metadata.n) memcpy(at + name.n, metadata.p, metadata.n);
        at += name.n + metadata.n;
        map_put(&seen, to->name, to);
    }
    map_deinit(&seen);
    *out_count = n;
    return copy;
}

bool group_has_protocols(const struct group_member *member, const struct join_group_request_protocols *protocols, int32_t count)
{
    uint32_t n = 0;
    struct member_protocol *other = protocols_copy(member->group, protocols, count, &n);
    bool is_same = n == member->protocol_count;
    for (uint32_t i = 0; is_same && i < n; i++)
        is_same = slice_equal(other[i].name, member->protocols[i].name) && slice_equal(other[i].metadata, member->protocols[i].metadata);
    mem_free(other);
    return is_same;
}

void group_exchange_protocols(struct group_member *member, struct member_protocol *protocols, uint32_t count)
{
    struct group *group = member->group;
    group->bytes -= member_bytes(member);
    withdraw_votes(group, member);
    member->protocols = protocols;
    member->protocol_count = count;
    vote(group, member);
    group->bytes += member_bytes(member);
}

void group_set_protocol_type(struct group *group, struct slice type) { text_replace(&group->protocol_type, type); }
void group_set_protocol_name(struct group *group, struct slice name) { text_replace(&group->protocol_name, name); }

void group_set_assignment(struct group_member *member, struct slice assignment)
{
    member->group->bytes += assignment.n;
    member->group->bytes -= member->assignment.n;
    text_replace(&member->assignment, assignment);
}

/* ---- members ---- */

struct group_member *group_add_member(struct group *group, const struct member_identity *identity,
                                      const struct join_group_request_protocols *protocols, int32_t count)
{
    ASSERT(!group_find_member(group, identity->id));
    ASSERT(!group_find_instance(group, identity->instance_id));
    struct group_member *member = mem_alloc(sizeof *member);
    *member = (struct group_member){
        .group = group,
        .id = text_copy(identity->id),
        .instance_id = text_copy(identity->instance_id),
        .client_id = text_copy(identity->client_id),
        .client_host = text_copy(identity->client_host),
        .session_timeout_ms = identity->session_timeout_ms,
        .rebalance_timeout_ms = identity->rebalance_timeout_ms,
        .assignment = text_copy(SLICE_LITERAL("")),
        .session.kind = GROUP_TIMER_SESSION,
    };
    member->protocols = protocols_copy(group, protocols, count, &member->protocol_count);
    vote(group, member);
    map_put(&group->members, member->id, member);
    if (!slice_is_null(member->instance_id)) map_put(&group->instances, member->instance_id, member);
    if (!group->leader) group->leader = member;
    group->bytes += member_bytes(member);
    return member;
}

static void destroy_member(struct group_member *member)
{
    ASSERT(!member->join);
    ASSERT(!member->sync);
    text_free(member->id);
    text_free(member->instance_id);
    text_free(member->client_id);
    text_free(member->client_host);
    text_free(member->assignment);
    mem_free(member->protocols);
    mem_free(member);
}

void group_remove_member(struct group_shard *shard, struct group_member *member)
{
    struct group *group = member->group;
    timer_cancel(shard, &member->session);
    group->bytes -= member_bytes(member);
    withdraw_votes(group, member);
    map_remove(&group->members, member->id);
    if (!slice_is_null(member->instance_id)) map_remove(&group->instances, member->instance_id);
    if (member->is_pending_sync) group->pending_sync_count--;
    if (group->leader == member) {
        uint32_t position = 0;
        group->leader = map_next(&group->members, &position);
    }
    destroy_member(member);
}

void group_rename_member(struct group_member *member, struct slice id)
{
    struct group *group = member->group;
    ASSERT(!group_find_member(group, id));
    map_remove(&group->members, member->id);
    group->bytes += id.n;
    group->bytes -= member->id.n;
    text_replace(&member->id, id);
    map_put(&group->members, member->id, member);
}

struct group_pending *group_add_pending(struct group *group, struct slice id)
{
    ASSERT(!group_find_member(group, id));
    ASSERT(map_count(&group->pending) < GROUP_PENDING_MEMBERS_MAX);
    struct group_pending *pending = mem_alloc(sizeof *pending);
    *pending = (struct group_pending){.group = group, .id = text_copy(id), .timer.kind = GROUP_TIMER_PENDING};
    map_put(&group->pending, pending->id, pending);
    group->bytes += pending_bytes(pending);
    return pending;
}

void group_remove_pending(struct group_shard *shard, struct group_pending *pending)
{
    struct group *group = pending->group;
    timer_cancel(shard, &pending->timer);
    group->bytes -= pending_bytes(pending);
    map_remove(&group->pending, pending->id);
    text_free(pending->id);
    mem_free(pending);
}

/* ---- life ---- */

struct group *group_get(const struct group_shard *shard, struct slice id) { return map_get(&shard->groups, id); }

struct group *group_create(struct group_shard *shard, struct slice id)
{
    ASSERT(!group_get(shard, id));
    struct group *group = mem_alloc(sizeof *group);
    *group = (struct group){
        .id = text_copy(id),
        .state = GROUP_EMPTY,
        .previous_state = GROUP_EMPTY,
        .state_ms = shard->wall_ms,
        .logged = SLICE_NULL,
        .join_timer.kind = GROUP_TIMER_JOIN,
        .sync_timer.kind = GROUP_TIMER_SYNC,
    };
    map_init(&group->members, shard->seed);
    map_init(&group->instances, shard->seed);
    map_init(&group->pending, shard->seed);
    map_init(&group->votes, shard->seed);
    list_init(&group->waiting);
    list_node_init(&group->in_snapshot);
    group_offsets_init(&group->offsets, &shard->names, shard->seed);
    group->bytes = sizeof *group + id.n;
    map_put(&shard->groups, group->id, group);
    group_account(shard, group);
    return group;
}

void group_forget_members(struct group_shard *shard, struct group *group)
{
    MAP_FOR_EACH (&group->members, struct group_member, member) group_remove_member(shard, member);
    MAP_FOR_EACH (&group->pending, struct group_pending, pending) group_remove_pending(shard, pending);
    timer_cancel(shard, &group->join_timer);
    timer_cancel(shard, &group->sync_timer);
    group->is_member_added = false;
    ASSERT(!group->leader);
    ASSERT(group->pending_sync_count == 0);
}

void group_destroy(struct group_shard *shard, struct group *group)
{
    ASSERT(group->batch_count == 0);
    ASSERT(list_is_empty(&group->waiting));
    group_forget_members(shard, group);
    shard->bytes -= group->accounted;
    map_remove(&shard->groups, group->id);
    map_deinit(&group->members);
    map_deinit(&group->instances);
    map_deinit(&group->pending);
    map_deinit(&group->votes);
    group_offsets_deinit(&group->offsets);
    group_reasons_deinit(&group->reasons);
    text_free(group->id);
    text_free(group->protocol_type);
    text_free(group->protocol_name);
    text_free(group->logged);
    if (list_is_linked(&group->in_snapshot)) list_remove(&group->in_snapshot);
    mem_free(group);
}

static bool is_legal(enum group_state from, enum group_state to)
{
    static const uint8_t legal[] = {
        [GROUP_EMPTY] = 1u << GROUP_PREPARING_REBALANCE,
        [GROUP_PREPARING_REBALANCE] = 1u << GROUP_EMPTY | 1u << GROUP_COMPLETING_REBALANCE,
        [GROUP_COMPLETING_REBALANCE] = 1u << GROUP_PREPARING_REBALANCE | 1u << GROUP_STABLE,
        [GROUP_STABLE] = 1u << GROUP_PREPARING_REBALANCE,
        [GROUP_DEAD] = 0,
    };
    return legal[from] >> to & 1;
}

void group_become(struct group_shard *shard, struct group *group, enum group_state state)
{
    ASSERT(is_legal(group->state, state));
    group->previous_state = group->state;
    group->state = state;
    group->state_ms = shard->wall_ms;
}

void group_remember(struct group_shard *shard, struct group *group, enum rebalance_cause cause, const struct group_member *member,
                    struct slice told)
{
    struct rebalance_reason reason = {
        .cause = cause,
        .generation = group->generation,
        .wall_ms = shard->wall_ms,
        .gap_ms = member && member->heard_ms > 0 ? shard->now_ms - member->heard_ms : -1,
    };
    size_t before = group->reasons.capacity;
    group_reasons_add(&group->reasons, &reason, member ? member->id : SLICE_NULL, told);
    group->bytes += (group->reasons.capacity - before) * sizeof reason;
}

/* ---- invariants ---- */

#ifdef SKIFF_VERIFY
#define FULL_SCAN true
#else
#define FULL_SCAN false
#endif

static void check_members(const struct group *group)
{
    uint32_t joining = 0, syncing = 0, instances = 0;
    bool has_leader = false;
    MAP_FOR_EACH (&group->members, const struct group_member, member) {
        ASSERT(member->group == group);
        ASSERT(!group_find_pending(group, member->id));
        ASSERT_IMPLIES(member->join, group->state == GROUP_PREPARING_REBALANCE || group->state == GROUP_STABLE);
        ASSERT_IMPLIES(member->sync, group->state == GROUP_COMPLETING_REBALANCE);
        ASSERT_IMPLIES(!slice_is_null(member->instance_id), group_find_instance(group, member->instance_id) == member);
        joining += member->join != NULL;
        syncing += member->is_pending_sync;
        instances += !slice_is_null(member->instance_id);
        has_leader |= member == group->leader;
    }
    ASSERT(joining == group->joining_count);
    ASSERT(syncing == group->pending_sync_count);
    ASSERT(instances == map_count(&group->instances));
    ASSERT(has_leader == (group->leader != NULL));
}

static void check_votes(const struct group *group)
{
    bool has_common = false;
    MAP_FOR_EACH (&group->votes, const struct protocol_votes, votes) {
        uint32_t members = 0;
        struct slice name = slice_make(votes->name, votes->size);
        MAP_FOR_EACH (&group->members, const struct group_member, member) members += !slice_is_null(group_member_metadata(member, name));
        ASSERT(members == votes->members);
        has_common |= members == group_member_count(group);
    }
    ASSERT_IMPLIES(group_member_count(group) > 0, has_common);
}

void group_invariants(const struct group *group)
{
    bool has_members = group_member_count(group) > 0;
    ASSERT_IMPLIES(group->state == GROUP_EMPTY, !has_members);
    ASSERT_IMPLIES(group->state == GROUP_COMPLETING_REBALANCE || group->state == GROUP_STABLE, has_members);
    ASSERT(has_members == (group->leader != NULL));
    ASSERT(group->generation >= 0);
    ASSERT_IMPLIES(!list_is_empty(&group->waiting), group->is_deleting);
    ASSERT_IMPLIES(group->is_deleting, !has_members);
    ASSERT_IMPLIES(has_members, !slice_is_null(group->protocol_type));
    if (!FULL_SCAN) return;
    check_members(group);
    check_votes(group);
    group_offsets_invariants(&group->offsets);
}
