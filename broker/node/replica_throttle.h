/* Throttled replication (KIP-73): how fast this node sends, and fetches, what of its replicas is named in
 * leader.replication.throttled.replicas and follower.replication.throttled.replicas.
 *
 * What passes of a throttled replica counts, whoever fetches it; held back is only who is not in sync, so that a throttle never pushes a
 * replica out of the ISR. kafka-reassign-partitions sets rates and lists with --throttle and takes them away with --verify.
 * Without a rate, or without a list, nothing is counted. One owner thread: the broker's. */
#ifndef SKIFF_BROKER_NODE_REPLICA_THROTTLE_H
#define SKIFF_BROKER_NODE_REPLICA_THROTTLE_H

#include "common/token_bucket.h"
#include "controller/metadata/image.h"

enum throttle_side { THROTTLE_LEADER, THROTTLE_FOLLOWER, THROTTLE_SIDES };

/* Of a node; one for each side. */
struct replica_throttle {
    double rate; /* bytes a second; 0: as fast as can be */
    struct token_bucket bucket;
};

/* ..throttled.rate, as it is set for the broker, or for all, or statically (INT64_MAX: no limit). */
double replica_throttle_rate(const struct image *image, int32_t broker_id, enum throttle_side side, int64_t otherwise);
/* ..throttled.replicas of the topic: does it name this broker's replica? */
bool replica_throttle_names(const struct image_topic *topic, int32_t partition, int32_t broker_id, enum throttle_side side);
void replica_throttle_passed(struct replica_throttle *throttle, int64_t bytes, int64_t now_us);
/* 0: now; else how long to wait. */
int64_t replica_throttle_wait_us(struct replica_throttle *throttle, int64_t now_us);
/* No fetch of one partition takes more than a second's worth, but for a first batch that is larger. */
int32_t replica_throttle_cut(const struct replica_throttle *throttle, int32_t bytes_max);

#endif
