/* The whole state again, behind everything else in the log, so that what lies before it can go: the log of a coordinator stays small
 * without compaction. See struct group_snapshot (group_shard.h).
 *
 * What is written is what is committed, and replaying it changes nothing, wherever in it the log begins: a group's newest metadata
 * record byte for byte, and its offsets. A key that a batch under way writes is left out: that batch lies behind the snapshot's
 * beginning, and the value here would undo it. The snapshot is done when that batch, too, is committed; when it is refused, the snapshot
 * has failed, for the key's only record lies before it.
 *
 * A lot of batches at a time, the next when that one is committed: commits of clients wait behind a lot at most. */
#include "broker/coordinator/group_internal.h"

#include "common/assert.h"

#define LOT_BYTES ((size_t)256 << 10) /* the most that shares one record batch */

bool group_shard_can_snapshot(const struct group_shard *shard)
{
    const struct group_snapshot *snapshot = &shard->snapshot;
    if (shard->state != GROUP_SHARD_ACTIVE || snapshot->state == GROUP_SNAPSHOT_RUNNING || snapshot->pending > 0) return false;
    return shard->counters.records_skipped == 0 && shard->counters.records_malformed == 0;
}

void group_note_logged(struct group *group, struct slice value)
{
    ASSERT(!slice_is_null(value));
    struct slice before = group->logged;
    group->logged = text_copy(value);
    group->bytes += value.n;
    group->bytes -= before.n;
    text_free(before);
}

/* ---- what is under way ---- */

/* Keys of the group's records that are on their way into the log. */
static void collect_under_way(const struct group_shard *shard, const struct group *group, struct map *keys)
{
    map_init(keys, shard->seed);
    if (group->batch_count == 0) return;
    LIST_FOR_EACH (&shard->batches, node) {
        struct group_batch *batch = CONTAINER_OF(node, struct group_batch, node);
        if (batch->group != group || batch->kind == BATCH_SNAPSHOT) continue;
        for (size_t i = 0; i < batch->append.count; i++)
            if (!map_get(keys, batch->append.records[i].key)) map_put(keys, batch->append.records[i].key, batch);
    }
}

static bool has_metadata_key(const struct map *keys, struct slice group)
{
    struct writer w;
    if (map_count(keys) == 0) return false;
    writer_init(&w, 64);
    group_record_write_metadata_key(&w, group);
    bool is_there = map_get(keys, writer_slice(&w)) != NULL;
    writer_deinit(&w);
    return is_there;
}

static bool has_offset_key(const struct map *keys, struct slice group, struct slice topic, int32_t partition)
{
    struct writer w;
    if (map_count(keys) == 0) return false;
    writer_init(&w, 128);
    group_record_write_offset_key(&w, group, topic, partition);
    bool is_there = map_get(keys, writer_slice(&w)) != NULL;
    writer_deinit(&w);
    return is_there;
}

/* ---- writing ---- */

struct lot {
    struct group_shard *shard;
    struct group *group;
    struct group_batch *batch; /* NULL: none begun */
    struct map under_way;
    size_t bytes; /* of the whole lot */
};

static void submit(struct lot *lot)
{
    struct group_snapshot *snapshot = &lot->shard->snapshot;
    if (!lot->batch) return;
    snapshot->pending++;
    snapshot->records += lot->batch->append.count;
    snapshot->bytes += writer_size(&lot->batch->bytes);
    lot->bytes += writer_size(&lot->batch->bytes);
    batch_submit(lot->shard, lot->batch, NULL);
    lot->batch = NULL;
}

static struct group_batch *batch_of(struct lot *lot)
{
    if (lot->batch && lot->batch->append.count >= GROUP_BATCH_RECORDS_MAX) submit(lot);
    if (!lot->batch) lot->batch = batch_create(lot->group, BATCH_SNAPSHOT);
    return lot->batch;
}

static void write_offset(struct lot *lot, const struct group_topic *topic, const struct committed_offset *offset)
{
    struct slice name = group_topic_name(topic);
    if (has_offset_key(&lot->under_way, lot->group->id, name, offset->partition)) return;
    struct offset_commit_value value = {
        .offset = offset->offset,
        .leader_epoch = offset->leader_epoch,
        .metadata = offset->metadata,
        .commit_timestamp = offset->commit_ms,
        .expire_timestamp = offset->expire_ms,
        .topic_id = offset->topic_id,
    };
    batch_add_offset(batch_of(lot), name, offset->partition, &value);
}

