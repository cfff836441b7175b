#include "controller/metadata/replication_control.h"

#include "common/assert.h"
#include "controller/metadata/partition_edit.h"
#include "proto/pb.h"

/* ---- brokers come and go --------------------------------------------------------------------------------------------- */

static bool holds(const struct image_partition *partition, int32_t broker_id)
{
    return node_ids_contain(image_isr(partition), broker_id) || node_ids_contain(image_elr(partition), broker_id);
}

static void leave(struct control *control, const struct image_topic *topic, int32_t partition, int32_t broker_id, enum broker_leaves how)
{
    struct partition_edit edit;
    partition_edit_begin(&edit, control->image, topic, partition);
    if (how == BROKER_LEAVES_ISR)
        partition_edit_leave(&edit, broker_id);
    else
        partition_edit_drop(&edit, broker_id);
    partition_edit_commit(&edit, control->records);
    records_cut(control->records);
}

/* A set of replicas, by topic id and partition. */
static struct slice replica_key(struct arena *arena, struct slice topic_id, int32_t partition)
{
    uint8_t *key = arena_alloc(arena, topic_id.n + sizeof partition);
    memcpy(key, topic_id.p, topic_id.n);
    memcpy(key + topic_id.n, &partition, sizeof partition);
    return slice_make(key, topic_id.n + sizeof partition);
}

/* False when it was there already. */
static bool replica_set_add(struct map *set, struct arena *arena, struct slice topic_id, int32_t partition)
{
    struct slice key = replica_key(arena, topic_id, partition);
    if (map_get(set, key)) return false;
    map_put(set, key, set);
    return true;
}

static bool replica_set_has(const struct map *set, const struct image_topic *topic, int32_t partition)
{
    uint8_t key[sizeof topic->id.bytes + sizeof partition];
    if (map_count(set) == 0) return false;
    memcpy(key, topic->id.bytes, sizeof topic->id.bytes);
    memcpy(key + sizeof topic->id.bytes, &partition, sizeof partition);
    return map_get(set, slice_make(key, sizeof key)) != NULL;
}

void replication_broker_leaves(struct control *control, int32_t broker_id, enum broker_leaves how, Skiff__PartitionList *const *lost,
                               size_t lost_count)
{
    struct map set;
    map_init(&set, 0);
    for (size_t l = 0; l < lost_count; l++)
        for (size_t p = 0; p < lost[l]->n_partitions; p++)
            replica_set_add(&set, control->arena, pb_slice(lost[l]->topic_id), lost[l]->partitions[p]);
    struct image_topic *topic;
    for (uint32_t at = 0; (topic = image_next_topic(control->image, &at));) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            if (!holds(&topic->partitions[i], broker_id)) continue;
            enum broker_leaves here = replica_set_has(&set, topic, i) ? BROKER_LEAVES_ISR_AND_ELR : how;
            if (here != BROKER_LEAVES_NOTHING) leave(control, topic, i, broker_id, here);
        }
    }
    map_deinit(&set);
}

void replication_broker_arrives(struct control *control, int32_t broker_id)
{
    struct image_topic *topic;
    for (uint32_t at = 0; (topic = image_next_topic(control->image, &at));) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct image_partition *partition = &topic->partitions[i];
            if (partition->leader != NO_LEADER || !node_ids_contain(image_replicas(partition), broker_id)) continue;
            struct partition_edit edit;
            partition_edit_begin(&edit, control->image, topic, i);
            edit.arriving = broker_id;
            partition_edit_commit(&edit, control->records);
            records_cut(control->records);
        }
    }
}

static bool wants_another_leader(const struct control *control, const struct image_partition *partition, bool preferred_too)
{
    int32_t preferred = image_replicas(partition).ids[0];
    if (partition->leader == preferred) return false;
    if (partition->leader == NO_LEADER) return true;
    return preferred_too && image_is_active(control->image, preferred) && node_ids_contain(image_isr(partition), preferred);
}

uint32_t replication_balance(struct control *control, bool preferred_too, uint32_t count_max)
{
    uint32_t done = 0;
    struct image_topic *topic;
    for (uint32_t at = 0; done < count_max && (topic = image_next_topic(control->image, &at));) {
        for (int32_t i = 0; i < topic->partition_count && done < count_max; i++) {
            if (!wants_another_leader(control, &topic->partitions[i], preferred_too)) continue;
            struct partition_edit edit;
            partition_edit_begin(&edit, control->image, topic, i);
            edit.wants_preferred = preferred_too;
            done += partition_edit_commit(&edit, control->records);
            records_cut(control->records);
        }
    }
    return done;
}

static void apply_min_isr(struct control *control, const struct image_topic *topic, int32_t min_isr)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_partition *partition = &topic->partitions[i];
        if (partition->elr_count == 0 && !image_reassignment_get(control->image, topic->id, i)) continue;
        struct partition_edit edit;
        partition_edit_begin(&edit, control->image, topic, i);
        edit.min_isr = min_isr;
        partition_edit_commit(&edit, control->records);
    }
}

void replication_min_isr_changes(struct control *control, const struct image_topic *topic, int32_t min_isr)
{
    ASSERT(min_isr >= 1);
    if (topic) {
        apply_min_isr(control, topic, min_isr);
        return;
    }
    struct image_topic *each;
    for (uint32_t at = 0; (each = image_next_topic(control->image, &at));)
        if (!image_configs_get(&each->configs, "min.insync.replicas")) apply_min_isr(control, each, min_isr);
}

