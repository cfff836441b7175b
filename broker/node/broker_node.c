#include "broker/node/broker_node.h"

#include "broker/handlers/dispatch.h"
#include "broker/node/broker_metrics.h"
#include "broker/node/broker_options.h"
#include "broker/node/controller_channel.h"
#include "broker/node/dynamic_config.h"
#include "broker/node/group_coordinator.h"
#include "broker/node/replica_manager.h"
#include "common/assert.h"
#include "common/mem.h"
#include "controller/metadata/replay.h"
#include "controller/metadata/snapshot.h"
#include "controller/metadata/update.h"
#include "proto/connection.h"

#include <stdio.h>

#define MANY_PARTITIONS 1000    /* of one metadata change */
#define CALM_US         1000000 /* later nobody waits for it any more */

enum broker_state {
    BROKER_STARTING, /* requests wait */
    BROKER_RUNNING,
    BROKER_LEAVING, /* leaderships are moving away */
    BROKER_STOPPED,
};

struct broker_node {
    struct env *env;
    const struct config *config;
    struct listeners listeners;
    uint16_t ports[LISTENERS_MAX];
    struct broker_node_options options;
    enum broker_state state;
    int64_t started_us;
    struct image image;
    struct image_delta delta;
    struct replica_manager *replicas;
    struct controller_channel *controller;
    struct group_coordinator *groups;
    struct dispatch dispatch;
    struct server server;
    bool is_listening;
    struct list early; /* struct early_request */
    void (*stopped)(void *user, bool is_clean);
    void *stopped_user;
    bool is_clean;
    struct env_timer last_turn; /* lets the last answers out */
    struct env_timer calm;      /* after a change of many partitions */
};

static const struct logger *logger_of(const struct broker_node *node) { return env_logger(node->env); }

/* ---- requests before the first activity ---------------------------------------------------------------------------- */

struct early_request {
    struct list_node node;
    struct request *request;
};

static void forget_early(struct early_request *early)
{
    list_remove(&early->node);
    mem_free(early);
}

static void on_early_abandoned(struct request *request)
{
    forget_early(request->user);
    request_finish(request);
}

static enum request_progress keep_early(struct broker_node *node, struct request *request)
{
    struct early_request *early = mem_alloc(sizeof *early);
    early->request = request;
    request->user = early;
    request->on_abandoned = on_early_abandoned;
    list_push_back(&node->early, &early->node);
    return REQUEST_BLOCKED;
}

static void serve_early(struct broker_node *node)
{
    for (struct list_node *at; (at = list_first(&node->early));) {
        struct early_request *early = CONTAINER_OF(at, struct early_request, node);
        struct request *request = early->request;
        forget_early(early);
        request->user = NULL;
        request->on_abandoned = NULL;
        if (dispatch_request(&node->dispatch, request) == REQUEST_PARKED) request_unblock(request);
    }
}

static enum request_progress on_request(void *user, struct request *request)
{
    struct broker_node *node = user;
    if (node->state == BROKER_STOPPED) {
        connection_close(request->connection);
        request_finish(request);
        return REQUEST_DONE;
    }
    return node->state == BROKER_STARTING ? keep_early(node, request) : dispatch_request(&node->dispatch, request);
}

/* Kafka's connection_creation_rate (KIP-612). */
static int64_t on_connecting(void *user, const char *address, int64_t now_us)
{
    struct broker_node *node = user;
    return quotas_connect(&node->dispatch.quotas, &node->image, slice_str(address), now_us);
}

/* ---- listeners ----------------------------------------------------------------------------------------------------- */

static void on_probe_accepted(void *user, struct env_stream *stream, int64_t now_us) { (void)user, (void)stream, (void)now_us; }

/* Whether the ports are free, and their numbers where the system chooses. They are not kept open: as long as nobody listens there,
 * a controller that looks for our earlier life finds the port closed and knows that it has ended. */
static enum err try_listeners(struct broker_node *node, char *reason)
{
    for (size_t i = 0; i < node->listeners.count; i++) {
        const struct listener_config *listener = &node->listeners.items[i];
        struct env_listener *probe = NULL;
        if (listener->is_controller) continue;
        enum err err = env_listen(node->env, listener->host, listener->port, on_probe_accepted, node, &probe);
        if (err) {
            broker_explain_listen(listener, err, reason);
            return err;
        }
        node->ports[i] = env_listener_port(probe);
        env_listener_close(node->env, probe);
    }
    return ERR_OK;
}

/* One beside that of the brokers: then no crowd of clients keeps replicas out. */
static bool has_client_listener(const struct broker_node *node)
{
    for (size_t i = 0; i < node->listeners.count; i++)
        if (!node->listeners.items[i].is_controller && i != node->listeners.inter_broker) return true;
    return false;
}

