#include "controller/node/raft_peers.h"

#include "common/assert.h"
#include "common/mem.h"
#include "proto/channel.h"
#include "proto/private_api.h"

#include <stdio.h>

#define CONNECT_TIMEOUT_US 1000000
#define REDIAL_US          20000 /* a watched peer: how soon its restart, or its end, is noticed */

struct peer_call {
    struct channel_call call;
    struct list_node node; /* the lane's */
    struct peer_lane *lane;
};

struct peer_lane {
    struct peer *peer;
    struct channel *channel; /* NULL: not connected, nor connecting */
    struct list calls;
};

struct peer {
    struct raft_peers *peers;
    struct raft_node_voter address;
    struct peer_lane lanes[RAFT_LANES];
    struct env_timer redial;
};

struct raft_peers {
    struct env *env;
    struct raft_peers_handler handler;
    char client_id[32];
    int32_t watched;
    uint32_t count;
    struct peer list[VOTERS_MAX];
};

static struct peer *find(struct raft_peers *peers, int32_t node_id)
{
    for (uint32_t i = 0; i < peers->count; i++)
        if (peers->list[i].address.id == node_id) return &peers->list[i];
    return NULL;
}

static void free_call(struct peer_call *call)
{
    list_remove(&call->node);
    mem_free(call);
}

static void close_lane(struct peer_lane *lane)
{
    if (lane->channel) channel_close(lane->channel);
    lane->channel = NULL;
    LIST_FOR_EACH (&lane->calls, node) free_call(CONTAINER_OF(node, struct peer_call, node));
}

/* ---- what the channel tells ------------------------------------------------------------------------------------------ */

static void on_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    struct peer_lane *lane = user;
    struct peer *peer = lane->peer;
    struct raft_peers *peers = peer->peers;
    ASSERT(lane->channel == channel);
    ASSERT(list_is_empty(&lane->calls));
    lane->channel = NULL;
    if (peers->watched == peer->address.id) env_timer_set(peers->env, &peer->redial, now_us + REDIAL_US);
    int32_t node_id = peer->address.id;
    peers->handler.send_failed(peers->handler.user, node_id, now_us);
    if (err == ERR_RESET || err == ERR_REFUSED) peers->handler.broken(peers->handler.user, node_id, now_us);
}

static void on_answer(struct channel_call *channel_call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct peer_call *call = CONTAINER_OF(channel_call, struct peer_call, call);
    struct peer *peer = call->lane->peer;
    struct raft_peers *peers = peer->peers;
    (void)frame;
    free_call(call);
    if (err == ERR_OK) {
        peers->handler.answered(peers->handler.user, peer->address.id, body, now_us);
    } else if (err == ERR_TIMEOUT) {
        /* Half open, or overloaded: what is still under way on either lane is not worth waiting for. */
        for (int i = 0; i < RAFT_LANES; i++) close_lane(&peer->lanes[i]);
        if (peers->watched == peer->address.id) env_timer_set(peers->env, &peer->redial, now_us + REDIAL_US);
        peers->handler.send_failed(peers->handler.user, peer->address.id, now_us);
    } /* any other: on_closed() follows */
}

static void open_lane(struct peer_lane *lane)
{
    struct raft_peers *peers = lane->peer->peers;
    struct channel_handler handler = {.on_closed = on_closed, .user = lane};
    lane->channel = channel_open(peers->env, lane->peer->address.host, lane->peer->address.port, peers->client_id, CONNECT_TIMEOUT_US,
                                 RAFT_FRAME_BYTES_MAX, &handler);
}

static void on_redial(struct env_timer *timer, int64_t now_us)
{
    struct peer *peer = CONTAINER_OF(timer, struct peer, redial);
    (void)now_us;
    if (peer->peers->watched != peer->address.id) return;
    if (!peer->lanes[RAFT_LANE_CONTROL].channel) open_lane(&peer->lanes[RAFT_LANE_CONTROL]);
}

/* ---- the owner's side ------------------------------------------------------------------------------------------------ */

struct raft_peers *raft_peers_create(struct env *env, const struct raft_node_config *config, const struct raft_peers_handler *handler)
{
    struct raft_peers *peers = mem_alloc(sizeof *peers);
    peers->env = env;
    peers->handler = *handler;
    peers->watched = RAFT_NOBODY;
    (void)snprintf(peers->client_id, sizeof peers->client_id, "controller-%d", config->node_id);
    for (uint32_t i = 0; i < config->voter_count; i++) {
        if (config->voters[i].id == config->node_id) continue;
        struct peer *peer = &peers->list[peers->count++];
        peer->peers = peers;
        peer->address = config->voters[i];
        env_timer_init(&peer->redial, on_redial);
        for (int lane = 0; lane < RAFT_LANES; lane++) {
            peer->lanes[lane].peer = peer;
            list_init(&peer->lanes[lane].calls);
        }
    }
    return peers;
}

void raft_peers_destroy(struct raft_peers *peers)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        for (int lane = 0; lane < RAFT_LANES; lane++) close_lane(&peers->list[i].lanes[lane]);
        env_timer_clear(peers->env, &peers->list[i].redial);
    }
    mem_free(peers);
}

void raft_peers_send(struct raft_peers *peers, int32_t node_id, enum raft_lane lane_index, int16_t api_key, struct buf *body,
                     int64_t timeout_us)
{
    struct peer *peer = find(peers, node_id);
    if (!peer) { /* in the voters, but not in controller.quorum.voters: nobody knows where it is */
        buf_unref(body);
        return;
    }
    struct peer_lane *lane = &peer->lanes[lane_index];
    if (!lane->channel) open_lane(lane);
    struct peer_call *call = mem_alloc(sizeof *call);
    call->lane = lane;
    call->call.api_key = api_key;
    call->call.api_version = PRIVATE_API_VERSION;
    call->call.done = on_answer;
    list_push_back(&lane->calls, &call->node);
    struct env_piece piece = env_piece_buf(body);
    channel_send(lane->channel, &call->call, &piece, 1, timeout_us);
}

void raft_peers_watch(struct raft_peers *peers, int32_t node_id)
{
    if (peers->watched == node_id) return;
    peers->watched = node_id;
    struct peer *peer = find(peers, node_id);
    if (peer && !peer->lanes[RAFT_LANE_CONTROL].channel) open_lane(&peer->lanes[RAFT_LANE_CONTROL]);
}
