/* Which brokers get the replicas of new partitions.
 *
 * Round robin from a random start: leaders go around the ring of active brokers, followers at a distance that grows with each
 * round, so that the partitions of a lost broker are spread over all others. The ring alternates between racks, and no rack gets
 * a second replica before every rack has one. Fenced brokers get what the active ones cannot take; they never come first. */
#ifndef SKIFF_CONTROLLER_METADATA_PLACEMENT_H
#define SKIFF_CONTROLLER_METADATA_PLACEMENT_H

#include "common/prng.h"
#include "controller/metadata/image.h"

struct placement {
    const struct image_broker **ring; /* active ones first, by rack in turn; then the fenced ones */
    uint32_t active_count, count;
    uint32_t rack_count;
    uint64_t start, shift;
};

void placement_init(struct placement *placement, const struct image *image, struct prng *prng);
void placement_deinit(struct placement *placement);
/* The replicas of the `n`-th new partition. 1 <= replica_count <= placement->count, and active_count > 0. */
void placement_next(const struct placement *placement, uint32_t n, uint32_t replica_count, int32_t *replicas);

#endif
