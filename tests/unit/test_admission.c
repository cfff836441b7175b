/* proto/admission and proto/address_limits: who may connect, and how fast, over the simulated network. */
#include "common/mem.h"
#include "proto/connection.h"
#include "tests/sim/sim.h"

#include <check.h>
#include <stdlib.h>

#define PEERS_MAX 64
#define CLIENTS   2

struct peer {
    struct env_stream *stream; /* NULL: closed by the server */
    bool is_connected;
};
struct world {
    struct sim *sim;
    struct sim_node *server_node, *client_nodes[CLIENTS];
    struct env *server_env, *client_envs[CLIENTS];
    struct server server;
    int64_t connecting_wait_us; /* what on_connecting() says */
    struct peer peers[PEERS_MAX];
    size_t peer_count, closed;
};

static struct server_limits limits; /* of the next world */
static bool is_protected;

static enum request_progress on_request(void *user, struct request *request)
{
    (void)user;
    request_finish(request);
    return REQUEST_DONE;
}

static int64_t on_connecting(void *user, const char *address, int64_t now_us)
{
    const struct world *w = user;
    (void)now_us;
    return strcmp(address, "client0") == 0 ? w->connecting_wait_us : 0;
}

static void start_server(void *user, struct sim_node *node)
{
    struct world *w = user;
    struct server_handler handler = {.on_request = on_request, .on_connecting = on_connecting, .user = w};
    uint16_t bound = 0;
    w->server_env = sim_env_create(node);
    server_init(&w->server, w->server_env, &limits, &handler);
    ck_assert_int_eq(server_listen(&w->server, "PLAINTEXT", "", 9092, is_protected, &bound), ERR_OK);
}
static void destroy_server(void *user, struct sim_node *node)
{
    struct world *w = user;
    (void)node;
    server_deinit(&w->server);
}
static void start_client(void *user, struct sim_node *node) { *(struct env **)user = sim_env_create(node); }
static void destroy_client(void *user, struct sim_node *node) { (void)user, (void)node; }

static void setup(void)
{
    is_protected = false;
    limits = (struct server_limits){.frame_bytes_max = 1 << 20,
                                    .memory_bytes_max = 4 << 20,
                                    .connections_max = PEERS_MAX,
                                    .connections_per_ip_max = PEERS_MAX,
                                    .connections_per_s_max = CONNECTION_RATE_UNLIMITED};
}

static struct world *begin(uint64_t seed)
{
    static const char *const names[CLIENTS] = {"client0", "client1"};
    struct world *w = mem_alloc(sizeof *w);
    struct sim_process server = {.start = start_server, .destroy = destroy_server, .user = w};
    *w = (struct world){.sim = sim_create(seed)};
    w->server_node = sim_node_add(w->sim, "broker", &server);
    sim_node_start(w->server_node);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct sim_process client = {.start = start_client, .destroy = destroy_client, .user = &w->client_envs[i]};
        w->client_nodes[i] = sim_node_add(w->sim, names[i], &client);
        sim_node_start(w->client_nodes[i]);
    }
    return w;
}

static void end(struct world *w)
{
    sim_destroy(w->sim);
    mem_free(w);
}

static void on_peer(void *user, struct env_stream *stream, const struct env_stream_event *event)
{
    struct peer *peer = user;
    ck_assert_ptr_eq(peer->stream, stream);
    if (event->type == ENV_STREAM_CONNECTED) peer->is_connected = true;
    if (event->type == ENV_STREAM_CLOSED) peer->stream = NULL;
}

static void connect_some(struct world *w, size_t client, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct peer *peer = &w->peers[w->peer_count++];
        peer->stream = env_connect(w->client_envs[client], "broker", 9092, 60 * SIM_SECOND, on_peer, peer);
    }
}

static size_t closed_count(const struct world *w)
{
    size_t closed = 0;
    for (size_t i = 0; i < w->peer_count; i++) closed += w->peers[i].stream == NULL;
    return closed;
}

START_TEST(beyond_the_rate_of_all_new_connections_wait)
{
    limits.connections_per_s_max = 5;
    struct world *w = begin(1);
    connect_some(w, 0, 20);
    sim_run_for(w->sim, SIM_SECOND / 2);
    ck_assert_uint_ge(w->server.accepted_count, 5); /* a second's worth at once */
    ck_assert_uint_le(w->server.accepted_count, 8);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_le(w->server.accepted_count, 13);
    sim_run_for(w->sim, 2 * SIM_SECOND);
    ck_assert_uint_eq(w->server.accepted_count, 20);
    ck_assert_uint_eq(closed_count(w), 0);
    ck_assert_uint_gt(w->server.delayed_count, 0);
    end(w);
}
END_TEST

START_TEST(a_rate_of_0_lets_one_in_each_second)
{
    limits.connections_per_s_max = 0;
    struct world *w = begin(2);
    connect_some(w, 0, 4);
    sim_run_for(w->sim, SIM_SECOND / 2);
    ck_assert_uint_le(w->server.accepted_count, 2);
    sim_run_for(w->sim, 4 * SIM_SECOND);
    ck_assert_uint_eq(w->server.accepted_count, 4);
    end(w);
}
END_TEST

