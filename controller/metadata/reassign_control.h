/* Replicas and leaders that operators move: AlterPartitionReassignments and ElectLeaders, with Kafka's codes and texts; and the
 * controller's own: internal topics get more replicas when brokers join. Answers live in the arena. */
#ifndef SKIFF_CONTROLLER_METADATA_REASSIGN_CONTROL_H
#define SKIFF_CONTROLLER_METADATA_REASSIGN_CONTROL_H

#include "controller/metadata/control.h"
#include "gen/kmsg.h"

/* Each partition of the request stands or falls by itself. */
void reassign_partitions(struct control *control, const struct alter_partition_reassignments_request *request,
                         struct alter_partition_reassignments_response *response);

enum election_type { ELECTION_PREFERRED = 0, ELECTION_UNCLEAN = 1 };
void elect_leaders(struct control *control, const struct elect_leaders_request *request, struct elect_leaders_response *response);

/* Internal topics with fewer than `factor` replicas get more on active brokers, at most `count_max` partitions at a time: a cluster that
 * began with one node keeps its offsets safe once there are three. Returns how many partitions change. */
uint32_t reassign_grow_internal_topics(struct control *control, uint32_t factor, uint32_t count_max);

#endif