static void open_listeners(struct broker_node *node)
{
    char reason[CONFIG_LINE_MAX];
    if (node->is_listening) return;
    node->is_listening = true;
    for (size_t i = 0; i < node->listeners.count; i++) {
        const struct listener_config *listener = &node->listeners.items[i];
        if (listener->is_controller) continue;
        bool is_protected = i == node->listeners.inter_broker && has_client_listener(node);
        enum err err = server_listen(&node->server, listener->name, listener->host, node->ports[i], is_protected, &node->ports[i]);
        if (!err) continue;
        broker_explain_listen(listener, err, reason);
        node->options.on_failed(node->options.user, reason);
        return;
    }
}

/* ---- metadata ------------------------------------------------------------------------------------------------------ */

static bool take_overrides(struct broker_node *node, char reason[static SETTING_REASON_MAX])
{
    const char *text =
        dynamic_config_text(&node->image, config_node_id(node->config), config_table[CONFIG_MAX_CONNECTIONS_PER_IP_OVERRIDES].name);
    if (!text) text = config_text(node->config, CONFIG_MAX_CONNECTIONS_PER_IP_OVERRIDES);
    return address_limits_set(&node->server.overrides, node->env, slice_str(text), reason);
}

/* The other dynamic settings are looked up where they are used, or taken up by the replica manager. */
static void take_connection_limits(struct broker_node *node)
{
    struct server_limits *limits = &node->server.limits;
    char reason[SETTING_REASON_MAX];
    limits->connections_max = (uint32_t)dynamic_config_number(&node->image, node->config, CONFIG_MAX_CONNECTIONS);
    limits->connections_per_ip_max = (uint32_t)dynamic_config_number(&node->image, node->config, CONFIG_MAX_CONNECTIONS_PER_IP);
    limits->connections_per_s_max = (uint32_t)dynamic_config_number(&node->image, node->config, CONFIG_MAX_CONNECTION_CREATION_RATE);
    (void)take_overrides(node, reason); /* checked where they were set */
}

/* A change of thousands of partitions passed through records, frames and answers of megabytes each. */
static void on_calm(struct env_timer *timer, int64_t now_us)
{
    (void)timer;
    (void)now_us;
    mem_give_back();
}

static void apply(struct broker_node *node, const struct metadata_update *update, int64_t now_us)
{
    char why[REPLAY_ERROR_MAX] = "";
    bool is_snapshot = update->type == METADATA_UPDATE_SNAPSHOT;
    struct slice bytes = update->bytes ? buf_slice(update->bytes) : slice_make("", 0);
    enum err err = is_snapshot ? snapshot_load(&node->image, bytes, update->index, &node->delta, why)
                               : image_replay(&node->image, bytes, update->index, &node->delta, why);
    if (err) {
        char reason[CONFIG_LINE_MAX];
        (void)snprintf(reason, sizeof reason, "metadata at index %lld cannot be applied: %s", (long long)update->index, why);
        node->options.on_failed(node->options.user, reason);
        return;
    }
    bool announce = node->delta.announce;
    if (node->delta.broker_configs.count) take_connection_limits(node);
    replica_manager_apply(node->replicas, &node->delta);
    if (node->delta.partition_count >= MANY_PARTITIONS) env_timer_set(node->env, &node->calm, now_us + CALM_US);
    group_coordinator_apply(node->groups, &node->delta, now_us);
    image_delta_clear(&node->delta, &node->image);
    controller_channel_on_applied(node->controller, announce);
    leader_hold_on_image(&node->dispatch.hold, now_us);
    if (controller_channel_broker_epoch(node->controller) >= 0) open_listeners(node);
}

void broker_node_on_update(struct env_message *message, int64_t now_us)
{
    struct metadata_update *update = metadata_update_of(message);
    struct broker_node *node = update->receiver;
    if (node->state == BROKER_STOPPED) {
        metadata_update_destroy(update);
        return;
    }
    switch (update->type) {
    case METADATA_UPDATE_SNAPSHOT:
    case METADATA_UPDATE_RECORDS: apply(node, update, now_us); break;
    case METADATA_UPDATE_LEADER:
        node->image.controller_id = update->leader_id;
        controller_channel_on_leader(node->controller, update->leader_id, update->host, update->port, update->term);
        break;
    }
    metadata_update_destroy(update);
}

/* ---- the controller's word ----------------------------------------------------------------------------------------- */

