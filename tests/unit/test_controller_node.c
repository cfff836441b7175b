/* Whole controllers in the simulator, with model brokers: birth, registration, admin requests, failover by evidence. Above 1,000 lines
 * because all cases share the model brokers and the cluster that the first 300 lines build. */
#include "common/mem.h"
#include "controller/metadata/replay.h"
#include "controller/metadata/snapshot.h"
#include "controller/node/controller_internal.h"
#include "gen/controller_rpc.pb-c.h"
#include "proto/api.h"
#include "proto/channel.h"
#include "proto/codec.h"
#include "proto/errors.h"
#include "proto/pb.h"
#include "proto/private_api.h"
#include "tests/sim/sim.h"

#include <check.h>
#include <stdio.h>

#define NODES_MAX              5
#define CONTROLLER_PORT        9093
#define BROKER_PORT            9092
#define HEARTBEAT_US           (500 * SIM_MS)
#define CLIENT_FRAME_BYTES_MAX 4096 /* socket.request.max.bytes, far below what peers send */

/* ---- a model broker: registers, heartbeats, applies ------------------------------------------------------------------- */

struct cluster;

struct model_broker {
    struct cluster *cluster;
    struct sim_node *host;
    struct env *env;
    int32_t id;
    uint64_t incarnation;
    int64_t epoch;
    struct image image;
    struct image_delta delta;
    int32_t leader_id;
    struct env_listener *listener;
    struct channel *channel;
    struct channel_call call;
    struct env_timer timer;
    bool is_calling, is_due, wants_shutdown, has_left;
    struct controller_node *controller;
    struct env *controller_env;
};

struct cluster {
    struct sim *sim;
    int32_t count, voters; /* nodes from number `voters` on are only brokers */
    int64_t snapshot_log_bytes;
    struct sim_node *hosts[NODES_MAX];
    struct model_broker brokers[NODES_MAX];
};

static struct uuid id_of(uint64_t n)
{
    struct uuid id = {{7}};
    memcpy(id.bytes + 8, &n, sizeof n);
    return id;
}

static void call(struct model_broker *broker, int16_t key, struct buf *body)
{
    struct env_piece piece = env_piece_buf(body);
    broker->is_calling = true;
    broker->call.api_key = key;
    channel_send(broker->channel, &broker->call, &piece, 1, SIM_SECOND);
}

static void send_registration(struct model_broker *broker)
{
    static char names[][40] = {"metadata.version", "eligible.leader.replicas.version", "skiff.version"};
    static char listener_name[] = "PLAINTEXT";
    struct uuid incarnation = id_of(broker->incarnation), directory_id = id_of((uint64_t)broker->id + 1000);
    Skiff__Sender sender;
    Skiff__Listener listener, *listeners = &listener;
    Skiff__LogDirectory directory, *directories = &directory;
    Skiff__FeatureRange ranges[3], *features[3];
    Skiff__RegisterBrokerRequest request;
    skiff__sender__init(&sender);
    skiff__listener__init(&listener);
    skiff__log_directory__init(&directory);
    skiff__register_broker_request__init(&request);
    for (int i = 0; i < 3; i++) {
        skiff__feature_range__init(&ranges[i]);
        ranges[i].name = names[i], ranges[i].level_min = 1, ranges[i].level_max = 99;
        features[i] = &ranges[i];
    }
    char host[16];
    snprintf(host, sizeof host, "%s", sim_node_host(broker->host));
    listener.name = listener_name, listener.host = host, listener.port = BROKER_PORT;
    directory.directory_id = pb_uuid_data(&directory_id);
    directory.written_epoch = INT32_MAX; /* it wrote each epoch it was given */
    request.sender = &sender, request.broker_id = broker->id, request.incarnation_id = pb_uuid_data(&incarnation);
    request.n_listeners = 1, request.listeners = &listeners;
    request.n_directories = 1, request.directories = &directories;
    request.n_features = 3, request.features = features;
    request.flush_policy = SKIFF__FLUSH_POLICY__FLUSH_POLICY_FSYNC;
    call(broker, PRIVATE_API_REGISTER_BROKER, pb_pack(&request.base));
}

static void send_heartbeat(struct model_broker *broker)
{
    Skiff__Sender sender;
    Skiff__BrokerHeartbeatRequest request;
    skiff__sender__init(&sender);
    skiff__broker_heartbeat_request__init(&request);
    request.sender = &sender;
    request.broker_id = broker->id, request.broker_epoch = broker->epoch;
    request.applied_index = broker->image.index;
    const struct image_broker *self = image_broker_get(&broker->image, broker->id);
    request.want_fence = !self || self->epoch != broker->epoch;
    request.want_shutdown = broker->wants_shutdown;
    call(broker, PRIVATE_API_BROKER_HEARTBEAT, pb_pack(&request.base));
}

static void on_channel_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    struct model_broker *broker = user;
    (void)channel, (void)err;
    broker->channel = NULL;
    broker->is_calling = false;
    env_timer_set(broker->env, &broker->timer, now_us + 20 * SIM_MS);
}

static void tick(struct model_broker *broker, int64_t now_us)
{
    broker->is_due = broker->is_calling;
    if (broker->leader_id < 0 || broker->is_calling || broker->has_left) return;
    if (!broker->channel) {
        struct channel_handler handler = {.on_closed = on_channel_closed, .user = broker};
        const char *host = sim_node_host(broker->cluster->hosts[broker->leader_id]);
        broker->channel = channel_open(broker->env, host, CONTROLLER_PORT, "model", SIM_SECOND, 64 << 20, &handler);
    }
    if (broker->epoch < 0)
        send_registration(broker);
    else
        send_heartbeat(broker);
    env_timer_set(broker->env, &broker->timer, now_us + HEARTBEAT_US);
}

static void on_timer(struct env_timer *timer, int64_t now_us) { tick(CONTAINER_OF(timer, struct model_broker, timer), now_us); }

