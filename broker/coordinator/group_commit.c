/* OffsetCommit, OffsetFetch, OffsetDelete, DeleteGroups, all versions. See group_offsets.h, group_internal.h.
 *
 * What is committed shows when its record is committed (G-OFFMON); commits of one group may be under way together, and take effect in
 * the order of the log. Whatever removes offsets counts those that are under way, as if they had arrived. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"
#include "common/checked.h"

/* ---- OffsetCommit ---- */

static enum kafka_error check_member_commit(const struct group *group, const struct offset_commit_request *in)
{
    enum kafka_error error = group_check_member(group, in->member_id, in->group_instance_id);
    if (error != KAFKA_NONE) return error;
    if (in->generation_id_or_member_epoch != group->generation) return KAFKA_ILLEGAL_GENERATION;
    /* The member knows the new generation and not its part in it: its offsets may be another's by now. */
    return group->state == GROUP_COMPLETING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

/* A generation below 0 comes from tools and from consumers that assign themselves: only while nobody is a member. */
static enum kafka_error check_commit(const struct group *group, const struct offset_commit_request *in)
{
    if (in->generation_id_or_member_epoch < 0 && group->state == GROUP_EMPTY) return KAFKA_NONE;
    bool is_member = in->generation_id_or_member_epoch >= 0 || in->member_id.n > 0 || !slice_is_null(in->group_instance_id);
    return is_member ? check_member_commit(group, in) : KAFKA_UNKNOWN_MEMBER_ID;
}

/* Kafka counts UTF-16 units. */
static size_t utf16_length(struct slice text)
{
    size_t units = 0;
    for (size_t i = 0; i < text.n; i++) units += (text.p[i] & 0xc0) == 0x80 ? 0u : text.p[i] >= 0xf0 ? 2u : 1u;
    return units;
}

static enum kafka_error check_partition(const struct group_shard *shard, const struct group_topic *topic,
                                        const struct offset_commit_request_partitions *in)
{
    size_t length_max = (size_t)max_i32(shard->config->offset_metadata_max_bytes, 0);
    if (utf16_length(in->committed_metadata) > length_max) return KAFKA_OFFSET_METADATA_TOO_LARGE;
    if (shard_is_full(shard) && !group_offsets_has(topic, in->partition_index)) return KAFKA_INVALID_COMMIT_OFFSET_SIZE;
    return KAFKA_NONE;
}

static void add_commit(const struct group_shard *shard, struct group_batch *batch, const struct group_request *request,
                       const struct offset_commit_request_topics *topic, const struct offset_commit_request_partitions *partition)
{
    int64_t retention_ms = request->in.commit->retention_time_ms;
    int64_t expire_ms = retention_ms == -1 ? -1 : max_i64(saturating_add_i64(shard->wall_ms, retention_ms), 0);
    struct offset_commit_value value = {
        .offset = partition->committed_offset,
        .leader_epoch = partition->committed_leader_epoch,
        .metadata = slice_is_null(partition->committed_metadata) ? SLICE_LITERAL("") : partition->committed_metadata,
        .commit_timestamp = shard->wall_ms,
        .expire_timestamp = expire_ms,
        .topic_id = topic->topic_id,
    };
    batch_add_offset(batch, topic->name, partition->partition_index, &value);
}

/* The log would refuse what is too large, but not before it is all in memory: each record has the group's id, which may be long. Returns
 * how many records are on their way. */
static size_t submit_or_answer(struct group_shard *shard, struct group_batch *batch, struct group_request *request)
{
    size_t count = batch->append.count;
    if (count > 0 && !batch_is_too_large(batch)) {
        batch_submit(shard, batch, request);
        return count;
    }
    if (count > 0)
        request_fail(shard, request, append_error_to_client(KAFKA_MESSAGE_TOO_LARGE));
    else
        request_complete(shard, request);
    batch_destroy(batch);
    return 0;
}

static void commit(struct group_shard *shard, struct group *group, struct group_request *request)
{
    const struct offset_commit_request *in = request->in.commit;
    struct group_batch *batch = batch_create(group, BATCH_OFFSETS);
    group_request_fail(request, KAFKA_NONE);
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct group_topic *topic = group_offsets_topic(&group->offsets, in->topics[i].name);
        for (int32_t k = 0; k < in->topics[i].partitions_count; k++) {
            enum kafka_error error = check_partition(shard, topic, &in->topics[i].partitions[k]);
            request->out.commit.topics[i].partitions[k].error_code = (int16_t)error;
            if (error == KAFKA_NONE && !batch_is_too_large(batch))
                add_commit(shard, batch, request, &in->topics[i], &in->topics[i].partitions[k]);
        }
    }
    shard->counters.offset_commits += submit_or_answer(shard, batch, request);
}