static void on_active(void *user, bool is_active, int64_t now_us)
{
    struct broker_node *node = user;
    int32_t id = config_node_id(node->config);
    if (!is_active || node->state != BROKER_STARTING) return;
    open_listeners(node);
    node->state = BROKER_RUNNING;
    /* Scripts that drive Kafka wait for these words. */
    log_line(logger_of(node), LOG_INFO, "server", "[BrokerLifecycleManager id=%d] Transitioning from RECOVERY to RUNNING", id);
    log_line(logger_of(node), LOG_INFO, "server", "[KafkaServer id=%d] started: Kafka Server started after %lld ms, %zu partitions here",
             id, (long long)(now_us - node->started_us) / 1000, replica_manager_count(node->replicas));
    serve_early(node);
    if (node->options.on_active) node->options.on_active(node->options.user, now_us);
}

static void on_refused(void *user, enum kafka_error error, const char *message)
{
    struct broker_node *node = user;
    char reason[CONFIG_LINE_MAX];
    (void)snprintf(reason, sizeof reason, "the controller refuses broker %d: %s (%s)", config_node_id(node->config),
                   message && *message ? message : kafka_error_message((int16_t)error), kafka_error_name((int16_t)error));
    node->options.on_failed(node->options.user, reason);
}

static void on_leader_lost(void *user, int32_t broker_id, int64_t now_us)
{
    struct broker_node *node = user;
    leader_hold_on_lost(&node->dispatch.hold, broker_id, now_us);
}

