/* Connections: the handshake, the two pipes, what happens to bytes on their way, and the faults of the network. */
#include "tests/sim/net.h"

#include "common/crc32c.h"

bool net_is_blocked(const struct sim *sim, const struct sim_node *from, const struct sim_node *to)
{
    return from != to && (sim->blocked[from->index] >> to->index & 1) != 0;
}

int64_t net_delay(struct sim *sim, const struct sim_node *from, const struct sim_node *to)
{
    return from == to ? sim_delay(&sim->net, 5, 15) : sim_delay(&sim->net, sim->delay_least_us, sim->delay_mean_us);
}

/* ---- pipes --------------------------------------------------------------------------------------------------------- */

struct chunk *chunk_create(enum chunk_type type, size_t size)
{
    struct chunk *chunk = sim_alloc(sizeof *chunk + size);
    chunk->type = type;
    chunk->size = size;
    return chunk;
}

static struct sim_node *pipe_source(const struct pipe *pipe) { return pipe->connection->nodes[pipe->from]; }
static struct sim_node *pipe_target(const struct pipe *pipe) { return pipe->connection->nodes[1 - pipe->from]; }

void pipe_push(struct pipe *pipe, struct chunk *chunk)
{
    struct sim *sim = pipe->connection->sim;
    int64_t arrive_us = sim->now_us + net_delay(sim, pipe_source(pipe), pipe_target(pipe));
    if (arrive_us < pipe->last_arrival_us) arrive_us = pipe->last_arrival_us;
    chunk->arrive_us = pipe->last_arrival_us = arrive_us;
    bool is_first = list_is_empty(&pipe->chunks);
    list_push_back(&pipe->chunks, &chunk->node);
    if (chunk->type == CHUNK_DATA) pipe->in_flight += chunk->size;
    if (is_first) sim_event_schedule(sim, &pipe->arrive, arrive_us);
}

static void chunk_free(struct chunk *chunk)
{
    list_remove(&chunk->node);
    sim_free(chunk);
}

void pipe_lose_tail(struct pipe *pipe)
{
    struct sim *sim = pipe->connection->sim;
    uint64_t count = 0;
    LIST_FOR_EACH (&pipe->chunks, node) count++;
    uint64_t kept = prng_below(&sim->net, count + 1);
    LIST_FOR_EACH (&pipe->chunks, node) {
        if (kept > 0)
            kept--;
        else
            chunk_free(CONTAINER_OF(node, struct chunk, node));
    }
    if (list_is_empty(&pipe->chunks)) sim_event_cancel(sim, &pipe->arrive);
}

static void sim_connection_free(struct sim_connection *connection)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pipe *pipe = &connection->pipes[i];
        LIST_FOR_EACH (&pipe->chunks, node) chunk_free(CONTAINER_OF(node, struct chunk, node));
        sim_event_cancel(connection->sim, &pipe->arrive);
        sim_event_cancel(connection->sim, &pipe->acknowledge);
    }
    sim_event_cancel(connection->sim, &connection->attempt);
    list_remove(&connection->sim_link);
    sim_free(connection);
}

static void free_when_quiet(struct sim_connection *connection)
{
    if (connection->ends[0] || connection->ends[1] || connection->is_held) return;
    if (list_is_empty(&connection->pipes[0].chunks) && list_is_empty(&connection->pipes[1].chunks)) sim_connection_free(connection);
}

/* One chunk reached the other host. */
static void receive(struct pipe *pipe, struct chunk *chunk)
{
    struct sim_connection *connection = pipe->connection;
    struct sim_stream *stream = connection->ends[1 - pipe->from];
    if (stream) {
        sim_hash_add(connection->sim, crc32c(slice_make(chunk->data, chunk->size)) ^ (uint64_t)chunk->type << 40);
        stream_arrived(stream, chunk);
    } else if (chunk->type == CHUNK_DATA && connection->ends[pipe->from]) {
        /* Nobody has this connection any more: the host says so. */
        pipe_push(&connection->pipes[1 - pipe->from], chunk_create(CHUNK_RESET, 0));
    }
}

static void on_arrive(struct sim *sim, struct sim_event *event)
{
    struct pipe *pipe = CONTAINER_OF(event, struct pipe, arrive);
    /* A host without power answers nothing: TCP tries again until it is back, and then learns that nobody knows the connection. */
    if (net_is_blocked(sim, pipe_source(pipe), pipe_target(pipe)) || !pipe_target(pipe)->is_host_up) {
        pipe->is_arrival_stalled = true;
        return;
    }
    struct list_node *first = list_pop_front(&pipe->chunks), *next = list_first(&pipe->chunks);
    ASSERT(first != NULL);
    struct chunk *chunk = CONTAINER_OF(first, struct chunk, node);
    if (next) sim_event_schedule(sim, &pipe->arrive, CONTAINER_OF(next, struct chunk, node)->arrive_us);
    pipe->connection->is_held = true;
    receive(pipe, chunk);
    pipe->connection->is_held = false;
    sim_free(chunk);
    free_when_quiet(pipe->connection);
}

