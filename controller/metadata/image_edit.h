/* How replay.c and snapshot.c, and nobody else, build an image: memory of topics, partitions, brokers and configs.
 * None of these checks whether a change makes sense; that is replay's business. */
#ifndef SKIFF_CONTROLLER_METADATA_IMAGE_EDIT_H
#define SKIFF_CONTROLLER_METADATA_IMAGE_EDIT_H

#include "controller/metadata/replay.h"

/* -- topics -- */
struct image_topic *image_add_topic(struct image *image, struct uuid id, struct slice name);
/* Out of the image; the caller owns it. */
void image_take_topic(struct image *image, struct image_topic *topic);
void image_topic_destroy(struct image_topic *topic);
/* The next partition, zeroed, without nodes. */
struct image_partition *image_add_partition(struct image *image, struct image_topic *topic);
/* ISR and ELR are empty then. */
void image_partition_set_replicas(struct image_partition *partition, struct node_ids replicas);
/* ISR and ELR are disjoint subsets of the replicas. */
void image_partition_set_isr(struct image_partition *partition, struct node_ids isr, struct node_ids elr);

/* Two empty lists: none is under way. */
void image_set_reassignment(struct image *image, struct uuid topic_id, int32_t partition, struct node_ids adding, struct node_ids removing);

/* -- brokers -- */
struct image_broker *image_add_broker(struct image *image, int32_t id);
void image_remove_broker(struct image *image, struct image_broker *broker);
/* What a registration brought: listeners, rack, directories, features. */
void image_broker_forget_claims(struct image_broker *broker);

/* -- configs and features -- */
/* NULL removes; returns whether anything changed. */
bool image_configs_set(struct image_configs *configs, const char *name, const char *value);
bool image_set_broker_config(struct image *image, int32_t id, const char *name, const char *value);
/* Level 0 removes. */
void image_set_feature(struct image *image, const char *name, uint32_t level);
/* NULL removes. */
void image_set_quota(struct image *image, const struct quota_entity *entity, const char *key, const double *value);
void image_set_cluster_id(struct image *image, const char *cluster_id);

/* -- batches -- */
/* image_replay() without moving the image's index. */
NODISCARD enum err image_replay_batch(struct image *image, struct slice bytes, int64_t index, struct image_delta *delta,
                                      char why[REPLAY_ERROR_MAX]);

/* -- deltas -- */
/* The partition's row, made now unless it has one. */
void image_delta_touch(struct image_delta *delta, struct image_topic *topic, int32_t partition, bool is_new);
void topic_list_add(struct topic_list *list, struct image_topic *topic);
void image_delta_configured(struct image_delta *delta, struct image_topic *topic);
void broker_list_add_once(struct broker_list *list, int32_t id);
/* The delta's rows from now on are of `image`, which was built from a snapshot. */
void image_delta_rebase(struct image_delta *delta, struct image *image);
/* Takes the topic over: it is out of the image. */
void image_delta_topic_removed(struct image_delta *delta, struct image_topic *topic);

#endif
