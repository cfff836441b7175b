/* The network's objects. Internal to the simulator's kernel.
 *
 * A connection has two ends (streams; NULL when gone) and two pipes, pipe i carrying what end i sends. A pipe is a queue of
 * chunks, each with its time of arrival, never overtaking. What was handed to a pipe is on its way whatever becomes of the
 * sender; what still waits in the sender's stream dies with it. */
#ifndef SKIFF_TESTS_SIM_NET_H
#define SKIFF_TESTS_SIM_NET_H

#include "tests/sim/sim_internal.h"

enum chunk_type { CHUNK_DATA, CHUNK_FIN, CHUNK_RESET };
struct chunk {
    struct list_node node;
    enum chunk_type type;
    int64_t arrive_us;
    size_t size;
    uint8_t data[];
};

struct sim_connection;
struct pipe {
    struct sim_connection *connection;
    unsigned from; /* end */
    struct list chunks;
    struct sim_event arrive, acknowledge;
    bool is_arrival_stalled, is_acknowledge_stalled; /* by a blocked link */
    int64_t last_arrival_us;
    size_t window, chunk_most;
    size_t in_flight; /* handed over and not yet known to be read */
    size_t read;      /* read by the receiver, the sender does not know yet */
};

/* What the handshake's next event is. */
enum handshake { HANDSHAKE_SYN, HANDSHAKE_REFUSAL, HANDSHAKE_ACCEPTED, HANDSHAKE_DONE };
struct sim_connection {
    struct list_node sim_link;
    struct sim *sim;
    struct sim_node *nodes[2]; /* client, server */
    struct sim_stream *ends[2];
    struct pipe pipes[2];
    uint16_t port;
    enum handshake handshake;
    struct sim_event attempt;
    bool is_held; /* by the code that runs: not to be freed */
};

struct out_piece {
    struct list_node node;
    struct env_piece piece;
};

struct sim_stream {
    struct env_stream stream;
    struct sim_item item;
    struct list_node env_link, unsent_link, accept_link;
    struct sim_env *env;
    struct sim_connection *connection; /* NULL: gone or never there */
    unsigned end;
    struct list out;
    int64_t queued;
    struct bytes in;
    size_t in_at;             /* delivered so far */
    struct sim_event timeout; /* of connecting, or of finishing */
    char *peer;
    bool is_connected, is_accept_pending, is_paused;
    bool tells_connected, tells_drained; /* events to deliver */
    bool is_ended, is_reset;             /* the peer is gone; reset: unread bytes too */
    enum err end_err;
    bool is_finishing; /* the owner let go; the rest leaves */
    bool is_delivering, is_closed;
};

struct sim_listener {
    struct env_listener listener;
    struct list_node node_link;
    struct sim_item item;
    struct sim_env *env;
    uint16_t port;
    env_accept_fn accepted;
    void *user;
    struct list accepts;
    bool is_paused;
};

/* stream.c */
struct sim_stream *stream_create(struct sim_env *env, env_stream_fn handler, void *user, const char *peer);
void stream_arrived(struct sim_stream *stream, const struct chunk *chunk);
void stream_end(struct sim_stream *stream, enum err err, bool is_reset);
/* Hands over what the window takes. */
void stream_fill(struct sim_stream *stream);
void stream_release_output(struct sim_stream *stream);
void stream_free(struct sim_stream *stream);

/* connection.c */
struct sim_connection *sim_connection_create(struct sim *sim, struct sim_node *client, struct sim_node *server, uint16_t port);
void sim_connection_detach(struct sim_connection *connection, unsigned end);
void sim_connection_reset(struct sim_connection *connection);
int64_t net_delay(struct sim *sim, const struct sim_node *from, const struct sim_node *to);
bool net_is_blocked(const struct sim *sim, const struct sim_node *from, const struct sim_node *to);
struct chunk *chunk_create(enum chunk_type type, size_t size);
void pipe_push(struct pipe *pipe, struct chunk *chunk);
/* The sender's host lost power: what was in its buffers is lost from a random place on. */
void pipe_lose_tail(struct pipe *pipe);
void pipe_on_read(struct pipe *pipe, size_t size);

#endif
