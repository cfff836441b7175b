/* The group coordinator of one partition. See group_shard.h; the states of a group are in group.c.
 *
 * Invariants (group_shard_invariants() checks them after every step)
 *  S1  A request that came in is in exactly one place: parked at a member, behind a group's deletion, with a batch under way, or
 *      completed; and it is completed once.
 *  S2  Batches under way are in the order of their tokens, which is that of the log; effects follow in that order.
 *  S3  batch_count of a group is the number of its batches under way; a group that is being deleted has a DELETE among them, and nothing
 *      behind it.
 *  S4  bytes and offset_count are the sums over the groups.
 *  S5  An unloaded shard has no groups, no batches, no timers.
 *
 *   event           LOADING                  ACTIVE                              UNLOADED            function
 *   RECORD          state                    asserts                             -                   apply_record
 *   LOADED          timers, ACTIVE           asserts                             -                   on_loaded
 *   REQUEST         LOAD_IN_PROGRESS;        the group's                         NOT_COORDINATOR     on_request
 *                   Heartbeat: NONE
 *   APPENDED        asserts                  effects, answers                    -                   on_appended
 *   TICK            -                        sessions, rebalances, expiry        -                   on_tick
 *   TOPIC_DELETED   -                        tombstones                          -                   on_topic_deleted
 *   SNAPSHOT        asserts                  its state again, in batches         asserts             on_snapshot
 *   UNLOADED        UNLOADED                 all who wait: NOT_COORDINATOR       -                   on_unloaded */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"
#include "common/checked.h"

/* ---- effects ---- */

void timer_set(struct group_shard *shard, struct group_timer *timer, int64_t delay_ms)
{
    timer_cancel(shard, timer);
    heap_insert(&shard->timers, &timer->node, saturating_add_i64(shard->now_ms, max_i64(delay_ms, 1)));
}

void timer_cancel(struct group_shard *shard, struct group_timer *timer)
{
    if (heap_is_linked(&timer->node)) heap_remove(&shard->timers, &timer->node);
}

/* Before version 7 a JoinGroup answer has no null protocol name. */
void request_complete(struct group_shard *shard, struct group_request *request)
{
    if (request->type == GROUP_JOIN && request->version < 7 && slice_is_null(request->out.join.protocol_name))
        request->out.join.protocol_name = SLICE_LITERAL("");
    list_push_back(&shard->actions->completed, &request->node);
}

void request_fail(struct group_shard *shard, struct group_request *request, enum kafka_error error)
{
    group_request_fail(request, request->is_unsure ? KAFKA_NOT_COORDINATOR : error);
    request_complete(shard, request);
}

bool shard_is_full(const struct group_shard *shard) { return group_shard_bytes(shard) >= shard->config->bytes_max; }

bool shard_is_exhausted(const struct group_shard *shard)
{
    return group_shard_bytes(shard) >= shard->config->bytes_max + shard->config->bytes_max / 4;
}

void group_account(struct group_shard *shard, struct group *group)
{
    size_t bytes = group->bytes + group->offsets.bytes;
    shard->bytes += bytes;
    shard->bytes -= group->accounted;
    group->accounted = bytes;
}

