/* Who may connect: how many connections there are, of all and of one address, and how fast new ones come.
 *
 * Beyond a count a new connection is closed at once. Beyond the rate of all (max.connection.creation.rate) nobody is accepted for a while:
 * new connections wait in the system's queue. Beyond the rate of its address the handler tells for how long; it is closed so much later,
 * without a word, since a client that is turned away at once is back at once.
 *
 * Protected listeners are other nodes': nothing of this holds them back. */
#include "proto/connection_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/mem.h"

#define LINGERING_MAX 1000    /* connections that wait for their end; beyond it they are closed at once */
#define LINGER_US_MAX 1000000 /* Kafka's: the length of a window of its quotas */

/* ---- addresses ----------------------------------------------------------------------------------------------------- */

static struct server_address *address_of(struct server *server, const char *text)
{
    ASSERT(text != NULL);
    struct slice key = slice_str(text);
    struct server_address *address = map_get(&server->addresses, key);
    if (address) return address;
    address = mem_alloc(sizeof *address + key.n + 1);
    memcpy(address->text, text, key.n + 1);
    address->key = slice_make(address->text, key.n);
    map_put(&server->addresses, address->key, address);
    return address;
}

static void address_release(struct server *server, struct server_address *address)
{
    if (address->connection_count > 0) return;
    map_remove(&server->addresses, address->key);
    mem_free(address);
}

/* ---- counts -------------------------------------------------------------------------------------------------------- */

static void log_refusal(const struct server_listener *listener, enum server_cause cause, const struct server_address *address,
                        uint32_t open)
{
    struct server *server = listener->server;
    log_line_limited(env_logger(server->env), &server->log_limits[cause], env_now_us(server->env), server_cause_text(cause), "connection",
                     "refused %s on listener %s: %s %u connections%s", address->text, listener->name,
                     cause == SERVER_FULL ? "there are" : "it has", open,
                     cause == SERVER_FULL ? " (max.connections)" : " (max.connections.per.ip)");
}

static bool has_room(const struct server_listener *listener, const struct server_address *address)
{
    const struct server *server = listener->server;
    if (server->connection_count >= server->limits.connections_max) {
        log_refusal(listener, SERVER_FULL, address, server->connection_count);
        return false;
    }
    if (address->connection_count >= address_limits_get(&server->overrides, address->text, server->limits.connections_per_ip_max)) {
        log_refusal(listener, SERVER_ADDRESS_FULL, address, address->connection_count);
        return false;
    }
    return true;
}

/* ---- the rate of an address ---------------------------------------------------------------------------------------- */

struct lingering {
    struct list_node node;
    struct server *server;
    struct env_stream *stream;
    int64_t end_us;
};

static void lingering_free(struct lingering *lingering)
{
    list_remove(&lingering->node);
    lingering->server->lingering_count--;
    mem_free(lingering);
}

static void on_lingering(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct lingering *lingering = user;
    ASSERT(lingering->stream == stream);
    if (event->type == ENV_STREAM_CLOSED) lingering_free(lingering);
}

static void on_linger(struct env_timer *timer, int64_t now_us)
{
    struct server *server = CONTAINER_OF(timer, struct server, linger_timer);
    int64_t next_us = INT64_MAX;
    LIST_FOR_EACH (&server->lingering, node) {
        struct lingering *lingering = CONTAINER_OF(node, struct lingering, node);
        if (lingering->end_us > now_us) {
            next_us = min_i64(next_us, lingering->end_us);
            continue;
        }
        env_stream_close(server->env, lingering->stream);
        lingering_free(lingering);
    }
    if (next_us < INT64_MAX) env_timer_set(server->env, timer, next_us);
}

/* What is not handled is closed by whoever called. */
static void let_linger(struct server *server, struct env_stream *stream, int64_t end_us)
{
    if (server->lingering_count >= LINGERING_MAX) return;
    struct lingering *lingering = mem_alloc(sizeof *lingering);
    *lingering = (struct lingering){.server = server, .stream = stream, .end_us = end_us};
    list_push_back(&server->lingering, &lingering->node);
    server->lingering_count++;
    env_stream_handle(stream, on_lingering, lingering);
    env_stream_pause(server->env, stream);
    if (!heap_is_linked(&server->linger_timer.node)) env_timer_set(server->env, &server->linger_timer, end_us);
}