static void on_answer(struct channel_call *channel_call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct model_broker *broker = CONTAINER_OF(channel_call, struct model_broker, call);
    (void)frame;
    broker->is_calling = false;
    if (err != ERR_OK) {
        env_timer_set(broker->env, &broker->timer, now_us + 20 * SIM_MS);
        return;
    }
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    if (channel_call->api_key == PRIVATE_API_REGISTER_BROKER) {
        const Skiff__RegisterBrokerResponse *response = pb_unpack(&skiff__register_broker_response__descriptor, body, &arena);
        if (response->outcome->error_code == KAFKA_NONE) broker->epoch = response->broker_epoch;
        env_timer_set(broker->env, &broker->timer, now_us + (broker->epoch < 0 ? 100 * SIM_MS : 0));
    } else {
        const Skiff__BrokerHeartbeatResponse *response = pb_unpack(&skiff__broker_heartbeat_response__descriptor, body, &arena);
        if (response->outcome->error_code == KAFKA_STALE_BROKER_EPOCH) broker->epoch = -1;
        broker->has_left = response->should_shutdown;
        if (broker->is_due) env_timer_set(broker->env, &broker->timer, now_us);
        if (broker->wants_shutdown) env_timer_set(broker->env, &broker->timer, now_us + 10 * SIM_MS);
    }
    arena_deinit(&arena);
}

static void on_update(struct env_message *message, int64_t now_us)
{
    struct metadata_update *update = metadata_update_of(message);
    struct model_broker *broker = update->receiver;
    if (update->type == METADATA_UPDATE_LEADER) {
        if (broker->leader_id != update->leader_id && broker->channel) {
            channel_close(broker->channel);
            broker->channel = NULL;
            broker->is_calling = false;
        }
        broker->leader_id = update->leader_id;
        env_timer_set(broker->env, &broker->timer, now_us);
    } else {
        struct slice bytes = update->bytes ? buf_slice(update->bytes) : SLICE_NULL;
        enum err err = update->type == METADATA_UPDATE_RECORDS ? image_replay(&broker->image, bytes, update->index, &broker->delta, NULL)
                                                               : snapshot_load(&broker->image, bytes, update->index, &broker->delta, NULL);
        ck_assert_int_eq(err, ERR_OK);
        image_check(&broker->image);
        const struct image_broker *self = image_broker_get(&broker->image, broker->id);
        bool wants_in = self && self->epoch == broker->epoch && self->fenced;
        if (broker->delta.announce || wants_in) env_timer_set(broker->env, &broker->timer, now_us);
        image_delta_clear(&broker->delta, &broker->image);
    }
    metadata_update_destroy(update);
}

static void accept_nobody(void *user, struct env_stream *stream, int64_t now_us) { (void)user, (void)stream, (void)now_us; }

static void start_broker(struct model_broker *broker, struct sim_node *host)
{
    broker->host = host;
    broker->env = sim_env_create(host);
    broker->incarnation = env_random64(broker->env);
    broker->epoch = -1;
    broker->leader_id = -1;
    broker->call = (struct channel_call){.done = on_answer};
    image_init(&broker->image, 1);
    image_delta_init(&broker->delta, &broker->image);
    env_timer_init(&broker->timer, on_timer);
    ck_assert_int_eq(env_listen(broker->env, "", BROKER_PORT, accept_nobody, broker, &broker->listener), ERR_OK);
}

/* ---- nodes ----------------------------------------------------------------------------------------------------------- */

static void start_node(void *user, struct sim_node *host)
{
    struct model_broker *broker = user;
    struct cluster *cluster = broker->cluster;
    int32_t id = broker->id;
    *broker = (struct model_broker){.cluster = cluster, .id = id};
    start_broker(broker, host);
    struct controller_node_config config = {
        .raft = {.node_id = id,
                 .directory = "metadata",
                 .voter_count = (uint32_t)cluster->voters,
                 .snapshot_log_bytes = cluster->snapshot_log_bytes},
        .listener_name = id < cluster->voters ? "CONTROLLER" : NULL,
        .host = "",
        .port = CONTROLLER_PORT,
        .limits = {.frame_bytes_max = CLIENT_FRAME_BYTES_MAX,
                   .memory_bytes_max = 64 << 20,
                   .connections_max = 1000,
                   .connections_per_ip_max = 1000,
                   .connections_per_s_max = CONNECTION_RATE_UNLIMITED},
        .session_timeout_ms = 9000,
        .rebalance_interval_ms = 1000,
        .settings = {.default_partitions = 1, .default_replication_factor = 1, .is_topic_deletion_enabled = true},
        .defaults = {.min_insync_replicas = 1, .is_flushing = true},
        .broker_env = broker->env,
        .on_update = on_update,
        .receiver = broker,
    };
    for (int32_t i = 0; i < cluster->voters; i++) {
        config.raft.voters[i].id = i;
        config.raft.voters[i].port = CONTROLLER_PORT;
        snprintf(config.raft.voters[i].host, sizeof config.raft.voters[i].host, "node%d", i);
    }
    broker->controller_env = sim_env_create(host);
    ck_assert_int_eq(controller_node_create(broker->controller_env, &config, &broker->controller), ERR_OK);
}

static void destroy_node(void *user, struct sim_node *host)
{
    struct model_broker *broker = user;
    (void)host;
    if (broker->controller) controller_node_destroy(broker->controller);
    if (broker->channel) channel_close(broker->channel);
    broker->controller = NULL, broker->channel = NULL;
    image_delta_deinit(&broker->delta);
    image_deinit(&broker->image);
}

static void start_mixed_cluster(struct cluster *cluster, int32_t voters, int32_t count, uint64_t seed)
{
    *cluster = (struct cluster){.sim = sim_create(seed), .count = count, .voters = voters, .snapshot_log_bytes = 8 << 20};
    for (int32_t i = 0; i < count; i++) {
        char host[16];
        snprintf(host, sizeof host, "node%d", i);
        cluster->brokers[i] = (struct model_broker){.cluster = cluster, .id = i};
        struct sim_process process = {start_node, destroy_node, &cluster->brokers[i]};
        cluster->hosts[i] = sim_node_add(cluster->sim, host, &process);
    }
    for (int32_t i = 0; i < count; i++) sim_node_start(cluster->hosts[i]);
}

