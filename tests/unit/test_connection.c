/* proto/connection and proto/channel, against each other and against raw bytes, over the simulated network. */
#include "common/limits.h"
#include "common/mem.h"
#include "common/writer.h"
#include "proto/channel.h"
#include "proto/connection.h"
#include "tests/sim/sim.h"

#include <check.h>
#include <stdlib.h>

#define CALLS_MAX  200
#define KEY_ECHO   20000 /* answered at once */
#define KEY_PARK   20001 /* answered when the test says so */
#define KEY_BLOCK  20002 /* the same, and nothing starts before */
#define KEY_CLOSE  20003
#define KEY_SILENT 20004
#define KEY_APPEND 20005 /* gives its frame back, then answers when the test says so */
#define KEY_LARGE  20006 /* answered at once, with much */

#define LARGE_BYTES 200000

struct call {
    struct channel_call call;
    int answers;
    enum err err;
    size_t size;
    uint8_t first;
};
struct world {
    struct sim *sim;
    struct sim_node *server_node, *client_node;
    struct env *server_env, *client_env;
    struct server server;
    uint16_t port;
    struct request *parked[CALLS_MAX];
    size_t parked_count, started, abandoned, closed_connections;
    struct channel *channel;
    struct call calls[CALLS_MAX];
    size_t call_count, order[CALLS_MAX], order_count;
    bool is_channel_closed;
    enum err channel_err;
    /* a raw client */
    struct env_stream *raw;
    bool is_raw_closed;
    size_t raw_bytes;
};

static void on_abandoned(struct request *request)
{
    struct world *w = request->user;
    w->abandoned++;
    for (size_t i = 0; i < w->parked_count; i++)
        if (w->parked[i] == request) w->parked[i] = NULL;
    request_finish(request);
}

static struct buf *make_large(void)
{
    struct buf *large = buf_create(LARGE_BYTES);
    memset(large->data, 0, LARGE_BYTES);
    large->size = LARGE_BYTES;
    return large;
}

static enum request_progress on_request(void *user, struct request *request)
{
    struct world *w = user;
    w->started++;
    request->user = w;
    switch (request->api_key) {
    case KEY_ECHO: request_respond_buf(request, buf_copy(request->body)); return REQUEST_DONE;
    case KEY_LARGE: request_respond_buf(request, make_large()); return REQUEST_DONE;
    case KEY_CLOSE: request_close(request, "the test says so"); return REQUEST_DONE;
    case KEY_SILENT: request_finish(request); return REQUEST_DONE;
    case KEY_APPEND: request_release_frame(request); break;
    default: break;
    }
    ck_assert_uint_lt(w->parked_count, CALLS_MAX);
    w->parked[w->parked_count++] = request;
    request->on_abandoned = on_abandoned;
    return request->api_key == KEY_BLOCK ? REQUEST_BLOCKED : REQUEST_PARKED;
}

static void on_connection_closed(void *user, struct connection *connection)
{
    struct world *w = user;
    ck_assert_str_eq(connection_listener(connection), "PLAINTEXT");
    w->closed_connections++;
}

static struct server_limits limits = {.frame_bytes_max = 1 << 20,
                                      .memory_bytes_max = 4 << 20,
                                      .connections_max = 100,
                                      .connections_per_ip_max = 100,
                                      .connections_per_s_max = CONNECTION_RATE_UNLIMITED};
static bool is_listener_protected;

static void start_server(void *user, struct sim_node *node)
{
    struct world *w = user;
    w->server_env = sim_env_create(node);
    struct server_handler handler = {.on_request = on_request, .on_closed = on_connection_closed, .user = w};
    server_init(&w->server, w->server_env, &limits, &handler);
    ck_assert_int_eq(server_listen(&w->server, "PLAINTEXT", "", 9092, is_listener_protected, &w->port), ERR_OK);
}
static void start_client(void *user, struct sim_node *node) { ((struct world *)user)->client_env = sim_env_create(node); }
static void destroy(void *user, struct sim_node *node) { (void)user, (void)node; }
static void destroy_server(void *user, struct sim_node *node)
{
    struct world *w = user;
    (void)node;
    server_deinit(&w->server);
}

