/* The broker's part of /metrics that is not about replicas. One owner thread: the broker's. */
#ifndef SKIFF_BROKER_NODE_BROKER_METRICS_H
#define SKIFF_BROKER_NODE_BROKER_METRICS_H

#include "broker/node/group_coordinator.h"
#include "common/metrics.h"
#include "proto/connection.h"

/* Connections and request memory. */
void measure_server(const struct server *server, struct metrics *metrics);
/* Groups, their offsets, their lag as far as the replicas of this broker can tell. */
void measure_groups(const struct group_coordinator *groups, const struct image *image, const struct replica_manager *replicas,
                    struct metrics *metrics);

#endif