static bool has_partitions(const struct offset_commit_request *in)
{
    for (int32_t i = 0; i < in->topics_count; i++)
        if (in->topics[i].partitions_count > 0) return true;
    return false;
}

static void commit_to_unknown(struct group_shard *shard, struct group_request *request)
{
    const struct offset_commit_request *in = request->in.commit;
    if (in->generation_id_or_member_epoch >= 0)
        request_fail(shard, request, request->version >= 9 ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_ILLEGAL_GENERATION);
    else if (!has_partitions(in))
        request_complete(shard, request);
    else if (shard_is_full(shard))
        request_fail(shard, request, KAFKA_COORDINATOR_NOT_AVAILABLE);
    else {
        struct group *group = group_create(shard, request->group_id);
        commit(shard, group, request);
        if (group->batch_count == 0) group_destroy(shard, group);
    }
}

void on_offset_commit(struct group_shard *shard, struct group_request *request)
{
    const struct offset_commit_request *in = request->in.commit;
    struct group *group = group_get(shard, request->group_id);
    if (!group) {
        commit_to_unknown(shard, request);
        return;
    }
    if (request_waits(shard, group, request)) return;
    enum kafka_error error = check_commit(group, in);
    if (error != KAFKA_NONE) {
        request_fail(shard, request, error);
        return;
    }
    struct group_member *member = group_find_member(group, in->member_id);
    if (member) member_heard(shard, member); /* a commit is as good as a heartbeat */
    commit(shard, group, request);
}

/* ---- OffsetFetch ---- */

static void fill_fetched(struct arena *arena, const struct committed_offset *offset, int32_t index,
                         struct offset_fetch_response_groups_topics_partitions *out)
{
    out->partition_index = index;
    out->committed_offset = offset ? offset->offset : -1;
    out->committed_leader_epoch = offset ? offset->leader_epoch : -1;
    out->metadata = offset ? arena_copy(arena, offset->metadata) : SLICE_LITERAL("");
    out->error_code = KAFKA_NONE;
}

/* Offsets of a topic that had the same name and was deleted are not this topic's. */
static bool is_of_topic(const struct committed_offset *offset, struct uuid id)
{
    return uuid_is_zero(id) || uuid_is_zero(offset->topic_id) || uuid_equal(id, offset->topic_id);
}

static void fetch_asked(const struct group *group, struct group_request *request)
{
    const struct offset_fetch_request_groups *in = request->in.fetch;
    struct offset_fetch_response_groups *out = &request->out.fetch;
    out->topics = CODEC_NEW(&request->arena, offset_fetch_response_groups_topics, (size_t)in->topics_count);
    out->topics_count = in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct offset_fetch_request_groups_topics *asked = &in->topics[i];
        struct offset_fetch_response_groups_topics *to = &out->topics[i];
        const struct group_topic *topic = group ? group_offsets_topic(&group->offsets, asked->name) : NULL;
        to->name = asked->name;
        to->topic_id = asked->topic_id;
        to->partitions_count = asked->partition_indexes_count;
        to->partitions = CODEC_NEW(&request->arena, offset_fetch_response_groups_topics_partitions, (size_t)to->partitions_count);
        for (int32_t k = 0; k < to->partitions_count; k++) {
            struct committed_offset offset;
            bool is_known = group_offsets_find(topic, asked->partition_indexes[k], &offset) && is_of_topic(&offset, asked->topic_id);
            fill_fetched(&request->arena, is_known ? &offset : NULL, asked->partition_indexes[k], &to->partitions[k]);
        }
    }
}

