/* API keys of the requests between Skiff's own nodes. They ride in Kafka's frames (request header v1, response header v0) with
 * protobuf bodies, far above Kafka's own keys; ApiVersions does not list them. */
#ifndef SKIFF_PROTO_PRIVATE_API_H
#define SKIFF_PROTO_PRIVATE_API_H

#include <stdbool.h>
#include <stdint.h>

enum private_api {
    /* Between controllers, and from learners to controllers (proto/raft.proto, controller/raft/raft.h). */
    PRIVATE_API_PROBE = 20000,
    PRIVATE_API_VOTE = 20001,
    PRIVATE_API_APPEND = 20002,
    PRIVATE_API_SNAPSHOT = 20003,
    PRIVATE_API_TIMEOUT_NOW = 20004,
    PRIVATE_API_HEARTBEAT = 20005,
    PRIVATE_API_FOLLOW = 20006,
    PRIVATE_API_RAFT_LAST = 20019,
    /* From brokers to the active controller (proto/controller_rpc.proto). */
    PRIVATE_API_REGISTER_BROKER = 20100,
    PRIVATE_API_BROKER_HEARTBEAT = 20101,
    PRIVATE_API_ALTER_PARTITION = 20102,
    PRIVATE_API_ALLOCATE_PRODUCER_IDS = 20103,
    PRIVATE_API_FORWARD = 20104,
};
#define PRIVATE_API_VERSION 0

static inline bool private_api_is_raft(int32_t key) { return key >= PRIVATE_API_PROBE && key <= PRIVATE_API_RAFT_LAST; }

#endif
