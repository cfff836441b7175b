/* The link to the active controller, registration, heartbeats, leaving. See controller_channel.h. */
#include "broker/node/controller_internal.h"
#include "common/checked.h"
#include "common/mem.h"
#include "controller/metadata/feature_control.h"

#include <stdio.h>

#define BACKOFF_FIRST_US   10000
#define BACKOFF_LAST_US    500000
#define CONNECT_TIMEOUT_US 3000000
#define LEASE_AGAIN_US     20000       /* no promise yet: the controller has just taken office */
#define QUORUM_PATIENCE_US 1000000     /* when leaving */
#define FRAME_BYTES_MAX    (256 << 20) /* forwarded answers: DescribeConfigs of everything */
/* A crashed predecessor may count as alive until its session times out; Kafka's initial.broker.registration.timeout.ms. */
#define REGISTRATION_PATIENCE_US 60000000

static int64_t backoff_us(uint32_t failures)
{
    return failures > 16 ? BACKOFF_LAST_US : min_i64((int64_t)BACKOFF_FIRST_US << failures, BACKOFF_LAST_US);
}

/* ---- requests ---- */

Skiff__Sender controller_sender(struct controller_channel *cc)
{
    Skiff__Sender sender;
    skiff__sender__init(&sender);
    sender.node_id = cc->options.node_id;
    sender.cluster_id = cc->cluster_id;
    return sender;
}

void controller_send(struct controller_channel *cc, struct controller_rpc *rpc, enum private_api api, const ProtobufCMessage *message,
                     controller_answer_fn *done)
{
    ASSERT(!rpc->is_out);
    ASSERT(cc->channel != NULL);
    rpc->owner = cc;
    rpc->is_out = true;
    rpc->call = (struct channel_call){.api_key = (int16_t)api, .api_version = PRIVATE_API_VERSION, .done = done};
    struct env_piece piece = env_piece_buf(pb_pack(message));
    channel_send(cc->channel, &rpc->call, &piece, 1, cc->options.request_timeout_ms * 1000);
}

void controller_rpc_failed(struct controller_rpc *rpc, int64_t now_us)
{
    rpc->not_before_us = now_us + backoff_us(rpc->failures++);
    controller_schedule(rpc->owner);
}

static void set_active(struct controller_channel *cc, bool is_active, int64_t now_us)
{
    if (cc->is_active == is_active) return;
    cc->is_active = is_active;
    if (cc->options.on_active) cc->options.on_active(cc->options.user, is_active, now_us);
}

static void drop_lease(struct controller_channel *cc)
{
    lease_drop(&cc->lease);
    cc->heartbeat_sent_us = INT64_MIN; /* nor does the answer under way bring one */
}

static void register_anew(struct controller_channel *cc, int64_t now_us)
{
    if (cc->phase == PHASE_UNREGISTERED || cc->phase == PHASE_WRITING) return;
    log_line(env_logger(cc->env), LOG_WARN, "broker", "the controller does not know broker epoch %lld: registering anew",
             (long long)cc->broker_epoch);
    env_mark(cc->env, "a broker registered anew");
    cc->phase = PHASE_UNREGISTERED;
    cc->registering_since_us = now_us;
    cc->registration.failures = 0;
    drop_lease(cc);
    set_active(cc, false, now_us);
}

bool controller_handle_outcome(struct controller_channel *cc, struct controller_rpc *rpc, const Skiff__Outcome *outcome, int64_t now_us)
{
    int32_t error = outcome ? outcome->error_code : KAFKA_UNKNOWN_SERVER_ERROR;
    if (error == KAFKA_NONE) {
        rpc->failures = 0;
        return false;
    }
    if (error == KAFKA_STALE_BROKER_EPOCH || error == KAFKA_BROKER_ID_NOT_REGISTERED) {
        register_anew(cc, now_us);
        controller_schedule(cc);
        return true;
    }
    if (error != KAFKA_NOT_CONTROLLER) return false;
    controller_rpc_failed(rpc, now_us);
    return true;
}

/* ---- registration ---- */

