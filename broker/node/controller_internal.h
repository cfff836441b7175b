/* What controller_channel.c (the link, registration, heartbeats) and controller_calls.c (what others ask the controller for) share. */
#ifndef SKIFF_BROKER_NODE_CONTROLLER_INTERNAL_H
#define SKIFF_BROKER_NODE_CONTROLLER_INTERNAL_H

#include "broker/node/controller_channel.h"
#include "gen/controller_rpc.pb-c.h"
#include "proto/pb.h"
#include "proto/private_api.h"

/* One kind of request of the node's own; at most one of a kind is under way. */
struct controller_rpc {
    struct channel_call call;
    struct controller_channel *owner;
    bool is_out;
    int64_t not_before_us; /* after a failure */
    uint32_t failures;
};

enum channel_phase {
    PHASE_UNREGISTERED,
    PHASE_WRITING,    /* registered; the epoch is on its way to the log directories */
    PHASE_REGISTERED, /* fenced until metadata shows the registration and the logs are ours */
    PHASE_STARTED,    /* wants to be unfenced */
};

struct controller_channel {
    struct env *env;
    struct controller_channel_options options;
    Skiff__Listener *listeners; /* owned, with their texts */
    char *rack;
    struct replica_manager *manager;
    const struct image *image;

    int32_t leader_id; /* -1: unknown */
    char host[HOST_MAX + 1];
    uint16_t port;
    struct channel *channel; /* NULL: not open */
    int64_t reconnect_at_us;
    uint32_t connect_failures;
    struct env_turn_end pump;
    struct env_timer timer;

    enum channel_phase phase;
    int64_t broker_epoch;
    char cluster_id[64];
    int64_t registering_since_us;
    bool is_refused;
    bool is_active;
    bool is_damage_told; /* once: what was damaged may be filled again when this process registers anew */
    struct controller_rpc registration, heartbeat, alteration, allocation;
    bool is_heartbeat_due;
    int64_t next_heartbeat_us;
    int64_t heartbeat_sent_us; /* the last one */
    struct lease lease;

    struct fetch_target *offline; /* not yet told to the controller */
    size_t offline_count, offline_told;

    bool is_leaving;
    int64_t leave_deadline_us;
    int64_t leaderless_since_us; /* while leader_id < 0 */
    void (*on_left)(void *user, bool is_moved);
    void *on_left_user;

    struct list proposals; /* alter_partition: those with is_sent are in the request under way */
    struct list id_requests;
    int64_t next_id, ids_left;
    struct list forwards;
};

/* Work for the end of this turn exists. */
static inline void controller_schedule(struct controller_channel *cc) { env_at_turn_end(cc->env, &cc->pump); }

/* The answer to a request: its outcome, or that it got none. `body` is empty then. */
typedef void controller_answer_fn(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us);
void controller_send(struct controller_channel *cc, struct controller_rpc *rpc, enum private_api api, const ProtobufCMessage *message,
                     controller_answer_fn *done);
Skiff__Sender controller_sender(struct controller_channel *cc);
/* No good answer: not before a while, longer each time. */
void controller_rpc_failed(struct controller_rpc *rpc, int64_t now_us);
static inline bool controller_rpc_may_go(const struct controller_rpc *rpc, int64_t now_us)
{
    return !rpc->is_out && now_us >= rpc->not_before_us;
}
/* What holds for any answer: STALE_BROKER_EPOCH registers anew, NOT_CONTROLLER waits for news of the leader. True: handled. */
bool controller_handle_outcome(struct controller_channel *cc, struct controller_rpc *rpc, const Skiff__Outcome *outcome, int64_t now_us);

/* By topic, for requests; in the arena. */
Skiff__PartitionList **controller_partition_lists(struct arena *arena, const struct fetch_target *targets, size_t count,
                                                  size_t *list_count);

/* ---- controller_calls.c ---- */

void controller_calls_pump(struct controller_channel *cc, int64_t now_us);
/* The connection is gone: what was under way goes out again. */
void controller_calls_disconnected(struct controller_channel *cc);
/* Earliest time at which one of them may go out again, or INT64_MAX. */
int64_t controller_calls_next_us(const struct controller_channel *cc);
void controller_calls_drop(struct controller_channel *cc);

#endif
