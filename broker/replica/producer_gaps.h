/* Batches of idempotent producers that were refused before the log knew the producer.
 *
 * A producer that the log does not know may begin with any sequence: retention may have dropped its state (I-NOSTATE). But when this
 * node has just refused its batch 0 (too few replicas, no space, not the leader yet), batch 1 of the same pipeline must not be
 * taken for such a beginning: batch 0 could never follow. So the node remembers what it refused, and refuses what comes after it
 * until that one came. Bounded: whoever was refused longest ago goes first, and after producer.id.expiration.ms of silence
 * everybody, as from the log's producer state. Time comes with each call. Pure; one owner thread. */
#ifndef SKIFF_BROKER_REPLICA_PRODUCER_GAPS_H
#define SKIFF_BROKER_REPLICA_PRODUCER_GAPS_H

#include "common/list.h"
#include "common/map.h"

#define PRODUCER_GAPS_MAX 1000 /* per partition: producers that begin while it refuses */

struct producer_gaps {
    struct map by_id;
    struct list by_age; /* the last refusal; the oldest first */
};

void producer_gaps_init(struct producer_gaps *gaps, uint64_t seed);
void producer_gaps_deinit(struct producer_gaps *gaps);
/* The batch was refused. */
void producer_gaps_note(struct producer_gaps *gaps, int64_t producer_id, int16_t epoch, int32_t sequence, int64_t now_us);
/* Forgets those that were refused last at `until_us` or before. */
void producer_gaps_expire(struct producer_gaps *gaps, int64_t until_us);
/* May the log take this as the producer's first batch? Forgets the gap if so. */
bool producer_gaps_admit(struct producer_gaps *gaps, int64_t producer_id, int16_t epoch, int32_t sequence);

#endif