static void start_cluster(struct cluster *cluster, int32_t count, uint64_t seed) { start_mixed_cluster(cluster, count, count, seed); }

static bool is_running(const struct cluster *cluster, int32_t id) { return sim_node_is_running(cluster->hosts[id]); }

static int32_t leader_of(const struct cluster *cluster)
{
    for (int32_t i = 0; i < cluster->count; i++)
        if (is_running(cluster, i) && controller_node_is_leader(cluster->brokers[i].controller)) return i;
    return -1;
}

/* Every running broker sees all running brokers, and no other, as active. */
static bool is_settled(void *context)
{
    const struct cluster *cluster = context;
    if (leader_of(cluster) < 0) return false;
    for (int32_t i = 0; i < cluster->count; i++) {
        if (!is_running(cluster, i)) continue;
        for (int32_t j = 0; j < cluster->count; j++)
            if (image_is_active(&cluster->brokers[i].image, j) != is_running(cluster, j)) return false;
    }
    return true;
}

/* ---- an admin client ------------------------------------------------------------------------------------------------- */

struct admin {
    struct channel_call call;
    struct arena arena;
    bool is_done;
    int64_t done_us;
    Skiff__ForwardResponse *response;
};

static void on_admin_answer(struct channel_call *channel_call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct admin *admin = CONTAINER_OF(channel_call, struct admin, call);
    (void)frame;
    ck_assert_int_eq(err, ERR_OK);
    admin->response = pb_unpack(&skiff__forward_response__descriptor, body, &admin->arena);
    admin->is_done = true;
    admin->done_us = now_us;
}

static void on_admin_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    (void)user, (void)channel, (void)err, (void)now_us;
}
static bool is_answered(void *context) { return ((struct admin *)context)->is_done; }

/* Through the broker of node `from` to the active controller; `response` lives in admin->arena. */
static void admin_request(struct cluster *cluster, struct admin *admin, int32_t from, int16_t key, int16_t version, const void *message,
                          void *response)
{
    *admin = (struct admin){.call = {.api_key = PRIVATE_API_FORWARD, .done = on_admin_answer}};
    arena_init(&admin->arena, SIZE_MAX);
    struct writer body;
    writer_init(&body, 256);
    ck_assert_int_eq(codec_encode(api_request(key), version, message, &body), ERR_OK);
    Skiff__Sender sender;
    Skiff__ForwardRequest request;
    skiff__sender__init(&sender);
    skiff__forward_request__init(&request);
    struct slice bytes = writer_slice(&body);
    request.sender = &sender, request.api_key = key, request.api_version = version;
    request.body = (ProtobufCBinaryData){bytes.n, (uint8_t *)(uintptr_t)bytes.p};
    struct buf *packed = pb_pack(&request.base);
    writer_deinit(&body);
    struct channel_handler handler = {.on_closed = on_admin_closed};
    char host[16];
    snprintf(host, sizeof host, "node%d", leader_of(cluster));
    struct channel *channel = channel_open(cluster->brokers[from].env, host, CONTROLLER_PORT, "admin", SIM_SECOND, 64 << 20, &handler);
    struct env_piece piece = env_piece_buf(packed);
    channel_send(channel, &admin->call, &piece, 1, 5 * SIM_SECOND);
    ck_assert(sim_wait(cluster->sim, is_answered, admin, 6 * SIM_SECOND));
    ck_assert_int_eq(admin->response->outcome->error_code, KAFKA_NONE);
    ck_assert_int_eq(codec_decode_exact(api_response(key), version, pb_slice(admin->response->body), &admin->arena, response), ERR_OK);
    channel_close(channel);
}

static void create_topic(struct cluster *cluster, const char *name, int32_t partitions, int16_t replicas, int16_t expected)
{
    struct admin admin;
    struct create_topics_request_topics topic = {.name = slice_str(name), .num_partitions = partitions, .replication_factor = replicas};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 1000};
    struct create_topics_response response;
    admin_request(cluster, &admin, leader_of(cluster), API_CREATE_TOPICS, 7, &request, &response);
    ck_assert_int_eq(response.topics[0].error_code, expected);
    arena_deinit(&admin.arena);
}

/* ---- tests ----------------------------------------------------------------------------------------------------------- */

START_TEST(one_node_is_born_registers_and_creates_topics)
{
    struct cluster cluster;
    start_cluster(&cluster, 1, 1);
    ck_assert_msg(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_MS), "a start takes a few flushes");
    create_topic(&cluster, "t", 3, 1, KAFKA_NONE);
    ck_assert_msg(image_topic_by_name(&cluster.brokers[0].image, SLICE_LITERAL("t")), "the answer waits for the broker");
    create_topic(&cluster, "t", 3, 1, KAFKA_TOPIC_ALREADY_EXISTS);
    create_topic(&cluster, "u", 1, 2, KAFKA_INVALID_REPLICATION_FACTOR);
    ck_assert(image_hash(&cluster.brokers[0].image) == image_hash(controller_node_image(cluster.brokers[0].controller)));
    sim_destroy(cluster.sim);
}
END_TEST

START_TEST(idle_controllers_leave_their_disks_alone)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, 20);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    sim_run_for(cluster.sim, SIM_SECOND);
    uint64_t operations[3];
    for (int32_t i = 0; i < 3; i++) operations[i] = sim_disk_operations(cluster.hosts[i]);
    sim_run_for(cluster.sim, 10 * SIM_SECOND);
    for (int32_t i = 0; i < 3; i++) ck_assert_uint_eq(sim_disk_operations(cluster.hosts[i]), operations[i]);
    sim_destroy(cluster.sim);
}
END_TEST