static void on_epoch_written(void *user, enum err err, int64_t now_us)
{
    struct controller_channel *cc = user;
    if (err != ERR_OK || cc->phase != PHASE_WRITING) return; /* a directory that failed has said so */
    cc->phase = PHASE_REGISTERED;
    cc->is_heartbeat_due = true;
    cc->next_heartbeat_us = now_us;
    controller_channel_on_applied(cc, false);
    controller_schedule(cc);
}

static void on_registered(struct controller_channel *cc, const Skiff__RegisterBrokerResponse *response)
{
    cc->broker_epoch = response->broker_epoch;
    cc->is_damage_told = true;
    (void)snprintf(cc->cluster_id, sizeof cc->cluster_id, "%s", response->cluster_id);
    cc->phase = PHASE_WRITING;
    log_line(env_logger(cc->env), LOG_INFO, "broker", "registered with epoch %lld in cluster %s", (long long)cc->broker_epoch,
             cc->cluster_id);
    replica_manager_write_epoch(cc->manager, cc->broker_epoch, cc->cluster_id, on_epoch_written, cc);
}

static bool is_final_refusal(const struct controller_channel *cc, int32_t error, int64_t now_us)
{
    if (error == KAFKA_DUPLICATE_BROKER_REGISTRATION) return now_us - cc->registering_since_us > REGISTRATION_PATIENCE_US;
    return error == KAFKA_INCONSISTENT_CLUSTER_ID || error == KAFKA_INVALID_REGISTRATION || error == KAFKA_UNSUPPORTED_VERSION ||
           error == KAFKA_INVALID_REQUEST;
}

static void on_registration_refused(struct controller_channel *cc, const Skiff__Outcome *outcome, int64_t now_us)
{
    int32_t error = outcome ? outcome->error_code : KAFKA_UNKNOWN_SERVER_ERROR;
    const char *text = outcome ? outcome->error_message : "no outcome";
    if (is_final_refusal(cc, error, now_us)) {
        cc->is_refused = true;
        log_line(env_logger(cc->env), LOG_ERROR, "broker", "the controller refuses this broker: %s: %s", kafka_error_name((int16_t)error),
                 text);
        if (cc->options.on_refused) cc->options.on_refused(cc->options.user, (enum kafka_error)error, text);
        return;
    }
    if (cc->registration.failures == 0)
        log_line(env_logger(cc->env), LOG_WARN, "broker", "registration: %s: %s; asking again", kafka_error_name((int16_t)error), text);
    controller_rpc_failed(&cc->registration, now_us);
}

static void on_registration_answer(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    (void)frame;
    struct controller_rpc *rpc = CONTAINER_OF(call, struct controller_rpc, call);
    struct controller_channel *cc = rpc->owner;
    rpc->is_out = false;
    if (err != ERR_OK) {
        controller_rpc_failed(rpc, now_us);
        return;
    }
    struct arena arena;
    arena_init(&arena, pb_unpack_budget(body.n));
    const Skiff__RegisterBrokerResponse *response = pb_unpack(&skiff__register_broker_response__descriptor, body, &arena);
    if (!response)
        controller_rpc_failed(rpc, now_us);
    else if (!controller_handle_outcome(cc, rpc, response->outcome, now_us)) {
        if (response->outcome && response->outcome->error_code == KAFKA_NONE)
            on_registered(cc, response);
        else
            on_registration_refused(cc, response->outcome, now_us);
    }
    arena_deinit(&arena);
}

#define REQUEST_ARENA_MAX (64 << 20) /* a hundred thousand damaged replicas */

static Skiff__Listener **list_listeners(struct controller_channel *cc, struct arena *arena)
{
    Skiff__Listener **pointers = arena_calloc(arena, cc->options.listener_count, sizeof *pointers);
    for (size_t i = 0; i < cc->options.listener_count; i++) pointers[i] = &cc->listeners[i];
    return pointers;
}

static Skiff__LogDirectory **list_directories(struct controller_channel *cc, struct arena *arena, size_t *count)
{
    struct replica_directory *found = arena_calloc(arena, LOG_DIRS_MAX, sizeof *found);
    *count = replica_manager_directories(cc->manager, found);
    Skiff__LogDirectory **pointers = arena_calloc(arena, *count, sizeof *pointers);
    for (size_t i = 0; i < *count; i++) {
        pointers[i] = arena_alloc(arena, sizeof **pointers);
        skiff__log_directory__init(pointers[i]);
        pointers[i]->directory_id = pb_uuid_data(&found[i].id);
        pointers[i]->written_epoch = found[i].written_epoch;
    }
    return pointers;
}

