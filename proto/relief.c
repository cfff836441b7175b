/* Memory that connections share and one of them sits on. Request memory is given in the order of asking, and answers wait for their
 * readers: both hold for peers that work. One that announces a large frame and sends a byte now and then, or asks and does not read,
 * would keep its share as long as it likes. So when somebody waits for request memory, frames that come slowly give way: the longer the
 * wait, the faster they must come, up to a speed that only a peer on a slow line falls short of. And when the answers of the node are too
 * many, the longest queue of those that nothing leaves gives way. Without such pressure slow peers are left alone. */
#include "proto/connection_internal.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/limits.h"

#define WAIT_US        2000000    /* for request memory, before somebody gives way: far below any client's request timeout */
#define AGE_US         1000000    /* of a frame whose speed can be told */
#define SPEED_PER_WAIT (16 << 10) /* bytes/s that each second of waiting asks of those who hold the memory ... */
#define SPEED_ENOUGH   (1 << 20)  /* ... up to this: under honest load, too, there is a queue */
#define STALL_US       1000000    /* without a byte that leaves */
#define LOOK_US        200000     /* between two looks */

/* ---- request memory ------------------------------------------------------------------------------------------------ */

static struct connection *first_waiting(const struct request_memory *memory)
{
    struct list_node *node = list_first(&memory->waiting);
    return node ? CONTAINER_OF(node, struct connection, waiting_node) : NULL;
}

static int64_t bytes_per_second(const struct connection *connection, int64_t now_us)
{
    const struct buf *unfinished = connection->assembler.unfinished;
    int64_t came = unfinished ? (int64_t)unfinished->size : 0;
    return came * 1000000 / max_i64(1, now_us - connection->frame_started_us);
}

/* The slowest of the frames that come slower than this; NULL: there is none. */
static struct connection *slowest_holder(const struct server *server, const struct request_memory *memory, int64_t now_us, int64_t speed)
{
    struct connection *slowest = NULL;
    LIST_FOR_EACH (&server->connections, node) {
        struct connection *connection = CONTAINER_OF(node, struct connection, node);
        bool holds = connection->memory == memory && connection->charged > 0 && !list_is_linked(&connection->waiting_node);
        if (!holds || now_us - connection->frame_started_us < AGE_US || bytes_per_second(connection, now_us) >= speed) continue;
        slowest = connection;
        speed = bytes_per_second(connection, now_us);
    }
    return slowest;
}

static void relieve(struct server *server, struct request_memory *memory, int64_t now_us)
{
    for (struct connection *first; (first = first_waiting(memory)) && now_us - first->waiting_since_us >= WAIT_US;) {
        int64_t speed = min_i64(SPEED_ENOUGH, (now_us - first->waiting_since_us) / 1000000 * SPEED_PER_WAIT);
        struct connection *slowest = slowest_holder(server, memory, now_us, speed);
        if (!slowest) return;
        ASSERT(slowest != first);
        env_mark(server->env, "connection: a slow frame gives way");
        connection_refuse(slowest, SERVER_OVERLOADED,
                          "a frame of %d bytes came at %lld bytes/s, and others wait for its request memory (queued.max.request.bytes)",
                          slowest->assembler.frame_size, (long long)bytes_per_second(slowest, now_us));
    }
}

static void on_request_relief(struct env_timer *timer, int64_t now_us)
{
    struct server *server = CONTAINER_OF(timer, struct server, request_relief);
    relieve(server, &server->memory, now_us);
    relieve(server, &server->reserve, now_us);
    if (first_waiting(&server->memory) || first_waiting(&server->reserve)) env_timer_set(server->env, timer, now_us + LOOK_US);
}

void relief_on_waiting(struct connection *connection)
{
    struct server *server = connection->server;
    ASSERT(list_is_linked(&connection->waiting_node));
    connection->waiting_since_us = env_now_us(server->env);
    if (!heap_is_linked(&server->request_relief.node))
        env_timer_set(server->env, &server->request_relief, connection->waiting_since_us + WAIT_US);
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

static void set_answers(struct connection *connection, int64_t bytes)
{
    connection->server->answers_bytes += bytes - connection->answers_bytes;
    connection->answers_bytes = bytes;
    ASSERT(connection->server->answers_bytes >= 0);
}

static void look_at(struct connection *connection, int64_t now_us)
{
    int64_t queued = env_stream_queued(connection->stream);
    if (connection->answers_stalled_us == 0 || queued < connection->answers_left) connection->answers_stalled_us = now_us;
    connection->answers_left = queued;
    set_answers(connection, min_i64(connection->answers_bytes, queued));
}

/* The longest queue of those that nothing has left for a while; NULL: there is none. */
static struct connection *look_at_all(struct server *server, int64_t now_us)
{
    struct connection *worst = NULL;
    LIST_FOR_EACH (&server->connections, node) {
        struct connection *connection = CONTAINER_OF(node, struct connection, node);
        if (connection->answers_bytes == 0) continue;
        look_at(connection, now_us);
        if (now_us - connection->answers_stalled_us < STALL_US) continue;
        if (!worst || connection->answers_bytes > worst->answers_bytes) worst = connection;
    }
    return worst;
}

static void on_answer_relief(struct env_timer *timer, int64_t now_us)
{
    struct server *server = CONTAINER_OF(timer, struct server, answer_relief);
    for (struct connection *worst; (worst = look_at_all(server, now_us)) && server->answers_bytes > ANSWERS_BYTES_MAX;) {
        env_mark(server->env, "connection: an unread queue gives way");
        connection_refuse(worst, SERVER_OVERLOADED, "it does not read its answers: %lld of the %lld bytes that wait are its own",
                          (long long)worst->answers_bytes, (long long)server->answers_bytes);
    }
    if (server->answers_bytes > ANSWERS_BYTES_MAX) env_timer_set(server->env, timer, now_us + LOOK_US);
}

bool relief_on_answer(struct connection *connection, int64_t bytes)
{
    struct server *server = connection->server;
    if (connection->answers_bytes == 0) connection->answers_stalled_us = 0;
    set_answers(connection, connection->answers_bytes + bytes);
    if (server->answers_bytes <= ANSWERS_BYTES_MAX) return false;
    if (!heap_is_linked(&server->answer_relief.node)) env_timer_set(server->env, &server->answer_relief, env_now_us(server->env) + LOOK_US);
    return true;
}

void relief_on_drained(struct connection *connection) { set_answers(connection, 0); }

/* ---- life ---------------------------------------------------------------------------------------------------------- */

void relief_init(struct server *server)
{
    env_timer_init(&server->request_relief, on_request_relief);
    env_timer_init(&server->answer_relief, on_answer_relief);
}

void relief_deinit(struct server *server)
{
    env_timer_clear(server->env, &server->request_relief);
    env_timer_clear(server->env, &server->answer_relief);
}