static void fetch_all(const struct group *group, struct group_request *request)
{
    struct offset_fetch_response_groups *out = &request->out.fetch;
    out->topics_count = group ? (int32_t)map_count(&group->offsets.topics) : 0;
    out->topics = CODEC_NEW(&request->arena, offset_fetch_response_groups_topics, (size_t)out->topics_count);
    if (!group) return;
    struct offset_fetch_response_groups_topics *to = out->topics;
    struct uuid *ids = arena_calloc(&request->arena, group->offsets.count, sizeof *ids);
    request->fetched_ids = ids;
    MAP_FOR_EACH (&group->offsets.topics, const struct group_topic, topic) {
        to->name = arena_copy(&request->arena, group_topic_name(topic));
        uint32_t count = group_topic_count(topic);
        to->partitions_count = (int32_t)count;
        to->partitions = CODEC_NEW(&request->arena, offset_fetch_response_groups_topics_partitions, count);
        for (uint32_t k = 0; k < count; k++) {
            struct committed_offset offset = group_topic_at(topic, k);
            fill_fetched(&request->arena, &offset, offset.partition, &to->partitions[k]);
            *ids++ = offset.topic_id;
        }
        to++;
    }
}

void answer_offset_fetch(struct group_shard *shard, struct group_request *request)
{
    const struct group *group = group_get(shard, request->group_id);
    request->out.fetch.group_id = request->group_id;
    if (request->in.fetch->topics_count >= 0)
        fetch_asked(group, request);
    else
        fetch_all(group, request);
    request_complete(shard, request);
}

void on_offset_fetch(struct group_shard *shard, struct group_request *request)
{
    const struct group *group = group_get(shard, request->group_id);
    struct group_batch *batch = group && group->batch_count > 0 && request->require_stable ? batch_newest(shard, group) : NULL;
    if (batch && !batch->is_given_up)
        list_push_back(&batch->readers, &request->node);
    else if (batch)
        request_fail(shard, request, KAFKA_COORDINATOR_NOT_AVAILABLE);
    else
        answer_offset_fetch(shard, request);
}

/* ---- OffsetDelete ---- */

static enum kafka_error check_offset_delete(const struct group *group)
{
    if (!group) return KAFKA_GROUP_ID_NOT_FOUND;
    return group->state == GROUP_EMPTY || group_is_consumer(group) ? KAFKA_NONE : KAFKA_NON_EMPTY_GROUP;
}

struct deletion {
    struct group *group;
    struct group_batch *batch;
    struct arena *arena;
    struct map subscribed; /* topic -> bool */
    struct map under_way;  /* keys of offsets that are being written */
};

/* Both are looked at once, however much is asked about. */
static void begin_deletion(struct deletion *d, const struct group_shard *shard, const struct offset_delete_request *in)
{
    bool *marks = arena_calloc(d->arena, (size_t)in->topics_count, sizeof *marks);
    d->batch = batch_create(d->group, BATCH_OFFSETS);
    map_init(&d->subscribed, shard->seed);
    map_init(&d->under_way, shard->seed);
    for (int32_t i = 0; i < in->topics_count; i++)
        if (!map_get(&d->subscribed, in->topics[i].name)) map_put(&d->subscribed, in->topics[i].name, &marks[i]);
    group_mark_subscribed(d->group, &d->subscribed);
    batch_note_offsets_under_way(shard, d->group, &d->under_way);
}

static void end_deletion(struct deletion *d)
{
    map_deinit(&d->subscribed);
    map_deinit(&d->under_way);
}

