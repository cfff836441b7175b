/* What tools ask: DescribeGroups, ListGroups. See group_shard.h. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"
#include "common/str.h"

const struct group *group_shard_find(const struct group_shard *shard, struct slice group_id)
{
    const struct group *group = group_get(shard, group_id);
    return group && group->is_committed ? group : NULL;
}

const struct group *group_shard_next(const struct group_shard *shard, uint32_t *position)
{
    const struct group *group = NULL;
    while ((group = map_next(&shard->groups, position)) && !group->is_committed) continue;
    return group;
}

size_t group_shard_bytes(const struct group_shard *shard) { return shard->bytes + shard->names.bytes; }

static struct slice or_empty(struct slice text) { return slice_is_null(text) ? SLICE_LITERAL("") : text; }

static void describe_members(const struct group *group, struct arena *arena, struct describe_groups_response_groups *out)
{
    uint32_t count = group_member_count(group);
    bool is_stable = group->state == GROUP_STABLE; /* else their metadata may not be that of one protocol */
    out->members = CODEC_NEW(arena, describe_groups_response_members, count);
    out->members_count = (int32_t)count;
    struct describe_groups_response_members *to = out->members;
    MAP_FOR_EACH (&group->members, const struct group_member, member) {
        to->member_id = member->id;
        to->group_instance_id = member->instance_id;
        to->client_id = member->client_id;
        to->client_host = member->client_host;
        to->member_metadata = is_stable ? or_empty(group_member_metadata(member, group->protocol_name)) : SLICE_LITERAL("");
        to->member_assignment = member->assignment;
        to++;
    }
}

static void describe_missing(struct slice group_id, int16_t version, struct arena *arena, struct describe_groups_response_groups *out)
{
    out->group_state = slice_str(group_state_name(GROUP_DEAD));
    if (version < 6) return;
    out->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    out->error_message = arena_explain(arena, "There is no group %.*s.", SLICE_ARG(group_id));
}

void group_shard_describe(const struct group_shard *shard, struct slice group_id, int16_t version, struct arena *arena,
                          struct describe_groups_response_groups *out)
{
    CODEC_INIT(describe_groups_response_groups, out);
    out->group_id = group_id;
    if (shard->state != GROUP_SHARD_ACTIVE) {
        out->error_code = shard->state == GROUP_SHARD_LOADING ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS : KAFKA_NOT_COORDINATOR;
        return;
    }
    const struct group *group = group_shard_find(shard, group_id);
    if (!group) {
        describe_missing(group_id, version, arena, out);
        return;
    }
    out->group_state = slice_str(group_state_name(group->state));
    out->protocol_type = or_empty(group->protocol_type);
    if (group->state == GROUP_STABLE) out->protocol_data = or_empty(group->protocol_name);
    describe_members(group, arena, out);
}

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c; }

static bool is_same_word(struct slice told, const char *name)
{
    struct slice a = str_trim(told), b = slice_str(name);
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i])) return false;
    return true;
}

static bool names_any(const struct slice *words, int32_t count, const char *name)
{
    if (count == 0) return true;
    for (int32_t i = 0; i < count; i++)
        if (is_same_word(words[i], name)) return true;
    return false;
}

bool group_matches_filters(const struct group *group, const struct slice *states, int32_t states_count, const struct slice *types,
                           int32_t types_count)
{
    return names_any(states, states_count, group_state_name(group->state)) && names_any(types, types_count, "classic");
}

void group_list_entry(const struct group *group, struct list_groups_response_groups *out)
{
    CODEC_INIT(list_groups_response_groups, out);
    out->group_id = group->id;
    out->protocol_type = or_empty(group->protocol_type);
    out->group_state = slice_str(group_state_name(group->state));
    out->group_type = SLICE_LITERAL("classic");
}
