/* The follower side of replication: one fetcher for each broker that leads something this node follows.
 *
 * A fetcher keeps one connection and one incremental fetch session (KIP-227). A fetch names only what changed: a partition whose
 * last answer has been appended and flushed asks from its new end, which tells the leader that everything below is durable here
 * (flush before progress). One long poll is out at a time; a partition that becomes ready meanwhile sends a second request,
 * and the leader then answers the first one at once: a partition that waits for its disk holds back nobody.
 *
 *   READY --named in a request--> ASKED --records--> BUSY (append, flush) --durable--> READY
 *                                   |----divergence--> BUSY (truncate)    --durable--> READY
 *                                   |----error-------> DELAYED            --backoff--> READY   (also before READY, under a throttle)
 *                                   |----nothing new-> ASKED
 *
 * An answer is obeyed only where the replica still follows in the leader epoch, and stands at the offset, that were asked (Z-01).
 * Owner: the replica manager's thread. */
#ifndef SKIFF_BROKER_NODE_REPLICA_FETCHER_H
#define SKIFF_BROKER_NODE_REPLICA_FETCHER_H

#include "broker/node/replica_internal.h"

/* Role, leader or leader epoch of the replica may have changed: it moves to the fetcher of its leader, or to none. */
void replica_fetcher_assign(struct replica *replica);
/* What it holds is durable: it may ask again. */
void replica_fetcher_on_durable(struct replica *replica);
/* Where its log starts is durable now: the leader is told. */
void replica_fetcher_on_start_durable(struct replica *replica);
void replica_fetcher_forget(struct replica *replica);
/* What its throttle allows has changed. */
void replica_fetcher_on_throttle(struct replica *replica);
/* A broker registered anew, moved or went. */
void replica_fetchers_on_broker(struct replica_manager *manager, int32_t broker_id);
void replica_fetchers_destroy(struct replica_manager *manager);

#endif
