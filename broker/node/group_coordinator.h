/* The group coordinators of this broker: one struct group_shard (broker/coordinator/group_shard.h) for each partition of
 * __consumer_offsets that it leads.
 *
 *   handlers --struct group_call--> group_coordinator --events--> group_shard
 *                                      |      ^
 *              one produce a turn, acks=all    loading: a fetch from the log's start up to where the leader's epoch began
 *                                      v      |
 *                                   replica_manager
 *
 * A partition's coordinator lives for one leader epoch. It serves once it has replayed the log up to the end that the epoch began
 * with, all of it below the high watermark (G-OFFDUR), and when the coordinator before it cannot answer any more (lease.h); a newer epoch
 * ends it, and all who wait are sent elsewhere (G-RACE). What it knows is told only while the broker's lease holds (G-OFFMON).
 * One owner thread: the broker's. */
#ifndef SKIFF_BROKER_NODE_GROUP_COORDINATOR_H
#define SKIFF_BROKER_NODE_GROUP_COORDINATOR_H

#include "broker/coordinator/group_shard.h"
#include "broker/node/controller_channel.h"
#include "broker/node/replica_manager.h"
#include "common/config.h"

#define OFFSETS_TOPIC "__consumer_offsets"

struct group_coordinator;

/* A request and who gets its answer: owned by the caller until done(), which comes exactly once, perhaps from inside
 * group_coordinator_send(). */
struct group_call {
    struct group_request request;
    void (*done)(struct group_call *call, int64_t now_us);
    void *user;
};

/* The image and the replicas must outlive it; the channel, until it is stopped. */
struct group_coordinator *group_coordinator_create(struct env *env, const struct config *config, const struct image *image,
                                                   struct replica_manager *replicas, struct controller_channel *controller,
                                                   int32_t node_id);
/* The image has changed by `delta`, and the replica manager knows. */
void group_coordinator_apply(struct group_coordinator *coordinator, const struct image_delta *delta, int64_t now_us);
/* The node stops: all who wait get NOT_COORDINATOR, and nobody leads here any more. Before replica_manager_stop() or _destroy(). */
void group_coordinator_stop(struct group_coordinator *coordinator, int64_t now_us);
/* Stopped before, and the replica manager is gone. */
void group_coordinator_destroy(struct group_coordinator *coordinator);

/* The partition of __consumer_offsets that has this group: Kafka's hash of its name. COORDINATOR_NOT_AVAILABLE: the topic does not exist.
 */
enum kafka_error group_coordinator_partition(const struct group_coordinator *coordinator, struct slice group_id, int32_t *partition);
/* NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS and the like come as answers, too. */
void group_coordinator_send(struct group_coordinator *coordinator, struct group_call *call, int64_t now_us);
/* NULL: *error says why this node cannot look at the group. */
const struct group_shard *group_coordinator_shard(const struct group_coordinator *coordinator, struct slice group_id,
                                                  enum kafka_error *error);
/* The shards that serve, one after the other: start with *position = 0; NULL at the end. */
const struct group_shard *group_coordinator_next(const struct group_coordinator *coordinator, uint32_t *position);
/* NONE: all partitions that this node leads are loaded, and nobody else can have taken them over. */
enum kafka_error group_coordinator_check_all(const struct group_coordinator *coordinator);

/* String.hashCode() of Java, over UTF-16, of UTF-8 text. */
int32_t java_string_hash(struct slice text);

#endif
