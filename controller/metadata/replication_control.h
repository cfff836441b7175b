/* ISR, ELR and leadership of partitions as brokers come and go: AlterPartition, fencing, unfencing, preferred leaders.
 * The rules of a single change are in partition_edit.h. */
#ifndef SKIFF_CONTROLLER_METADATA_REPLICATION_CONTROL_H
#define SKIFF_CONTROLLER_METADATA_REPLICATION_CONTROL_H

#include "controller/metadata/control.h"
#include "gen/controller_rpc.pb-c.h"

/* KIP-497 with KIP-841 and KIP-903: compare-and-set of ISRs on (leader epoch, partition epoch). The response lives in the arena;
 * its states hold once the records are committed. */
void replication_alter_partition(struct control *control, const Skiff__AlterPartitionRequest *request,
                                 Skiff__AlterPartitionResponse *response);

enum broker_leaves {
    BROKER_LEAVES_NOTHING,
    BROKER_LEAVES_ISR,         /* fenced, or shutting down: it may be in the ELR afterwards */
    BROKER_LEAVES_ISR_AND_ELR, /* what it held may be lost */
};
/* In all partitions; the leaderships move. The replicas in `lost` (unknown ones are skipped) leave ISR and ELR in any case: they are
 * damaged, or their directory is offline. To be committed before, or with, the broker's own record. */
void replication_broker_leaves(struct control *control, int32_t broker_id, enum broker_leaves how, Skiff__PartitionList *const *lost,
                               size_t lost_count);
/* Elects in partitions without leader. To be committed with or after the record that unfences the broker. */
void replication_broker_arrives(struct control *control, int32_t broker_id);
/* Partitions without a leader get one where that has become possible, and (`preferred_too`) preferred replicas get their leadership
 * back: at most `count_max` of them. Returns how many. */
uint32_t replication_balance(struct control *control, bool preferred_too, uint32_t count_max);
/* Partitions of `topic` (NULL: of all topics) after a change of min.insync.replicas that is in the same batch: P-ISR. */
void replication_min_isr_changes(struct control *control, const struct image_topic *topic, int32_t min_isr);

#endif