static Skiff__FeatureRange **list_features(struct arena *arena)
{
    Skiff__FeatureRange **pointers = arena_calloc(arena, FEATURE_COUNT, sizeof *pointers);
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        pointers[i] = arena_alloc(arena, sizeof **pointers);
        skiff__feature_range__init(pointers[i]);
        size_t size = strlen(FEATURES[i].name) + 1;
        pointers[i]->name = arena_alloc(arena, size);
        memcpy(pointers[i]->name, FEATURES[i].name, size);
        pointers[i]->level_min = FEATURES[i].level_min;
        pointers[i]->level_max = FEATURES[i].level_max;
    }
    return pointers;
}

Skiff__PartitionList **controller_partition_lists(struct arena *arena, const struct fetch_target *targets, size_t count, size_t *list_count)
{
    Skiff__PartitionList **lists = arena_calloc(arena, count, sizeof *lists);
    int32_t *partitions = arena_calloc(arena, count, sizeof *partitions);
    struct uuid *ids = arena_calloc(arena, count, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_same = n > 0 && uuid_equal(ids[n - 1], targets[i].topic_id);
        if (!is_same) {
            lists[n] = arena_alloc(arena, sizeof **lists);
            skiff__partition_list__init(lists[n]);
            ids[n] = targets[i].topic_id;
            lists[n]->topic_id = pb_uuid_data(&ids[n]);
            lists[n++]->partitions = &partitions[i];
        }
        lists[n - 1]->n_partitions++;
        partitions[i] = targets[i].partition;
    }
    *list_count = n;
    return lists;
}

static void send_registration(struct controller_channel *cc)
{
    struct arena arena;
    arena_init(&arena, REQUEST_ARENA_MAX);
    Skiff__RegisterBrokerRequest request;
    skiff__register_broker_request__init(&request);
    Skiff__Sender sender = controller_sender(cc);
    request.sender = &sender;
    request.broker_id = cc->options.node_id;
    request.incarnation_id = pb_uuid_data(&cc->options.incarnation);
    request.listeners = list_listeners(cc, &arena);
    request.n_listeners = cc->options.listener_count;
    request.rack = cc->rack;
    request.directories = list_directories(cc, &arena, &request.n_directories);
    request.flush_policy =
        replica_manager_is_flushing(cc->manager) ? SKIFF__FLUSH_POLICY__FLUSH_POLICY_FSYNC : SKIFF__FLUSH_POLICY__FLUSH_POLICY_OS;
    request.clean_shutdown = replica_manager_was_clean(cc->manager);
    size_t damaged_count = 0;
    const struct fetch_target *damaged = replica_manager_damaged(cc->manager, &damaged_count);
    if (cc->is_damage_told) damaged_count = 0;
    request.damaged = controller_partition_lists(&arena, damaged, damaged_count, &request.n_damaged);
    request.features = list_features(&arena);
    request.n_features = FEATURE_COUNT;
    controller_send(cc, &cc->registration, PRIVATE_API_REGISTER_BROKER, &request.base, on_registration_answer);
    arena_deinit(&arena);
}

/* ---- heartbeats ---- */

static void leave(struct controller_channel *cc, bool is_moved)
{
    if (!cc->on_left) return;
    void (*on_left)(void *user, bool is_moved) = cc->on_left;
    cc->on_left = NULL;
    on_left(cc->on_left_user, is_moved);
}

static void forget_told_offline(struct controller_channel *cc)
{
    ASSERT(cc->offline_told <= cc->offline_count);
    cc->offline_count -= cc->offline_told;
    if (cc->offline_count) memmove(cc->offline, cc->offline + cc->offline_told, cc->offline_count * sizeof *cc->offline);
    cc->offline_told = 0;
}

