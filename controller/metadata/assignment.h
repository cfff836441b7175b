/* The replicas of new partitions, by placement or as the request gives them, checked. */
#ifndef SKIFF_CONTROLLER_METADATA_ASSIGNMENT_H
#define SKIFF_CONTROLLER_METADATA_ASSIGNMENT_H

#include "controller/metadata/control.h"

/* A replica list given by hand. A later list must be as long as the first (`replica_count`; 0: this is the first). */
struct refusal assignment_check(struct control *control, int32_t partition, struct node_ids replicas, uint32_t replica_count);
/* The same, also when all of them are fenced: of a partition that exists. */
struct refusal assignment_check_ids(struct control *control, struct node_ids replicas, uint32_t replica_count);
/* Room for `count` partitions with that many replicas each. */
struct refusal assignment_check_automatic(struct control *control, uint32_t replica_count);
/* The first state of a partition: its active replicas are in sync, the first of them leads. */
void assignment_first_state(const struct image *image, struct node_ids replicas, struct partition_state *state);

#endif
