/* One whole node in the simulator and a client that asks it: for the tests of handlers.  Everything is production code but the
 * client. */
#ifndef SKIFF_TESTS_UNIT_NODE_FIXTURE_H
#define SKIFF_TESTS_UNIT_NODE_FIXTURE_H

#include "broker/handlers/dispatch.h"
#include "broker/node/broker_node.h"
#include "broker/node/broker_options.h"
#include "common/mem.h"
#include "controller/node/controller_node.h"
#include "proto/api.h"
#include "proto/channel.h"
#include "proto/codec.h"
#include "proto/record_batch.h"
#include "tests/sim/sim.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct sim *sim;
    struct sim_node *node, *client_node;
    const char *settings; /* server.properties, added to the fixture's */
    struct config config;
    struct listeners listeners;
    struct broker_node *broker;
    struct controller_node *controller;
    struct env *client;
    struct channel *channel;
    /* The last answer. */
    struct arena arena;
    struct channel_call call;
    bool is_answered, is_closed;
    enum err err;
    struct buf *frame;
    struct slice body;
};

static inline void fixture_failed(void *user, const char *reason)
{
    (void)user;
    ck_abort_msg("the node ends: %s", reason);
}

static inline void fixture_start(void *user, struct sim_node *node)
{
    struct fixture *f = user;
    char text[1024], reason[CONFIG_LINE_MAX] = "";
    struct env *broker_env = sim_env_create(node), *controller_env = sim_env_create(node);
    (void)snprintf(text, sizeof text,
                   "log.dirs=/data\nlisteners=PLAINTEXT://node:9092,CONTROLLER://node:9093\ncontroller.listener.names=CONTROLLER\n"
                   "controller.quorum.voters=0@node:9093\n%s",
                   f->settings);
    config_init(&f->config, NULL, NULL);
    ck_assert_int_eq(config_load(&f->config, "test", slice_str(text)), ERR_OK);
    ck_assert_int_eq(config_finish(&f->config), ERR_OK);
    ck_assert_int_eq(listeners_parse(&f->listeners, &f->config, "node", reason), ERR_OK);
    struct broker_node_options options = {
        .config = &f->config, .listeners = &f->listeners, .open_files_max = 100, .on_failed = fixture_failed, .user = f};
    ck_assert_int_eq(broker_node_create(broker_env, &options, &f->broker, reason), ERR_OK);
    ck_assert_int_eq(broker_node_open(f->broker, reason), ERR_OK);
    struct controller_node_config *c = mem_alloc(sizeof *c);
    *c = (struct controller_node_config){
        .raft = {.directory = "/data/controller",
                 .voter_count = 1,
                 .voters = {{.id = 0, .port = 9093, .host = "node"}},
                 .snapshot_log_bytes = 1 << 20},
        .listener_name = "CONTROLLER",
        .host = "node",
        .port = 9093,
        .limits = broker_server_limits(&f->config),
        .session_timeout_ms = 9000,
        .settings = {.default_partitions = 1, .default_replication_factor = 1, .is_topic_deletion_enabled = true},
        .defaults = {.min_insync_replicas = 1, .is_flushing = true},
        .broker_env = broker_env,
        .on_update = broker_node_on_update,
        .receiver = f->broker,
        .on_failed = fixture_failed,
        .user = f};
    ck_assert_int_eq(controller_node_create(controller_env, c, &f->controller), ERR_OK);
    mem_free(c);
}

/* In the order of the real process; the simulator has taken the sockets away. */
static inline void fixture_destroy(void *user, struct sim_node *node)
{
    struct fixture *f = user;
    (void)node;
    controller_node_destroy(f->controller);
    broker_node_destroy(f->broker);
    config_deinit(&f->config);
}

static inline void fixture_client_start(void *user, struct sim_node *node) { ((struct fixture *)user)->client = sim_env_create(node); }
static inline void fixture_client_destroy(void *user, struct sim_node *node) { (void)user, (void)node; }

static inline void fixture_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    struct fixture *f = user;
    (void)channel, (void)err, (void)now_us;
    f->channel = NULL;
    f->is_closed = true;
}

static inline void fixture_connect(struct fixture *f)
{
    struct channel_handler handler = {.on_closed = fixture_closed, .user = f};
    f->is_closed = false;
    f->channel = channel_open(f->client, "node", 9092, "test", SIM_SECOND, 1 << 24, &handler);
}