static struct world *begin(uint64_t seed)
{
    struct world *w = mem_alloc(sizeof *w);
    w->sim = sim_create(seed);
    struct sim_process server = {.start = start_server, .destroy = destroy_server, .user = w};
    struct sim_process client = {.start = start_client, .destroy = destroy, .user = w};
    w->server_node = sim_node_add(w->sim, "broker", &server);
    w->client_node = sim_node_add(w->sim, "client", &client);
    sim_node_start(w->server_node);
    sim_node_start(w->client_node);
    return w;
}

static void end(struct world *w)
{
    if (w->channel) channel_close(w->channel);
    sim_destroy(w->sim);
    mem_free(w);
}

static void on_channel_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    struct world *w = user;
    (void)channel, (void)now_us;
    w->is_channel_closed = true;
    w->channel_err = err;
    w->channel = NULL;
}

static void open_channel(struct world *w)
{
    struct channel_handler handler = {.on_closed = on_channel_closed, .user = w};
    w->channel = channel_open(w->client_env, "broker", 9092, "tester", 10 * SIM_SECOND, 8 << 20, &handler);
}

static void on_done(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct world *w = call->user;
    struct call *c = CONTAINER_OF(call, struct call, call);
    (void)frame, (void)now_us;
    c->answers++;
    c->err = err;
    c->size = body.n;
    c->first = body.n ? body.p[0] : 0;
    w->order[w->order_count++] = (size_t)(c - w->calls);
}

static void send_call(struct world *w, int16_t key, size_t size, int64_t timeout_us)
{
    struct call *c = &w->calls[w->call_count];
    c->call = (struct channel_call){.api_key = key, .done = on_done, .user = w};
    struct buf *body = buf_create(size);
    memset(body->data, (int)w->call_count, size);
    body->size = size;
    struct env_piece piece = env_piece_buf(body);
    channel_send(w->channel, &c->call, &piece, 1, timeout_us);
    w->call_count++;
}

static bool all_answered(void *context)
{
    struct world *w = context;
    return w->order_count == w->call_count;
}
static void wait_for_all(struct world *w) { ck_assert(sim_wait(w->sim, all_answered, w, 600 * SIM_SECOND)); }

START_TEST(calls_are_answered_whatever_the_network_does_to_the_bytes)
{
    struct world *w = begin((uint64_t)_i);
    sim_net_set_window(w->sim, 1, 5000);
    open_channel(w);
    for (size_t i = 0; i < 100; i++) send_call(w, KEY_ECHO, i == 50 ? 300000 : i * i, 600 * SIM_SECOND);
    wait_for_all(w);
    for (size_t i = 0; i < 100; i++) {
        ck_assert_uint_eq(w->order[i], i);
        ck_assert_int_eq(w->calls[i].err, ERR_OK);
        ck_assert_uint_eq(w->calls[i].size, i == 50 ? 300000 : i * i);
        if (i > 0) ck_assert_uint_eq(w->calls[i].first, i);
    }
    ck_assert_int_eq(w->server.memory.used, 0);
    end(w);
}
END_TEST

static bool is_parked(void *context)
{
    struct world *w = context;
    return w->started == w->call_count;
}

START_TEST(answers_keep_the_order_of_the_requests)
{
    struct world *w = begin(1);
    open_channel(w);
    for (int i = 0; i < 10; i++) send_call(w, i % 3 == 0 ? KEY_ECHO : KEY_PARK, 8, SIM_SECOND * 60);
    ck_assert(sim_wait(w->sim, is_parked, w, SIM_SECOND));
    for (size_t i = w->parked_count; i-- > 0;) request_respond_buf(w->parked[i], buf_copy(w->parked[i]->body));
    wait_for_all(w);
    for (size_t i = 0; i < 10; i++) {
        ck_assert_uint_eq(w->order[i], i);
        ck_assert_uint_eq(w->calls[i].first, i);
    }
    end(w);
}
END_TEST

