#include "controller/node/controller_node.h"

#include "common/assert.h"
#include "common/mem.h"
#include "controller/metadata/snapshot.h"
#include "controller/node/controller_internal.h"

/* ---- what the broker of this process is told -------------------------------------------------------------------------- */

static void drop_update(struct env_message *message) { metadata_update_destroy(metadata_update_of(message)); }

static void publish(struct controller_node *node, struct metadata_update *update)
{
    update->receiver = node->config.receiver;
    update->message.deliver = node->config.on_update;
    update->message.dropped = drop_update;
    env_post(node->config.broker_env, &update->message);
}

static void publish_bytes(struct controller_node *node, enum metadata_update_type type, struct buf *bytes, int64_t index)
{
    if (node->config.broker_env) publish(node, metadata_update_create(type, bytes ? buf_ref(bytes) : NULL, index));
}

static void publish_leader(struct controller_node *node)
{
    if (!node->config.broker_env) return;
    const struct raft_node_config *raft = &node->config.raft;
    const struct raft_node_voter *leader = NULL;
    for (uint32_t i = 0; i < raft->voter_count; i++)
        if (raft->voters[i].id == node->leader.id) leader = &raft->voters[i];
    publish(node, metadata_update_create_leader(node->leader.id, node->leader.term, leader ? leader->host : "", leader ? leader->port : 0));
}

/* ---- Raft's callbacks ------------------------------------------------------------------------------------------------ */

void controller_fail(struct controller_node *node, const char *reason)
{
    log_line(env_logger(node->env), LOG_ERROR, "controller", "%s", reason);
    node->has_failed = true;
    if (node->config.on_failed) node->config.on_failed(node->config.user, reason);
}

bool controller_is_active(const struct controller_node *node) { return node->leader.is_self && !node->has_failed; }

/* Nothing below needs to know what changed, only that leaders may have to move. */
static void note_changes(struct controller_node *node, int64_t now_us)
{
    bool is_about_leaders =
        node->delta.partition_count || node->delta.brokers.count || node->delta.topics_configured.count || node->delta.broker_configs.count;
    if (is_about_leaders) sessions_balance_soon(node, now_us);
    image_delta_clear(&node->delta, &node->image);
}

static void on_committed(void *user, int64_t index, int64_t term, struct buf *bytes, int64_t now_us)
{
    struct controller_node *node = user;
    char why[REPLAY_ERROR_MAX];
    if (node->has_failed) return;
    if (image_replay(&node->image, bytes ? buf_slice(bytes) : SLICE_NULL, index, &node->delta, why) != ERR_OK) {
        controller_fail(node, why);
        return;
    }
    VERIFY_ASSERT((image_check(&node->image), true));
    controller_count_elections(node);
    note_changes(node, now_us);
    publish_bytes(node, METADATA_UPDATE_RECORDS, bytes, index);
    if (controller_is_active(node)) operations_on_committed(node, index, term, now_us);
}

static struct buf *on_take_snapshot(void *user)
{
    struct controller_node *node = user;
    struct writer bytes;
    writer_init(&bytes, 4096);
    snapshot_write(&node->image, &bytes);
    return writer_take(&bytes);
}

static enum err on_load_snapshot(void *user, int64_t index, int64_t term, struct slice bytes, int64_t now_us)
{
    struct controller_node *node = user;
    char why[REPLAY_ERROR_MAX];
    (void)term;
    enum err err = snapshot_load(&node->image, bytes, index, &node->delta, why);
    if (err != ERR_OK) {
        log_line(env_logger(node->env), LOG_ERROR, "controller", "%s", why);
        return err;
    }
    note_changes(node, now_us);
    if (node->config.broker_env) {
        struct buf *copy = buf_copy(bytes);
        publish_bytes(node, METADATA_UPDATE_SNAPSHOT, copy, index);
        buf_unref(copy);
    }
    return ERR_OK;
}

static void lock_all_brokers(struct operation *operation) { operation_lock_brokers(operation, LOCK_EXCLUSIVE); }

static void decide_bootstrap(struct operation *operation)
{
    struct controller_node *node = operation->controller;
    struct control control = operation_control(operation);
    char text[UUID_TEXT_SIZE];
    uuid_text(node->cluster_id, text);
    cluster_bootstrap(&control, text, &node->config.defaults);
}

static const struct operation_kind BOOTSTRAP = {"bootstrap", lock_all_brokers, decide_bootstrap, NULL, false};

static void take_office(struct controller_node *node, int64_t now_us)
{
    log_line(env_logger(node->env), LOG_INFO, "controller", "node %d is the active controller, term %lld", node->leader.id,
             (long long)node->leader.term);
    /* First in the queue: everything else is decided on an image that has a cluster id. */
    operation_submit(operation_create(node, &BOOTSTRAP, NULL, SIZE_MAX));
    sessions_begin(node, now_us);
}

