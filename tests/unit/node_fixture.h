/* Whole nodes in the simulator (mostly one) and a client that asks one of them: for the tests of handlers.  Everything is production
 * code but the client. */
#ifndef SKIFF_TESTS_UNIT_NODE_FIXTURE_H
#define SKIFF_TESTS_UNIT_NODE_FIXTURE_H

#include "broker/handlers/dispatch.h"
#include "broker/node/broker_node.h"
#include "broker/node/broker_options.h"
#include "common/assert.h"
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

#define FIXTURE_NODES_MAX 3

struct fixture_node {
    struct fixture *fixture;
    int32_t id;
    char host[8];
    struct sim_node *node;
    struct config config;
    struct listeners listeners;
    struct broker_node *broker;
    struct controller_node *controller;
};
struct fixture {
    struct sim *sim;
    const char *settings; /* server.properties, added to the fixture's */
    struct fixture_node nodes[FIXTURE_NODES_MAX];
    int32_t node_count;
    struct broker_node *broker; /* of node 0 */
    struct sim_node *client_node;
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

static inline void fixture_configure(struct fixture_node *n)
{
    const struct fixture *f = n->fixture;
    char text[1024], reason[CONFIG_LINE_MAX] = "";
    int used = snprintf(text, sizeof text,
                        "node.id=%d\nlog.dirs=/data\nlisteners=PLAINTEXT://%s:9092,CONTROLLER://%s:9093\n"
                        "controller.listener.names=CONTROLLER\nbroker.rack=rack%d\n%s\ncontroller.quorum.voters=",
                        n->id, n->host, n->host, n->id, f->settings);
    for (int32_t i = 0; i < f->node_count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%d@%s:9093", i ? "," : "", i, f->nodes[i].host);
    config_init(&n->config, NULL, NULL);
    ck_assert_int_eq(config_load(&n->config, "test", slice_str(text)), ERR_OK);
    ck_assert_int_eq(config_finish(&n->config), ERR_OK);
    ck_assert_int_eq(listeners_parse(&n->listeners, &n->config, n->host, reason), ERR_OK);
}

static inline void fixture_start_controller(struct fixture_node *n, struct env *env, struct env *broker_env)
{
    const struct fixture *f = n->fixture;
    struct controller_node_config *c = mem_alloc(sizeof *c);
    *c = (struct controller_node_config){
        .raft = {.node_id = n->id, .directory = "/data/controller", .voter_count = (uint32_t)f->node_count, .snapshot_log_bytes = 1 << 20},
        .listener_name = "CONTROLLER",
        .host = n->host,
        .port = 9093,
        .limits = broker_server_limits(&n->config),
        .session_timeout_ms = 9000,
        .settings = {.default_partitions = 1, .default_replication_factor = 1, .is_topic_deletion_enabled = true},
        .defaults = {.min_insync_replicas = 1, .is_flushing = true},
        .broker_env = broker_env,
        .on_update = broker_node_on_update,
        .receiver = n->broker,
        .on_failed = fixture_failed,
        .user = n};
    for (int32_t i = 0; i < f->node_count; i++) {
        c->raft.voters[i].id = i;
        c->raft.voters[i].port = 9093;
        (void)snprintf(c->raft.voters[i].host, sizeof c->raft.voters[i].host, "%s", f->nodes[i].host);
    }
    ck_assert_int_eq(controller_node_create(env, c, &n->controller), ERR_OK);
    mem_free(c);
}

static inline void fixture_start(void *user, struct sim_node *node)
{
    struct fixture_node *n = user;
    char reason[CONFIG_LINE_MAX] = "";
    struct env *broker_env = sim_env_create(node), *controller_env = sim_env_create(node);
    fixture_configure(n);
    struct broker_node_options options = {
        .config = &n->config, .listeners = &n->listeners, .open_files_max = 100, .on_failed = fixture_failed, .user = n};
    ck_assert_int_eq(broker_node_create(broker_env, &options, &n->broker, reason), ERR_OK);
    ck_assert_int_eq(broker_node_open(n->broker, reason), ERR_OK);
    if (n->id == 0) n->fixture->broker = n->broker;
    fixture_start_controller(n, controller_env, broker_env);
}

/* In the order of the real process; the simulator has taken the sockets away. */
static inline void fixture_destroy(void *user, struct sim_node *node)
{
    struct fixture_node *n = user;
    (void)node;
    controller_node_destroy(n->controller);
    broker_node_destroy(n->broker);
    config_deinit(&n->config);
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

static inline void fixture_connect_to(struct fixture *f, int32_t node)
{
    struct channel_handler handler = {.on_closed = fixture_closed, .user = f};
    if (f->channel) channel_close(f->channel);
    f->is_closed = false;
    f->channel = channel_open(f->client, f->nodes[node].host, 9092, "test", SIM_SECOND, 1 << 24, &handler);
}

static inline void fixture_connect(struct fixture *f) { fixture_connect_to(f, 0); }

static inline bool fixture_is_active(void *context)
{
    const struct fixture *f = context;
    for (int32_t i = 0; i < f->node_count; i++)
        for (int32_t id = 0; id < f->node_count; id++)
            if (!broker_node_is_active(f->nodes[i].broker) || !image_is_active(broker_node_image(f->nodes[i].broker), id)) return false;
    return true;
}

static inline struct fixture *fixture_create_nodes(const char *settings, int32_t count)
{
    struct fixture *f = mem_alloc(sizeof *f);
    ASSERT(count <= FIXTURE_NODES_MAX);
    f->settings = settings;
    f->node_count = count;
    f->sim = sim_create(1);
    sim_net_set_window(f->sim, 1 << 20, 1 << 20);
    for (int32_t i = 0; i < count; i++) {
        struct fixture_node *n = &f->nodes[i];
        *n = (struct fixture_node){.fixture = f, .id = i};
        (void)snprintf(n->host, sizeof n->host, i ? "node%d" : "node", i);
        n->node = sim_node_add(f->sim, n->host, &(struct sim_process){.start = fixture_start, .destroy = fixture_destroy, .user = n});
    }
    f->client_node =
        sim_node_add(f->sim, "client", &(struct sim_process){.start = fixture_client_start, .destroy = fixture_client_destroy, .user = f});
    for (int32_t i = 0; i < count; i++) sim_node_start(f->nodes[i].node);
    sim_node_start(f->client_node);
    ck_assert(sim_wait(f->sim, fixture_is_active, f, 10 * SIM_SECOND));
    fixture_connect(f);
    return f;
}
static inline struct fixture *fixture_create(const char *settings) { return fixture_create_nodes(settings, 1); }

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
    struct create_topics_request_topics topic = {
        .name = slice_str(name), .num_partitions = partitions, .replication_factor = (int16_t)f->node_count};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
    const struct create_topics_response *response = fixture_ask(f, API_CREATE_TOPICS, 7, &request);
    ck_assert_int_eq(response->topics_count, 1);
    return response->topics[0].error_code;
}

/* IncrementalAlterConfigs of one setting; `operation` is Kafka's number. */
static inline int16_t fixture_alter_config(struct fixture *f, int16_t version, int8_t type, const char *resource_name, const char *name,
                                           int8_t operation, const char *value)
{
    struct incremental_alter_configs_request_configs config = {
        .name = slice_str(name), .config_operation = operation, .value = slice_str(value)};
    struct incremental_alter_configs_request_resources resource = {
        .resource_type = type, .resource_name = slice_str(resource_name), .configs = &config, .configs_count = 1};
    struct incremental_alter_configs_request request = {.resources = &resource, .resources_count = 1};
    const struct incremental_alter_configs_response *response = fixture_ask(f, API_INCREMENTAL_ALTER_CONFIGS, version, &request);
    ck_assert_int_eq(response->responses_count, 1);
    return response->responses[0].error_code;
}

/* Of a client id, NULL: of each; 0 removes it. */
static inline void fixture_set_quota(struct fixture *f, const char *client_id, const char *key, double value)
{
    struct alter_client_quotas_request_entity entity = {SLICE_LITERAL("client-id"), slice_str(client_id)};
    struct alter_client_quotas_request_ops op = {.key = slice_str(key), .value = value, .remove = value <= 0};
    struct alter_client_quotas_request_entries entry = {.entity = &entity, .entity_count = 1, .ops = &op, .ops_count = 1};
    struct alter_client_quotas_request request = {.entries = &entry, .entries_count = 1};
    const struct alter_client_quotas_response *response = fixture_ask(f, API_ALTER_CLIENT_QUOTAS, 1, &request);
    ck_assert_int_eq(response->entries[0].error_code, 0);
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