static void on_acknowledge(struct sim *sim, struct sim_event *event)
{
    struct pipe *pipe = CONTAINER_OF(event, struct pipe, acknowledge);
    if (net_is_blocked(sim, pipe_target(pipe), pipe_source(pipe))) {
        pipe->is_acknowledge_stalled = true;
        return;
    }
    ASSERT(pipe->read <= pipe->in_flight);
    pipe->in_flight -= pipe->read;
    pipe->read = 0;
    if (pipe->connection->ends[pipe->from]) stream_fill(pipe->connection->ends[pipe->from]);
}

void pipe_on_read(struct pipe *pipe, size_t size)
{
    struct sim *sim = pipe->connection->sim;
    pipe->read += size;
    if (pipe->acknowledge.place != 0 || pipe->is_acknowledge_stalled) return;
    sim_event_schedule(sim, &pipe->acknowledge, sim->now_us + net_delay(sim, pipe_target(pipe), pipe_source(pipe)));
}

/* ---- the handshake ------------------------------------------------------------------------------------------------- */

static struct sim_listener *find_listener(const struct sim_node *node, uint16_t port)
{
    if (sim_node_is_dead(node)) return NULL;
    LIST_FOR_EACH (&node->listeners, link) {
        struct sim_listener *listener = CONTAINER_OF(link, struct sim_listener, node_link);
        if (listener->port == port) return listener;
    }
    return NULL;
}

static void on_syn(struct sim_connection *connection)
{
    struct sim_listener *listener = find_listener(connection->nodes[1], connection->port);
    if (listener) {
        struct sim_stream *stream = stream_create(listener->env, NULL, NULL, connection->nodes[0]->host);
        stream->connection = connection;
        stream->end = 1;
        stream->is_connected = stream->is_accept_pending = true;
        connection->ends[1] = stream;
        list_push_back(&listener->accepts, &stream->accept_link);
        sim_env_deliver(listener->env, &listener->item);
    }
    connection->handshake = listener ? HANDSHAKE_ACCEPTED : HANDSHAKE_REFUSAL;
    struct sim *sim = connection->sim;
    sim_event_schedule(sim, &connection->attempt, sim->now_us + net_delay(sim, connection->nodes[1], connection->nodes[0]));
}

static void on_answer(struct sim_connection *connection)
{
    struct sim_stream *client = connection->ends[0];
    if (connection->handshake == HANDSHAKE_REFUSAL) {
        connection->handshake = HANDSHAKE_DONE;
        stream_end(client, ERR_REFUSED, true);
        return;
    }
    connection->handshake = HANDSHAKE_DONE;
    sim_event_cancel(connection->sim, &client->timeout);
    client->is_connected = client->tells_connected = true;
    sim_env_deliver(client->env, &client->item);
    stream_fill(client);
}

static void on_attempt(struct sim *sim, struct sim_event *event)
{
    struct sim_connection *connection = CONTAINER_OF(event, struct sim_connection, attempt);
    const struct sim_node *client = connection->nodes[0], *server = connection->nodes[1];
    ASSERT(connection->ends[0] != NULL);
    if (net_is_blocked(sim, client, server) || net_is_blocked(sim, server, client) || !server->is_host_up) {
        sim_event_schedule(sim, event, sim->now_us + prng_range(&sim->net, 100 * SIM_MS, SIM_SECOND));
    } else if (connection->handshake == HANDSHAKE_SYN) {
        on_syn(connection);
    } else {
        on_answer(connection);
    }
}

/* ---- connections --------------------------------------------------------------------------------------------------- */

struct sim_connection *sim_connection_create(struct sim *sim, struct sim_node *client, struct sim_node *server, uint16_t port)
{
    struct sim_connection *connection = sim_alloc(sizeof *connection);
    *connection = (struct sim_connection){.sim = sim, .nodes = {client, server}, .port = port, .attempt = {.run = on_attempt}};
    for (unsigned i = 0; i < 2; i++) {
        struct pipe *pipe = &connection->pipes[i];
        *pipe = (struct pipe){.connection = connection, .from = i, .arrive = {.run = on_arrive}, .acknowledge = {.run = on_acknowledge}};
        list_init(&pipe->chunks);
        pipe->window = (size_t)prng_range(&sim->net, (int64_t)sim->window_least, (int64_t)sim->window_most);
        pipe->chunk_most = prng_chance(&sim->net, 1, 8) ? 64 : 65536;
    }
    list_push_back(&sim->connections, &connection->sim_link);
    sim_event_schedule(sim, &connection->attempt, sim->now_us + net_delay(sim, client, server));
    return connection;
}

