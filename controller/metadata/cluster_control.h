/* Brokers as members of the cluster: registration, fencing, unfencing, controlled shutdown.
 *
 *                  register                       heartbeat, caught up
 *   (unknown) ---------------->  FENCED  ------------------------------>  ACTIVE
 *                                  ^  ^        fence: evidence, session       |
 *                      new         |  +----------------- timeout -------------+
 *                  registration    |                                          | heartbeat: want_shutdown
 *                                  +---------- SHUTTING DOWN <----------------+
 *                                     others have applied it: fence
 *
 * A broker that is not ACTIVE is in no ISR and leads nothing (P-ISR): the records that change its state are committed with those that
 * take it out of the ISRs, or after them. A registration gets a greater epoch than any before (B-EPOCH). */
#ifndef SKIFF_CONTROLLER_METADATA_CLUSTER_CONTROL_H
#define SKIFF_CONTROLLER_METADATA_CLUSTER_CONTROL_H

#include "controller/metadata/control.h"
#include "gen/controller_rpc.pb-c.h"
#include "gen/kmsg.h"

/* What the sessions (heartbeat.h) know about the broker's incarnation before. */
enum previous_session { PREVIOUS_IS_GONE, PREVIOUS_MAY_LIVE };

void cluster_register_broker(struct control *control, const Skiff__RegisterBrokerRequest *request, enum previous_session previous,
                             Skiff__RegisterBrokerResponse *response);
/* Whether the broker still holds everything that it held in its last unfenced epoch: DESIGN 4's proof. */
bool cluster_is_claim_proven(const struct image_broker *before, const Skiff__RegisterBrokerRequest *request);

/* The newcomer presents every log directory that the incarnation before had. A process locks its directories before it registers, so
 * with the connection of before gone too this is evidence: nobody else can be using them. */
bool cluster_has_directories(const struct image_broker *before, const Skiff__RegisterBrokerRequest *request);
/* It advertises the endpoint of the incarnation before, which it listens on. */
bool cluster_has_endpoint(const struct image_broker *before, const Skiff__RegisterBrokerRequest *request);

/* What a heartbeat asks for, seen from the image. */
enum heartbeat_wish {
    HEARTBEAT_NOTHING,
    HEARTBEAT_STALE, /* unknown registration: STALE_BROKER_EPOCH */
    HEARTBEAT_UNFENCE,
    HEARTBEAT_FENCE,
    HEARTBEAT_SHUT_DOWN,     /* start to move its leaderships */
    HEARTBEAT_LEAVE,         /* they have moved, and the others know */
    HEARTBEAT_LOSE_REPLICAS, /* directories went offline */
};
/* `others_applied`: the lowest index that the other active brokers have applied; `shutdown_index`: of its shutdown's records. */
enum heartbeat_wish cluster_heartbeat_wish(const struct image *image, const Skiff__BrokerHeartbeatRequest *request, int64_t others_applied,
                                           int64_t shutdown_index);
/* Writes the records of the wish (none for NOTHING and STALE) and the answer that holds once they are committed. */
void cluster_heartbeat(struct control *control, const Skiff__BrokerHeartbeatRequest *request, enum heartbeat_wish wish,
                       Skiff__BrokerHeartbeatResponse *response);
/* The broker is gone, or silent for too long. No-op unless it is unfenced. */
void cluster_fence_broker(struct control *control, int32_t broker_id);
/* UnregisterBroker: it leaves every ISR and ELR, and the cluster. If it still runs it registers anew. */
void cluster_unregister_broker(struct control *control, int32_t broker_id, struct unregister_broker_response *response);

/* The first records of a cluster's life: its id, the feature levels, and the defaults that must be alike on all controllers.
 * Nothing when the image has them. */
struct cluster_defaults {
    int32_t min_insync_replicas; /* min.insync.replicas */
    bool is_flushing;            /* log.flush.policy */
    bool is_unclean_allowed;     /* unclean.leader.election.enable */
};
void cluster_bootstrap(struct control *control, const char *cluster_id, const struct cluster_defaults *defaults);

#endif
