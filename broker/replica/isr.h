/* In-sync replica sets as bit masks over a partition's replica list, and the high watermark as pure arithmetic.
 *
 * Bit i stands for replicas[i]; REPLICAS_MAX is 64, so a set is one word. Knows no clock, no network and no log. */
#ifndef SKIFF_BROKER_REPLICA_ISR_H
#define SKIFF_BROKER_REPLICA_ISR_H

#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t isr_set;
_Static_assert(REPLICAS_MAX <= 64, "a replica set is one 64-bit word");

#define ISR_OFFSET_UNKNOWN (-1) /* this replica has not fetched in this leader epoch */

static inline isr_set isr_of(size_t replica) { return (isr_set)1 << replica; }
static inline bool isr_has(isr_set set, size_t replica) { return (set >> replica & 1) != 0; }
static inline int32_t isr_count(isr_set set) { return __builtin_popcountll(set); }
static inline bool isr_contains(isr_set outer, isr_set inner) { return (inner & ~outer) == 0; }
/* The first `count` replicas. */
isr_set isr_all(size_t count);

/* What the leader must assume to be in sync: the controller may already have committed the proposal, and an election from
 * either set must find every acknowledged record. So the high watermark waits for both. */
static inline isr_set isr_maximal(isr_set committed, isr_set proposed) { return committed | proposed; }

/* The offset below which every member of `maximal` holds the log: the least of their ends. ISR_OFFSET_UNKNOWN when one of them
 * is unknown. `maximal` is not empty. */
int64_t isr_least_end(const int64_t ends[static 1], size_t count, isr_set maximal);

/* min.insync.replicas cannot ask for more replicas than there are (KIP-966). */
int32_t isr_effective_minimum(int32_t min_insync, size_t replica_count);

/* The new high watermark: the least end of the maximal ISR, if the committed ISR is large enough; it never moves back. */
struct isr_watermark_input {
    const int64_t *ends; /* per replica; the leader's own entry is its durable end */
    size_t count;
    isr_set committed, proposed;
    int32_t min_insync;
    int64_t high_watermark;
};
int64_t isr_high_watermark(const struct isr_watermark_input *input);

#endif