void sim_connection_detach(struct sim_connection *connection, unsigned end)
{
    connection->ends[end] = NULL;
    if (end == 0) sim_event_cancel(connection->sim, &connection->attempt);
    free_when_quiet(connection);
}

void sim_connection_reset(struct sim_connection *connection)
{
    for (unsigned i = 0; i < 2; i++) {
        pipe_lose_tail(&connection->pipes[i]);
        pipe_push(&connection->pipes[i], chunk_create(CHUNK_RESET, 0));
    }
    if (connection->handshake != HANDSHAKE_DONE) sim_event_cancel(connection->sim, &connection->attempt);
}

void sim_net_free_connections(struct sim *sim)
{
    LIST_FOR_EACH (&sim->connections, node) sim_connection_free(CONTAINER_OF(node, struct sim_connection, sim_link));
}

/* ---- faults -------------------------------------------------------------------------------------------------------- */

void sim_net_set_delay(struct sim *sim, int64_t least_us, int64_t mean_us)
{
    sim->delay_least_us = least_us;
    sim->delay_mean_us = mean_us;
}

void sim_net_set_window(struct sim *sim, size_t least, size_t most)
{
    ASSERT(least > 0 && least <= most);
    sim->window_least = least;
    sim->window_most = most;
}

void sim_net_set_reset_rate(struct sim *sim, uint32_t per_million) { sim->reset_per_million = per_million; }

void sim_net_block(struct sim *sim, const struct sim_node *from, const struct sim_node *to)
{
    sim->blocked[from->index] |= UINT64_C(1) << to->index;
}

/* TCP sends again what was lost, some time after the way is free. */
void sim_net_retry_stalled(struct sim *sim)
{
    LIST_FOR_EACH (&sim->connections, node) {
        struct sim_connection *connection = CONTAINER_OF(node, struct sim_connection, sim_link);
        for (unsigned i = 0; i < 2; i++) {
            struct pipe *pipe = &connection->pipes[i];
            int64_t at_us = sim->now_us + prng_range(&sim->net, 0, 200 * SIM_MS);
            if (pipe->is_arrival_stalled && !list_is_empty(&pipe->chunks)) sim_event_schedule(sim, &pipe->arrive, at_us);
            if (pipe->is_acknowledge_stalled) sim_event_schedule(sim, &pipe->acknowledge, at_us);
            pipe->is_arrival_stalled = pipe->is_acknowledge_stalled = false;
        }
    }
}

/* Who waits for room in the window of a connection that died without power sends nothing that could be refused: TCP probes. */
static void probe_window(struct sim_connection *connection, unsigned dead)
{
    const struct pipe *pipe = &connection->pipes[1 - dead];
    bool is_half_open = connection->ends[dead] == NULL && connection->ends[1 - dead] != NULL && connection->handshake == HANDSHAKE_DONE;
    if (is_half_open && pipe->in_flight >= pipe->window && list_is_empty(&pipe->chunks))
        pipe_push(&connection->pipes[dead], chunk_create(CHUNK_RESET, 0));
}

void sim_net_host_is_up(struct sim_node *node)
{
    LIST_FOR_EACH (&node->sim->connections, link) {
        struct sim_connection *connection = CONTAINER_OF(link, struct sim_connection, sim_link);
        if (connection->nodes[0] == node) probe_window(connection, 0);
        if (connection->nodes[1] == node) probe_window(connection, 1);
    }
    sim_net_retry_stalled(node->sim);
}

void sim_net_unblock(struct sim *sim, const struct sim_node *from, const struct sim_node *to)
{
    sim->blocked[from->index] &= ~(UINT64_C(1) << to->index);
    sim_net_retry_stalled(sim);
}

void sim_net_partition(struct sim *sim, uint64_t side_a, uint64_t side_b)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (side_a >> i & 1) sim->blocked[i] |= side_b & ~(UINT64_C(1) << i);
        if (side_b >> i & 1) sim->blocked[i] |= side_a & ~(UINT64_C(1) << i);
    }
}

void sim_net_heal(struct sim *sim)
{
    memset(sim->blocked, 0, sizeof sim->blocked);
    sim_net_retry_stalled(sim);
}

void sim_net_cut(struct sim *sim, const struct sim_node *a, const struct sim_node *b)
{
    LIST_FOR_EACH (&sim->connections, node) {
        struct sim_connection *connection = CONTAINER_OF(node, struct sim_connection, sim_link);
        const struct sim_node *client = connection->nodes[0], *server = connection->nodes[1];
        bool forth = (!a || a == client) && (!b || b == server), back = (!a || a == server) && (!b || b == client);
        if (forth || back) sim_connection_reset(connection);
    }
}
