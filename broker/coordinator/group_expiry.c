/* Offsets that nobody wants any more: expired, or of a deleted topic. See group_internal.h.
 *
 * G-EXP: the tombstone is in the log before anything is forgotten. A group whose offsets are being written is left for the next round:
 * a tombstone behind a new commit would delete that one. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#define EXPIRY_RECORDS_PER_STEP 20000 /* bounds the memory of one round; the rest follows soon */
#define EXPIRY_GO_ON_MS         100

/* Since when the offset has been of no use; false: it cannot expire now. */
static bool unused_since(const struct group *group, const struct committed_offset *offset, int64_t *since_ms)
{
    *since_ms = offset->commit_ms;
    if (slice_is_null(group->protocol_type)) return true; /* a simple group: since its commit */
    if (group->state == GROUP_EMPTY) {
        if (group->state_ms != -1) *since_ms = group->state_ms;
        return true;
    }
    return group->state == GROUP_STABLE && group_is_consumer(group); /* topics it no longer subscribes to */
}

static bool is_expired(const struct group_shard *shard, const struct group *group, const struct group_topic *topic, uint32_t i)
{
    int64_t since_ms = 0;
    struct committed_offset offset = group_topic_at(topic, i);
    if (!unused_since(group, &offset, &since_ms)) return false;
    if (offset.expire_ms >= 0) return shard->wall_ms >= offset.expire_ms;
    return shard->wall_ms >= saturating_add_i64(since_ms, shard->config->offsets_retention_ms);
}

static uint64_t count_expired_of(const struct group_shard *shard, const struct group *group, const struct group_topic *topic)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < group_topic_count(topic); i++) count += is_expired(shard, group, topic, i);
    return count;
}

/* The topics of a group that have expired offsets. */
struct expired_topic {
    const struct group_topic *topic;
    uint64_t count;
    bool is_subscribed;
};
struct expired {
    struct expired_topic *items;
    size_t count;
    uint64_t offsets; /* of topics that nobody subscribes to */
};

/* Whether somebody subscribes to a topic takes longest to find out: it is asked last, for all of them at once. */
static void mark_subscribed(const struct group_shard *shard, const struct group *group, struct expired *expired)
{
    struct map topics;
    map_init(&topics, shard->seed);
    for (size_t i = 0; i < expired->count; i++)
        map_put(&topics, group_topic_name(expired->items[i].topic), &expired->items[i].is_subscribed);
    group_mark_subscribed(group, &topics);
    map_deinit(&topics);
}

static void find_expired(const struct group_shard *shard, const struct group *group, struct expired *expired)
{
    *expired = (struct expired){.items = mem_calloc(map_count(&group->offsets.topics), sizeof *expired->items)};
    MAP_FOR_EACH (&group->offsets.topics, const struct group_topic, topic) {
        uint64_t count = count_expired_of(shard, group, topic);
        if (count > 0) expired->items[expired->count++] = (struct expired_topic){.topic = topic, .count = count};
    }
    mark_subscribed(shard, group, expired);
    for (size_t i = 0; i < expired->count; i++)
        if (!expired->items[i].is_subscribed) expired->offsets += expired->items[i].count;
}

static void add_expired(const struct group_shard *shard, const struct expired *expired, struct group_batch *batch)
{
    for (size_t t = 0; t < expired->count && !batch_is_full(batch); t++) {
        const struct group_topic *topic = expired->items[t].topic;
        if (expired->items[t].is_subscribed) continue;
        for (uint32_t i = 0; i < group_topic_count(topic) && !batch_is_full(batch); i++)
            if (is_expired(shard, batch->group, topic, i))
                batch_add_offset_tombstone(batch, group_topic_name(topic), group_topic_at(topic, i).partition);
    }
}

/* Records written; a large group goes in several rounds, and last of all its own tombstone. */
static size_t expire_offsets(struct group_shard *shard, struct group *group, const struct expired *expired, bool is_over)
{
    struct group_batch *batch = batch_create(group, BATCH_OFFSETS);
    add_expired(shard, expired, batch);
    shard->counters.offsets_expired += batch->append.count;
    bool has_more = batch->append.count < expired->offsets;
    if (is_over && !has_more) {
        batch->kind = BATCH_DELETE;
        batch_add_group_tombstone(batch);
    }
    size_t count = batch->append.count;
    batch_submit(shard, batch, NULL);
    return has_more ? EXPIRY_RECORDS_PER_STEP : count;
}

static size_t expire_group(struct group_shard *shard, struct group *group)
{
    size_t count = 0;
    if (group->batch_count > 0 || group->is_deleting) return 0;
    struct expired expired;
    find_expired(shard, group, &expired);
    bool is_over = group->state == GROUP_EMPTY && map_count(&group->pending) == 0 && expired.offsets == group->offsets.count;
    if (is_over && !group->is_committed)
        group_destroy(shard, group);
    else if (expired.offsets > 0 || is_over)
        count = expire_offsets(shard, group, &expired, is_over);
    mem_free(expired.items);
    return count;
}

void on_expiry(struct group_shard *shard)
{
    size_t count = 0;
    MAP_FOR_EACH (&shard->groups, struct group, group) {
        count += expire_group(shard, group);
        if (count >= EXPIRY_RECORDS_PER_STEP) break;
    }
    timer_set(shard, &shard->expiry,
              count >= EXPIRY_RECORDS_PER_STEP ? EXPIRY_GO_ON_MS : shard->config->offsets_retention_check_interval_ms);
}

/* ---- deleted topics ---- */

/* An offset that was committed by name only may be of this topic as well. */
static bool is_of(const struct committed_offset *offset, struct uuid id)
{
    return uuid_is_zero(offset->topic_id) || uuid_equal(offset->topic_id, id);
}

static void submit_or_destroy(struct group_shard *shard, struct group_batch *batch)
{
    if (batch->append.count > 0)
        batch_submit(shard, batch, NULL);
    else
        batch_destroy(batch);
}

static void drop_topic(struct group_shard *shard, struct group *group, struct slice name, struct uuid id)
{
    struct group_batch *batch = batch_create(group, BATCH_OFFSETS);
    batch_add_tombstones_under_way(shard, batch, name);
    const struct group_topic *topic = group_offsets_topic(&group->offsets, name);
    for (uint32_t i = 0; topic && i < group_topic_count(topic); i++) {
        struct committed_offset offset = group_topic_at(topic, i);
        if (!is_of(&offset, id)) continue;
        batch = batch_with_room(shard, batch);
        batch_add_offset_tombstone(batch, name, offset.partition);
    }
    submit_or_destroy(shard, batch);
}

void on_topic_deleted(struct group_shard *shard, struct slice topic, struct uuid id)
{
    MAP_FOR_EACH (&shard->groups, struct group, group) {
        if (group->is_deleting) continue;
        if (group->batch_count > 0 || group_offsets_topic(&group->offsets, topic)) drop_topic(shard, group, topic, id);
    }
}
