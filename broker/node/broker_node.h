/* A node's broker: listeners, handlers, partitions, the link to the controller, and the image that all of them read.
 *
 *   clients, followers --frames--> server --> dispatch --> handlers --> replica_manager
 *   controller_node --metadata_update (env_post)--> image_replay() --delta--> replica_manager, controller_channel
 *
 * Requests that come before the broker is active for the first time wait: a client that connects while the node starts is answered
 * as soon as it can be, instead of learning that nothing is there. One owner thread: the env's. */
#ifndef SKIFF_BROKER_NODE_BROKER_NODE_H
#define SKIFF_BROKER_NODE_BROKER_NODE_H

#include "common/config.h"
#include "common/env.h"
#include "common/listeners.h"

struct broker_node;
struct replica_manager;
struct image;

struct broker_node_options {
    const struct config *config;       /* outlives the node */
    const struct listeners *listeners; /* copied */
    uint32_t open_files_max;           /* for segments */
    /* Unfenced for the first time: clients are served. Optional. */
    void (*on_active)(void *user, int64_t now_us);
    /* The node cannot go on (its disks, the controller's refusal, metadata of a newer version): end the process. */
    void (*on_failed)(void *user, const char *reason);
    void *user;
};

/* Finds out whether the listeners can be opened, which happens with the registration. On an error `reason` says what, where and what to do.
 */
NODISCARD enum err broker_node_create(struct env *env, const struct broker_node_options *options, struct broker_node **out,
                                      char reason[static CONFIG_LINE_MAX]);
/* Recovers the logs, waiting for the disk; from then on metadata may come. After an error: destroy the node. */
NODISCARD enum err broker_node_open(struct broker_node *node, char reason[static CONFIG_LINE_MAX]);
/* Controlled shutdown: leaderships move while the node goes on (timeout_ms at most), then everything is flushed and marked clean.
 * `stopped` is called when that is done and the last answers have left; destroy the node then. */
void broker_node_stop(struct broker_node *node, int64_t timeout_ms, void (*stopped)(void *user, bool is_clean), void *user);
/* Without broker_node_stop(): as if the process had been killed. */
void broker_node_destroy(struct broker_node *node);

/* For struct controller_node_config: deliver function and receiver of metadata updates. */
void broker_node_on_update(struct env_message *message, int64_t now_us);

/* The port of a listener that the config leaves to the system. */
uint16_t broker_node_port(const struct broker_node *node, size_t listener);
bool broker_node_is_active(const struct broker_node *node);
/* Clients can be served and every replica has taken up its part; else the reason, in words. */
#define BROKER_REASON_MAX 160
bool broker_node_is_ready(const struct broker_node *node, char reason[static BROKER_REASON_MAX]);
/* Everything that this broker counts, for /metrics. */
struct metrics;
void broker_node_measure(const struct broker_node *node, struct metrics *metrics);
/* For checkers. */
const struct image *broker_node_image(const struct broker_node *node);
struct replica_manager *broker_node_replicas(struct broker_node *node);

#endif
