#include "controller/metadata/delta.h"

#include "common/assert.h"
#include "common/mem.h"
#include "controller/metadata/image_edit.h"

#define PARTITIONS_KEPT 256 /* room for changes that stays */

/* A serial that no partition carries: partitions start with 0. */
static uint32_t next_serial(struct image *image)
{
    if (++image->delta_serial == 0) image->delta_serial = 1;
    return image->delta_serial;
}

void image_delta_init(struct image_delta *delta, struct image *image) { *delta = (struct image_delta){.serial = next_serial(image)}; }

void image_delta_rebase(struct image_delta *delta, struct image *image)
{
    ASSERT(delta->partition_count == 0);
    delta->serial = next_serial(image);
}

/* Changes are many at once when thousands of partitions are created or a broker is lost, and few the rest of the time. */
static void give_back(struct image_delta *delta)
{
    if (delta->partition_capacity <= PARTITIONS_KEPT) return;
    mem_free(delta->partitions);
    delta->partitions = NULL;
    delta->partition_capacity = 0;
}

void image_delta_clear(struct image_delta *delta, struct image *image)
{
    for (uint32_t i = 0; i < delta->topics_removed.count; i++) image_topic_destroy(delta->topics_removed.items[i]);
    delta->partition_count = 0;
    give_back(delta);
    delta->topics_created.count = delta->topics_configured.count = delta->topics_removed.count = 0;
    delta->brokers.count = delta->broker_configs.count = 0;
    delta->cluster_changed = delta->features_changed = delta->announce = false;
    delta->serial = next_serial(image);
}

void image_delta_deinit(struct image_delta *delta)
{
    for (uint32_t i = 0; i < delta->topics_removed.count; i++) image_topic_destroy(delta->topics_removed.items[i]);
    mem_free(delta->partitions);
    mem_free(delta->topics_created.items);
    mem_free(delta->topics_configured.items);
    mem_free(delta->topics_removed.items);
    mem_free(delta->brokers.ids);
    mem_free(delta->broker_configs.ids);
}

void image_delta_touch(struct image_delta *delta, struct image_topic *topic, int32_t partition, bool is_new)
{
    ASSERT(partition >= 0 && partition < topic->partition_count);
    struct image_partition *now = &topic->partitions[partition];
    if (now->touched == delta->serial) return;
    now->touched = delta->serial;
    if (delta->partition_count == delta->partition_capacity) {
        delta->partition_capacity = delta->partition_capacity ? delta->partition_capacity * 2 : 16;
        delta->partitions = mem_realloc(delta->partitions, delta->partition_capacity, sizeof *delta->partitions);
    }
    struct partition_change *row = &delta->partitions[delta->partition_count++];
    *row = (struct partition_change){.topic = topic,
                                     .partition = partition,
                                     .is_new = is_new,
                                     .old_leader = NO_LEADER,
                                     .old_leader_epoch = -1,
                                     .old_partition_epoch = -1};
    if (is_new) return;
    row->old_leader = now->leader;
    row->old_leader_epoch = now->leader_epoch;
    row->old_partition_epoch = now->partition_epoch;
}

void topic_list_add(struct topic_list *list, struct image_topic *topic)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 4;
        list->items = mem_realloc(list->items, list->capacity, sizeof(void *));
    }
    list->items[list->count++] = topic;
}

void image_delta_configured(struct image_delta *delta, struct image_topic *topic)
{
    if (topic->configured == delta->serial) return;
    topic->configured = delta->serial;
    topic_list_add(&delta->topics_configured, topic);
}

static bool topic_list_remove(struct topic_list *list, const struct image_topic *topic)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i] != topic) continue;
        memmove(&list->items[i], &list->items[i + 1], (--list->count - i) * sizeof(void *));
        return true;
    }
    return false;
}

void broker_list_add_once(struct broker_list *list, int32_t id)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->ids[i] == id) return;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 4;
        list->ids = mem_realloc(list->ids, list->capacity, sizeof *list->ids);
    }
    list->ids[list->count++] = id;
}

static void drop_partition_rows(struct image_delta *delta, const struct image_topic *topic)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < delta->partition_count; i++)
        if (delta->partitions[i].topic != topic) delta->partitions[kept++] = delta->partitions[i];
    delta->partition_count = kept;
}

void image_delta_topic_removed(struct image_delta *delta, struct image_topic *topic)
{
    bool is_touched = false;
    for (int32_t i = 0; i < topic->partition_count && !is_touched; i++) is_touched = topic->partitions[i].touched == delta->serial;
    if (is_touched) drop_partition_rows(delta, topic);
    if (topic->configured == delta->serial) topic_list_remove(&delta->topics_configured, topic);
    if (topic_list_remove(&delta->topics_created, topic)) {
        image_topic_destroy(topic);
        return;
    }
    topic_list_add(&delta->topics_removed, topic);
}
