#include "broker/node/peer_probe.h"

#include "broker/node/replica_manager.h"
#include "common/assert.h"
#include "common/checked.h"
#include "common/map.h"
#include "common/mem.h"
#include "controller/metadata/image.h"
#include "proto/api.h"
#include "proto/channel.h"

#include <stdio.h>

#define TRIES_MAX              3 /* a broker that is full accepts and closes */
#define ANSWER_FRAME_BYTES_MAX (1 << 16)

struct peer {
    struct peer_probes *probes;
    int32_t broker_id;       /* key in the map */
    int64_t broker_epoch;    /* whom the channel leads to */
    struct channel *channel; /* NULL: not open */
    struct channel_call call;
    int64_t asked_us;   /* the latest question */
    int64_t settled_us; /* the latest that has its sign */
    uint32_t tries;
    bool is_asking;
    bool is_wanted_again; /* somebody asked after the question had left */
    bool is_silent;
};

struct peer_probes {
    struct env *env;
    const struct replica_manager *replicas;
    peer_sign_fn *on_sign;
    void *user;
    char client_id[64];
    struct map peers;
};

static void put_question(struct peer *peer, int64_t now_us);

static void settle(struct peer *peer, enum peer_sign sign, int64_t now_us)
{
    struct peer_probes *probes = peer->probes;
    bool is_wanted_again = peer->is_wanted_again;
    int64_t asked_us = peer->asked_us;
    ASSERT(peer->is_asking);
    peer->is_asking = peer->is_wanted_again = false;
    peer->is_silent = sign == PEER_SILENT;
    peer->settled_us = asked_us;
    if (is_wanted_again) put_question(peer, now_us);
    probes->on_sign(probes->user, peer->broker_id, sign, asked_us, now_us);
}

/* ---- the connection ------------------------------------------------------------------------------------------------ */

static void on_answer(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    (void)frame;
    (void)body;
    if (err == ERR_OK) settle(call->user, PEER_ALIVE, now_us);
    if (err == ERR_TIMEOUT) settle(call->user, PEER_SILENT, now_us);
    /* Else on_closed() follows. */
}

static void send_question(struct peer *peer, int64_t now_us);

static void on_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    struct peer *peer = user;
    ASSERT(peer->channel == channel);
    peer->channel = NULL;
    if (!peer->is_asking)
        put_question(peer, now_us);
    else if (err == ERR_REFUSED)
        settle(peer, PEER_LOST, now_us);
    else if (err == ERR_RESET && peer->tries < TRIES_MAX && now_us < peer->asked_us + PEER_PATIENCE_US)
        send_question(peer, now_us);
    else
        settle(peer, PEER_SILENT, now_us);
}

static bool open_channel(struct peer *peer)
{
    struct peer_probes *probes = peer->probes;
    int64_t epoch = -1;
    const struct image_listener *endpoint = replica_manager_endpoint(probes->replicas, peer->broker_id, &epoch);
    if (peer->channel && (!endpoint || epoch != peer->broker_epoch)) {
        channel_close(peer->channel);
        peer->channel = NULL;
    }
    if (!endpoint) return false;
    if (peer->channel) return true;
    struct channel_handler handler = {.on_closed = on_closed, .user = peer};
    peer->broker_epoch = epoch;
    peer->channel =
        channel_open(probes->env, endpoint->host, endpoint->port, probes->client_id, PEER_PATIENCE_US, ANSWER_FRAME_BYTES_MAX, &handler);
    return true;
}

static void send_question(struct peer *peer, int64_t now_us)
{
    int64_t left_us = peer->asked_us + PEER_PATIENCE_US - now_us;
    ASSERT(left_us > 0);
    peer->tries++;
    peer->is_asking = open_channel(peer);
    if (!peer->is_asking) { /* not registered any more: nothing is to be known */
        peer->settled_us = peer->asked_us;
        peer->is_wanted_again = false;
        return;
    }
    peer->call = (struct channel_call){.api_key = API_API_VERSIONS, .done = on_answer, .user = peer};
    channel_send(peer->channel, &peer->call, NULL, 0, left_us);
}

static void put_question(struct peer *peer, int64_t now_us)
{
    ASSERT(!peer->is_asking);
    peer->asked_us = now_us;
    peer->tries = 0;
    send_question(peer, now_us);
}

/* ---- for those who ask --------------------------------------------------------------------------------------------- */

static struct peer *find_peer(struct peer_probes *probes, int32_t broker_id)
{
    struct peer *peer = map_get(&probes->peers, MAP_KEY(&broker_id));
    if (peer) return peer;
    peer = mem_alloc(sizeof *peer);
    *peer = (struct peer){.probes = probes, .broker_id = broker_id, .broker_epoch = -1, .settled_us = INT64_MIN};
    map_put(&probes->peers, MAP_KEY(&peer->broker_id), peer);
    return peer;
}

void peer_probes_watch(struct peer_probes *probes, int32_t broker_id)
{
    struct peer *peer = find_peer(probes, broker_id);
    int64_t epoch = -1;
    /* Its next life, when this one has ended, is another registration. */
    bool is_registered = replica_manager_endpoint(probes->replicas, broker_id, &epoch) != NULL;
    if (is_registered && epoch != peer->broker_epoch && !peer->is_asking) put_question(peer, env_now_us(probes->env));
}

void peer_probes_ask(struct peer_probes *probes, int32_t broker_id)
{
    struct peer *peer = find_peer(probes, broker_id);
    int64_t now_us = env_now_us(probes->env);
    if (!peer->is_asking)
        put_question(peer, now_us);
    else if (peer->asked_us < now_us)
        peer->is_wanted_again = true;
}

bool peer_probes_is_settled(const struct peer_probes *probes, int32_t broker_id, int64_t since_us)
{
    const struct peer *peer = map_get(&probes->peers, MAP_KEY(&broker_id));
    return !peer || peer->is_silent || peer->settled_us >= since_us;
}

struct peer_probes *peer_probes_create(struct env *env, const struct replica_manager *replicas, int32_t node_id, peer_sign_fn *on_sign,
                                       void *user)
{
    struct peer_probes *probes = mem_alloc(sizeof *probes);
    *probes = (struct peer_probes){.env = env, .replicas = replicas, .on_sign = on_sign, .user = user};
    (void)snprintf(probes->client_id, sizeof probes->client_id, "broker-%d-probe", node_id);
    map_init(&probes->peers, 0);
    return probes;
}

void peer_probes_destroy(struct peer_probes *probes)
{
    MAP_FOR_EACH (&probes->peers, struct peer, peer) {
        if (peer->channel) channel_close(peer->channel);
        mem_free(peer);
    }
    map_deinit(&probes->peers);
    mem_free(probes);
}