START_TEST(three_nodes_all_apply_before_create_topics_answers)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, (uint64_t)_i + 10);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    int64_t begin = sim_now_us(cluster.sim);
    create_topic(&cluster, "t", 30, 3, KAFKA_NONE);
    ck_assert_msg(sim_now_us(cluster.sim) - begin < 100 * SIM_MS, "took %lld us", (long long)(sim_now_us(cluster.sim) - begin));
    for (int32_t i = 0; i < 3; i++) ck_assert_ptr_nonnull(image_topic_by_name(&cluster.brokers[i].image, SLICE_LITERAL("t")));
    sim_destroy(cluster.sim);
}
END_TEST

static int locks_built, decided;

static void count_locks(struct operation *operation)
{
    static const uint8_t topic[200] = "a topic with a long name";
    locks_built++;
    operation_lock_topic(operation, slice_make(topic, sizeof topic));
}

static void count_decision(struct operation *operation)
{
    (void)operation;
    decided++;
}

/* Every commit, and every newcomer, lets the queue try again. */
START_TEST(operation_that_waits_builds_its_locks_once_an_image)
{
    static const struct operation_kind KIND = {"counted", count_locks, count_decision, NULL, false};
    struct cluster cluster;
    start_cluster(&cluster, 1, 1);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    struct controller_node *node = cluster.brokers[0].controller;
    struct operation *holder = operation_create(node, &KIND, NULL, SIZE_MAX), *waiter = operation_create(node, &KIND, NULL, SIZE_MAX);
    count_locks(holder);
    ck_assert(locks_try(&node->locks, &holder->locks));
    operation_submit(waiter);
    size_t used = waiter->arena.used;
    for (int i = 0; i < 100; i++) operation_submit(operation_create(node, &KIND, NULL, SIZE_MAX));
    ck_assert_int_eq(locks_built, 2);
    for (int i = 0; i < 100; i++) {
        node->image.index++; /* as if something else was committed */
        operation_submit(operation_create(node, &KIND, NULL, SIZE_MAX));
    }
    ck_assert_int_eq(locks_built, 102);
    ck_assert_msg(waiter->arena.used == used, "however often, in the same memory");
    ck_assert_int_eq(decided, 0);
    locks_release(&node->locks, &holder->locks);
    operation_forget(holder);
    operation_submit(operation_create(node, &KIND, NULL, SIZE_MAX));
    ck_assert_int_eq(decided, 202);
    node->image.index -= 100;
    sim_destroy(cluster.sim);
}
END_TEST

START_TEST(limits_of_clients_do_not_hold_up_replication)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, 30);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    create_topic(&cluster, "t", 1000, 3, KAFKA_NONE); /* one entry of many times CLIENT_FRAME_BYTES_MAX */
    ck_assert(is_settled(&cluster));
    for (int32_t i = 0; i < 3; i++) ck_assert_ptr_nonnull(image_topic_by_name(&cluster.brokers[i].image, SLICE_LITERAL("t")));
    sim_destroy(cluster.sim);
}
END_TEST

static int32_t victim;
static bool has_moved(void *context)
{
    const struct cluster *cluster = context;
    int32_t witness = (victim + 1) % cluster->count;
    const struct image_topic *topic = image_topic_by_name(&cluster->brokers[witness].image, SLICE_LITERAL("t"));
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_partition *p = &topic->partitions[i];
        if (p->leader == victim || p->leader == NO_LEADER || node_ids_contain(image_isr(p), victim)) return false;
    }
    return true;
}

static void wait_for_failover(struct cluster *cluster, int32_t id, int64_t at_most_us)
{
    victim = id;
    int64_t begin = sim_now_us(cluster->sim);
    sim_node_crash(cluster->hosts[id], SIM_CRASH_PROCESS);
    ck_assert_msg(sim_wait(cluster->sim, has_moved, cluster, at_most_us), "no failover of node %d", id);
    ck_assert_msg(sim_now_us(cluster->sim) - begin < at_most_us, "took %lld us", (long long)(sim_now_us(cluster->sim) - begin));
}

START_TEST(q_leader_killed_broker_is_replaced_on_evidence)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, (uint64_t)_i + 100);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    create_topic(&cluster, "t", 9, 3, KAFKA_NONE);
    int32_t controller = leader_of(&cluster), other = (controller + 1) % 3;
    wait_for_failover(&cluster, other, 100 * SIM_MS);
    sim_node_start(cluster.hosts[other]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 5 * SIM_SECOND));
    /* Now the one that is the active controller too. */
    wait_for_failover(&cluster, leader_of(&cluster), SIM_SECOND);
    sim_node_start(cluster.hosts[victim]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 15 * SIM_SECOND));
    for (int32_t i = 0; i < 3; i++) image_check(&cluster.brokers[i].image);
    sim_destroy(cluster.sim);
}
END_TEST

START_TEST(b_epoch_quick_restart_replaces_the_dead_incarnation)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, (uint64_t)_i + 200);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    int32_t other = (leader_of(&cluster) + 1) % 3;
    int64_t epoch = cluster.brokers[other].epoch;
    sim_node_crash(cluster.hosts[other], SIM_CRASH_PROCESS);
    sim_run_for(cluster.sim, 5 * SIM_MS);
    sim_node_start(cluster.hosts[other]);
    ck_assert_msg(sim_wait(cluster.sim, is_settled, &cluster, 5 * SIM_SECOND), "not before its session times out");
    ck_assert(cluster.brokers[other].epoch > epoch);
    sim_destroy(cluster.sim);
}
END_TEST