static inline bool fixture_is_active(void *context)
{
    const struct fixture *f = context;
    return broker_node_is_active(f->broker) && image_broker_get(broker_node_image(f->broker), 0) &&
           image_is_active(broker_node_image(f->broker), 0);
}

static inline struct fixture *fixture_create(const char *settings)
{
    struct fixture *f = mem_alloc(sizeof *f);
    f->settings = settings;
    f->sim = sim_create(1);
    sim_net_set_window(f->sim, 1 << 20, 1 << 20);
    f->node = sim_node_add(f->sim, "node", &(struct sim_process){.start = fixture_start, .destroy = fixture_destroy, .user = f});
    f->client_node =
        sim_node_add(f->sim, "client", &(struct sim_process){.start = fixture_client_start, .destroy = fixture_client_destroy, .user = f});
    sim_node_start(f->node);
    sim_node_start(f->client_node);
    ck_assert(sim_wait(f->sim, fixture_is_active, f, 10 * SIM_SECOND));
    fixture_connect(f);
    return f;
}

static inline void fixture_end(struct fixture *f)
{
    if (f->channel) channel_close(f->channel);
    sim_run_for(f->sim, SIM_SECOND); /* what is under way ends, and gives its memory back */
    buf_unref(f->frame);
    arena_deinit(&f->arena);
    sim_destroy(f->sim);
    mem_free(f);
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

static inline void fixture_answered(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct fixture *f = call->user;
    (void)now_us;
    f->is_answered = true;
    f->err = err;
    f->frame = frame ? buf_ref(frame) : NULL;
    f->body = body;
}
static inline bool fixture_has_answer(void *context) { return ((struct fixture *)context)->is_answered; }

static inline void fixture_send_raw(struct fixture *f, int16_t api_key, int16_t version, bool is_flexible, struct buf *body)
{
    struct env_piece piece = env_piece_buf(body);
    buf_unref(f->frame);
    f->frame = NULL;
    f->is_answered = false;
    f->call =
        (struct channel_call){.api_key = api_key, .api_version = version, .is_flexible = is_flexible, .done = fixture_answered, .user = f};
    channel_send(f->channel, &f->call, &piece, 1, 60 * SIM_SECOND);
}

/* The decoded answer, until the next question; NULL when the connection was closed instead. */
static inline void *fixture_ask(struct fixture *f, int16_t api_key, int16_t version, const void *request)
{
    struct writer w;
    writer_init(&w, 256);
    ck_assert_int_eq(codec_encode(api_request(api_key), version, request, &w), ERR_OK);
    fixture_send_raw(f, api_key, version, api_request_header_version(api_key, version) == 2, writer_take(&w));
    /* Answers to ApiVersions have no tagged fields in their header, whatever the version. */
    f->call.is_flexible = f->call.is_flexible && api_response_header_version(api_key, version) > 0;
    ck_assert(sim_wait(f->sim, fixture_has_answer, f, 60 * SIM_SECOND));
    if (f->err) return NULL;
    arena_deinit(&f->arena);
    arena_init(&f->arena, 1 << 24);
    void *response = arena_alloc(&f->arena, codec_struct_size(api_response(api_key)));
    ck_assert_msg(codec_decode_exact(api_response(api_key), version, f->body, &f->arena, response) == ERR_OK, "%s %d", api_name(api_key),
                  version);
    return response;
}

static inline int16_t fixture_create_topic(struct fixture *f, const char *name, int32_t partitions)
{
    struct create_topics_request_topics topic = {.name = slice_str(name), .num_partitions = partitions, .replication_factor = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
    const struct create_topics_response *response = fixture_ask(f, API_CREATE_TOPICS, 7, &request);
    ck_assert_int_eq(response->topics_count, 1);
    return response->topics[0].error_code;
}

/* One batch with one record. */
static inline struct buf *fixture_batch(const char *value)
{
    struct record_batch_spec spec;
    struct record_batch_builder builder;
    record_batch_spec_init(&spec);
    record_batch_builder_init(&builder, &spec);
    record_batch_builder_add(&builder, 1000, SLICE_LITERAL("key"), slice_str(value), NULL, 0);
    struct buf *batch = record_batch_builder_finish(&builder);
    record_batch_builder_deinit(&builder);
    return batch;
}

#endif
