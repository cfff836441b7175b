/* The records that a decision makes, packed into batches as they come.
 *
 * A batch is applied as a whole, so what must stay together is written between two records_cut() calls. A decision that needs
 * more than METADATA_RECORDS_PER_OPERATION_MAX records (a broker that held 100,000 partitions is fenced) becomes several batches,
 * committed in order; every prefix must leave a valid state. One owner thread. */
#ifndef SKIFF_CONTROLLER_METADATA_RECORDS_H
#define SKIFF_CONTROLLER_METADATA_RECORDS_H

#include "common/limits.h"
#include "common/writer.h"
#include "controller/metadata/image.h"
#include "gen/metadata.pb-c.h"

struct records {
    struct buf **batches; /* complete ones */
    uint32_t batch_count, batch_capacity;
    struct writer open; /* the batch under way */
    uint32_t open_count;
    size_t cut_size; /* of `open` at the last cut */
    uint32_t cut_count;
    bool announce;
};

/* A partition's changing part outside an image (struct PartitionState in metadata.proto). */
struct partition_state {
    int32_t leader, leader_epoch, partition_epoch, last_known_leader;
    bool recovering;
    uint32_t replica_count, isr_count, elr_count, adding_count, removing_count;
    int32_t replicas[REPLICAS_MAX], isr[REPLICAS_MAX], elr[REPLICAS_MAX], adding[REPLICAS_MAX], removing[REPLICAS_MAX];
    bool has_new_replicas; /* a change of the partition changes them */
};
void partition_state_of(const struct image *image, const struct image_topic *topic, int32_t partition, struct partition_state *out);

void records_init(struct records *records);
void records_deinit(struct records *records);
/* The records since the last cut belong together; what follows may go to another batch. */
void records_cut(struct records *records);
/* Drops what came after the last cut. */
void records_rollback(struct records *records);
static inline bool records_is_empty(const struct records *records) { return records->batch_count == 0 && records->open_count == 0; }
/* Closes the open batch. The references are the caller's; NULL and 0 when there is nothing. */
struct buf **records_take(struct records *records, uint32_t *count);

void records_add(struct records *records, Skiff__MetadataRecord *record);
void records_add_topic(struct records *records, struct uuid topic_id, struct slice name);
void records_add_partition(struct records *records, struct uuid topic_id, int32_t partition, struct node_ids replicas,
                           struct partition_state *state);
void records_add_partition_change(struct records *records, struct uuid topic_id, int32_t partition, struct partition_state *state);
void records_add_remove_topic(struct records *records, struct uuid topic_id);
void records_add_broker_change(struct records *records, const struct image_broker *broker, bool fenced, bool in_controlled_shutdown);
/* `value` NULL removes. */
void records_add_config(struct records *records, Skiff__ConfigResource resource, const char *resource_name, const char *name,
                        const char *value);
void records_add_unregister_broker(struct records *records, const struct image_broker *broker);
void records_add_broker_epoch(struct records *records, int64_t broker_epoch);
/* `value` NULL removes. */
void records_add_quota(struct records *records, const struct quota_entity *entity, const char *key, const double *value);
void records_add_feature(struct records *records, const char *name, uint32_t level);
void records_add_producer_ids(struct records *records, int64_t next_producer_id);
void records_add_cluster(struct records *records, const char *cluster_id);

#endif