START_TEST(the_rate_may_change_and_the_server_may_end_while_somebody_waits)
{
    limits.connections_per_s_max = 1;
    struct world *w = begin(3);
    connect_some(w, 0, 30);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_le(w->server.accepted_count, 3);
    w->server.limits.connections_per_s_max = CONNECTION_RATE_UNLIMITED;
    sim_run_for(w->sim, 2 * SIM_SECOND);
    ck_assert_uint_eq(w->server.accepted_count, 30);
    w->server.limits.connections_per_s_max = 1;
    connect_some(w, 0, 20);
    sim_run_for(w->sim, SIM_SECOND / 2);
    server_stop_listening(&w->server);
    sim_run_for(w->sim, 2 * SIM_SECOND);
    end(w);
}
END_TEST

START_TEST(other_nodes_are_not_held_back)
{
    is_protected = true;
    limits.connections_per_s_max = 1;
    limits.connections_max = limits.connections_per_ip_max = 2;
    struct world *w = begin(4);
    w->connecting_wait_us = SIM_SECOND;
    connect_some(w, 0, 20);
    sim_run_for(w->sim, SIM_SECOND / 2);
    ck_assert_uint_eq(w->server.accepted_count, 20);
    end(w);
}
END_TEST

START_TEST(who_connects_too_often_is_closed_later_and_others_are_served)
{
    struct world *w = begin(5);
    w->connecting_wait_us = 10 * (int64_t)SIM_SECOND; /* a second is the most */
    connect_some(w, 0, 5);
    connect_some(w, 1, 5);
    sim_run_for(w->sim, SIM_SECOND / 2);
    ck_assert_uint_eq(closed_count(w), 0);
    ck_assert_uint_eq(w->server.accepted_count, 5);
    ck_assert_uint_eq(w->server.refused_count, 5);
    ck_assert_uint_eq(w->server.connection_count, 5);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_eq(closed_count(w), 5);
    ck_assert_uint_eq(w->server.lingering_count, 0);
    connect_some(w, 0, 1);
    sim_run_for(w->sim, SIM_SECOND / 2);
    ck_assert_uint_eq(w->server.lingering_count, 1);
    end(w); /* one that lingers ends with the server */
}
END_TEST

START_TEST(single_addresses_have_limits_of_their_own)
{
    char reason[SETTING_REASON_MAX];
    limits.connections_per_ip_max = 2;
    struct world *w = begin(6);
    ck_assert(address_limits_set(&w->server.overrides, w->server_env, SLICE_LITERAL("client0:4, nobody : 1"), reason));
    connect_some(w, 0, 6);
    connect_some(w, 1, 6);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_eq(w->server.accepted_count, 4 + 2);
    ck_assert_uint_eq(closed_count(w), 2 + 4);
    ck_assert(address_limits_set(&w->server.overrides, w->server_env, SLICE_LITERAL(""), reason));
    connect_some(w, 0, 1);
    sim_run_for(w->sim, SIM_SECOND);
    ck_assert_uint_eq(w->server.accepted_count, 6);
    end(w);
}
END_TEST

static const char *const wrong[] = {"a", "a:", ":5", "a:-1", "a:2147483648", "a:1,,b:2", "a:x"};

START_TEST(limits_of_addresses_that_make_no_sense_change_nothing)
{
    char reason[SETTING_REASON_MAX] = "";
    struct world *w = begin(7);
    struct address_limits *overrides = &w->server.overrides;
    ck_assert(address_limits_set(overrides, w->server_env, SLICE_LITERAL("a:1,b:2,a:3"), reason));
    ck_assert(!address_limits_set(overrides, w->server_env, slice_str(wrong[_i]), reason));
    ck_assert_ptr_nonnull(strstr(reason, "ADDRESS:COUNT"));
    ck_assert_uint_eq(address_limits_get(overrides, "a", 9), 3);
    ck_assert_uint_eq(address_limits_get(overrides, "b", 9), 2);
    ck_assert_uint_eq(address_limits_get(overrides, "c", 9), 9);
    end(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admission");
    TCase *tcase = tcase_create("admission");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, beyond_the_rate_of_all_new_connections_wait);
    tcase_add_test(tcase, a_rate_of_0_lets_one_in_each_second);
    tcase_add_test(tcase, the_rate_may_change_and_the_server_may_end_while_somebody_waits);
    tcase_add_test(tcase, other_nodes_are_not_held_back);
    tcase_add_test(tcase, who_connects_too_often_is_closed_later_and_others_are_served);
    tcase_add_test(tcase, single_addresses_have_limits_of_their_own);
    tcase_add_loop_test(tcase, limits_of_addresses_that_make_no_sense_change_nothing, 0, sizeof wrong / sizeof *wrong);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