static void take_promise(struct controller_channel *cc, const Skiff__BrokerHeartbeatResponse *response, int64_t now_us)
{
    const struct lease_promise promise = {.session_timeout_us = response->session_timeout_us,
                                          .confirmed_ago_us = response->confirmed_ago_us,
                                          .index = response->index,
                                          .others_applied = response->others_applied};
    if (cc->phase != PHASE_STARTED || cc->is_leaving || response->is_fenced) return;
    lease_on_promise(&cc->lease, &promise, cc->heartbeat_sent_us, cc->image->index);
    int64_t renew_us = lease_holds(&cc->lease, now_us) ? LEASE_SHARE(cc->lease.session_timeout_us) / 2 : LEASE_AGAIN_US;
    cc->next_heartbeat_us = min_i64(cc->next_heartbeat_us, now_us + renew_us);
}

static void on_heartbeat_ok(struct controller_channel *cc, const Skiff__BrokerHeartbeatResponse *response, int64_t now_us)
{
    forget_told_offline(cc);
    take_promise(cc, response, now_us);
    if (cc->phase == PHASE_STARTED) set_active(cc, !response->is_fenced, now_us);
    if (cc->is_leaving && response->should_shutdown) leave(cc, true);
}

static void on_heartbeat_answer(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    (void)frame;
    struct controller_rpc *rpc = CONTAINER_OF(call, struct controller_rpc, call);
    struct controller_channel *cc = rpc->owner;
    rpc->is_out = false;
    struct arena arena;
    arena_init(&arena, pb_unpack_budget(body.n));
    const Skiff__BrokerHeartbeatResponse *response =
        err == ERR_OK ? pb_unpack(&skiff__broker_heartbeat_response__descriptor, body, &arena) : NULL;
    if (!response) {
        cc->is_heartbeat_due = true;
        controller_rpc_failed(rpc, now_us);
    } else if (controller_handle_outcome(cc, rpc, response->outcome, now_us)) {
        cc->is_heartbeat_due = true;
    } else if (response->outcome && response->outcome->error_code == KAFKA_NONE) {
        on_heartbeat_ok(cc, response, now_us);
    } else {
        cc->is_heartbeat_due = true;
        controller_rpc_failed(rpc, now_us);
    }
    arena_deinit(&arena);
    controller_schedule(cc);
}

static void send_heartbeat(struct controller_channel *cc, int64_t now_us)
{
    struct arena arena;
    arena_init(&arena, REQUEST_ARENA_MAX);
    Skiff__BrokerHeartbeatRequest request;
    skiff__broker_heartbeat_request__init(&request);
    Skiff__Sender sender = controller_sender(cc);
    request.sender = &sender;
    request.broker_id = cc->options.node_id;
    request.broker_epoch = cc->broker_epoch;
    request.applied_index = cc->image->index;
    request.want_fence = cc->phase != PHASE_STARTED;
    request.want_shutdown = cc->is_leaving;
    request.offline = controller_partition_lists(&arena, cc->offline, cc->offline_count, &request.n_offline);
    cc->offline_told = cc->offline_count;
    cc->is_heartbeat_due = false;
    cc->heartbeat_sent_us = now_us;
    cc->next_heartbeat_us = now_us + cc->options.heartbeat_interval_ms * 1000;
    controller_send(cc, &cc->heartbeat, PRIVATE_API_BROKER_HEARTBEAT, &request.base, on_heartbeat_answer);
    arena_deinit(&arena);
}

static bool is_registered(const struct controller_channel *cc) { return cc->phase == PHASE_REGISTERED || cc->phase == PHASE_STARTED; }

/* ---- the connection ---- */

static void forget_calls(struct controller_channel *cc)
{
    struct controller_rpc *all[] = {&cc->registration, &cc->heartbeat, &cc->alteration, &cc->allocation};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) all[i]->is_out = false;
    cc->is_heartbeat_due = true;
    controller_calls_disconnected(cc);
}

static void disconnect(struct controller_channel *cc)
{
    if (cc->channel) channel_close(cc->channel);
    cc->channel = NULL;
    forget_calls(cc);
    controller_schedule(cc);
}

static void on_connected(void *user, struct channel *channel, int64_t now_us)
{
    (void)channel;
    (void)now_us;
    ((struct controller_channel *)user)->connect_failures = 0;
}

static void on_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    (void)err;
    struct controller_channel *cc = user;
    if (cc->channel != channel) return;
    cc->channel = NULL;
    cc->reconnect_at_us = now_us + backoff_us(cc->connect_failures++);
    forget_calls(cc);
    controller_schedule(cc);
}

