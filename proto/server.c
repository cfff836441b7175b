/* Listeners, request memory, idle and slow connections: what connections of one node share. */
#include "proto/connection_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/limits.h"
#include "common/mem.h"

#define SWEEP_US_MAX 10000000 /* idle and slow connections are looked for this often */
#define SWEEP_US_MIN 1000
/* A frame that takes longer than this must come at some speed: nobody holds request memory with a byte now and then. */
#define SLOW_FRAME_US          10000000
#define SLOW_FRAME_BYTES_PER_S 1024

/* ---- request memory ------------------------------------------------------------------------------------------------ */

static bool can_grant(const struct request_memory *memory, int64_t bytes)
{
    return memory->used + bytes <= memory->limit || memory->used == memory->held_by_waiting;
}

static void wake_first(struct request_memory *memory)
{
    for (struct list_node *node; (node = list_first(&memory->waiting));) {
        struct connection *connection = CONTAINER_OF(node, struct connection, waiting_node);
        if (!can_grant(memory, connection->wanted)) return;
        list_remove(node);
        memory->held_by_waiting -= connection->charged;
        memory->used += connection->wanted;
        connection->charged += connection->wanted;
        connection->wanted = 0;
        connection->frame_started_us = env_now_us(connection->server->env); /* it was not its own slowness */
        server_make_ready(connection);
    }
}

bool memory_charge(struct connection *connection, int64_t capacity)
{
    struct request_memory *memory = connection->memory;
    int64_t bytes = capacity - connection->charged;
    ASSERT(!list_is_linked(&connection->waiting_node));
    if (bytes <= 0) return true; /* granted while it waited */
    if (list_is_empty(&memory->waiting) && memory->used + bytes <= memory->limit) {
        memory->used += bytes;
        connection->charged = capacity;
        return true;
    }
    /* Whoever waits gets all that its frame needs: else each could overdraw for its next piece, and wait again with that in hand. */
    connection->wanted = connection->assembler.frame_size - connection->charged;
    memory->held_by_waiting += connection->charged;
    list_push_back(&memory->waiting, &connection->waiting_node);
    env_mark(connection->server->env, "connection: request memory is used up");
    wake_first(memory);
    if (!list_is_linked(&connection->waiting_node)) return true;
    relief_on_waiting(connection);
    return false;
}

void memory_release(struct request_memory *memory, int64_t bytes)
{
    if (bytes == 0) return;
    memory->used -= bytes;
    ASSERT(memory->used >= 0);
    wake_first(memory);
}

void memory_abandon(struct connection *connection)
{
    struct request_memory *memory = connection->memory;
    int64_t charged = connection->charged;
    if (list_is_linked(&connection->waiting_node)) {
        list_remove(&connection->waiting_node);
        memory->held_by_waiting -= charged;
    }
    connection->charged = 0;
    memory_release(memory, charged);
}

/* ---- what admission.c and connection.c share ------------------------------------------------------------------------- */

const char *server_cause_text(enum server_cause cause)
{
    static const char *const texts[SERVER_CAUSE_COUNT] = {
        [SERVER_BAD_FRAME] = "connections closed for what is no request",
        [SERVER_BAD_REQUEST] = "connections closed for what they asked",
        [SERVER_OVERLOADED] = "connections closed that held memory others waited for",
        [SERVER_FULL] = "connections refused (max.connections)",
        [SERVER_ADDRESS_FULL] = "connections refused (max.connections.per.ip)",
        [SERVER_ADDRESS_FAST] = "connections refused (connection_creation_rate)",
    };
    ASSERT((unsigned)cause < SERVER_CAUSE_COUNT);
    return texts[cause];
}

void server_forget(struct connection *connection)
{
    list_remove(&connection->node);
    if (list_is_linked(&connection->ready_node)) list_remove(&connection->ready_node);
    admission_forget(connection);
}

/* ---- going on ------------------------------------------------------------------------------------------------------ */

void server_make_ready(struct connection *connection)
{
    struct server *server = connection->server;
    if (list_is_linked(&connection->ready_node)) return;
    list_push_back(&server->ready, &connection->ready_node);
    env_timer_set(server->env, &server->ready_timer, env_now_us(server->env));
}

static void on_ready(struct env_timer *timer, int64_t now_us)
{
    struct server *server = CONTAINER_OF(timer, struct server, ready_timer);
    struct list_node *node = NULL;
    struct list now;
    list_init(&now);
    while ((node = list_pop_front(&server->ready))) list_push_back(&now, node);
    server->turn_bytes = 0;
    while (server->turn_bytes < TURN_ANSWER_BYTES && (node = list_pop_front(&now)))
        connection_continue(CONTAINER_OF(node, struct connection, ready_node));
    /* The others are first in the next turn, after whoever has sent something meanwhile. */
    while ((node = list_last(&now))) {
        list_remove(node);
        list_push_front(&server->ready, node);
    }
    if (!list_is_empty(&server->ready)) env_timer_set(server->env, timer, now_us + 1);
}

/* ---- idle and slow ------------------------------------------------------------------------------------------------- */

