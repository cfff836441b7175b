/* Client side of a Kafka-framed connection: one connection to one peer, any number of requests under way.
 *
 * The caller owns the policy: it opens, learns that the connection broke and why (ERR_REFUSED is evidence that the peer's process
 * is gone), waits as long as it likes and opens again. Calls may be made at once after channel_open(): they leave when
 * the connection stands. Lives on one env thread. */
#ifndef SKIFF_PROTO_CHANNEL_H
#define SKIFF_PROTO_CHANNEL_H

#include "common/env.h"

struct channel;

/* One request, embedded in the caller's own state, which must live until done(). */
struct channel_call {
    int16_t api_key;
    int16_t api_version;
    /* Request header v2 and response header v1 (tagged fields); private keys and old versions are not flexible. */
    bool is_flexible;
    /* Exactly once, never inside channel_send(). OK: `body` is the answer after its header, inside `frame` (borrowed: take a
     * reference to keep it). ERR_TIMEOUT: the channel goes on. Any other error closed it (ERR_CORRUPT: a bad answer), and
     * nothing may be sent on it any more; on_closed() follows. The channel may be closed in here. */
    void (*done)(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us);
    void *user;
    /* the channel's: */
    struct channel *channel; /* NULL: not under way */
    struct list_node node;
    struct env_timer timer;
    int32_t correlation_id;
};

struct channel_handler {
    /* Optional. */
    void (*on_connected)(void *user, struct channel *channel, int64_t now_us);
    /* The channel is gone when it returns; its calls have had their done(err) before. */
    void (*on_closed)(void *user, struct channel *channel, enum err err, int64_t now_us);
    void *user;
};

/* Never fails at once. `client_id` is copied. Answers are at most `frame_bytes_max` bytes. */
struct channel *channel_open(struct env *env, const char *host, uint16_t port, const char *client_id, int64_t connect_timeout_us,
                             int32_t frame_bytes_max, const struct channel_handler *handler);
/* No callback any more, neither done() of its calls (which are idle again) nor on_closed(). */
void channel_close(struct channel *channel);
bool channel_is_connected(const struct channel *channel);
/* Bytes sent and not yet handed to the kernel. */
int64_t channel_queued(const struct channel *channel);

/* The pieces are the request body; takes their references over. Requests leave in the order of the calls. A call that times out
 * leaves the connection open, and a late answer is dropped. */
void channel_send(struct channel *channel, struct channel_call *call, const struct env_piece *pieces, size_t count, int64_t timeout_us);
/* Forgets the call: done() will not come. No-op for an idle one. */
void channel_cancel(struct channel_call *call);
static inline bool channel_call_is_pending(const struct channel_call *call) { return call->channel != NULL; }

#endif
