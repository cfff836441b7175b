/* The broker's link to the active controller: registration, heartbeats, ISR proposals, producer ids, forwarded admin requests.
 *
 *   START --register--> REGISTERED --recovered, own registration applied--> ACTIVE (unfenced) --shut down--> LEAVING --> LEFT
 *                           ^                                                  |
 *                           +--------- STALE_BROKER_EPOCH: register anew ------+
 *
 * The controller is found by metadata (METADATA_UPDATE_LEADER from the controller in this process). Requests wait for one, survive
 * its change and are sent again; answers come once. A proposal whose fate is unknown is repeated until the controller says: it is
 * compare-and-set, so a second copy is harmless. Heartbeats leave each 2 s, and at once when something of them changes.
 * One owner thread: the env's. */
#ifndef SKIFF_BROKER_NODE_CONTROLLER_CHANNEL_H
#define SKIFF_BROKER_NODE_CONTROLLER_CHANNEL_H

#include "broker/node/lease.h"
#include "broker/node/replica_manager.h"
#include "common/env.h"
#include "proto/channel.h"

struct controller_channel;

struct controller_channel_listener {
    const char *name, *host; /* advertised */
    uint16_t port;
    int16_t security_protocol;
};
struct controller_channel_options {
    int32_t node_id;
    struct uuid incarnation;                             /* drawn at each start */
    const struct controller_channel_listener *listeners; /* the first is the inter-broker one; copied */
    size_t listener_count;
    const char *rack;              /* "" : none; copied */
    int64_t heartbeat_interval_ms; /* broker.heartbeat.interval.ms */
    int64_t request_timeout_ms;    /* controller.socket.timeout.ms */
    /* Unfenced (true) or fenced: clients may be told that the node is ready. Optional. */
    void (*on_active)(void *user, bool is_active, int64_t now_us);
    /* Registration was refused for good (another live process has this node id, a foreign cluster ...). */
    void (*on_refused)(void *user, enum kafka_error error, const char *message);
    void *user;
};

struct controller_channel *controller_channel_create(struct env *env, const struct controller_channel_options *options,
                                                     struct replica_manager *manager, const struct image *image);
/* Calls under way are dropped: no callback any more. */
void controller_channel_destroy(struct controller_channel *channel);

/* METADATA_UPDATE_LEADER; leader_id -1: none known. */
void controller_channel_on_leader(struct controller_channel *channel, int32_t leader_id, const char *host, uint16_t port, int64_t term);
/* The image has been replayed and the replica manager has applied it. `announce`: somebody waits for us to say so
 * (image_delta.announce). */
void controller_channel_on_applied(struct controller_channel *channel, bool announce);
/* A log directory went offline, with these replicas in it. */
struct fetch_target;
void controller_channel_on_offline(struct controller_channel *channel, const struct fetch_target *replicas, size_t count);

bool controller_channel_is_active(const struct controller_channel *channel);
/* What heartbeats promise; changes with them. */
const struct lease *controller_channel_lease(const struct controller_channel *channel);
/* Somebody waits for the next promise: a heartbeat leaves at once. */
void controller_channel_ask(struct controller_channel *channel);
/* Of the current registration; -1 before the first. Goes out as the replica epoch of fetches. */
int64_t controller_channel_broker_epoch(const struct controller_channel *channel);

/* ---- ISR proposals ---- */

struct alter_partition_member {
    int32_t broker_id;
    int64_t broker_epoch;
};
struct alter_partition {
    struct list_node node;
    struct uuid topic_id;
    int32_t partition;
    struct isr_proposal proposal; /* not looked at: comes back with the answer */
    struct alter_partition_member members[REPLICAS_MAX];
    size_t member_count;
    bool is_recovering;
    enum kafka_error error; /* the answer; what became of the ISR comes with the metadata */
    void (*done)(struct alter_partition *item, int64_t now_us);
    void *user;
    bool is_sent;
};
/* One request is under way at a time; all that is queued meanwhile goes in the next. */
void controller_channel_alter_partition(struct controller_channel *channel, struct alter_partition *item);
/* Forgets the item. No-op for one that is not under way. */
void controller_channel_cancel_alter(struct controller_channel *channel, struct alter_partition *item);

/* ---- producer ids ---- */

struct producer_id_request {
    struct list_node node;
    void (*done)(struct producer_id_request *request, enum kafka_error error, int64_t producer_id, int64_t now_us);
    void *user;
};
/* One id out of the node's block; a block is fetched when none is left. done() may come from inside the call. */
void controller_channel_next_producer_id(struct controller_channel *channel, struct producer_id_request *request);
void controller_channel_cancel_producer_id(struct producer_id_request *request);

/* ---- forwarding ---- */

struct forward {
    /* In; the texts and the body are copied. */
    const char *principal, *client_address;
    const char *client_id; /* NULL: it makes no difference */
    int16_t api_key, api_version;
    struct slice body; /* a request body without header */
    int64_t timeout_ms;
    /* OK (KAFKA_NONE): `body` is the response body in the request's version, inside `frame`. Else REQUEST_TIMED_OUT or what the
     * controller said. Never from inside the call. */
    void (*done)(struct forward *forward, enum kafka_error error, struct buf *frame, struct slice body, int64_t now_us);
    void *user;
    /* the channel's: */
    struct list_node node;
    struct env_timer timer;
    struct controller_channel *owner;
    struct buf *encoded;
    struct channel_call call;
    int64_t not_before_us;
};
void controller_channel_forward(struct controller_channel *channel, struct forward *forward);
void controller_channel_cancel_forward(struct forward *forward);

/* ---- shutdown ---- */

/* Asks the controller to move leadership away; done(true) when it says so, done(false) after timeout_ms or when this node is the
 * last. Heartbeats go on until then. */
void controller_channel_shut_down(struct controller_channel *channel, int64_t timeout_ms, void (*done)(void *user, bool is_moved),
                                  void *user);

#endif