START_TEST(a_blocked_request_holds_back_the_later_ones)
{
    struct world *w = begin(2);
    open_channel(w);
    send_call(w, KEY_BLOCK, 8, 60 * SIM_SECOND);
    for (int i = 0; i < 5; i++) send_call(w, KEY_ECHO, 8, 60 * SIM_SECOND);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_eq(w->started, 1);
    request_unblock(w->parked[0]);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_eq(w->started, 6);
    ck_assert_uint_eq(w->order_count, 0);
    request_respond(w->parked[0], NULL, 0);
    wait_for_all(w);
    end(w);
}
END_TEST

START_TEST(at_most_64_requests_are_unanswered)
{
    struct world *w = begin(3);
    open_channel(w);
    for (int i = 0; i < 150; i++) send_call(w, KEY_PARK, 8, 600 * SIM_SECOND);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_eq(w->started, UNANSWERED_REQUESTS_MAX);
    for (size_t next = 0; next < 150; next++) {
        ck_assert_uint_lt(next, w->parked_count);
        request_respond_buf(w->parked[next], buf_copy(w->parked[next]->body));
        sim_run_for(w->sim, 10 * SIM_MS);
    }
    wait_for_all(w);
    end(w);
}
END_TEST

START_TEST(a_request_without_answer_and_one_that_ends_the_connection)
{
    struct world *w = begin(4);
    open_channel(w);
    send_call(w, KEY_SILENT, 8, 60 * SIM_SECOND);
    channel_cancel(&w->calls[0].call);
    w->order_count = 1;
    send_call(w, KEY_PARK, 8, 60 * SIM_SECOND);
    send_call(w, KEY_CLOSE, 8, 60 * SIM_SECOND);
    send_call(w, KEY_ECHO, 8, 60 * SIM_SECOND);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_eq(w->started, 3);
    ck_assert(!w->is_channel_closed);
    request_respond(w->parked[0], NULL, 0); /* what was asked before it is still answered */
    wait_for_all(w);
    ck_assert_int_eq(w->calls[0].answers, 0);
    ck_assert_int_eq(w->calls[1].err, ERR_OK);
    ck_assert_int_ne(w->calls[2].err, ERR_OK);
    ck_assert(w->is_channel_closed);
    ck_assert_uint_eq(w->closed_connections, 1);
    end(w);
}
END_TEST

/* ---- raw bytes ----------------------------------------------------------------------------------------------------- */

static void on_raw(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct world *w = user;
    (void)stream;
    if (event->type == ENV_STREAM_BYTES) w->raw_bytes += event->bytes.n;
    if (event->type == ENV_STREAM_CLOSED) w->is_raw_closed = true, w->raw = NULL;
}
static bool is_raw_closed(void *context) { return ((struct world *)context)->is_raw_closed; }

static void open_raw(struct world *w)
{
    w->is_raw_closed = false;
    w->raw = env_connect(w->client_env, "broker", 9092, SIM_SECOND, on_raw, w);
    sim_run_for(w->sim, 10 * SIM_MS);
    ck_assert_ptr_nonnull(w->raw);
}
static void send_raw(struct world *w, struct slice bytes)
{
    struct env_piece piece = env_piece_buf(buf_copy(bytes));
    env_write(w->client_env, w->raw, &piece, 1);
}

static const struct {
    const char *bytes;
    size_t n;
} bad[] = {
    {"GET / HTTP/1.1\r\n\r\n", 18},
    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
    {"\x7f\xff\xff\xff\x00\x00", 6},                                  /* a 2 GB length */
    {"\xff\xff\xff\xff\x00\x00", 6},                                  /* a negative one */
    {"\x00\x00\x00\x00", 4},                                          /* an empty frame */
    {"\x00\x00\x00\x09\x4e\x20\x00\x00\x00\x00\x00\x01\x00", 13},     /* a header without its client id */
    {"\x00\x00\x00\x0a\x4e\x20\x00\x00\x00\x00\x00\x01\x7f\xff", 14}, /* a client id beyond the frame */
    {"\x00\x00\x00\x0a\x4e\x20\x00\x00\x00\x00\x00\x01\xff\xfe", 14}, /* a client id of length -2 */
};

