/* Committed records become state: while loading, and live for offsets and deletions. One code path for both, so that what a
 * coordinator knows is what its successor will read (A-REPLAY). See group_internal.h. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

static struct group *group_for(struct group_shard *shard, struct slice id)
{
    struct group *group = group_get(shard, id);
    return group ? group : group_create(shard, id);
}

static void skip_malformed(struct group_shard *shard) { shard->counters.records_malformed++; }

static void drop_offset(struct group_shard *shard, const struct group_record_key *key)
{
    struct group *group = group_get(shard, key->group);
    if (!group || !group_offsets_remove(&group->offsets, key->topic, key->partition)) return;
    shard->offset_count--;
    group_account(shard, group);
}

/* Offsets of a group that nobody joined make a simple group. */
static void apply_offset(struct group_shard *shard, const struct group_record_key *key, struct slice bytes)
{
    struct offset_commit_value value;
    if (group_record_parse_offset(bytes, &value) != ERR_OK) {
        skip_malformed(shard);
        return;
    }
    struct group *group = group_for(shard, key->group);
    group->is_committed = true;
    struct committed_offset offset = {
        .partition = key->partition,
        .leader_epoch = value.leader_epoch,
        .offset = value.offset,
        .commit_ms = value.commit_timestamp,
        .expire_ms = value.expire_timestamp,
        .topic_id = value.topic_id,
        .metadata = value.metadata,
    };
    uint64_t before = group->offsets.count;
    group_offsets_put(&group->offsets, key->topic, &offset);
    shard->offset_count += group->offsets.count - before;
    group_account(shard, group);
}

static bool is_sane(const struct group_metadata_value *value)
{
    if (value->generation < 0) return false;
    if (value->members_count == 0) return true;
    if (slice_is_null(value->protocol) || value->protocol_type.n == 0) return false;
    struct map ids, instances;
    map_init(&ids, 0);
    map_init(&instances, 0);
    bool is_unique = true;
    for (int32_t i = 0; i < value->members_count && is_unique; i++) {
        struct group_metadata_value_members *member = &value->members[i];
        is_unique = !map_get(&ids, member->member_id);
        if (is_unique) map_put(&ids, member->member_id, member);
        if (!is_unique || slice_is_null(member->group_instance_id)) continue;
        is_unique = !map_get(&instances, member->group_instance_id);
        if (is_unique) map_put(&instances, member->group_instance_id, member);
    }
    map_deinit(&ids);
    map_deinit(&instances);
    return is_unique;
}

static void load_member(struct group *group, const struct group_metadata_value_members *from)
{
    struct member_identity identity = {
        .id = from->member_id,
        .instance_id = from->group_instance_id,
        .client_id = from->client_id,
        .client_host = from->client_host,
        .session_timeout_ms = from->session_timeout,
        .rebalance_timeout_ms = from->rebalance_timeout == -1 ? from->session_timeout : from->rebalance_timeout,
    };
    struct join_group_request_protocols protocol = {group->protocol_name, from->subscription};
    struct group_member *member = group_add_member(group, &identity, &protocol, 1);
    group_set_assignment(member, from->assignment);
}

static void load_group(struct group_shard *shard, struct slice id, const struct group_metadata_value *value)
{
    struct group *group = group_for(shard, id);
    group_forget_members(shard, group);
    group->is_committed = true;
    group->generation = value->generation;
    group->state_ms = value->current_state_timestamp;
    group_set_protocol_type(group, value->protocol_type.n ? value->protocol_type : SLICE_NULL);
    group_set_protocol_name(group, value->protocol);
    for (int32_t i = 0; i < value->members_count; i++) load_member(group, &value->members[i]);
    struct group_member *leader = slice_is_null(value->leader) ? NULL : group_find_member(group, value->leader);
    if (leader) group->leader = leader;
    group->state = value->members_count ? GROUP_STABLE : GROUP_EMPTY;
    group->previous_state = group->state;
    group_account(shard, group);
}

static void apply_metadata(struct group_shard *shard, struct slice id, struct slice bytes)
{
    ASSERT(shard->state == GROUP_SHARD_LOADING);
    struct arena arena;
    arena_init(&arena, codec_decode_budget(bytes.n));
    struct group_metadata_value value;
    if (group_record_parse_metadata(bytes, &arena, &value) == ERR_OK && is_sane(&value)) {
        load_group(shard, id, &value);
        group_note_logged(group_get(shard, id), bytes);
        group_account(shard, group_get(shard, id));
    } else
        skip_malformed(shard);
    arena_deinit(&arena);
}

static void apply_group_tombstone(struct group_shard *shard, struct slice id)
{
    struct group *group = group_get(shard, id);
    if (!group) return;
    shard->offset_count -= group->offsets.count;
    group_destroy(shard, group);
}

void apply_record(struct group_shard *shard, const struct group_record *record)
{
    struct group_record_key key;
    if (group_record_parse_key(record->key, &key) != ERR_OK) {
        skip_malformed(shard);
        return;
    }
    bool is_tombstone = slice_is_null(record->value);
    if (key.type == GROUP_RECORD_OTHER)
        shard->counters.records_skipped++;
    else if (key.type == GROUP_RECORD_METADATA && is_tombstone)
        apply_group_tombstone(shard, key.group);
    else if (key.type == GROUP_RECORD_METADATA)
        apply_metadata(shard, key.group, record->value);
    else if (is_tombstone)
        drop_offset(shard, &key);
    else
        apply_offset(shard, &key, record->value);
}
