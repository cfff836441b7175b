/* The stream and listener calls of struct env: one end of a connection each. */
#include "tests/sim/net.h"

#include "common/checked.h"

#include <stdio.h>

#define FINISH_US       (5 * (int64_t)SIM_SECOND)
#define FIRST_FREE_PORT 40000

static struct sim_stream *stream_of(const struct env_stream *stream)
{
    return CONTAINER_OF((struct env_stream *)(uintptr_t)stream, struct sim_stream, stream);
}
static struct sim *stream_sim(const struct sim_stream *stream) { return stream->env->node->sim; }

/* ---- life of a stream ---------------------------------------------------------------------------------------------- */

void stream_release_output(struct sim_stream *stream)
{
    for (struct list_node *node; (node = list_pop_front(&stream->out));) {
        struct out_piece *out = CONTAINER_OF(node, struct out_piece, node);
        buf_unref(out->piece.buf);
        env_file_unref(out->piece.file);
        sim_free(out);
    }
    stream->queued = 0;
    if (list_is_linked(&stream->unsent_link)) list_remove(&stream->unsent_link);
}

void stream_free(struct sim_stream *stream)
{
    ASSERT(!stream->connection);
    stream_release_output(stream);
    if (list_is_linked(&stream->item.node)) list_remove(&stream->item.node);
    if (list_is_linked(&stream->accept_link)) list_remove(&stream->accept_link);
    sim_event_cancel(stream_sim(stream), &stream->timeout);
    list_remove(&stream->env_link);
    bytes_free(&stream->in);
    sim_free(stream->peer);
    sim_free(stream);
}

/* Tells the other side that this end is gone, as a kernel does. */
static void say_goodbye(struct sim_stream *stream, bool is_reset)
{
    struct sim_connection *connection = stream->connection;
    if (!connection) return;
    if (connection->ends[1 - stream->end]) {
        pipe_push(&connection->pipes[stream->end], chunk_create(is_reset ? CHUNK_RESET : CHUNK_FIN, 0));
    }
    stream->connection = NULL;
    sim_connection_detach(connection, stream->end);
}

/* The struct goes when no callback of it is running. */
static void stream_close(struct sim_stream *stream)
{
    bool has_unread = stream->in.size > stream->in_at;
    stream_release_output(stream);
    say_goodbye(stream, has_unread);
    stream->is_closed = true;
    if (!stream->is_delivering) stream_free(stream);
}

static void on_timeout(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    struct sim_stream *stream = CONTAINER_OF(event, struct sim_stream, timeout);
    if (stream->is_finishing) {
        stream_close(stream);
    } else {
        /* A handshake that half succeeded is undone. */
        say_goodbye(stream, true);
        stream_end(stream, stream->end_err == ERR_OK ? ERR_TIMEOUT : stream->end_err, true);
    }
}

static void deliver_stream(struct sim_item *item);

struct sim_stream *stream_create(struct sim_env *env, env_stream_fn handler, void *user, const char *peer)
{
    struct sim_stream *stream = sim_alloc(sizeof *stream);
    stream->stream = (struct env_stream){.ops = sim_env_ops(), .handler = handler, .user = user};
    stream->env = env;
    stream->item.deliver = deliver_stream;
    stream->timeout.run = on_timeout;
    stream->peer = sim_strdup(peer);
    list_init(&stream->out);
    list_push_back(&env->streams, &stream->env_link);
    return stream;
}

/* ---- receiving ----------------------------------------------------------------------------------------------------- */

static void tell(struct sim_stream *stream, enum env_stream_event_type type, struct slice bytes, enum err err)
{
    struct env_stream_event event = {.type = type, .now_us = stream->env->env.now_us, .bytes = bytes, .err = err};
    stream->stream.handler(stream->stream.user, &stream->stream, &event);
}

static bool has_bytes(const struct sim_stream *stream) { return stream->in.size > stream->in_at; }

static void deliver_some_bytes(struct sim_stream *stream)
{
    struct prng *prng = &stream_sim(stream)->net;
    size_t size = stream->in.size - stream->in_at;
    if (size > CONNECTION_READ_BYTES) size = CONNECTION_READ_BYTES;
    if (prng_chance(prng, 1, 16)) size = 1 + prng_below(prng, size);
    struct slice bytes = slice_make(stream->in.p + stream->in_at, size);
    if (stream->stream.room_size > 0) {
        bytes = slice_make(stream->stream.room, min_size(size, stream->stream.room_size));
        memcpy(stream->stream.room, stream->in.p + stream->in_at, bytes.n);
        size = bytes.n;
    }
    env_stream_read_into(&stream->stream, NULL, 0);
    stream->in_at += size;
    if (stream->connection) pipe_on_read(&stream->connection->pipes[1 - stream->end], size);
    tell(stream, ENV_STREAM_BYTES, bytes, ERR_OK);
    if (!has_bytes(stream)) stream->in.size = stream->in_at = 0;
}