START_TEST(b_epoch_restart_of_all_nodes_needs_no_timeout)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, (uint64_t)_i + 250);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    create_topic(&cluster, "t", 9, 3, KAFKA_NONE);
    for (int32_t i = 0; i < 3; i++) sim_node_crash(cluster.hosts[i], _i % 2 ? SIM_CRASH_PROCESS : SIM_CRASH_POWER);
    for (int32_t i = 0; i < 3; i++) sim_node_start(cluster.hosts[i]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 4 * SIM_SECOND));
    const struct image_topic *topic = image_topic_by_name(&cluster.brokers[0].image, SLICE_LITERAL("t"));
    for (int32_t i = 0; i < 9; i++) ck_assert_int_ne(topic->partitions[i].leader, NO_LEADER);
    sim_destroy(cluster.sim);
}
END_TEST

static bool are_images_equal(void *context)
{
    const struct cluster *cluster = context;
    uint64_t hash = image_hash(&cluster->brokers[0].image);
    for (int32_t i = 1; i < cluster->count; i++)
        if (cluster->brokers[i].image.index != cluster->brokers[0].image.index || image_hash(&cluster->brokers[i].image) != hash)
            return false;
    return true;
}

START_TEST(a_replay_voter_that_was_away_catches_up_from_a_snapshot)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, (uint64_t)_i + 500);
    cluster.snapshot_log_bytes = 4000;
    for (int32_t i = 0; i < 3; i++) {
        sim_node_crash(cluster.hosts[i], SIM_CRASH_PROCESS);
        sim_node_start(cluster.hosts[i]);
    }
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    int32_t away = (leader_of(&cluster) + 1) % 3;
    sim_node_crash(cluster.hosts[away], SIM_CRASH_PROCESS);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, SIM_SECOND));
    for (int i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        create_topic(&cluster, name, 10, 2, KAFKA_NONE);
    }
    struct raft_status status;
    raft_node_status(controller_node_raft(cluster.brokers[leader_of(&cluster)].controller), &status);
    ck_assert_msg(status.snapshot.index > 10, "the log before it is gone");
    sim_node_start(cluster.hosts[away]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    ck_assert(sim_wait(cluster.sim, are_images_equal, &cluster, SIM_SECOND));
    ck_assert_uint_eq(map_count(&cluster.brokers[away].image.topics), 30);
    sim_destroy(cluster.sim);
}
END_TEST

/* ---- nodes that are only brokers ------------------------------------------------------------------------------------- */

static enum raft_role role_of(const struct cluster *cluster, int32_t id)
{
    struct raft_status status;
    raft_node_status(controller_node_raft(cluster->brokers[id].controller), &status);
    return status.role;
}

START_TEST(brokers_without_a_vote_follow_their_controllers)
{
    struct cluster cluster;
    int32_t voters = _i % 2 ? 3 : 1;
    start_mixed_cluster(&cluster, voters, voters + 2, (uint64_t)_i + 600);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    create_topic(&cluster, "t", 9, 3, KAFKA_NONE);
    ck_assert_msg(are_images_equal(&cluster), "the answer waits for them");
    for (int32_t i = 0; i < cluster.count; i++) ck_assert_int_eq(role_of(&cluster, i) == RAFT_LEARNER, i >= voters);
    wait_for_failover(&cluster, voters, 100 * SIM_MS);
    sim_node_start(cluster.hosts[voters]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 5 * SIM_SECOND));
    /* The active controller; one that is alone takes the metadata with it, and nobody else takes its place. */
    victim = leader_of(&cluster);
    if (voters > 1)
        wait_for_failover(&cluster, victim, SIM_SECOND);
    else
        sim_node_crash(cluster.hosts[victim], SIM_CRASH_POWER);
    sim_run_for(cluster.sim, 5 * SIM_SECOND);
    for (int32_t i = voters; i < cluster.count; i++) ck_assert_int_eq(role_of(&cluster, i), RAFT_LEARNER);
    sim_node_start(cluster.hosts[victim]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 5 * SIM_SECOND));
    ck_assert(sim_wait(cluster.sim, are_images_equal, &cluster, SIM_SECOND));
    sim_destroy(cluster.sim);
}
END_TEST

