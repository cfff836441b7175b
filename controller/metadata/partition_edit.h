/* One change of one partition: who is in the ISR and ELR, who leads, and the epochs that follow.
 *
 *   partition_edit_begin()  ->  who leaves, who comes, what is wanted  ->  partition_edit_finish()
 *
 * Rules (reliability: P-ISR, P-PE, Q-LEADER; KIP-966):
 *  E1  While the ISR has at least min.insync.replicas members (or all replicas) the ELR is empty. Below that the high watermark
 *      stands still, so whoever leaves the ISR then holds every committed record: it is in the ELR.
 *  E2  Whoever may have lost data leaves ISR and ELR both.
 *  E3  A leader is active (unfenced, not shutting down) and in the ISR; else active and in the ELR: then it is the whole new ISR.
 *  E4  Only where unclean election is allowed any active replica may follow, as the whole ISR, marked as recovering.
 *      A broker that runs log.flush.policy=os may come back as the leader it last was: its operator chose Kafka's stance,
 *      where a crash is forgiven.
 *  E6  A reassignment ends when all that it adds are in the ISR and min.insync.replicas of those who stay are (Kafka: one): those that
 *      it removes leave replicas, ISR and ELR in that change.
 *  E5  The leader epoch grows by one with each change of the leader, also to none, and when a replica goes: what it fetched before it
 *      learnt that, and deleted its log, must not count should it come back. The partition epoch grows with each change. */
#ifndef SKIFF_CONTROLLER_METADATA_PARTITION_EDIT_H
#define SKIFF_CONTROLLER_METADATA_PARTITION_EDIT_H

#include "controller/metadata/records.h"

struct partition_edit {
    const struct image *image;
    const struct image_topic *topic;
    int32_t partition;
    const struct image_partition *before;
    struct partition_state after;
    int32_t min_isr;         /* as configured in the image; set it when the same batch changes it */
    int32_t leaving;         /* broker that the same batch fences or shuts down; NO_BROKER */
    int32_t arriving;        /* broker that the same batch unfences; NO_BROKER */
    int32_t dropped;         /* E2; NO_BROKER */
    bool is_unclean_allowed; /* from the image */
    bool wants_preferred;    /* prefer the first replica to the current leader */
    bool moves_on;           /* the partition epoch is to grow, whatever else changes */
};

void partition_edit_begin(struct partition_edit *edit, const struct image *image, const struct image_topic *topic, int32_t partition);
/* Out of the ISR; as `leaving`. */
void partition_edit_leave(struct partition_edit *edit, int32_t broker_id);
/* Out of ISR and ELR. */
void partition_edit_drop(struct partition_edit *edit, int32_t broker_id);
void partition_edit_set_isr(struct partition_edit *edit, struct node_ids isr);
/* Wants other replicas: merged with those that are to go (KIP-455). False: too few of
 * those who hold what was committed would be left. */
bool partition_edit_reassign(struct partition_edit *edit, struct node_ids target);
/* Gives a reassignment up. False: as above. */
bool partition_edit_revert(struct partition_edit *edit);
/* Applies the rules; false when nothing changes. */
bool partition_edit_finish(struct partition_edit *edit);
/* The same, and writes the record. */
bool partition_edit_commit(struct partition_edit *edit, struct records *records);

#endif