/* Between nodes a silent connection has a purpose: its end says that the other process is gone. */
static bool is_idle(const struct connection *connection, int64_t now_us)
{
    int64_t limit_us = connection->server->limits.idle_timeout_us;
    return limit_us > 0 && !connection->listener->is_protected && list_is_empty(&connection->requests) &&
           now_us - connection->last_active_us >= limit_us;
}

static bool is_slow(const struct connection *connection, int64_t now_us)
{
    int64_t since_us = now_us - connection->frame_started_us;
    if (assembler_is_idle(&connection->assembler) || connection->held || since_us < SLOW_FRAME_US) return false;
    const struct buf *unfinished = connection->assembler.unfinished;
    int64_t came = unfinished ? (int64_t)unfinished->size : 0;
    return came / SLOW_FRAME_BYTES_PER_S < since_us / 1000000;
}

static int64_t sweep_period_us(const struct server *server)
{
    int64_t idle_us = server->limits.idle_timeout_us;
    return idle_us > 0 ? max_i64(SWEEP_US_MIN, min_i64(SWEEP_US_MAX, idle_us / 8)) : SWEEP_US_MAX;
}

/* A flood that has ended brings no line that would tell of it. */
static void tell_left_out(struct server *server, int64_t now_us, bool is_last)
{
    for (unsigned cause = 0; cause < SERVER_CAUSE_COUNT; cause++)
        log_limit_tell(env_logger(server->env), &server->log_limits[cause], now_us, server_cause_text((enum server_cause)cause),
                       "connection", is_last);
}

static void on_sweep(struct env_timer *timer, int64_t now_us)
{
    struct server *server = CONTAINER_OF(timer, struct server, sweep_timer);
    LIST_FOR_EACH (&server->connections, node) {
        struct connection *connection = CONTAINER_OF(node, struct connection, node);
        if (is_slow(connection, now_us))
            connection_refuse(connection, SERVER_BAD_FRAME, "a frame of %d bytes came slower than %d bytes/s",
                              connection->assembler.frame_size, SLOW_FRAME_BYTES_PER_S);
        else if (is_idle(connection, now_us))
            connection_close(connection);
    }
    bool is_last = list_is_empty(&server->connections);
    tell_left_out(server, now_us, is_last);
    if (!is_last) env_timer_set(server->env, timer, now_us + sweep_period_us(server));
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void memory_init(struct request_memory *memory, int64_t limit)
{
    *memory = (struct request_memory){.limit = limit};
    list_init(&memory->waiting);
}

void server_init(struct server *server, struct env *env, const struct server_limits *limits, const struct server_handler *handler)
{
    ASSERT(handler->on_request != NULL);
    ASSERT(limits->frame_bytes_max > 0);
    *server = (struct server){.env = env, .limits = *limits, .handler = *handler};
    memory_init(&server->memory, limits->memory_bytes_max);
    memory_init(&server->reserve, limits->frame_bytes_max);
    list_init(&server->connections);
    list_init(&server->ready);
    list_init(&server->listeners);
    admission_init(server);
    env_timer_init(&server->ready_timer, on_ready);
    env_timer_init(&server->sweep_timer, on_sweep);
    relief_init(server);
}

enum err server_listen(struct server *server, const char *name, const char *host, uint16_t port, bool is_protected, uint16_t *bound)
{
    struct server_listener *listener = mem_alloc(sizeof *listener);
    listener->server = server;
    listener->is_protected = is_protected;
    enum err err = env_listen(server->env, host, port, admission_on_accepted, listener, &listener->socket);
    if (err) {
        mem_free(listener);
        return err;
    }
    listener->name = mem_strdup(name);
    list_push_back(&server->listeners, &listener->node);
    *bound = env_listener_port(listener->socket);
    return ERR_OK;
}

void server_stop_listening(struct server *server)
{
    LIST_FOR_EACH (&server->listeners, node) {
        struct server_listener *listener = CONTAINER_OF(node, struct server_listener, node);
        if (listener->socket) env_listener_close(server->env, listener->socket);
        listener->socket = NULL;
    }
}

void server_traffic(const struct server *server, struct server_traffic *traffic)
{
    *traffic =
        (struct server_traffic){.accepted = server->accepted_count, .refused = server->refused_count, .delayed = server->delayed_count};
    LIST_FOR_EACH (&server->listeners, node) {
        const struct server_listener *listener = CONTAINER_OF(node, struct server_listener, node);
        if (traffic->listener_count == LISTENERS_MAX) break;
        traffic->listeners[traffic->listener_count].name = listener->name;
        traffic->listeners[traffic->listener_count++].connections = listener->connection_count;
    }
}

void server_deinit(struct server *server)
{
    server_stop_listening(server);
    for (struct list_node *node; (node = list_first(&server->connections));) connection_close(CONTAINER_OF(node, struct connection, node));
    for (struct list_node *node; (node = list_pop_front(&server->listeners));) {
        struct server_listener *listener = CONTAINER_OF(node, struct server_listener, node);
        mem_free(listener->name);
        mem_free(listener);
    }
    env_timer_clear(server->env, &server->ready_timer);
    env_timer_clear(server->env, &server->sweep_timer);
    relief_deinit(server);
    admission_deinit(server);
}