START_TEST(a_replay_broker_that_was_away_catches_up_from_a_snapshot)
{
    struct cluster cluster;
    start_mixed_cluster(&cluster, 1, 3, (uint64_t)_i + 620);
    cluster.snapshot_log_bytes = 4000;
    sim_node_crash(cluster.hosts[0], SIM_CRASH_PROCESS);
    sim_node_start(cluster.hosts[0]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    sim_node_crash(cluster.hosts[2], SIM_CRASH_PROCESS);
    if (_i % 2) sim_disk_wipe(cluster.hosts[2]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, SIM_SECOND));
    for (int i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        create_topic(&cluster, name, 10, 2, KAFKA_NONE);
    }
    sim_node_start(cluster.hosts[2]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    ck_assert(sim_wait(cluster.sim, are_images_equal, &cluster, SIM_SECOND));
    ck_assert_int_eq(role_of(&cluster, 2), RAFT_LEARNER);
    ck_assert_uint_eq(map_count(&cluster.brokers[2].image.topics), 30);
    sim_destroy(cluster.sim);
}
END_TEST

/* What `kafka-metadata-quorum describe --replication` shows. */
START_TEST(the_quorum_is_described_with_its_observers)
{
    struct cluster cluster;
    struct admin admin;
    struct describe_quorum_request_partitions partition = {.partition_index = 0};
    struct describe_quorum_request_topics topic = {
        .topic_name = SLICE_LITERAL("__cluster_metadata"), .partitions = &partition, .partitions_count = 1};
    struct describe_quorum_request request = {.topics = &topic, .topics_count = 1};
    struct describe_quorum_response response;
    start_mixed_cluster(&cluster, 1, 3, 640);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    sim_run_for(cluster.sim, SIM_SECOND);
    admin_request(&cluster, &admin, 2, API_DESCRIBE_QUORUM, 2, &request, &response);
    const struct describe_quorum_response_partitions *described = &response.topics[0].partitions[0];
    ck_assert_int_eq(described->current_voters_count, 1);
    ck_assert_int_eq(described->observers_count, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(described->observers[i].replica_id, i + 1);
        ck_assert_int_eq(described->observers[i].log_end_offset, described->high_watermark);
        ck_assert_int_gt(described->observers[i].last_caught_up_timestamp, 0);
        ck_assert(!uuid_is_zero(described->observers[i].replica_directory_id));
    }
    arena_deinit(&admin.arena);
    sim_destroy(cluster.sim);
}
END_TEST

/* One log, described once: whatever a request repeats or misnames gets an error, as small as what was asked. */
START_TEST(a_quorum_request_that_repeats_itself_is_refused)
{
    struct cluster cluster;
    struct admin admin;
    struct describe_quorum_request_partitions partitions[1000] = {{.partition_index = 0}};
    struct describe_quorum_request_topics topics[2] = {
        {.topic_name = SLICE_LITERAL("__cluster_metadata"), .partitions = partitions, .partitions_count = 1000},
        {.topic_name = SLICE_LITERAL("__cluster_metadata"), .partitions = partitions, .partitions_count = 1},
    };
    struct describe_quorum_request many = {.topics = topics, .topics_count = 1}, twice = {.topics = topics, .topics_count = 2};
    struct describe_quorum_response response;
    start_cluster(&cluster, 3, 641);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    for (int i = 0; i < 2; i++) {
        admin_request(&cluster, &admin, 2, API_DESCRIBE_QUORUM, 2, i ? &twice : &many, &response);
        ck_assert_int_eq(response.topics_count, i ? 2 : 1);
        for (int p = 0; p < 1000; p++) {
            const struct describe_quorum_response_partitions *refused = &response.topics[0].partitions[p];
            ck_assert_int_eq(refused->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
            ck_assert_int_eq(refused->current_voters_count, 0);
        }
        ck_assert_int_eq(response.nodes_count, 0);
        arena_deinit(&admin.arena);
    }
    sim_destroy(cluster.sim);
}
END_TEST

/* ---- Kafka's tools on this port -------------------------------------------------------------------------------------- */

struct tool {
    struct channel_call call;
    struct arena arena;
    struct buf *frame;
    struct slice body;
    bool is_done, is_refused;
};

static void on_tool_answer(struct channel_call *channel_call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct tool *tool = CONTAINER_OF(channel_call, struct tool, call);
    (void)now_us;
    tool->is_done = true;
    tool->is_refused = err != ERR_OK;
    if (tool->is_refused) return;
    tool->frame = buf_ref(frame);
    tool->body = body;
}
static bool is_tool_answered(void *context) { return ((struct tool *)context)->is_done; }

/* To the controller of node `to`; false: it closed the connection. `response` lives in tool->arena. */
static bool tool_request(struct cluster *cluster, struct tool *tool, int32_t to, int16_t key, int16_t version, int16_t answer_version,
                         const void *message, void *response)
{
    bool is_flexible = version >= api_flexible_min(key) && key != API_API_VERSIONS;
    *tool = (struct tool){.call = {.api_key = key, .api_version = version, .is_flexible = is_flexible, .done = on_tool_answer}};
    arena_init(&tool->arena, SIZE_MAX);
    struct writer body;
    writer_init(&body, 64);
    /* Of ApiVersions only the request's header is flexible. */
    if (key == API_API_VERSIONS && version >= api_flexible_min(key)) writer_u8(&body, 0);
    if (message) ck_assert_int_eq(codec_encode(api_request(key), version, message, &body), ERR_OK);
    struct channel_handler handler = {.on_closed = on_admin_closed};
    struct env *env = cluster->brokers[to].env;
    struct channel *channel = channel_open(env, sim_node_host(cluster->hosts[to]), CONTROLLER_PORT, "tool", SIM_SECOND, 64 << 20, &handler);
    struct env_piece piece = env_piece_buf(writer_take(&body));
    channel_send(channel, &tool->call, &piece, 1, 5 * SIM_SECOND);
    ck_assert(sim_wait(cluster->sim, is_tool_answered, tool, 6 * SIM_SECOND));
    if (tool->is_refused) return false;
    ck_assert_int_eq(codec_decode_exact(api_response(key), answer_version, tool->body, &tool->arena, response), ERR_OK);
    channel_close(channel);
    return true;
}
static void tool_end(struct tool *tool)
{
    arena_deinit(&tool->arena);
    buf_unref(tool->frame);
}

/* What `kafka-metadata-quorum --bootstrap-controller` does: any controller says who leads, and that one describes the quorum. */
START_TEST(tools_find_the_active_controller_from_any)
{
    struct cluster cluster;
    struct tool tool;
    struct describe_cluster_request cluster_request = {.endpoint_type = 2};
    struct describe_cluster_response described;
    struct describe_quorum_request_partitions partition = {.partition_index = 0};
    struct describe_quorum_request_topics topic = {
        .topic_name = SLICE_LITERAL("__cluster_metadata"), .partitions = &partition, .partitions_count = 1};
    struct describe_quorum_request request = {.topics = &topic, .topics_count = 1};
    struct describe_quorum_response response;
    start_cluster(&cluster, 3, 650);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    sim_run_for(cluster.sim, SIM_SECOND);
    int32_t leader = leader_of(&cluster);
    for (int32_t id = 0; id < 3; id++) {
        ck_assert(tool_request(&cluster, &tool, id, API_DESCRIBE_CLUSTER, 2, 2, &cluster_request, &described));
        ck_assert_int_eq(described.error_code, KAFKA_NONE);
        ck_assert_int_eq(described.controller_id, leader);
        ck_assert(slice_equal_str(described.cluster_id, controller_node_image(cluster.brokers[0].controller)->cluster_id));
        ck_assert_int_eq(described.brokers_count, 3);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(described.brokers[i].broker_id, i);
            ck_assert_int_eq(described.brokers[i].port, CONTROLLER_PORT);
            ck_assert(slice_equal_str(described.brokers[i].host, sim_node_host(cluster.hosts[i])));
        }
        tool_end(&tool);
        ck_assert(tool_request(&cluster, &tool, id, API_DESCRIBE_QUORUM, 2, 2, &request, &response));
        const struct describe_quorum_response_partitions *found = &response.topics[0].partitions[0];
        ck_assert_int_eq(found->error_code, id == leader ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER);
        ck_assert_int_eq(found->current_voters_count, id == leader ? 3 : 0);
        tool_end(&tool);
    }
    cluster_request.endpoint_type = 1;
    ck_assert(tool_request(&cluster, &tool, 0, API_DESCRIBE_CLUSTER, 2, 2, &cluster_request, &described));
    ck_assert_int_eq(described.error_code, KAFKA_MISMATCHED_ENDPOINT_TYPE);
    tool_end(&tool);
    sim_destroy(cluster.sim);
}
END_TEST

START_TEST(tools_are_told_what_is_served)
{
    struct cluster cluster;
    struct tool tool;
    struct api_versions_request request = {.client_software_name = SLICE_LITERAL("t"), .client_software_version = SLICE_LITERAL("1")};
    struct api_versions_response response;
    start_cluster(&cluster, 1, 651);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    for (int16_t version = 0; version <= 5; version++) {
        bool is_served = version <= 4;
        ck_assert(tool_request(&cluster, &tool, 0, API_API_VERSIONS, version, is_served ? version : 0, &request, &response));
        ck_assert_int_eq(response.error_code, is_served ? KAFKA_NONE : KAFKA_UNSUPPORTED_VERSION);
        ck_assert_int_eq(response.api_keys_count, is_served ? 3 : 1);
        ck_assert_int_eq(response.finalized_features_count, version >= 3 && is_served ? 3 : 0);
        tool_end(&tool);
    }
    ck_assert_msg(!tool_request(&cluster, &tool, 0, API_METADATA, 1, 1, NULL, NULL), "a broker's API ends the connection");
    tool_end(&tool);
    ck_assert_msg(!tool_request(&cluster, &tool, 0, API_DESCRIBE_CLUSTER, 1, 1, NULL, NULL), "so does a request without a body");
    tool_end(&tool);
    sim_destroy(cluster.sim);
}
END_TEST

/* ---- faults from a seed ---------------------------------------------------------------------------------------------- */

/* A client that asks whoever it thinks leads, and forgets. */
struct chaos_client {
    struct channel_call call;
    struct channel *channel;
    struct cluster *cluster;
};

static void on_chaos_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    struct chaos_client *client = user;
    (void)channel, (void)err, (void)now_us;
    client->channel = NULL;
}