bool request_waits(struct group_shard *shard, struct group *group, struct group_request *request)
{
    if (!group->is_deleting) return false;
    if (shard->waiting_count >= GROUP_WAITING_REQUESTS_MAX) {
        request_fail(shard, request, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return true;
    }
    shard->waiting_count++;
    list_push_back(&group->waiting, &request->node);
    return true;
}

/* ---- requests ---- */

/* An empty group id may hold offsets, as it always could, but no members. */
static bool is_group_id_valid(const struct group_request *request)
{
    if (request->group_id.n > 0) return true;
    return request->type == GROUP_OFFSET_COMMIT || request->type == GROUP_OFFSET_FETCH || request->type == GROUP_DELETE;
}

static enum kafka_error check_request(const struct group_shard *shard, const struct group_request *request)
{
    if (!is_group_id_valid(request)) return KAFKA_INVALID_GROUP_ID;
    if (request->type != GROUP_JOIN) return KAFKA_NONE;
    int32_t timeout_ms = request->in.join->session_timeout_ms;
    bool is_allowed =
        timeout_ms >= shard->config->group_min_session_timeout_ms && timeout_ms <= shard->config->group_max_session_timeout_ms;
    return is_allowed ? KAFKA_NONE : KAFKA_INVALID_SESSION_TIMEOUT;
}

/* Their answers come from memory; those of the others when the log has their records. A heartbeat is refused, but heard. */
static bool is_from_memory(enum group_request_type type)
{
    return type == GROUP_JOIN || type == GROUP_SYNC || type == GROUP_LEAVE || type == GROUP_OFFSET_FETCH;
}

static void on_request(struct group_shard *shard, struct group_request *request)
{
    enum kafka_error error = check_request(shard, request);
    if (error != KAFKA_NONE && request->type == GROUP_JOIN) request->out.join.member_id = request->in.join->member_id;
    if (error == KAFKA_NONE && shard->state == GROUP_SHARD_UNLOADED) error = KAFKA_NOT_COORDINATOR;
    if (error == KAFKA_NONE && shard->state == GROUP_SHARD_LOADING) {
        if (request->type == GROUP_HEARTBEAT) { /* the member goes on; what is loaded will tell */
            request_complete(shard, request);
            return;
        }
        error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    }
    if (error == KAFKA_NONE && request->is_unsure && is_from_memory(request->type)) error = KAFKA_NOT_COORDINATOR;
    if (error != KAFKA_NONE) {
        request_fail(shard, request, error);
        return;
    }
    switch (request->type) {
    case GROUP_JOIN: on_join(shard, request); break;
    case GROUP_SYNC: on_sync(shard, request); break;
    case GROUP_HEARTBEAT: on_heartbeat(shard, request); break;
    case GROUP_LEAVE: on_leave(shard, request); break;
    case GROUP_OFFSET_COMMIT: on_offset_commit(shard, request); break;
    case GROUP_OFFSET_FETCH: on_offset_fetch(shard, request); break;
    case GROUP_OFFSET_DELETE: on_offset_delete(shard, request); break;
    case GROUP_DELETE: on_delete(shard, request); break;
    }
}

/* ---- life ---- */

void group_shard_init(struct group_shard *shard, const struct group_config *config, uint64_t seed)
{
    *shard = (struct group_shard){.config = config, .seed = seed, .expiry.kind = GROUP_TIMER_EXPIRY};
    map_init(&shard->groups, seed);
    topic_names_init(&shard->names, seed);
    heap_init(&shard->timers);
    list_init(&shard->batches);
    list_init(&shard->snapshot.groups);
}

/* Loaded members begin a session each: they could not reach their coordinator in between. */
static void on_loaded(struct group_shard *shard)
{
    ASSERT(shard->state == GROUP_SHARD_LOADING);
    shard->state = GROUP_SHARD_ACTIVE;
    timer_set(shard, &shard->expiry, shard->config->offsets_retention_check_interval_ms);
    MAP_FOR_EACH (&shard->groups, struct group, group) {
        MAP_FOR_EACH (&group->members, struct group_member, member) member_heard(shard, member);
        if (group_member_count(group) <= (uint32_t)max_i32(shard->config->group_max_size, 0)) continue;
        group_remember(shard, group, REBALANCE_OVER_CAPACITY, NULL, SLICE_NULL);
        rebalance_prepare(shard, group);
        group_account(shard, group);
    }
}

static void fail_waiting(struct group_shard *shard, struct list *waiting, enum kafka_error error)
{
    struct list_node *node = NULL;
    while ((node = list_pop_front(waiting))) request_fail(shard, CONTAINER_OF(node, struct group_request, node), error);
}

static void unload_batch(struct group_shard *shard, struct group_batch *batch)
{
    list_remove(&batch->node);
    timer_cancel(shard, &batch->timer);
    batch->group->batch_count--;
    fail_waiting(shard, &batch->readers, KAFKA_NOT_COORDINATOR);
    if (batch->request) request_fail(shard, batch->request, KAFKA_NOT_COORDINATOR);
    batch_destroy(batch);
}

static void unload_group(struct group_shard *shard, struct group *group)
{
    MAP_FOR_EACH (&group->members, struct group_member, member) {
        member_fail_join(shard, member, member->id, KAFKA_NOT_COORDINATOR);
        member_fail_sync(shard, member, KAFKA_NOT_COORDINATOR);
    }
    fail_waiting(shard, &group->waiting, KAFKA_NOT_COORDINATOR);
    shard->offset_count -= group->offsets.count;
    group_destroy(shard, group);
}

static void on_unloaded(struct group_shard *shard)
{
    struct list_node *node = NULL;
    while ((node = list_first(&shard->batches))) unload_batch(shard, CONTAINER_OF(node, struct group_batch, node));
    MAP_FOR_EACH (&shard->groups, struct group, group) unload_group(shard, group);
    timer_cancel(shard, &shard->expiry);
    shard->waiting_count = 0;
    shard->snapshot.pending = 0;
    shard->snapshot.state = GROUP_SNAPSHOT_NONE;
    shard->state = GROUP_SHARD_UNLOADED;
}

void group_shard_deinit(struct group_shard *shard)
{
    ASSERT(map_count(&shard->groups) == 0);
    ASSERT(list_is_empty(&shard->batches));
    map_deinit(&shard->groups);
    topic_names_deinit(&shard->names);
    heap_deinit(&shard->timers);
}

/* ---- the step ---- */

static void on_timer(struct group_shard *shard, struct group_timer *timer)
{
    if (timer->kind == GROUP_TIMER_EXPIRY)
        on_expiry(shard);
    else if (timer->kind == GROUP_TIMER_COMMIT)
        on_batch_timeout(shard, CONTAINER_OF(timer, struct group_batch, timer));
    else
        on_group_timer(shard, timer);
}

static void on_tick(struct group_shard *shard)
{
    struct heap_node *node = NULL;
    while ((node = heap_first(&shard->timers)) && node->key <= shard->now_ms) {
        heap_remove(&shard->timers, node);
        on_timer(shard, CONTAINER_OF(node, struct group_timer, node));
    }
}

static void dispatch(struct group_shard *shard, const struct group_event *event)
{
    bool is_active = shard->state == GROUP_SHARD_ACTIVE;
    switch (event->type) {
    case GROUP_EVENT_RECORD:
        if (shard->state == GROUP_SHARD_UNLOADED) break;
        ASSERT(shard->state == GROUP_SHARD_LOADING);
        shard->counters.records_loaded++;
        apply_record(shard, &event->record);
        break;
    case GROUP_EVENT_LOADED:
        if (shard->state != GROUP_SHARD_UNLOADED) on_loaded(shard);
        break;
    case GROUP_EVENT_REQUEST:
        event->request->random[0] = event->random[0];
        event->request->random[1] = event->random[1];
        on_request(shard, event->request);
        break;
    case GROUP_EVENT_APPENDED:
        if (is_active) on_appended(shard, event->appended.token, event->appended.error);
        break;
    case GROUP_EVENT_TICK: on_tick(shard); break;
    case GROUP_EVENT_TOPIC_DELETED:
        if (is_active) on_topic_deleted(shard, event->topic.name, event->topic.id);
        break;
    case GROUP_EVENT_SNAPSHOT: on_snapshot(shard); break;
    case GROUP_EVENT_UNLOADED:
        if (shard->state != GROUP_SHARD_UNLOADED) on_unloaded(shard);
        break;
    }
}

void group_shard_step(struct group_shard *shard, const struct group_event *event, struct group_actions *actions)
{
    ASSERT(event->now_ms >= shard->now_ms);
    list_init(&actions->appends);
    list_init(&actions->completed);
    shard->now_ms = event->now_ms;
    shard->wall_ms = event->wall_ms;
    shard->actions = actions;
    dispatch(shard, event);
    const struct heap_node *first = heap_first(&shard->timers);
    actions->deadline_ms = first ? first->key : INT64_MAX;
    shard->actions = NULL;
    if (event->type != GROUP_EVENT_RECORD) group_shard_invariants(shard);
}

/* ---- invariants ---- */

static void check_batches(const struct group_shard *shard)
{
    uint64_t last = 0;
    LIST_FOR_EACH (&shard->batches, node) {
        const struct group_batch *batch = CONTAINER_OF(node, struct group_batch, node);
        ASSERT(batch->append.token > last);
        ASSERT(group_get(shard, batch->group->id) == batch->group);
        ASSERT_IMPLIES(batch->kind == BATCH_DELETE, batch->group->is_deleting);
        last = batch->append.token;
    }
    ASSERT(last <= shard->last_token);
}

static void check_groups(const struct group_shard *shard)
{
    uint64_t offsets = 0;
    size_t bytes = 0;
    uint32_t waiting = 0;
    MAP_FOR_EACH (&shard->groups, const struct group, group) {
        group_invariants(group);
        uint32_t batches = 0;
        LIST_FOR_EACH (&shard->batches, node) batches += CONTAINER_OF(node, struct group_batch, node)->group == group;
        LIST_FOR_EACH (&group->waiting, node) waiting++;
        ASSERT(batches == group->batch_count);
        ASSERT_IMPLIES(group->is_deleting, batches > 0);
        ASSERT(group->accounted == group->bytes + group->offsets.bytes);
        offsets += group->offsets.count;
        bytes += group->accounted;
    }
    ASSERT(offsets == shard->offset_count);
    ASSERT(bytes == shard->bytes);
    ASSERT(waiting == shard->waiting_count);
}

#ifdef SKIFF_VERIFY
#define FULL_SCAN true
#else
#define FULL_SCAN false
#endif

void group_shard_invariants(const struct group_shard *shard)
{
    ASSERT_IMPLIES(shard->state != GROUP_SHARD_ACTIVE, list_is_empty(&shard->batches));
    ASSERT_IMPLIES(shard->state != GROUP_SHARD_ACTIVE, heap_first(&shard->timers) == NULL);
    ASSERT_IMPLIES(shard->state == GROUP_SHARD_UNLOADED, map_count(&shard->groups) == 0);
    ASSERT_IMPLIES(shard->snapshot.state != GROUP_SNAPSHOT_RUNNING, list_is_empty(&shard->snapshot.groups));
    if (!FULL_SCAN) return;
    check_batches(shard);
    check_groups(shard);
}