static void leave_office(struct controller_node *node)
{
    log_line(env_logger(node->env), LOG_INFO, "controller", "node %d is no longer the active controller", node->config.raft.node_id);
    operations_drop_all(node);
    sessions_end(node);
}

static void on_leader(void *user, const struct raft_node_leader *leader, int64_t now_us)
{
    struct controller_node *node = user;
    if (node->has_failed) return;
    bool was_active = controller_is_active(node);
    bool is_new_office = leader->is_self && (!was_active || node->leader.term != leader->term);
    node->leader = *leader;
    if (was_active && (!leader->is_self || is_new_office)) leave_office(node);
    if (is_new_office) take_office(node, now_us);
    /* Those that came early. */
    controller_retry_held(node);
    publish_leader(node);
}

static void on_cluster(void *user, struct uuid cluster_id, struct uuid directory_id, int64_t now_us)
{
    struct controller_node *node = user;
    (void)directory_id, (void)now_us;
    node->cluster_id = cluster_id;
}

static void on_raft_failed(void *user, enum err err, const char *reason, int64_t now_us)
{
    (void)err, (void)now_us;
    controller_fail(user, reason);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void init_state(struct controller_node *node)
{
    prng_init(&node->prng, env_random64(node->env));
    image_init(&node->image, env_random64(node->env));
    image_delta_init(&node->delta, &node->image);
    heartbeats_init(&node->heartbeats, node->config.session_timeout_ms * 1000);
    locks_init(&node->locks);
    quotas_init(&node->quotas, env_random64(node->env));
    list_init(&node->waiting);
    list_init(&node->proposed);
    list_init(&node->committed);
    list_init(&node->held);
    list_init(&node->dials);
    env_timer_init(&node->session_timer, sessions_on_timer);
    env_timer_init(&node->balance_timer, sessions_on_balance);
    env_timer_init(&node->answer_timer, operations_on_answer_time);
    env_timer_init(&node->retry_timer, operations_on_retry);
    node->leader.id = RAFT_NOBODY;
}

static void deinit_state(struct controller_node *node)
{
    node->leader = (struct raft_node_leader){.id = RAFT_NOBODY};
    operations_drop_all(node);
    controller_retry_held(node);
    sessions_end(node);
    locks_deinit(&node->locks);
    quotas_deinit(&node->quotas);
    heartbeats_deinit(&node->heartbeats);
    image_delta_deinit(&node->delta);
    image_deinit(&node->image);
}

static enum err open_raft(struct controller_node *node)
{
    struct raft_node_callbacks callbacks = {
        .user = node,
        .committed = on_committed,
        .take_snapshot = on_take_snapshot,
        .load_snapshot = on_load_snapshot,
        .leader = on_leader,
        .cluster = on_cluster,
        .failed = on_raft_failed,
    };
    return raft_node_create(node->env, &node->config.raft, &callbacks, &node->raft);
}

static enum err open_listener(struct controller_node *node)
{
    const struct controller_node_config *config = &node->config;
    enum err err = server_listen(&node->server, config->listener_name, config->host, config->port, true, &node->port);
    if (err != ERR_OK)
        log_line(env_logger(node->env), LOG_ERROR, "controller", "cannot listen on %s:%u: %s", config->host, config->port, err_text(err));
    return err;
}

enum err controller_node_create(struct env *env, const struct controller_node_config *config, struct controller_node **out)
{
    ASSERT(config->session_timeout_ms > 0);
    ASSERT_IMPLIES(config->broker_env, config->on_update);
    struct controller_node *node = mem_alloc(sizeof *node);
    struct server_handler handler = {.on_request = controller_on_request, .on_closed = controller_on_closed, .user = node};
    node->env = env;
    node->config = *config;
    /* socket.request.max.bytes is about clients: a small one must not stop replication. */
    if (node->config.limits.frame_bytes_max < RAFT_FRAME_BYTES_MAX) node->config.limits.frame_bytes_max = RAFT_FRAME_BYTES_MAX;
    init_state(node);
    server_init(&node->server, env, &node->config.limits, &handler);
    enum err err = open_raft(node);
    if (err == ERR_OK && config->listener_name) err = open_listener(node);
    if (err != ERR_OK) {
        controller_node_destroy(node);
        *out = NULL;
        return err;
    }
    raft_node_start(node->raft);
    *out = node;
    return ERR_OK;
}

void controller_node_resign(struct controller_node *node) { raft_node_transfer(node->raft); }

void controller_node_destroy(struct controller_node *node)
{
    deinit_state(node);
    if (node->raft) raft_node_destroy(node->raft);
    server_deinit(&node->server);
    mem_free(node);
}

uint16_t controller_node_port(const struct controller_node *node) { return node->port; }
bool controller_node_is_leader(const struct controller_node *node) { return controller_is_active(node); }
const struct image *controller_node_image(const struct controller_node *node) { return &node->image; }
struct raft_node *controller_node_raft(struct controller_node *node) { return node->raft; }
