/* What changed in an image, in O(changes): filled by replay, read by the owner afterwards, then cleared.
 *
 * A thing that changed several times has one row with its state before the first change; the state after is in the image.
 * A topic that was created and removed within one delta leaves no row. A removed topic is kept here, out of the image, with
 * its partitions as they were, until the delta is cleared. One owner thread: the image's. */
#ifndef SKIFF_CONTROLLER_METADATA_DELTA_H
#define SKIFF_CONTROLLER_METADATA_DELTA_H

#include "controller/metadata/image.h"

struct partition_change {
    struct image_topic *topic;
    int32_t partition;
    bool is_new;
    /* Before; NO_LEADER, -1, -1 for a new one. */
    int32_t old_leader, old_leader_epoch, old_partition_epoch;
};
static inline const struct image_partition *partition_change_now(const struct partition_change *change)
{
    return &change->topic->partitions[change->partition];
}

struct topic_list {
    struct image_topic **items;
    uint32_t count, capacity;
};
struct broker_list {
    int32_t *ids;
    uint32_t count, capacity;
};

struct image_delta {
    struct partition_change *partitions; /* created or changed, of topics that exist */
    uint32_t partition_count, partition_capacity;
    struct topic_list topics_created;
    struct topic_list topics_configured; /* created ones may be among them */
    struct topic_list topics_removed;    /* owned */
    struct broker_list brokers;          /* registered, fenced, unfenced or shutting down */
    struct broker_list broker_configs;   /* NO_BROKER: the cluster-wide default */
    bool cluster_changed;                /* the cluster's id */
    bool features_changed;
    bool announce; /* somebody waits for the brokers to apply it: heartbeat at once */
    uint32_t serial;
};

/* Starts an empty delta for `image`; it may then take any number of batches. */
void image_delta_init(struct image_delta *delta, struct image *image);
/* Frees the removed topics and empties it for the next batches. */
void image_delta_clear(struct image_delta *delta, struct image *image);
void image_delta_deinit(struct image_delta *delta);
static inline bool image_delta_is_empty(const struct image_delta *delta)
{
    return !delta->partition_count && !delta->topics_created.count && !delta->topics_configured.count && !delta->topics_removed.count &&
           !delta->brokers.count && !delta->broker_configs.count && !delta->cluster_changed && !delta->features_changed;
}

#endif