static void connect_to_controller(struct controller_channel *cc)
{
    char client_id[64];
    (void)snprintf(client_id, sizeof client_id, "broker-%d-to-controller", cc->options.node_id);
    struct channel_handler handler = {.on_connected = on_connected, .on_closed = on_closed, .user = cc};
    cc->channel = channel_open(cc->env, cc->host, cc->port, client_id, CONNECT_TIMEOUT_US, FRAME_BYTES_MAX, &handler);
}

void controller_channel_on_leader(struct controller_channel *cc, int32_t leader_id, const char *host, uint16_t port, int64_t term)
{
    (void)term;
    struct controller_rpc *all[] = {&cc->registration, &cc->heartbeat, &cc->alteration, &cc->allocation};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) all[i]->not_before_us = 0;
    bool is_same = cc->leader_id == leader_id && cc->port == port && leader_id >= 0 && strcmp(cc->host, host) == 0;
    cc->is_heartbeat_due = true;
    cc->reconnect_at_us = 0;
    controller_schedule(cc);
    if (is_same) return;
    if (cc->leader_id >= 0 && leader_id < 0) cc->leaderless_since_us = env_now_us(cc->env);
    cc->leader_id = leader_id;
    if (leader_id >= 0) {
        (void)snprintf(cc->host, sizeof cc->host, "%s", host);
        cc->port = port;
    }
    disconnect(cc);
}

/* ---- what to do next ---- */

/* An election takes milliseconds: who finds no controller for longer has no quorum, and nobody to move its leaderships. */
static int64_t leave_at_us(const struct controller_channel *cc)
{
    return cc->leader_id >= 0 ? cc->leave_deadline_us : min_i64(cc->leave_deadline_us, cc->leaderless_since_us + QUORUM_PATIENCE_US);
}

static void set_timer(struct controller_channel *cc)
{
    int64_t at_us = controller_calls_next_us(cc);
    if (cc->leader_id >= 0 && !cc->channel) at_us = min_i64(at_us, cc->reconnect_at_us);
    if (cc->channel && cc->phase == PHASE_UNREGISTERED && !cc->registration.is_out) at_us = min_i64(at_us, cc->registration.not_before_us);
    if (cc->channel && is_registered(cc) && !cc->heartbeat.is_out)
        at_us = min_i64(at_us, max_i64(cc->heartbeat.not_before_us, cc->is_heartbeat_due ? 0 : cc->next_heartbeat_us));
    if (cc->on_left) at_us = min_i64(at_us, leave_at_us(cc));
    if (at_us == INT64_MAX)
        env_timer_clear(cc->env, &cc->timer);
    else
        env_timer_set(cc->env, &cc->timer, max_i64(at_us, env_now_us(cc->env) + 1));
}

static void on_pump(struct env_turn_end *turn_end, int64_t now_us)
{
    struct controller_channel *cc = CONTAINER_OF(turn_end, struct controller_channel, pump);
    if (cc->is_refused) return;
    if (cc->on_left && now_us >= leave_at_us(cc)) leave(cc, false);
    if (!cc->channel && cc->leader_id >= 0 && now_us >= cc->reconnect_at_us) connect_to_controller(cc);
    if (cc->channel) {
        if (cc->phase == PHASE_UNREGISTERED && controller_rpc_may_go(&cc->registration, now_us)) send_registration(cc);
        bool is_due = cc->is_heartbeat_due || now_us >= cc->next_heartbeat_us;
        if (is_registered(cc) && is_due && controller_rpc_may_go(&cc->heartbeat, now_us)) send_heartbeat(cc, now_us);
        controller_calls_pump(cc, now_us);
    }
    set_timer(cc);
}

static void on_timer(struct env_timer *timer, int64_t now_us)
{
    (void)now_us;
    controller_schedule(CONTAINER_OF(timer, struct controller_channel, timer));
}

