/* What the replica manager counts, and its part of /metrics. Counters only grow; those of a topic begin anew when the last of its
 * partitions has left this broker. One owner thread: the env's. */
#ifndef SKIFF_BROKER_NODE_REPLICA_METRICS_H
#define SKIFF_BROKER_NODE_REPLICA_METRICS_H

#include "common/histogram.h"
#include "common/map.h"
#include "common/uuid.h"

struct replica;
struct replica_fetch;

struct traffic {
    uint64_t messages_in, bytes_in; /* from producers */
    uint64_t bytes_out;             /* to consumers */
};
struct topic_traffic {
    struct uuid topic_id; /* key in the map */
    uint32_t references;  /* replicas */
    struct traffic traffic;
    int64_t log_bytes; /* counted for the page that is being filled */
};

struct replica_counters {
    struct traffic traffic;
    struct map topics; /* id -> struct topic_traffic */
    uint64_t replication_bytes_in, replication_bytes_out;
    uint64_t produce_batches, produce_failed, fetch_partitions, fetch_failed;
    uint64_t isr_shrinks, isr_expands;
    struct histogram flushes;
};

void replica_counters_init(struct replica_counters *counters, uint64_t seed);
/* Asserts that no topic is in use. */
void replica_counters_deinit(struct replica_counters *counters);
struct topic_traffic *topic_traffic_ref(struct replica_counters *counters, struct uuid topic_id);
void topic_traffic_unref(struct replica_counters *counters, struct topic_traffic *traffic);

/* A producer's batch is in the log. */
void replica_count_appended(struct replica *replica, int64_t messages, int64_t bytes);
/* The request has its results. */
void replica_count_fetched(const struct replica_fetch *request);
/* The in-sync set changed; `before` is how many there were. */
void replica_count_isr(struct replica *replica, int32_t before);

#endif
