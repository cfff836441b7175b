/* Members of groups (JoinGroup, SyncGroup, Heartbeat, LeaveGroup) and those who look at groups (DescribeGroups, ListGroups, DeleteGroups).
 * What the coordinator decides is in broker/coordinator. */
#include "broker/handlers/group_call.h"

#include "common/map.h"

#define AUTHORIZED_OPERATIONS_UNKNOWN INT32_MIN
#define ERROR_TEXT_FROM               6 /* DescribeGroups */
#define PROTOCOL_TOLD_FROM            5 /* SyncGroup */
#define GROUP_OPERATIONS                                                                                                                   \
    (ACL_BIT(ACL_READ) | ACL_BIT(ACL_DESCRIBE) | ACL_BIT(ACL_DELETE) | ACL_BIT(ACL_DESCRIBE_CONFIGS) | ACL_BIT(ACL_ALTER_CONFIGS))

/* ---- one question, one answer -------------------------------------------------------------------------------------- */

static void answer_one(struct group_fan *fan) { call_respond(fan->call, &fan->items[0].group.request.out); }

static enum request_progress send_one(struct call *call, enum group_request_type type, struct slice group_id, const void *message)
{
    struct group_fan *fan = group_fan_create(call, 1, answer_one);
    struct group_request *request = group_fan_ask(fan, 0, type, group_id);
    const struct connection *connection = call->request->connection;
    request->client_id = slice_is_null(call->request->client_id) ? SLICE_LITERAL("") : call->request->client_id;
    request->client_host = arena_printf(&call->arena, "/%s", connection ? connection_peer(connection) : "");
    request->in.join = message; /* members of a union of pointers */
    fan->can_release_frame = type == GROUP_JOIN || type == GROUP_SYNC;
    return group_fan_send(fan);
}

enum request_progress handle_join_group(struct call *call, const void *message)
{
    const struct join_group_request *request = message;
    return send_one(call, GROUP_JOIN, request->group_id, request);
}

enum request_progress handle_sync_group(struct call *call, const void *message)
{
    const struct sync_group_request *request = message;
    bool says_protocol = !slice_is_null(request->protocol_type) && !slice_is_null(request->protocol_name);
    if (call->api_version >= PROTOCOL_TOLD_FROM && !says_protocol) {
        struct sync_group_response response;
        CODEC_INIT(sync_group_response, &response);
        response.error_code = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
        call_respond(call, &response);
        return REQUEST_DONE;
    }
    return send_one(call, GROUP_SYNC, request->group_id, request);
}

enum request_progress handle_heartbeat(struct call *call, const void *message)
{
    const struct heartbeat_request *request = message;
    return send_one(call, GROUP_HEARTBEAT, request->group_id, request);
}

enum request_progress handle_leave_group(struct call *call, const void *message)
{
    const struct leave_group_request *request = message;
    return send_one(call, GROUP_LEAVE, request->group_id, request);
}

/* ---- looking at groups --------------------------------------------------------------------------------------------- */

/* Slices point into the group: they are encoded in this turn. */
static void add_reasons(struct call *call, const struct group *group, struct describe_groups_response_groups *out)
{
    uint32_t count = group_reasons_count(&group->reasons);
    out->rebalance_reasons = arena_calloc(&call->arena, count, sizeof *out->rebalance_reasons);
    out->rebalance_reasons_count = (int32_t)count;
    for (uint32_t i = 0; i < count; i++) {
        const struct rebalance_reason *reason = group_reasons_at(&group->reasons, i);
        out->rebalance_reasons[i] =
            (struct describe_groups_response_rebalance_reasons){.cause = slice_str(rebalance_cause_text(reason->cause)),
                                                                .generation = reason->generation,
                                                                .wall_ms = reason->wall_ms,
                                                                .gap_ms = reason->gap_ms,
                                                                .member = slice_str(reason->member),
                                                                .told = slice_str(reason->told)};
    }
}

