/* Produce requests that wait for the high watermark (acks=all), one list per partition in offset order.
 *
 * A waiter is embedded in the request and owned by it. Adding and completing are O(1): offsets are handed out in
 * order, so a new one belongs at the end (the retry of an older batch looks for its place), and the high watermark pops from the
 * front. The purgatory holds no deadline: the request's own timer calls purgatory_cancel(). One owner thread. */
#ifndef SKIFF_BROKER_REPLICA_PURGATORY_H
#define SKIFF_BROKER_REPLICA_PURGATORY_H

#include "common/list.h"
#include "proto/errors.h"

#include <stdint.h>

struct produce_waiter {
    struct list_node node;
    int64_t required_offset; /* acknowledged when the high watermark is at or above it: last offset of the batch + 1 */
    int32_t leader_epoch;    /* of the append, or of the same leader after it; an acknowledgement in another would be a lie (Q-ACK) */
    enum kafka_error error;  /* set on completion */
};

struct purgatory {
    struct list waiters;
};

void purgatory_init(struct purgatory *purgatory);
void purgatory_deinit(struct purgatory *purgatory); /* asserts that nobody waits */
static inline bool purgatory_is_empty(const struct purgatory *purgatory) { return list_is_empty(&purgatory->waiters); }

void purgatory_add(struct purgatory *purgatory, struct produce_waiter *waiter);
/* Those that the high watermark has passed move to the end of `completed`, in offset order, without an error. */
void purgatory_complete(struct purgatory *purgatory, int64_t high_watermark, struct list *completed);
/* All move to the end of `completed`, in offset order, with `error`. */
void purgatory_fail(struct purgatory *purgatory, enum kafka_error error, struct list *completed);
/* Their leader stays, in a new epoch. */
void purgatory_renew(struct purgatory *purgatory, int32_t leader_epoch);
/* The waiter leaves, uncompleted. No-op when it does not wait. */
void purgatory_cancel(struct produce_waiter *waiter);

#endif