START_TEST(w_1_bad_frames_close_their_connection_only)
{
    struct world *w = begin(5);
    open_channel(w);
    open_raw(w);
    send_raw(w, slice_make(bad[_i].bytes, bad[_i].n));
    ck_assert(sim_wait(w->sim, is_raw_closed, w, SIM_SECOND));
    ck_assert_uint_eq(w->started, 0);
    send_call(w, KEY_ECHO, 8, SIM_SECOND);
    wait_for_all(w);
    ck_assert_int_eq(w->calls[0].err, ERR_OK);
    end(w);
}
END_TEST

/* A stranger cannot fill the disk with log lines; the count is told when the flood has ended. */
START_TEST(w_1_a_flood_of_bad_frames_costs_few_log_lines)
{
    struct world *w = begin(7);
    const struct log_limit *limit = &w->server.log_limits[SERVER_BAD_FRAME];
    for (unsigned i = 0; i < 3 * LOG_LIMIT_LINES; i++) {
        open_raw(w);
        send_raw(w, SLICE_LITERAL("GET / HTTP/1.1\r\n\r\n"));
        ck_assert(sim_wait(w->sim, is_raw_closed, w, SIM_SECOND));
    }
    ck_assert_uint_eq(limit->left_out, 2 * LOG_LIMIT_LINES);
    sim_run_for(w->sim, 120 * SIM_SECOND);
    ck_assert_uint_eq(limit->left_out, 0);
    end(w);
}
END_TEST