static void describe_one(struct call *call, const struct describe_groups_request *request, struct slice group_id,
                         struct describe_groups_response_groups *out)
{
    enum kafka_error error;
    const struct group_shard *shard = group_coordinator_shard(call->dispatch->groups, group_id, &error);
    *out = (struct describe_groups_response_groups){.error_message = SLICE_NULL,
                                                    .group_id = group_id,
                                                    .group_state = SLICE_LITERAL(""),
                                                    .protocol_type = SLICE_LITERAL(""),
                                                    .protocol_data = SLICE_LITERAL(""),
                                                    .authorized_operations = AUTHORIZED_OPERATIONS_UNKNOWN};
    if (shard) group_shard_describe(shard, group_id, call->api_version, &call->arena, out);
    const struct group *group = shard ? group_shard_find(shard, group_id) : NULL;
    if (group && request->include_rebalance_reasons) add_reasons(call, group, out);
    if (error) out->error_code = (int16_t)error;
    if (error && call->api_version >= ERROR_TEXT_FROM) out->error_message = error_text(error);
    if (!out->error_code && request->include_authorized_operations) out->authorized_operations = GROUP_OPERATIONS;
}

enum request_progress handle_describe_groups(struct call *call, const void *message)
{
    const struct describe_groups_request *request = message;
    struct describe_groups_response response = {.groups_count = request->groups_count};
    response.groups = arena_calloc(&call->arena, (size_t)request->groups_count, sizeof *response.groups);
    for (int32_t i = 0; i < request->groups_count; i++) {
        describe_one(call, request, request->groups[i], &response.groups[i]);
        if (call_is_too_much(call)) return call_refuse_too_much(call);
    }
    call_respond(call, &response);
    return REQUEST_DONE;
}

static size_t count_groups(const struct group_coordinator *groups)
{
    size_t count = 0;
    const struct group_shard *shard;
    for (uint32_t at = 0; (shard = group_coordinator_next(groups, &at));) count += map_count(&shard->groups);
    return count;
}

static void list_shard(const struct group_shard *shard, const struct list_groups_request *request, struct list_groups_response *response)
{
    const struct group *group;
    for (uint32_t at = 0; (group = group_shard_next(shard, &at));)
        if (group_matches_filters(group, request->states_filter, request->states_filter_count, request->types_filter,
                                  request->types_filter_count))
            group_list_entry(group, &response->groups[response->groups_count++]);
}

enum request_progress handle_list_groups(struct call *call, const void *message)
{
    const struct list_groups_request *request = message;
    const struct group_coordinator *groups = call->dispatch->groups;
    struct list_groups_response response = {0};
    const struct group_shard *shard;
    response.error_code = (int16_t)group_coordinator_check_all(groups);
    if (!response.error_code) {
        response.groups = arena_calloc(&call->arena, count_groups(groups), sizeof *response.groups);
        for (uint32_t at = 0; (shard = group_coordinator_next(groups, &at));) list_shard(shard, request, &response);
    }
    call_respond(call, &response);
    return REQUEST_DONE;
}

/* ---- DeleteGroups -------------------------------------------------------------------------------------------------- */

static void answer_delete(struct group_fan *fan)
{
    struct call *call = fan->call;
    struct delete_groups_response response = {.results_count = (int32_t)fan->count};
    response.results = arena_calloc(&call->arena, fan->count, sizeof *response.results);
    for (size_t i = 0; i < fan->count; i++) {
        const struct group_request *request = &fan->items[i].group.request;
        response.results[i] = (struct delete_groups_response_results){
            .group_id = request->group_id, .error_code = (int16_t)request->out.deleted, .error_message = error_text(request->out.deleted)};
    }
    call_respond(call, &response);
}

/* Each name once: the second deletion would only say that the group is gone. */
static size_t take_distinct(const struct call *call, const struct delete_groups_request *request, struct slice *names)
{
    struct map seen;
    size_t count = 0;
    map_init(&seen, image_seed(call_image(call)));
    for (int32_t i = 0; i < request->groups_names_count; i++) {
        struct slice name = request->groups_names[i];
        if (map_get(&seen, name)) continue;
        names[count++] = name;
        map_put(&seen, name, names);
    }
    map_deinit(&seen);
    return count;
}

enum request_progress handle_delete_groups(struct call *call, const void *message)
{
    const struct delete_groups_request *request = message;
    if (request->groups_names_count > GROUPS_PER_REQUEST_MAX) return group_fan_refuse(call, request->groups_names_count);
    struct slice *names = arena_calloc(&call->arena, (size_t)request->groups_names_count, sizeof *names);
    size_t count = take_distinct(call, request, names);
    struct group_fan *fan = group_fan_create(call, count, answer_delete);
    for (size_t i = 0; i < count; i++) (void)group_fan_ask(fan, i, GROUP_DELETE, names[i]);
    return group_fan_send(fan);
}