/* ---- AlterPartition -------------------------------------------------------------------------------------------------- */

/* The epochs come first: whoever is behind must learn that, whatever else it got wrong. */
static enum kafka_error check_epochs(const struct image_partition *partition, int32_t broker_id, const Skiff__AlterPartitionItem *item)
{
    if (item->leader_epoch < partition->leader_epoch) return KAFKA_FENCED_LEADER_EPOCH;
    /* It knows more than this controller: a newer one leads. */
    if (item->leader_epoch > partition->leader_epoch || item->partition_epoch > partition->partition_epoch) return KAFKA_NOT_CONTROLLER;
    if (broker_id != partition->leader) return KAFKA_INVALID_REQUEST;
    if (item->partition_epoch < partition->partition_epoch) return KAFKA_INVALID_UPDATE_VERSION;
    return KAFKA_NONE;
}

/* KIP-841, KIP-903: only a live incarnation that the leader has seen itself may join. */
static bool may_be_in_isr(const struct image *image, const Skiff__IsrMember *member)
{
    const struct image_broker *broker = image_broker_get(image, member->broker_id);
    return image_broker_is_active(broker) && member->broker_epoch == broker->epoch;
}

static enum kafka_error check_isr(const struct image *image, const struct image_partition *partition, const Skiff__AlterPartitionItem *item,
                                  int32_t isr[static REPLICAS_MAX])
{
    if (item->n_isr == 0 || item->n_isr > partition->replica_count) return KAFKA_INVALID_REQUEST;
    for (uint32_t i = 0; i < item->n_isr; i++) {
        isr[i] = item->isr[i]->broker_id;
        if (!node_ids_contain(image_replicas(partition), isr[i])) return KAFKA_INVALID_REQUEST;
        if (node_ids_contain((struct node_ids){isr, i}, isr[i])) return KAFKA_INVALID_REQUEST;
    }
    if (!node_ids_contain((struct node_ids){isr, (uint32_t)item->n_isr}, partition->leader)) return KAFKA_INVALID_REQUEST;
    if (item->recovering && (item->n_isr > 1 || !partition->recovering)) return KAFKA_INVALID_REQUEST;
    for (uint32_t i = 0; i < item->n_isr; i++)
        if (!may_be_in_isr(image, item->isr[i])) return KAFKA_INELIGIBLE_REPLICA;
    return KAFKA_NONE;
}

/* Copies of a proposal that was repeated may come late, and in any order: one that came when the replica has become eligible must not
 * win after the leader was told that none will. */
static void make_copies_stale(struct control *control, const struct image_topic *topic, int32_t partition)
{
    struct partition_edit edit;
    partition_edit_begin(&edit, control->image, topic, partition);
    edit.moves_on = true;
    partition_edit_commit(&edit, control->records);
    records_cut(control->records);
}

static enum kafka_error alter_one(struct control *control, int32_t broker_id, const Skiff__AlterPartitionItem *item)
{
    struct uuid id;
    const struct image_topic *topic = pb_uuid(item->topic_id, &id) ? image_topic_by_id(control->image, id) : NULL;
    if (!topic) return KAFKA_UNKNOWN_TOPIC_ID;
    if (item->partition < 0 || item->partition >= topic->partition_count) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    const struct image_partition *partition = &topic->partitions[item->partition];
    enum kafka_error error = check_epochs(partition, broker_id, item);
    int32_t isr[REPLICAS_MAX];
    if (error == KAFKA_NONE) error = check_isr(control->image, partition, item, isr);
    if (error == KAFKA_INELIGIBLE_REPLICA) make_copies_stale(control, topic, item->partition);
    if (error != KAFKA_NONE) return error;
    struct partition_edit edit;
    partition_edit_begin(&edit, control->image, topic, item->partition);
    partition_edit_set_isr(&edit, (struct node_ids){isr, (uint32_t)item->n_isr});
    edit.after.recovering = item->recovering;
    partition_edit_commit(&edit, control->records);
    records_cut(control->records);
    return KAFKA_NONE;
}

void replication_alter_partition(struct control *control, const Skiff__AlterPartitionRequest *request,
                                 Skiff__AlterPartitionResponse *response)
{
    const struct image_broker *broker = image_broker_get(control->image, request->broker_id);
    if (!broker || broker->epoch != request->broker_epoch) {
        response->outcome->error_code = KAFKA_STALE_BROKER_EPOCH;
        return;
    }
    struct map seen;
    map_init(&seen, 0);
    response->n_results = request->n_items;
    response->results = arena_calloc(control->arena, request->n_items, sizeof(void *));
    for (size_t i = 0; i < request->n_items; i++) {
        Skiff__AlterPartitionResult *result = response->results[i] = arena_alloc(control->arena, sizeof *result);
        skiff__alter_partition_result__init(result);
        result->topic_id = request->items[i]->topic_id;
        result->partition = request->items[i]->partition;
        /* A second item for a partition would be decided on the state before the first. */
        bool is_first = replica_set_add(&seen, control->arena, pb_slice(request->items[i]->topic_id), request->items[i]->partition);
        result->error_code = !is_first ? KAFKA_INVALID_REQUEST : alter_one(control, request->broker_id, request->items[i]);
    }
    map_deinit(&seen);
}