static void deliver_end(struct sim_stream *stream)
{
    if (stream->connection) {
        struct sim_connection *connection = stream->connection;
        stream->connection = NULL;
        sim_connection_detach(connection, stream->end);
    }
    stream_release_output(stream);
    stream->is_closed = true;
    tell(stream, ENV_STREAM_CLOSED, SLICE_NULL, stream->end_err);
}

static void deliver_stream(struct sim_item *item)
{
    struct sim_stream *stream = CONTAINER_OF(item, struct sim_stream, item);
    ASSERT(!stream->is_finishing && !stream->is_accept_pending);
    stream->is_delivering = true;
    if (stream->tells_connected) {
        stream->tells_connected = false;
        tell(stream, ENV_STREAM_CONNECTED, SLICE_NULL, ERR_OK);
    }
    if (!stream->is_closed && !stream->is_paused && !stream->is_finishing && has_bytes(stream)) deliver_some_bytes(stream);
    if (!stream->is_closed && !stream->is_finishing && stream->tells_drained) {
        stream->tells_drained = false;
        tell(stream, ENV_STREAM_DRAINED, SLICE_NULL, ERR_OK);
    }
    bool is_over = stream->is_ended && (stream->is_reset || (!has_bytes(stream) && !stream->is_paused));
    if (!stream->is_closed && !stream->is_finishing && is_over) deliver_end(stream);
    stream->is_delivering = false;
    if (stream->is_closed)
        stream_free(stream);
    else if (!stream->is_finishing && !stream->is_paused && has_bytes(stream))
        sim_env_deliver(stream->env, &stream->item);
}

static void wake_stream(struct sim_stream *stream)
{
    if (!stream->is_accept_pending) sim_env_deliver(stream->env, &stream->item);
}

void stream_end(struct sim_stream *stream, enum err err, bool is_reset)
{
    if (stream->is_ended) return;
    stream->is_ended = true;
    stream->is_reset = is_reset;
    stream->end_err = err;
    sim_event_cancel(stream_sim(stream), &stream->timeout);
    if (is_reset) stream_release_output(stream);
    if (stream->is_finishing)
        stream_close(stream);
    else
        wake_stream(stream);
}