static bool is_being_written(const struct deletion *d, struct slice topic, int32_t partition)
{
    if (map_count(&d->under_way) == 0) return false;
    struct writer key;
    writer_init(&key, 256);
    group_record_write_offset_key(&key, d->group->id, topic, partition);
    bool is_there = map_get(&d->under_way, writer_slice(&key)) != NULL;
    writer_deinit(&key);
    return is_there;
}

static void delete_topic(const struct deletion *d, const struct offset_delete_request_topics *from,
                         struct offset_delete_response_topics *to)
{
    const bool *is_subscribed = map_get(&d->subscribed, from->name);
    const struct group_topic *topic = group_offsets_topic(&d->group->offsets, from->name);
    ASSERT(is_subscribed != NULL);
    to->name = from->name;
    to->partitions = CODEC_NEW(d->arena, offset_delete_response_partitions, (size_t)from->partitions_count);
    to->partitions_count = from->partitions_count;
    for (int32_t k = 0; k < from->partitions_count; k++) {
        int32_t index = from->partitions[k].partition_index;
        to->partitions[k].partition_index = index;
        to->partitions[k].error_code = *is_subscribed ? KAFKA_GROUP_SUBSCRIBED_TO_TOPIC : KAFKA_NONE;
        if (*is_subscribed || batch_is_too_large(d->batch)) continue;
        if (group_offsets_has(topic, index) || is_being_written(d, from->name, index))
            batch_add_offset_tombstone(d->batch, from->name, index);
    }
}

static void delete_offsets(struct group_shard *shard, struct group *group, struct group_request *request)
{
    const struct offset_delete_request *in = request->in.offset_delete;
    struct offset_delete_response *out = &request->out.offset_delete;
    struct deletion deletion = {.group = group, .arena = &request->arena};
    begin_deletion(&deletion, shard, in);
    out->topics = CODEC_NEW(&request->arena, offset_delete_response_topics, (size_t)in->topics_count);
    out->topics_count = in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++) delete_topic(&deletion, &in->topics[i], &out->topics[i]);
    shard->counters.offsets_deleted += submit_or_answer(shard, deletion.batch, request);
    end_deletion(&deletion);
}

void on_offset_delete(struct group_shard *shard, struct group_request *request)
{
    struct group *group = group_get(shard, request->group_id);
    if (group && request_waits(shard, group, request)) return;
    enum kafka_error error = check_offset_delete(group);
    if (error == KAFKA_NONE)
        delete_offsets(shard, group, request);
    else
        request_fail(shard, request, error);
}

/* ---- DeleteGroups, one of them ---- */

/* The last batch has the group's own, which ends whatever an earlier one may leave when it is refused. */
static struct group_batch *add_all_tombstones(struct group_shard *shard, struct group *group)
{
    struct group_batch *batch = batch_create(group, BATCH_OFFSETS);
    batch_add_tombstones_under_way(shard, batch, SLICE_NULL);
    MAP_FOR_EACH (&group->offsets.topics, const struct group_topic, topic) {
        for (uint32_t i = 0; i < group_topic_count(topic); i++) {
            batch = batch_with_room(shard, batch);
            batch_add_offset_tombstone(batch, group_topic_name(topic), group_topic_at(topic, i).partition);
        }
    }
    batch = batch_with_room(shard, batch);
    batch->kind = BATCH_DELETE;
    batch_add_group_tombstone(batch);
    return batch;
}

void on_delete(struct group_shard *shard, struct group_request *request)
{
    struct group *group = group_get(shard, request->group_id);
    if (!group) {
        request_fail(shard, request, KAFKA_GROUP_ID_NOT_FOUND);
        return;
    }
    if (request_waits(shard, group, request)) return;
    if (group->state != GROUP_EMPTY) {
        request_fail(shard, request, KAFKA_NON_EMPTY_GROUP);
        return;
    }
    shard->counters.groups_deleted++;
    batch_submit(shard, add_all_tombstones(shard, group), request);
}