/* Whether it comes too soon after others of its address. */
static bool is_too_soon(const struct server_listener *listener, struct env_stream *stream, int64_t now_us)
{
    struct server *server = listener->server;
    const struct server_handler *handler = &server->handler;
    int64_t wait_us = handler->on_connecting ? handler->on_connecting(handler->user, env_stream_peer(stream), now_us) : 0;
    if (wait_us <= 0) return false;
    log_line_limited(env_logger(server->env), &server->log_limits[SERVER_ADDRESS_FAST], now_us, server_cause_text(SERVER_ADDRESS_FAST),
                     "connection", "refused %s on listener %s: it connects too often (connection_creation_rate)", env_stream_peer(stream),
                     listener->name);
    let_linger(server, stream, now_us + min_i64(wait_us, LINGER_US_MAX));
    return true;
}

/* ---- the rate of all ----------------------------------------------------------------------------------------------- */

static void pause_listeners(struct server *server, bool is_paused)
{
    LIST_FOR_EACH (&server->listeners, node) {
        struct server_listener *listener = CONTAINER_OF(node, struct server_listener, node);
        if (listener->socket && !listener->is_protected) env_listener_pause(server->env, listener->socket, is_paused);
    }
}

static void on_accept_again(struct env_timer *timer, int64_t now_us)
{
    (void)now_us;
    pause_listeners(CONTAINER_OF(timer, struct server, accept_timer), false);
}

/* With a rate of 0 Kafka accepts one in a second, too. */
static void count_accepted(struct server *server, int64_t now_us)
{
    if (server->limits.connections_per_s_max == CONNECTION_RATE_UNLIMITED) return;
    double rate = server->limits.connections_per_s_max > 0 ? server->limits.connections_per_s_max : 1;
    token_bucket_take(&server->creation, rate, 1, now_us);
    int64_t wait_us = token_bucket_wait_us(&server->creation, rate, now_us);
    if (wait_us == 0) return;
    server->delayed_count++;
    env_mark(server->env, "connection: new ones wait");
    pause_listeners(server, true);
    env_timer_set(server->env, &server->accept_timer, now_us + wait_us);
}

/* ---- a new connection ---------------------------------------------------------------------------------------------- */

static bool is_admitted(const struct server_listener *listener, const struct server_address *address, struct env_stream *stream,
                        int64_t now_us)
{
    if (listener->is_protected) return true;
    count_accepted(listener->server, now_us);
    return !is_too_soon(listener, stream, now_us) && has_room(listener, address);
}

void admission_on_accepted(void *user, struct env_stream *stream, int64_t now_us)
{
    struct server_listener *listener = user;
    struct server *server = listener->server;
    struct server_address *address = address_of(server, env_stream_peer(stream));
    if (!is_admitted(listener, address, stream, now_us)) {
        server->refused_count++;
        address_release(server, address);
        return;
    }
    address->connection_count++;
    listener->connection_count++;
    server->accepted_count++;
    if (!listener->is_protected) server->connection_count++;
    connection_open(server, listener, address, stream, now_us);
    if (!heap_is_linked(&server->sweep_timer.node)) server->sweep_timer.fire(&server->sweep_timer, now_us);
}

void admission_forget(struct connection *connection)
{
    struct server *server = connection->server;
    if (!connection->listener->is_protected) server->connection_count--;
    connection->address->connection_count--;
    connection->listener->connection_count--;
    address_release(server, connection->address);
    connection->address = NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

void admission_init(struct server *server)
{
    map_init(&server->addresses, env_random64(server->env));
    address_limits_init(&server->overrides, env_random64(server->env));
    list_init(&server->lingering);
    env_timer_init(&server->linger_timer, on_linger);
    env_timer_init(&server->accept_timer, on_accept_again);
}

void admission_deinit(struct server *server)
{
    env_timer_clear(server->env, &server->linger_timer);
    env_timer_clear(server->env, &server->accept_timer);
    for (struct list_node *node; (node = list_first(&server->lingering));) {
        struct lingering *lingering = CONTAINER_OF(node, struct lingering, node);
        env_stream_close(server->env, lingering->stream);
        lingering_free(lingering);
    }
    address_limits_deinit(&server->overrides);
    map_deinit(&server->addresses);
}