START_TEST(w_1_a_long_length_alone_takes_no_memory)
{
    struct world *w = begin(6);
    open_raw(w);
    send_raw(w, slice_make("\x00\x0f\x00\x00", 4));
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_int_eq(w->server.memory.used, 0);
    send_raw(w, slice_make("ab", 2));
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_int_le(w->server.memory.used, FRAME_CHARGE_MIN);
    ck_assert(sim_wait(w->sim, is_raw_closed, w, 60 * SIM_SECOND)); /* too slow */
    ck_assert_int_eq(w->server.memory.used, 0);
    end(w);
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------------------------------- */

static int64_t most_used;
static void note_memory(void *context)
{
    const struct world *w = context;
    if (w->server.memory.used > most_used) most_used = w->server.memory.used;
}

/* Frames that come in many pieces: what they take together passes the limit by one frame at most. */
START_TEST(request_memory_is_overdrawn_by_one_frame_at_most)
{
    struct server_limits before = limits;
    limits.memory_bytes_max = 300000;
    struct world *w = begin((uint64_t)_i);
    limits = before;
    struct channel *channels[8];
    sim_net_set_window(w->sim, 8000, 20000);
    most_used = 0;
    sim_after_each_event(w->sim, note_memory, w);
    for (size_t i = 0; i < 8; i++) {
        struct channel_handler handler = {.on_closed = on_channel_closed, .user = w};
        channels[i] = channel_open(w->client_env, "broker", 9092, "tester", 10 * SIM_SECOND, 8 << 20, &handler);
        w->channel = channels[i];
        for (int k = 0; k < 2; k++) send_call(w, KEY_ECHO, 500000, 600 * SIM_SECOND);
    }
    wait_for_all(w);
    for (size_t i = 0; i < w->call_count; i++) ck_assert_int_eq(w->calls[i].err, ERR_OK);
    ck_assert_int_gt(most_used, 300000);
    ck_assert_int_le(most_used, 300000 + 500100);
    ck_assert_int_eq(w->server.memory.used, 0);
    for (size_t i = 0; i < 8; i++) channel_close(channels[i]);
    w->channel = NULL;
    end(w);
}
END_TEST

START_TEST(request_memory_is_shared_without_a_deadlock)
{
    struct server_limits before = limits;
    limits.memory_bytes_max = 300000;
    struct world *w = begin((uint64_t)_i);
    limits = before;
    struct channel *channels[8];
    for (size_t i = 0; i < 8; i++) {
        struct channel_handler handler = {.on_closed = on_channel_closed, .user = w};
        channels[i] = channel_open(w->client_env, "broker", 9092, "tester", 10 * SIM_SECOND, 8 << 20, &handler);
        w->channel = channels[i];
        for (int k = 0; k < 3; k++) send_call(w, k == 1 ? KEY_APPEND : KEY_ECHO, 200000 + i, 600 * SIM_SECOND);
    }
    for (size_t next = 0; next < 8; next++) {
        while (next >= w->parked_count) ck_assert(sim_step(w->sim));
        request_respond(w->parked[next], NULL, 0);
    }
    wait_for_all(w);
    for (size_t i = 0; i < w->call_count; i++) ck_assert_int_eq(w->calls[i].err, ERR_OK);
    ck_assert_int_eq(w->server.memory.used, 0);
    ck_assert_int_eq(w->server.memory.held_by_waiting, 0);
    ck_assert_uint_gt(sim_mark_count(w->sim, "connection: request memory is used up"), 0);
    for (size_t i = 0; i < 8; i++) channel_close(channels[i]);
    w->channel = NULL;
    end(w);
}
END_TEST

/* Many small requests with large answers, from many peers at once: nobody is served out before the next has a turn. */
START_TEST(large_answers_are_given_in_turns)
{
    struct world *w = begin(14);
    sim_net_set_window(w->sim, 1 << 20, 1 << 20);
    for (int i = 0; i < 10; i++) {
        open_raw(w);
        for (int k = 0; k < 20; k++) send_raw(w, slice_make("\x00\x00\x00\x0a\x4e\x26\x00\x00\x00\x00\x00\x01\xff\xff", 14));
    }
    size_t most = 0;
    while (w->started < 200) {
        size_t before = w->started;
        ck_assert(sim_step(w->sim));
        if (w->started - before > most) most = w->started - before;
    }
    ck_assert_uint_le(most, 2 + 2); /* those who go on, and one that has just sent something */
    ck_assert_uint_ge(most, 1);
    end(w);
}
END_TEST

/* Peers that announce much, send enough to be given request memory, and then next to nothing. */
START_TEST(slow_frames_give_way_when_others_wait_for_their_memory)
{
    static const uint8_t head[20000] = {0x00, 0x0f, 0x00, 0x00};
    struct server_limits before = limits;
    limits.memory_bytes_max = 300000;
    struct world *w = begin(12);
    limits = before;
    open_raw(w);
    send_raw(w, slice_make(head, sizeof head));
    sim_run_for(w->sim, 5 * SIM_SECOND);
    ck_assert(!w->is_raw_closed); /* nobody minds */
    ck_assert_int_ge(w->server.memory.used, 300000);
    open_channel(w);
    send_call(w, KEY_ECHO, 200000, 60 * SIM_SECOND);
    ck_assert(sim_wait(w->sim, all_answered, w, 4 * SIM_SECOND));
    ck_assert_int_eq(w->calls[0].err, ERR_OK);
    ck_assert(w->is_raw_closed);
    ck_assert_uint_eq(sim_mark_count(w->sim, "connection: a slow frame gives way"), 1);
    ck_assert_int_eq(w->server.memory.used, 0);
    end(w);
}
END_TEST

#define DEAF_PEERS    24
#define DEAF_REQUESTS 6

/* They ask and do not read: 24 times more than 4 MB of answers. */
START_TEST(unread_answers_have_a_bound_over_all_connections)
{
    struct world *w = begin(13);
    struct buf *request = buf_create(900004);
    memcpy(request->data, "\x00\x0d\xbb\xa0\x4e\x20\x00\x00\x00\x00\x00\x01\xff\xff", 14);
    memset(request->data + 14, 0, 900004 - 14);
    request->size = 900004;
    for (int i = 0; i < DEAF_PEERS; i++) {
        open_raw(w);
        env_stream_pause(w->client_env, w->raw);
        for (int k = 0; k < DEAF_REQUESTS; k++) send_raw(w, buf_slice(request));
        sim_run_for(w->sim, SIM_MS);
    }
    open_channel(w);
    for (int i = 0; i < 20; i++) {
        send_call(w, KEY_ECHO, 100000, 10 * SIM_SECOND); /* the deaf have request memory, too, which they must give up first */
        wait_for_all(w);
        ck_assert_int_eq(w->calls[i].err, ERR_OK);
        sim_run_for(w->sim, SIM_SECOND);
    }
    ck_assert_int_le(w->server.answers_bytes, ANSWERS_BYTES_MAX);
    ck_assert_int_ge(w->server.answers_bytes, ANSWERS_BYTES_MAX / 2); /* not more go than must */
    ck_assert_uint_gt(sim_mark_count(w->sim, "connection: an unread queue gives way"), 0);
    ck_assert_uint_lt(w->closed_connections, DEAF_PEERS);
    buf_unref(request);
    end(w);
}
END_TEST

START_TEST(idle_connections_are_closed_and_waiting_ones_are_not)
{
    struct server_limits before = limits;
    limits.idle_timeout_us = 5 * SIM_SECOND;
    struct world *w = begin(7);
    limits = before;
    open_channel(w);
    send_call(w, KEY_PARK, 8, 600 * SIM_SECOND);
    open_raw(w);
    sim_run_for(w->sim, 4 * SIM_SECOND);
    ck_assert(!w->is_raw_closed);
    sim_run_for(w->sim, 60 * SIM_SECOND);
    ck_assert(w->is_raw_closed);
    ck_assert(!w->is_channel_closed);
    request_respond(w->parked[0], NULL, 0);
    wait_for_all(w);
    sim_run_for(w->sim, 60 * SIM_SECOND);
    ck_assert(w->is_channel_closed);
    end(w);
}
END_TEST

START_TEST(idle_connections_between_nodes_stay)
{
    struct server_limits before = limits;
    limits.idle_timeout_us = 5 * SIM_SECOND;
    is_listener_protected = true;
    struct world *w = begin(7);
    limits = before;
    is_listener_protected = false;
    open_channel(w);
    send_call(w, KEY_ECHO, 8, SIM_SECOND);
    wait_for_all(w);
    sim_run_for(w->sim, 60 * SIM_SECOND);
    ck_assert(!w->is_channel_closed);
    end(w);
}
END_TEST

START_TEST(connections_per_address_are_limited)
{
    struct server_limits before = limits;
    limits.connections_per_ip_max = 1;
    struct world *w = begin(8);
    limits = before;
    open_channel(w);
    send_call(w, KEY_ECHO, 8, SIM_SECOND);
    wait_for_all(w);
    w->is_raw_closed = false;
    w->raw = env_connect(w->client_env, "broker", 9092, SIM_SECOND, on_raw, w);
    ck_assert(sim_wait(w->sim, is_raw_closed, w, SIM_SECOND));
    channel_close(w->channel);
    w->channel = NULL;
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_eq(map_count(&w->server.addresses), 0);
    open_raw(w);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert(!w->is_raw_closed);
    end(w);
}
END_TEST

/* ---- the client's side --------------------------------------------------------------------------------------------- */

START_TEST(a_call_that_times_out_leaves_the_channel_usable)
{
    struct world *w = begin(9);
    open_channel(w);
    send_call(w, KEY_PARK, 8, SIM_SECOND);
    send_call(w, KEY_ECHO, 8, 60 * SIM_SECOND);
    sim_run_for(w->sim, 2 * SIM_SECOND);
    ck_assert_uint_eq(w->order_count, 1);
    ck_assert_int_eq(w->calls[0].err, ERR_TIMEOUT);
    request_respond(w->parked[0], NULL, 0);
    wait_for_all(w);
    ck_assert_int_eq(w->calls[0].answers, 1);
    ck_assert_int_eq(w->calls[1].err, ERR_OK);
    ck_assert_uint_eq(w->calls[1].first, 1);
    end(w);
}
END_TEST

/* A call's ERR_TIMEOUT says that the channel goes on: this one does not. */
START_TEST(a_connect_that_times_out_is_no_timeout_of_its_calls)
{
    struct world *w = begin(9);
    sim_net_block(w->sim, w->client_node, w->server_node);
    open_channel(w);
    send_call(w, KEY_ECHO, 8, 60 * SIM_SECOND);
    sim_run_for(w->sim, 20 * SIM_SECOND);
    ck_assert_int_eq(w->calls[0].answers, 1);
    ck_assert_int_eq(w->calls[0].err, ERR_RESET);
    ck_assert(w->is_channel_closed);
    ck_assert_int_eq(w->channel_err, ERR_TIMEOUT);
    end(w);
}
END_TEST

START_TEST(a_dead_peer_is_told_from_a_silent_one)
{
    struct world *w = begin(10);
    open_channel(w);
    send_call(w, KEY_PARK, 8, 60 * SIM_SECOND);
    sim_run_for(w->sim, SIM_SECOND);
    sim_node_crash(w->server_node, SIM_CRASH_PROCESS);
    wait_for_all(w);
    ck_assert(w->is_channel_closed);
    ck_assert_int_eq(w->calls[0].err, w->channel_err);
    ck_assert_uint_eq(w->abandoned, 1);
    w->is_channel_closed = false;
    open_channel(w);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert(w->is_channel_closed);
    ck_assert_int_eq(w->channel_err, ERR_REFUSED);
    end(w);
}
END_TEST

START_TEST(requests_outlive_their_connection)
{
    struct world *w = begin(11);
    open_channel(w);
    for (int i = 0; i < 3; i++) send_call(w, KEY_PARK, 100000, 60 * SIM_SECOND);
    ck_assert(sim_wait(w->sim, is_parked, w, SIM_SECOND));
    w->parked[1]->on_abandoned = NULL;
    struct request *late = w->parked[1];
    ck_assert_int_gt(w->server.memory.used, 0);
    channel_close(w->channel);
    w->channel = NULL;
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_eq(w->abandoned, 2);
    ck_assert_ptr_null(late->connection);
    ck_assert_int_eq(w->server.memory.used, 0);
    request_release_frame(late);
    request_respond_buf(late, buf_copy(SLICE_LITERAL("nobody reads this")));
    end(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("connection");
    TCase *tcase = tcase_create("core");
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_loop_test(tcase, calls_are_answered_whatever_the_network_does_to_the_bytes, 1, 6);
    tcase_add_test(tcase, answers_keep_the_order_of_the_requests);
    tcase_add_test(tcase, a_blocked_request_holds_back_the_later_ones);
    tcase_add_test(tcase, at_most_64_requests_are_unanswered);
    tcase_add_test(tcase, a_request_without_answer_and_one_that_ends_the_connection);
    tcase_add_loop_test(tcase, w_1_bad_frames_close_their_connection_only, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(tcase, w_1_a_flood_of_bad_frames_costs_few_log_lines);
    tcase_add_test(tcase, w_1_a_long_length_alone_takes_no_memory);
    tcase_add_loop_test(tcase, request_memory_is_overdrawn_by_one_frame_at_most, 1, 4);
    tcase_add_loop_test(tcase, request_memory_is_shared_without_a_deadlock, 1, 11);
    tcase_add_test(tcase, large_answers_are_given_in_turns);
    tcase_add_test(tcase, slow_frames_give_way_when_others_wait_for_their_memory);
    tcase_add_test(tcase, unread_answers_have_a_bound_over_all_connections);
    tcase_add_test(tcase, idle_connections_are_closed_and_waiting_ones_are_not);
    tcase_add_test(tcase, idle_connections_between_nodes_stay);
    tcase_add_test(tcase, connections_per_address_are_limited);
    tcase_add_test(tcase, a_call_that_times_out_leaves_the_channel_usable);
    tcase_add_test(tcase, a_connect_that_times_out_is_no_timeout_of_its_calls);
    tcase_add_test(tcase, a_dead_peer_is_told_from_a_silent_one);
    tcase_add_test(tcase, requests_outlive_their_connection);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