static void on_chaos_answer(struct channel_call *channel_call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    (void)channel_call, (void)err, (void)frame, (void)body, (void)now_us;
}

static void start_client(void *user, struct sim_node *host) { (void)user, (void)host; }
static void destroy_client(void *user, struct sim_node *host)
{
    struct chaos_client *client = user;
    (void)host;
    if (client->channel) channel_close(client->channel);
    client->channel = NULL;
}

static void chaos_request(struct chaos_client *client, struct env *env, struct prng *prng, uint32_t n)
{
    char name[16], host[16];
    snprintf(name, sizeof name, "t%u", n % 15);
    struct writer body;
    writer_init(&body, 256);
    bool is_delete = prng_chance(prng, 1, 3);
    struct slice topic_name = slice_str(name);
    struct create_topics_request_topics topic = {.name = topic_name, .num_partitions = 7, .replication_factor = 3};
    struct create_topics_request create = {.topics = &topic, .topics_count = 1, .timeout_ms = 1000};
    struct delete_topics_request delete = {.topic_names = &topic_name, .topic_names_count = 1, .timeout_ms = 1000};
    int16_t key = is_delete ? API_DELETE_TOPICS : API_CREATE_TOPICS;
    ck_assert_int_eq(codec_encode(api_request(key), 5, is_delete ? (void *)&delete : (void *)&create, &body), ERR_OK);
    Skiff__Sender sender;
    Skiff__ForwardRequest request;
    skiff__sender__init(&sender);
    skiff__forward_request__init(&request);
    request.sender = &sender, request.api_key = key, request.api_version = 5, request.body = pb_lend_bytes(writer_slice(&body));
    if (client->channel) channel_close(client->channel);
    struct channel_handler handler = {.on_closed = on_chaos_closed, .user = client};
    int32_t leader = leader_of(client->cluster);
    snprintf(host, sizeof host, "node%d", leader >= 0 && prng_chance(prng, 3, 4) ? leader : (int32_t)prng_below(prng, 3));
    client->channel = channel_open(env, host, CONTROLLER_PORT, "chaos", SIM_SECOND, 64 << 20, &handler);
    client->call = (struct channel_call){.api_key = PRIVATE_API_FORWARD, .done = on_chaos_answer};
    struct env_piece piece = env_piece_buf(pb_pack(&request.base));
    channel_send(client->channel, &client->call, &piece, 1, 2 * SIM_SECOND);
    writer_deinit(&body);
}

static void inject_fault(struct cluster *cluster, struct prng *prng)
{
    struct sim_node *node = cluster->hosts[prng_below(prng, 3)];
    switch (prng_below(prng, 8)) {
    case 0: sim_net_partition(cluster->sim, 1u << prng_below(prng, 3), 7); break;
    case 1: sim_net_block(cluster->sim, node, cluster->hosts[prng_below(prng, 3)]); break;
    case 2: sim_net_heal(cluster->sim); break;
    case 3: sim_net_cut(cluster->sim, node, NULL); break;
    case 4:
        if (sim_node_is_running(node)) sim_node_crash(node, prng_chance(prng, 1, 2) ? SIM_CRASH_PROCESS : SIM_CRASH_POWER);
        break;
    case 5:
        if (sim_node_is_running(node)) sim_node_pause(node);
        break;
    case 6:
        if (sim_node_is_running(node)) sim_node_resume(node);
        break;
    default:
        sim_net_heal(cluster->sim);
        for (int32_t i = 0; i < 3; i++)
            if (!is_running(cluster, i)) sim_node_start(cluster->hosts[i]);
    }
}

