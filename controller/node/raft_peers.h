/* Connections to the other controllers: two each, so that nothing that may wait for a disk stands in front of a heartbeat.
 *
 * The control lane carries what is answered at once, the data lane what is answered when it is durable. Lanes connect when there is
 * something to send, and to a watched peer (the leader) always, so that the end of its process is known when it happens.
 *
 * One owner thread. Handlers are never called from inside a call of this header. */
#ifndef SKIFF_CONTROLLER_NODE_RAFT_PEERS_H
#define SKIFF_CONTROLLER_NODE_RAFT_PEERS_H

#include "common/env.h"
#include "controller/node/raft_node.h"

struct raft_peers;

enum raft_lane { RAFT_LANE_CONTROL, RAFT_LANE_DATA, RAFT_LANES };

struct raft_peers_handler {
    void *user;
    void (*answered)(void *user, int32_t node_id, struct slice body, int64_t now_us);
    /* At least one request to that node got no answer, and will get none. */
    void (*send_failed)(void *user, int32_t node_id, int64_t now_us);
    /* The peer closed the connection, or nobody listens there: evidence that its process is gone. */
    void (*broken)(void *user, int32_t node_id, int64_t now_us);
};

struct raft_peers *raft_peers_create(struct env *env, const struct raft_node_config *config, const struct raft_peers_handler *handler);
void raft_peers_destroy(struct raft_peers *peers);
/* Takes over the reference of the body. What is for a node id that is not configured is dropped. */
void raft_peers_send(struct raft_peers *peers, int32_t node_id, enum raft_lane lane, int16_t api_key, struct buf *body, int64_t timeout_us);
/* RAFT_NOBODY: none. */
void raft_peers_watch(struct raft_peers *peers, int32_t node_id);

#endif