void stream_arrived(struct sim_stream *stream, const struct chunk *chunk)
{
    if (chunk->type != CHUNK_DATA) {
        /* A reset takes with it what the program did not read in time. */
        stream_end(stream, ERR_RESET, chunk->type == CHUNK_RESET && prng_chance(&stream_sim(stream)->net, 1, 2));
        return;
    }
    if (stream->is_finishing || stream->is_ended) {
        pipe_on_read(&stream->connection->pipes[1 - stream->end], chunk->size);
        return;
    }
    bytes_write(&stream->in, chunk->data, chunk->size, stream->in.size);
    if (!stream->is_paused) wake_stream(stream);
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

/* The next bytes of the first piece; NULL when a file is shorter than its piece says. */
static struct chunk *take_chunk(struct sim_stream *stream, size_t most)
{
    struct prng *prng = &stream_sim(stream)->net;
    struct list_node *first = list_first(&stream->out);
    ASSERT(first != NULL);
    struct out_piece *out = CONTAINER_OF(first, struct out_piece, node);
    struct env_piece *piece = &out->piece;
    if (piece->length < (int64_t)most) most = (size_t)piece->length;
    size_t size = prng_chance(prng, 3, 4) ? most : 1 + prng_below(prng, most);
    struct chunk *chunk = chunk_create(CHUNK_DATA, size);
    if (piece->buf)
        memcpy(chunk->data, piece->buf->data + piece->position, size);
    else if (sim_file_read_live(piece->file, chunk->data, size, piece->position) < size) {
        sim_free(chunk);
        return NULL;
    }
    piece->position += (int64_t)size;
    piece->length -= (int64_t)size;
    stream->queued -= (int64_t)size;
    if (piece->length > 0) return chunk;
    list_remove(&out->node);
    buf_unref(piece->buf);
    env_file_unref(piece->file);
    sim_free(out);
    return chunk;
}

void stream_fill(struct sim_stream *stream)
{
    struct sim *sim = stream_sim(stream);
    struct sim_connection *connection = stream->connection;
    if (!stream->is_connected || !connection || list_is_empty(&stream->out)) return;
    struct pipe *pipe = &connection->pipes[stream->end];
    while (!list_is_empty(&stream->out) && pipe->in_flight < pipe->window) {
        size_t most = pipe->window - pipe->in_flight;
        struct chunk *chunk = take_chunk(stream, most < pipe->chunk_most ? most : pipe->chunk_most);
        if (!chunk) {
            say_goodbye(stream, true);
            stream_end(stream, ERR_IO, true);
            return;
        }
        pipe_push(pipe, chunk);
        if (sim->reset_per_million > 0 && prng_chance(&sim->net, sim->reset_per_million, 1000000)) {
            sim_connection_reset(connection);
            return;
        }
    }
    if (!list_is_empty(&stream->out)) return;
    if (stream->is_finishing) {
        stream_close(stream);
    } else {
        stream->tells_drained = true;
        wake_stream(stream);
    }
}

void sim_net_write(struct env *base, struct env_stream *handle, const struct env_piece *pieces, size_t count)
{
    struct sim_env *env = sim_env_of(base);
    struct sim_stream *stream = stream_of(handle);
    bool is_void = sim_node_is_dead(env->node) || stream->is_closed || stream->is_reset;
    for (size_t i = 0; i < count; i++) {
        if (is_void || pieces[i].length == 0) {
            buf_unref(pieces[i].buf);
            env_file_unref(pieces[i].file);
            continue;
        }
        ASSERT(pieces[i].length > 0 && pieces[i].position >= 0 && (pieces[i].buf != NULL) != (pieces[i].file != NULL));
        struct out_piece *out = sim_alloc(sizeof *out);
        out->piece = pieces[i];
        list_push_back(&stream->out, &out->node);
        stream->queued += pieces[i].length;
    }
    if (!list_is_empty(&stream->out) && !list_is_linked(&stream->unsent_link)) list_push_back(&env->unsent, &stream->unsent_link);
}

int64_t sim_net_queued(const struct env_stream *stream) { return stream_of(stream)->queued; }
const char *sim_net_peer(const struct env_stream *stream) { return stream_of(stream)->peer; }

void sim_net_flush(struct sim_env *env)
{
    for (struct list_node *node; (node = list_pop_front(&env->unsent));) stream_fill(CONTAINER_OF(node, struct sim_stream, unsent_link));
}

void sim_net_pause(struct env *env, struct env_stream *handle, bool paused)
{
    (void)env;
    struct sim_stream *stream = stream_of(handle);
    stream->is_paused = paused;
    if (!paused && !stream->is_closed && (has_bytes(stream) || stream->is_ended)) wake_stream(stream);
}

void sim_net_stream_close(struct env *env, struct env_stream *handle, bool after_drain)
{
    struct sim_stream *stream = stream_of(handle);
    if (stream->is_closed || sim_node_is_dead(sim_env_of(env)->node)) return;
    if (!after_drain || stream->is_ended || list_is_empty(&stream->out)) {
        stream_close(stream);
        return;
    }
    stream->is_finishing = true;
    if (list_is_linked(&stream->item.node)) list_remove(&stream->item.node);
    sim_event_schedule(stream_sim(stream), &stream->timeout, stream_sim(stream)->now_us + FINISH_US);
}

/* ---- connecting ---------------------------------------------------------------------------------------------------- */

static struct sim_node *resolve(struct sim_node *from, const char *host)
{
    if (!*host || strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0) return from;
    for (uint32_t i = 0; i < from->sim->node_count; i++) {
        if (strcmp(from->sim->nodes[i]->host, host) == 0) return from->sim->nodes[i];
    }
    return NULL;
}

struct env_stream *sim_net_connect(struct env *base, const char *host, uint16_t port, int64_t timeout_us, env_stream_fn handler, void *user)
{
    struct sim_env *env = sim_env_of(base);
    struct sim *sim = env->node->sim;
    struct sim_stream *stream = stream_create(env, handler, user, host);
    if (sim_node_is_dead(env->node)) return &stream->stream;
    struct sim_node *server = resolve(env->node, host);
    if (!server) {
        stream->end_err = ERR_UNRESOLVED;
        timeout_us = sim_delay(&sim->net, 100, 1000);
    } else {
        stream->connection = sim_connection_create(sim, env->node, server, port);
        stream->connection->ends[0] = stream;
    }
    sim_event_schedule(sim, &stream->timeout, sim->now_us + timeout_us);
    return &stream->stream;
}

/* ---- listeners ----------------------------------------------------------------------------------------------------- */

static struct sim_listener *listener_of(const struct env_listener *listener)
{
    return CONTAINER_OF((struct env_listener *)(uintptr_t)listener, struct sim_listener, listener);
}

static void accept_one(struct sim_listener *listener, struct sim_stream *stream)
{
    stream->is_accept_pending = false;
    stream->is_delivering = true;
    listener->accepted(listener->user, &stream->stream, listener->env->env.now_us);
    stream->is_delivering = false;
    if (stream->is_closed)
        stream_free(stream);
    else if (!stream->stream.handler)
        stream_close(stream);
    else if (!stream->is_finishing && (has_bytes(stream) || stream->is_ended))
        wake_stream(stream);
}

static void deliver_accepts(struct sim_item *item)
{
    struct sim_listener *listener = CONTAINER_OF(item, struct sim_listener, item);
    struct sim_env *env = listener->env;
    if (listener->is_paused) return;
    struct list_node *first = list_pop_front(&listener->accepts);
    ASSERT(first != NULL);
    accept_one(listener, CONTAINER_OF(first, struct sim_stream, accept_link));
    /* The callback may have closed the listener. */
    LIST_FOR_EACH (&env->node->listeners, link) {
        if (link == &listener->node_link && !list_is_empty(&listener->accepts)) sim_env_deliver(env, item);
    }
}

static bool is_port_taken(const struct sim_node *node, uint16_t port)
{
    LIST_FOR_EACH (&node->listeners, link) {
        if (CONTAINER_OF(link, struct sim_listener, node_link)->port == port) return true;
    }
    return false;
}

enum err sim_net_listen(struct env *base, const char *host, uint16_t port, env_accept_fn accepted, void *user, struct env_listener **out)
{
    (void)host;
    struct sim_env *env = sim_env_of(base);
    *out = NULL;
    if (sim_node_is_dead(env->node)) return ERR_IO;
    if (port == 0) {
        for (port = FIRST_FREE_PORT; is_port_taken(env->node, port);) port++;
    }
    if (is_port_taken(env->node, port)) return ERR_IN_USE;
    struct sim_listener *listener = sim_alloc(sizeof *listener);
    *listener = (struct sim_listener){.listener = {sim_env_ops()}, .env = env, .port = port, .accepted = accepted, .user = user};
    listener->item.deliver = deliver_accepts;
    list_init(&listener->accepts);
    list_push_back(&env->node->listeners, &listener->node_link);
    *out = &listener->listener;
    return ERR_OK;
}

uint16_t sim_net_listener_port(const struct env_listener *listener) { return listener_of(listener)->port; }

void sim_net_listener_pause(struct env_listener *base, bool is_paused)
{
    struct sim_listener *listener = listener_of(base);
    listener->is_paused = is_paused;
    if (!is_paused && !list_is_empty(&listener->accepts)) sim_env_deliver(listener->env, &listener->item);
}

/* Nodes are known by their names. */
bool sim_net_address(const char *text, char *address)
{
    (void)snprintf(address, ENV_ADDRESS_MAX, "%s", text);
    return true;
}

static void listener_free(struct sim_listener *listener)
{
    LIST_FOR_EACH (&listener->accepts, link) {
        struct sim_stream *stream = CONTAINER_OF(link, struct sim_stream, accept_link);
        say_goodbye(stream, true);
        stream_free(stream);
    }
    if (list_is_linked(&listener->item.node)) list_remove(&listener->item.node);
    list_remove(&listener->node_link);
    sim_free(listener);
}

void sim_net_listener_close(struct env *env, struct env_listener *listener)
{
    if (!sim_node_is_dead(sim_env_of(env)->node)) listener_free(listener_of(listener));
}

/* ---- the end of a process ------------------------------------------------------------------------------------------ */

void sim_net_abandon_listeners(struct sim_node *node)
{
    LIST_FOR_EACH (&node->listeners, link) listener_free(CONTAINER_OF(link, struct sim_listener, node_link));
}

void sim_net_abandon(struct sim_env *env, enum sim_crash how)
{
    struct sim *sim = env->node->sim;
    LIST_FOR_EACH (&env->streams, link) {
        struct sim_stream *stream = CONTAINER_OF(link, struct sim_stream, env_link);
        stream_release_output(stream);
        sim_event_cancel(sim, &stream->timeout);
        if (stream->connection && how == SIM_CRASH_POWER) {
            struct sim_connection *connection = stream->connection;
            pipe_lose_tail(&connection->pipes[stream->end]);
            stream->connection = NULL;
            sim_connection_detach(connection, stream->end);
        } else {
            say_goodbye(stream, has_bytes(stream) || prng_chance(&sim->net, 1, 2));
        }
        stream->is_closed = true;
    }
}

void sim_net_free(struct sim_env *env)
{
    LIST_FOR_EACH (&env->streams, link) stream_free(CONTAINER_OF(link, struct sim_stream, env_link));
}
