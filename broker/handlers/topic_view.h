/* What Metadata, DescribeTopicPartitions and DescribeCluster say of topics, partitions and brokers: the same facts in three shapes.
 * No state; the arrays are the call's. */
#ifndef SKIFF_BROKER_HANDLERS_TOPIC_VIEW_H
#define SKIFF_BROKER_HANDLERS_TOPIC_VIEW_H

#include "broker/handlers/handler.h"

struct ids {
    int32_t *items; /* in the call's arena */
    int32_t count;
};
struct partition_view {
    enum kafka_error error; /* LEADER_NOT_AVAILABLE, LISTENER_NOT_FOUND */
    int32_t leader_id;      /* -1: none that this client can reach */
    int32_t leader_epoch;
    struct ids replicas, isr, elr, offline;
};
/* `error_of_listener`: what old clients are told when the leader has no address on this call's listener. */
struct partition_view partition_view(struct call *call, const struct image_partition *partition, enum kafka_error error_of_listener);

/* A broker that clients can reach and may use. */
bool is_visible_broker(const struct call *call, const struct image_broker *broker);
/* Where clients send what only the controller may do: any broker forwards it, so the active controller's if it is one. */
int32_t visible_controller(const struct call *call);
bool is_internal_topic(struct slice name);

#endif