static void write_metadata(struct lot *lot)
{
    struct group *group = lot->group;
    if (group->snapshot_serial == lot->shard->snapshot.serial) return;
    group->snapshot_serial = lot->shard->snapshot.serial;
    if (!slice_is_null(group->logged) && !has_metadata_key(&lot->under_way, group->id)) batch_add_logged_metadata(batch_of(lot));
}

static bool is_lot_full(const struct lot *lot) { return lot->bytes + (lot->batch ? writer_size(&lot->batch->bytes) : 0) >= LOT_BYTES; }

/* False: the lot is full, and the rest of the group comes with the next. Topics are marked instead of counted, because they come and
 * go between two lots. */
static bool write_topics(struct lot *lot)
{
    MAP_FOR_EACH (&lot->group->offsets.topics, struct group_topic, topic) {
        if (topic->snapshot_serial == lot->shard->snapshot.serial) continue;
        if (is_lot_full(lot)) return false;
        topic->snapshot_serial = lot->shard->snapshot.serial;
        for (uint32_t i = 0; i < group_topic_count(topic); i++) {
            struct committed_offset offset = group_topic_at(topic, i);
            write_offset(lot, topic, &offset);
        }
    }
    return true;
}

/* A group that is being deleted leaves its tombstones behind the snapshot's beginning. */
static bool write_group(struct lot *lot, struct group *group)
{
    if (group->is_deleting) return true;
    lot->group = group;
    collect_under_way(lot->shard, group, &lot->under_way);
    write_metadata(lot);
    bool is_whole = write_topics(lot);
    submit(lot);
    map_deinit(&lot->under_way);
    return is_whole;
}

static void write_lot(struct group_shard *shard)
{
    struct group_snapshot *snapshot = &shard->snapshot;
    struct lot lot = {.shard = shard};
    struct list_node *node = NULL;
    while (!is_lot_full(&lot) && (node = list_first(&snapshot->groups)) != NULL)
        if (write_group(&lot, CONTAINER_OF(node, struct group, in_snapshot))) list_remove(node);
    snapshot->last_token = shard->last_token;
}

/* The lot is committed, and what it left out. */
static bool is_settled(const struct group_shard *shard)
{
    LIST_FOR_EACH (&shard->batches, node) return CONTAINER_OF(node, struct group_batch, node)->append.token > shard->snapshot.last_token;
    return true;
}

/* ---- the steps ---- */

void on_snapshot(struct group_shard *shard)
{
    struct group_snapshot *snapshot = &shard->snapshot;
    ASSERT(group_shard_can_snapshot(shard));
    ASSERT(list_is_empty(&snapshot->groups));
    snapshot->state = GROUP_SNAPSHOT_RUNNING;
    snapshot->serial++;
    snapshot->records = snapshot->bytes = 0;
    MAP_FOR_EACH (&shard->groups, struct group, group)
        if (group->is_committed) list_push_back(&snapshot->groups, &group->in_snapshot);
    snapshot->last_token = 0;
    snapshot_go_on(shard);
}

void snapshot_on_committed(struct group_shard *shard, const struct group_batch *batch)
{
    if (batch->kind != BATCH_SNAPSHOT) return;
    ASSERT(shard->snapshot.pending > 0);
    shard->snapshot.pending--;
}

void snapshot_on_refused(struct group_shard *shard, const struct group_batch *batch)
{
    struct group_snapshot *snapshot = &shard->snapshot;
    if (batch->kind == BATCH_SNAPSHOT) {
        ASSERT(snapshot->pending > 0);
        snapshot->pending--;
    }
    if (snapshot->state != GROUP_SNAPSHOT_RUNNING) return;
    snapshot->state = GROUP_SNAPSHOT_FAILED;
    while (list_pop_front(&snapshot->groups)) continue;
}

void snapshot_go_on(struct group_shard *shard)
{
    struct group_snapshot *snapshot = &shard->snapshot;
    while (snapshot->state == GROUP_SNAPSHOT_RUNNING && is_settled(shard)) {
        if (list_is_empty(&snapshot->groups))
            snapshot->state = GROUP_SNAPSHOT_DONE;
        else
            write_lot(shard);
    }
}
