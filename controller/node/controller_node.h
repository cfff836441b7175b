/* A node's controller: its Raft replica, the metadata that the log builds, and, while it leads, the decisions. Also a node that is only
 * a broker has one: it is not among the voters, so it follows the log and never leads, and nobody connects to it.
 *
 *   brokers, tools --frames--> server --+--> raft_node (keys 20000-20019)
 *                                       +--> operation: decide -> propose -> committed -> replayed -> answered
 *   raft_node --committed--> image_replay() --> metadata_update --env_post--> the broker of this process
 *
 * Nothing changes the image but committed entries. A decision waits for the locks of the keys that it reads and writes, and holds them
 * until its records are replayed; losing the leadership drops all that waits, with NOT_CONTROLLER, and there is nothing to undo.
 *
 * One owner thread: the env's. It shares nothing with the broker but posted messages. */
#ifndef SKIFF_CONTROLLER_NODE_CONTROLLER_NODE_H
#define SKIFF_CONTROLLER_NODE_CONTROLLER_NODE_H

#include "controller/metadata/cluster_control.h"
#include "controller/metadata/update.h"
#include "controller/node/raft_node.h"
#include "proto/connection.h"

struct controller_node;

struct controller_node_config {
    struct raft_node_config raft; /* node id, directory, voters, timeouts */
    /* The listener of this controller; listener_name NULL: none, for one that is not among the voters. */
    const char *listener_name, *host;
    uint16_t port;
    struct server_limits limits;
    int64_t session_timeout_ms;    /* broker.session.timeout.ms */
    int64_t rebalance_interval_ms; /* preferred leaders get their partitions back after so long, or a few seconds; 0: never */
    struct control_settings settings;
    struct cluster_defaults defaults; /* of a new cluster */
    /* The broker of this process: updates are posted to its env with `on_update` as deliver function. broker_env NULL: none. */
    struct env *broker_env;
    void (*on_update)(struct env_message *message, int64_t now_us);
    void *receiver; /* metadata_update.receiver */
    /* The disk failed, or the log holds what this version does not know: the node must end. Optional. */
    void (*on_failed)(void *user, const char *reason);
    void *user;
};

/* Recovers the log (waits for the disk), listens and joins the quorum. The config is copied, except what it points to. */
NODISCARD enum err controller_node_create(struct env *env, const struct controller_node_config *config, struct controller_node **out);
/* Hands the leadership to another voter, if this node leads. */
void controller_node_resign(struct controller_node *node);
/* No further callback or update; requests under way are dropped. */
void controller_node_destroy(struct controller_node *node);

/* Where it listens, for a config with port 0. */
uint16_t controller_node_port(const struct controller_node *node);
bool controller_node_is_leader(const struct controller_node *node);
/* Its office and the quorum, for /metrics. */
struct metrics;
void controller_node_measure(const struct controller_node *node, struct metrics *metrics);
/* The quorum has a leader that this node knows; else the reason, in words. */
#define CONTROLLER_REASON_MAX 160
bool controller_node_is_ready(const struct controller_node *node, char reason[static CONTROLLER_REASON_MAX]);
/* For tests and the simulator's checkers. */
const struct image *controller_node_image(const struct controller_node *node);
struct raft_node *controller_node_raft(struct controller_node *node);

#endif
