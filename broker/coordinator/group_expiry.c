/* Offsets that nobody wants any more: expired, or of a deleted topic. See group_internal.h.
 *
 * G-EXP: the tombstone is in the log before anything is forgotten. A group whose offsets are being written is left for the next round:
 * a tombstone behind a new commit would delete that one. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"
#include "common/checked.h"

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

/* Whether somebody subscribes to the topic takes longest to find out, so it is asked last. */
static uint64_t count_expired_of(const struct group_shard *shard, const struct group *group, const struct group_topic *topic)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < group_topic_count(topic); i++) count += is_expired(shard, group, topic, i);
    return count > 0 && group_is_subscribed(group, group_topic_name(topic)) ? 0 : count;
}

static uint64_t count_expired(const struct group_shard *shard, const struct group *group)
{
    uint64_t count = 0;
    MAP_FOR_EACH (&group->offsets.topics, const struct group_topic, topic) count += count_expired_of(shard, group, topic);
    return count;
}

static void add_expired(const struct group_shard *shard, struct group_batch *batch)
{
    const struct group *group = batch->group;
    MAP_FOR_EACH (&group->offsets.topics, const struct group_topic, topic) {
        if (count_expired_of(shard, group, topic) == 0) continue;
        for (uint32_t i = 0; i < group_topic_count(topic) && batch->append.count < GROUP_BATCH_RECORDS_MAX; i++)
            if (is_expired(shard, group, topic, i))
                batch_add_offset_tombstone(batch, group_topic_name(topic), group_topic_at(topic, i).partition);
    }
}

/* Records written; a large group goes in several rounds, and last of all its own tombstone. */
static size_t expire_group(struct group_shard *shard, struct group *group)
{
    if (group->batch_count > 0 || group->is_deleting) return 0;
    uint64_t expired = count_expired(shard, group);
    bool is_over = group->state == GROUP_EMPTY && map_count(&group->pending) == 0 && expired == group->offsets.count &&
                   expired <= GROUP_BATCH_RECORDS_MAX;
    if (is_over && !group->is_committed) {
        group_destroy(shard, group);
        return 0;
    }
    if (expired == 0 && !is_over) return 0;
    struct group_batch *batch = batch_create(group, is_over ? BATCH_DELETE : BATCH_OFFSETS);
    add_expired(shard, batch);
    shard->counters.offsets_expired += batch->append.count;
    if (is_over) batch_add_group_tombstone(batch);
    size_t count = batch->append.count;
    batch_submit(shard, batch, NULL);
    return expired > GROUP_BATCH_RECORDS_MAX ? EXPIRY_RECORDS_PER_STEP : count;
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