void controller_channel_on_applied(struct controller_channel *cc, bool announce)
{
    const struct image_broker *self = image_broker_get(cc->image, cc->options.node_id);
    bool is_shown = self && self->epoch == cc->broker_epoch && uuid_equal(self->incarnation, cc->options.incarnation);
    if (cc->phase == PHASE_REGISTERED && is_shown) {
        cc->phase = PHASE_STARTED;
        replica_manager_start(cc->manager, cc->broker_epoch);
        cc->is_heartbeat_due = true;
    }
    lease_on_applied(&cc->lease, cc->image->index);
    if (announce) cc->is_heartbeat_due = true;
    if (cc->is_heartbeat_due) controller_schedule(cc);
}

void controller_channel_on_offline(struct controller_channel *cc, const struct fetch_target *replicas, size_t count)
{
    cc->offline = mem_realloc(cc->offline, cc->offline_count + count + 1, sizeof *cc->offline);
    memcpy(cc->offline + cc->offline_count, replicas, count * sizeof *replicas);
    cc->offline_count += count;
    cc->is_heartbeat_due = true;
    controller_schedule(cc);
}

void controller_channel_shut_down(struct controller_channel *cc, int64_t timeout_ms, void (*done)(void *user, bool is_moved), void *user)
{
    ASSERT(!cc->is_leaving);
    cc->is_leaving = true;
    drop_lease(cc);
    cc->on_left = done;
    cc->on_left_user = user;
    cc->leave_deadline_us = saturating_add_i64(env_now_us(cc->env), is_registered(cc) ? timeout_ms * 1000 : 0);
    cc->is_heartbeat_due = true;
    controller_schedule(cc);
}

bool controller_channel_is_active(const struct controller_channel *cc) { return cc->is_active; }

const struct lease *controller_channel_lease(const struct controller_channel *cc) { return &cc->lease; }

void controller_channel_ask(struct controller_channel *cc)
{
    cc->is_heartbeat_due = true;
    controller_schedule(cc);
}

int64_t controller_channel_broker_epoch(const struct controller_channel *cc) { return cc->broker_epoch; }

/* ---- life ---- */

static void copy_texts(struct controller_channel *cc, const struct controller_channel_options *options)
{
    cc->rack = mem_strdup(options->rack ? options->rack : "");
    cc->listeners = mem_calloc(options->listener_count, sizeof *cc->listeners);
    for (size_t i = 0; i < options->listener_count; i++) {
        const struct controller_channel_listener *from = &options->listeners[i];
        skiff__listener__init(&cc->listeners[i]);
        cc->listeners[i].name = mem_strdup(from->name);
        cc->listeners[i].host = mem_strdup(from->host);
        cc->listeners[i].port = from->port;
        cc->listeners[i].security_protocol = (uint32_t)from->security_protocol;
    }
    cc->options.listeners = NULL;
    cc->options.rack = NULL;
}

struct controller_channel *controller_channel_create(struct env *env, const struct controller_channel_options *options,
                                                     struct replica_manager *manager, const struct image *image)
{
    ASSERT(options->listener_count > 0);
    struct controller_channel *cc = mem_alloc(sizeof *cc);
    cc->env = env;
    cc->options = *options;
    copy_texts(cc, options);
    cc->manager = manager;
    cc->image = image;
    cc->leader_id = -1;
    cc->broker_epoch = -1;
    lease_init(&cc->lease);
    cc->registering_since_us = env_now_us(env);
    (void)snprintf(cc->cluster_id, sizeof cc->cluster_id, "%s", replica_manager_cluster_id(manager));
    struct controller_rpc *all[] = {&cc->registration, &cc->heartbeat, &cc->alteration, &cc->allocation};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) all[i]->owner = cc;
    cc->pump.run = on_pump;
    env_timer_init(&cc->timer, on_timer);
    list_init(&cc->proposals);
    list_init(&cc->id_requests);
    list_init(&cc->forwards);
    return cc;
}

void controller_channel_destroy(struct controller_channel *cc)
{
    cc->on_left = NULL;
    if (cc->channel) channel_close(cc->channel);
    controller_calls_drop(cc);
    env_timer_clear(cc->env, &cc->timer);
    env_cancel_turn_end(cc->env, &cc->pump);
    for (size_t i = 0; i < cc->options.listener_count; i++) {
        mem_free(cc->listeners[i].name);
        mem_free(cc->listeners[i].host);
    }
    mem_free(cc->listeners);
    mem_free(cc->rack);
    mem_free(cc->offline);
    mem_free(cc);
}