static void on_disks_failed(void *user, const char *reason)
{
    struct broker_node *node = user;
    node->options.on_failed(node->options.user, reason);
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

static void open_controller_channel(struct broker_node *node)
{
    struct controller_channel_listener advertised[LISTENERS_MAX];
    struct controller_channel_options options = broker_channel_options(node->config, &node->listeners, node->ports, advertised);
    options.incarnation = broker_draw_uuid(node->env);
    options.on_active = on_active;
    options.on_refused = on_refused;
    options.user = node;
    node->controller = controller_channel_create(node->env, &options, node->replicas, &node->image);
    replica_manager_set_channel(node->replicas, node->controller);
}

static enum err open_replicas(struct broker_node *node, char *reason)
{
    struct log_dir_names dirs;
    struct replica_manager_options options = broker_replica_options(node->config, &node->listeners, node->options.open_files_max);
    char why[REPLICA_REASON_MAX] = "";
    options.on_failed = on_disks_failed;
    options.on_leader_lost = on_leader_lost;
    options.user = node;
    log_dir_names_init(&dirs, node->config);
    options.log_dirs = (const char *const *)dirs.names;
    options.log_dir_count = dirs.count;
    enum err err = replica_manager_create(node->env, &options, &node->image, &node->replicas, why);
    if (err) (void)snprintf(reason, CONFIG_LINE_MAX, "%s", why);
    log_dir_names_deinit(&dirs);
    return err;
}

static enum err open_server(struct broker_node *node, char *reason)
{
    struct server_limits limits = broker_server_limits(node->config);
    struct server_handler handler = {.on_request = on_request, .on_connecting = on_connecting, .user = node};
    char why[SETTING_REASON_MAX];
    server_init(&node->server, node->env, &limits, &handler);
    if (take_overrides(node, why)) return ERR_OK;
    (void)snprintf(reason, CONFIG_LINE_MAX, "%s: it %s", config_table[CONFIG_MAX_CONNECTIONS_PER_IP_OVERRIDES].name, why);
    return ERR_INVALID;
}

enum err broker_node_create(struct env *env, const struct broker_node_options *options, struct broker_node **out,
                            char reason[static CONFIG_LINE_MAX])
{
    struct broker_node *node = mem_alloc(sizeof *node);
    ASSERT(options->on_failed != NULL);
    *out = NULL;
    node->env = env;
    node->config = options->config;
    node->options = *options;
    node->listeners = *options->listeners;
    node->started_us = env_now_us(env);
    list_init(&node->early);
    image_init(&node->image, env_random64(env));
    image_delta_init(&node->delta, &node->image);
    env_timer_init(&node->calm, on_calm);
    enum err err = open_server(node, reason);
    if (!err) err = try_listeners(node, reason);
    if (err)
        broker_node_destroy(node);
    else
        *out = node;
    return err;
}

enum err broker_node_open(struct broker_node *node, char reason[static CONFIG_LINE_MAX])
{
    ASSERT(node->state == BROKER_STARTING);
    ASSERT(node->replicas == NULL);
    enum err err = open_replicas(node, reason);
    if (err) return err;
    open_controller_channel(node);
    node->groups =
        group_coordinator_create(node->env, node->config, &node->image, node->replicas, node->controller, config_node_id(node->config));
    dispatch_init(&node->dispatch, node->env, node->config, &node->image, node->replicas, node->controller, node->groups,
                  config_node_id(node->config));
    return ERR_OK;
}

/* ---- stop ---------------------------------------------------------------------------------------------------------- */

static void on_last_turn(struct env_timer *timer, int64_t now_us)
{
    struct broker_node *node = CONTAINER_OF(timer, struct broker_node, last_turn);
    (void)now_us;
    node->stopped(node->stopped_user, node->is_clean);
}

static void on_replicas_stopped(void *user, bool is_clean)
{
    struct broker_node *node = user;
    node->is_clean = is_clean;
    env_timer_init(&node->last_turn, on_last_turn);
    env_timer_set(node->env, &node->last_turn, env_now_us(node->env) + 1);
}

static void on_moved(void *user, bool is_moved)
{
    struct broker_node *node = user;
    if (!is_moved)
        log_line(logger_of(node), LOG_WARN, "server",
                 "leaderships could not be moved in time: clients will look for new leaders by themselves");
    node->state = BROKER_STOPPED;
    node->dispatch.is_stopping = true;
    server_stop_listening(&node->server);
    group_coordinator_stop(node->groups, env_now_us(node->env));
    replica_manager_stop(node->replicas, on_replicas_stopped, node);
}

void broker_node_stop(struct broker_node *node, int64_t timeout_ms, void (*stopped)(void *user, bool is_clean), void *user)
{
    bool was_running = node->state == BROKER_RUNNING;
    ASSERT(node->stopped == NULL);
    node->stopped = stopped;
    node->stopped_user = user;
    if (node->state == BROKER_STOPPED) return;
    node->state = BROKER_LEAVING;
    if (was_running && config_flag(node->config, CONFIG_CONTROLLED_SHUTDOWN_ENABLE))
        controller_channel_shut_down(node->controller, timeout_ms, on_moved, node);
    else
        on_moved(node, true);
}

void broker_node_destroy(struct broker_node *node)
{
    if (!node) return;
    env_timer_clear(node->env, &node->last_turn);
    env_timer_clear(node->env, &node->calm);
    server_deinit(&node->server);
    if (node->controller) {
        group_coordinator_stop(node->groups, env_now_us(node->env));
        dispatch_deinit(&node->dispatch);
        controller_channel_destroy(node->controller);
    }
    if (node->replicas) replica_manager_destroy(node->replicas);
    group_coordinator_destroy(node->groups);
    image_delta_deinit(&node->delta);
    image_deinit(&node->image);
    mem_free(node);
}

/* ---- questions ----------------------------------------------------------------------------------------------------- */

uint16_t broker_node_port(const struct broker_node *node, size_t listener)
{
    ASSERT(listener < node->listeners.count);
    return node->ports[listener];
}
bool broker_node_is_active(const struct broker_node *node) { return node->controller && controller_channel_is_active(node->controller); }
const struct image *broker_node_image(const struct broker_node *node) { return &node->image; }
struct replica_manager *broker_node_replicas(struct broker_node *node) { return node->replicas; }

bool broker_node_is_ready(const struct broker_node *node, char reason[static BROKER_REASON_MAX])
{
    struct replica_readiness readiness = {0};
    const char *why = NULL;
    if (node->state == BROKER_STARTING)
        why = "the broker has not joined the cluster yet";
    else if (node->state != BROKER_RUNNING)
        why = "the broker is stopping";
    else if (!controller_channel_is_active(node->controller))
        why = "the controller has fenced this broker";
    (void)snprintf(reason, BROKER_REASON_MAX, "%s", why ? why : "");
    if (why) return false;
    readiness = replica_manager_readiness(node->replicas);
    if (readiness.offline_count > 0)
        (void)snprintf(reason, BROKER_REASON_MAX, "%zu replicas are in log directories that failed", readiness.offline_count);
    else if (readiness.idle_count > 0)
        (void)snprintf(reason, BROKER_REASON_MAX, "%zu replicas neither lead nor follow yet", readiness.idle_count);
    return readiness.offline_count == 0 && readiness.idle_count == 0;
}

void broker_node_measure(const struct broker_node *node, struct metrics *metrics)
{
    /* Kafka's BrokerState. */
    static const int states[] = {[BROKER_STARTING] = 1, [BROKER_RUNNING] = 3, [BROKER_LEAVING] = 6, [BROKER_STOPPED] = 7};
    metrics->now_us = env_now_us(node->env);
    metrics_put(metrics, METRIC_BROKER_STATE, states[node->state]);
    metrics_put(metrics, METRIC_BROKER_UNFENCED, broker_node_is_active(node));
    metrics_put(metrics, METRIC_METADATA_INDEX, (double)node->image.index);
    measure_server(&node->server, metrics);
    if (!node->controller) return; /* not open yet */
    dispatch_measure(&node->dispatch, metrics);
    replica_manager_measure(node->replicas, metrics);
    measure_groups(node->groups, &node->image, node->replicas, metrics);
}