static bool is_settled_and_equal(void *context) { return is_settled(context) && are_images_equal(context); }

START_TEST(a_replay_faults_from_a_seed_leave_equal_images)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, (uint64_t)_i + 1000);
    cluster.snapshot_log_bytes = 8000;
    struct chaos_client client = {.cluster = &cluster};
    struct sim_process process = {start_client, destroy_client, &client};
    struct sim_node *client_host = sim_node_add(cluster.sim, "client", &process);
    sim_node_start(client_host);
    struct env *env = sim_env_create(client_host);
    struct prng prng = sim_prng(cluster.sim, "chaos");
    for (uint32_t step = 0; step < 300; step++) {
        chaos_request(&client, env, &prng, step);
        if (prng_chance(&prng, 1, 8)) inject_fault(&cluster, &prng);
        sim_run_for(cluster.sim, prng_range(&prng, 1, 150) * SIM_MS);
    }
    sim_net_heal(cluster.sim);
    for (int32_t i = 0; i < 3; i++) {
        if (!is_running(&cluster, i))
            sim_node_start(cluster.hosts[i]);
        else
            sim_node_resume(cluster.hosts[i]);
    }
    ck_assert_msg(sim_wait(cluster.sim, is_settled_and_equal, &cluster, 30 * SIM_SECOND), "seed %d", _i);
    sim_destroy(cluster.sim);
}
END_TEST

START_TEST(silent_broker_is_fenced_after_its_session)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, 300);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    create_topic(&cluster, "t", 9, 3, KAFKA_NONE);
    victim = (leader_of(&cluster) + 1) % 3;
    sim_node_pause(cluster.hosts[victim]);
    sim_run_for(cluster.sim, 8 * SIM_SECOND);
    ck_assert_msg(!has_moved(&cluster), "a paused process refuses no connect: silence is no evidence");
    ck_assert(sim_wait(cluster.sim, has_moved, &cluster, 3 * SIM_SECOND));
    sim_node_resume(cluster.hosts[victim]);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 5 * SIM_SECOND));
    sim_destroy(cluster.sim);
}
END_TEST

START_TEST(paused_lone_node_does_not_fence_itself)
{
    struct cluster cluster;
    start_cluster(&cluster, 1, 600);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, SIM_SECOND));
    create_topic(&cluster, "t", 1, 1, KAFKA_NONE);
    sim_run_for(cluster.sim, 3 * SIM_SECOND);
    for (int i = 0; i < 5; i++) {
        sim_node_pause(cluster.hosts[0]);
        sim_run_for(cluster.sim, (5 + 7 * i) * SIM_SECOND);
        sim_node_resume(cluster.hosts[0]);
        sim_run_for(cluster.sim, 2 * SIM_SECOND);
        ck_assert_int_eq(image_topic_by_name(&cluster.brokers[0].image, SLICE_LITERAL("t"))->partitions[0].leader_epoch, 0);
    }
    sim_destroy(cluster.sim);
}
END_TEST

static bool has_left(void *context) { return ((struct cluster *)context)->brokers[victim].has_left; }

START_TEST(controlled_shutdown_is_quick_and_moves_all)
{
    struct cluster cluster;
    start_cluster(&cluster, 3, (uint64_t)_i + 400);
    ck_assert(sim_wait(cluster.sim, is_settled, &cluster, 10 * SIM_SECOND));
    create_topic(&cluster, "t", 9, 3, KAFKA_NONE);
    victim = 1;
    int64_t begin = sim_now_us(cluster.sim);
    cluster.brokers[1].wants_shutdown = true;
    env_timer_set(cluster.brokers[1].env, &cluster.brokers[1].timer, begin);
    ck_assert(sim_wait(cluster.sim, has_left, &cluster, 5 * SIM_SECOND));
    ck_assert_msg(sim_now_us(cluster.sim) - begin < 200 * SIM_MS, "took %lld us", (long long)(sim_now_us(cluster.sim) - begin));
    ck_assert(has_moved(&cluster));
    sim_destroy(cluster.sim);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("controller_node");
    TCase *tests = tcase_create("controller_node");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, one_node_is_born_registers_and_creates_topics);
    tcase_add_test(tests, idle_controllers_leave_their_disks_alone);
    tcase_add_loop_test(tests, three_nodes_all_apply_before_create_topics_answers, 0, 5);
    tcase_add_test(tests, operation_that_waits_builds_its_locks_once_an_image);
    tcase_add_test(tests, limits_of_clients_do_not_hold_up_replication);
    tcase_add_loop_test(tests, q_leader_killed_broker_is_replaced_on_evidence, 0, 10);
    tcase_add_loop_test(tests, b_epoch_quick_restart_replaces_the_dead_incarnation, 0, 10);
    tcase_add_loop_test(tests, b_epoch_restart_of_all_nodes_needs_no_timeout, 0, 10);
    tcase_add_loop_test(tests, a_replay_voter_that_was_away_catches_up_from_a_snapshot, 0, 5);
    tcase_add_loop_test(tests, brokers_without_a_vote_follow_their_controllers, 0, 6);
    tcase_add_loop_test(tests, a_replay_broker_that_was_away_catches_up_from_a_snapshot, 0, 4);
    tcase_add_test(tests, the_quorum_is_described_with_its_observers);
    tcase_add_test(tests, a_quorum_request_that_repeats_itself_is_refused);
    tcase_add_test(tests, tools_find_the_active_controller_from_any);
    tcase_add_test(tests, tools_are_told_what_is_served);
    tcase_add_loop_test(tests, a_replay_faults_from_a_seed_leave_equal_images, 0, 30);
    tcase_add_test(tests, silent_broker_is_fenced_after_its_session);
    tcase_add_test(tests, paused_lone_node_does_not_fence_itself);
    tcase_add_loop_test(tests, controlled_shutdown_is_quick_and_moves_all, 0, 5);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
