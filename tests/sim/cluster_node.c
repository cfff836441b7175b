/* One node of a simulated cluster: the same assembly as the real process (broker/cli), with two loops over the simulator. */
#include "tests/sim/cluster.h"

#include "broker/node/broker_node.h"
#include "broker/node/broker_options.h"
#include "common/assert.h"
#include "common/mem.h"
#include "controller/node/controller_node.h"
#include "proto/record_batch.h"
#include "tests/sim/disk.h"

#include <stdio.h>

#define CLIENT_PORT     9092
#define CONTROLLER_PORT 9093
#define DATA            "/data"
#define STOP_TIMEOUT_MS 10000
#define RESIGN_US       (20 * SIM_MS)
#define OPEN_FILES_MAX  16 /* few, so that closing and opening again happens */
#define PATH_SIZE       256

/* Memory of the process: goes with it. */
struct process {
    struct config config;
    struct listeners listeners;
    struct cluster_node *node;
    struct env_message stop;
    struct env_timer resigned;
};

/* ---- settings ------------------------------------------------------------------------------------------------------ */

static void print_config(const struct cluster_node *node, char *text, size_t size)
{
    const struct cluster *cluster = node->cluster;
    bool is_voter = cluster_is_voter(node), is_broker = cluster_is_broker(node);
    char for_clients[64] = "", for_controllers[64] = "";
    if (is_broker) (void)snprintf(for_clients, sizeof for_clients, "PLAINTEXT://%s:%d,", sim_node_host(node->node), CLIENT_PORT);
    if (is_voter) (void)snprintf(for_controllers, sizeof for_controllers, "CONTROLLER://%s:%d", sim_node_host(node->node), CONTROLLER_PORT);
    int used = snprintf(text, size,
                        "process.roles=%s%s%s\n"
                        "node.id=%u\n"
                        "listeners=%s%s\n"
                        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
                        "controller.listener.names=CONTROLLER\n"
                        "log.dirs=" DATA "\n"
                        "auto.create.topics.enable=false\n"
                        "broker.session.timeout.ms=%lld\n"
                        "broker.heartbeat.interval.ms=%lld\n"
                        "replica.lag.time.max.ms=%lld\n"
                        "replica.socket.timeout.ms=3000\n"
                        "replica.fetch.backoff.ms=100\n"
                        "controller.socket.timeout.ms=3000\n"
                        "replica.high.watermark.checkpoint.interval.ms=500\n"
                        "log.index.interval.bytes=64\n"
                        "offsets.topic.num.partitions=2\n"
                        "offsets.topic.snapshot.min.bytes=1000\n"
                        "offsets.commit.timeout.ms=1000\n"
                        "group.initial.rebalance.delay.ms=50\n"
                        "group.min.session.timeout.ms=1000\n"
                        "controller.quorum.voters=",
                        is_broker ? "broker" : "", is_broker && is_voter ? "," : "", is_voter ? "controller" : "", node->index, for_clients,
                        for_controllers, (long long)cluster->session_timeout_ms, (long long)cluster->session_timeout_ms / 4,
                        (long long)cluster->lag_max_ms);
    for (uint32_t i = 0; i < cluster->workload.voter_count; i++) {
        ASSERT(used > 0 && (size_t)used < size);
        used += snprintf(text + used, size - (size_t)used, "%s%u@%s:%d", i ? "," : "", i, cluster->workload.hosts[i], CONTROLLER_PORT);
    }
}

static void load_config(struct process *process)
{
    char text[2048], reason[CONFIG_LINE_MAX];
    struct cluster_node *node = process->node;
    print_config(node, text, sizeof text);
    config_init(&process->config, NULL, NULL);
    enum err err = config_load(&process->config, "simulated", slice_str(text));
    ASSERT(err == ERR_OK);
    err = config_finish(&process->config);
    ASSERT(err == ERR_OK);
    /* Smaller than a person may set: rolling segments must be frequent here. */
    process->config.values[CONFIG_LOG_SEGMENT_BYTES].number = node->cluster->segment_bytes;
    err = listeners_parse(&process->listeners, &process->config, sim_node_host(node->node), reason);
    ASSERT(err == ERR_OK);
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

static void on_failed(void *user, const char *reason)
{
    const struct cluster_node *node = user;
    log_line(env_logger(node->controller_env), LOG_WARN, "process", "ends: %s", reason);
    sim_node_exit(node->node);
}

static void start_broker(struct process *process)
{
    struct cluster_node *node = process->node;
    char reason[CONFIG_LINE_MAX] = "";
    struct broker_node_options options = {.config = &process->config,
                                          .listeners = &process->listeners,
                                          .open_files_max = OPEN_FILES_MAX,
                                          .on_failed = on_failed,
                                          .user = node};
    enum err err = broker_node_create(node->broker_env, &options, &node->broker, reason);
    if (err == ERR_OK) err = broker_node_open(node->broker, reason);
    if (err != ERR_OK) on_failed(node, reason);
}

static void start_controller(struct process *process)
{
    struct cluster_node *node = process->node;
    const struct config *config = &process->config;
    const struct listeners *listeners = &process->listeners;
    struct controller_node_config options = {
        .raft = {.node_id = (int32_t)node->index,
                 .directory = DATA "/controller",
                 .voter_count = (uint32_t)listeners->voter_count,
                 .expected_cluster_id = broker_cluster_id(node->controller_env, config),
                 .snapshot_log_bytes = node->cluster->snapshot_log_bytes},
        .listener_name = cluster_is_voter(node) ? "CONTROLLER" : NULL,
        .host = sim_node_host(node->node),
        .port = CONTROLLER_PORT,
        .limits = broker_server_limits(config),
        .session_timeout_ms = node->cluster->session_timeout_ms,
        .rebalance_interval_ms = node->cluster->rebalance_interval_ms,
        .settings = {.default_partitions = 1, .default_replication_factor = 1, .is_topic_deletion_enabled = true},
        .defaults = {.min_insync_replicas = 1, .is_flushing = true},
        .broker_env = cluster_is_broker(node) ? node->broker_env : NULL,
        .on_update = broker_node_on_update,
        .receiver = node->broker,
        .on_failed = on_failed,
        .user = node,
    };
    for (size_t i = 0; i < listeners->voter_count; i++) {
        struct raft_node_voter *voter = &options.raft.voters[i];
        voter->id = listeners->voters[i].id;
        voter->port = listeners->voters[i].port;
        (void)snprintf(voter->host, sizeof voter->host, "%s", listeners->voters[i].host);
    }
    if (controller_node_create(node->controller_env, &options, &node->controller) != ERR_OK) on_failed(node, "the controller cannot start");
}

static void on_stop(struct env_message *message, int64_t now_us);

static void start_process(void *user, struct sim_node *sim_node)
{
    struct cluster_node *node = user;
    struct process *process = mem_alloc(sizeof *process);
    process->node = node;
    process->stop.deliver = on_stop;
    node->process = process;
    node->broker_env = sim_env_create(sim_node);
    node->controller_env = sim_env_create(sim_node);
    node->is_stopping = false;
    load_config(process);
    if (cluster_is_broker(node)) start_broker(process);
    if (sim_node_is_running(sim_node)) start_controller(process);
}

static void end_process(void *user, struct sim_node *sim_node)
{
    struct cluster_node *node = user;
    (void)sim_node;
    node->controller = NULL;
    node->broker = NULL;
    node->process = NULL;
}

void cluster_add_node(struct cluster *cluster, uint32_t index)
{
    struct cluster_node *node = &cluster->nodes[index];
    const struct sim_process process = {.start = start_process, .destroy = end_process, .user = node};
    node->cluster = cluster;
    node->index = index;
    node->node = sim_node_add(cluster->sim, cluster->workload.hosts[index], &process);
}

/* ---- stop ---------------------------------------------------------------------------------------------------------- */

static void on_stopped(void *user, bool is_clean)
{
    const struct cluster_node *node = user;
    (void)is_clean;
    sim_node_exit(node->node);
}

static void on_resigned(struct env_timer *timer, int64_t now_us)
{
    const struct process *process = CONTAINER_OF(timer, struct process, resigned);
    (void)now_us;
    sim_node_exit(process->node->node);
}

static void on_stop(struct env_message *message, int64_t now_us)
{
    struct process *process = CONTAINER_OF(message, struct process, stop);
    struct cluster_node *node = process->node;
    if (node->broker) {
        broker_node_stop(node->broker, STOP_TIMEOUT_MS, on_stopped, node);
        return;
    }
    controller_node_resign(node->controller);
    env_timer_init(&process->resigned, on_resigned);
    env_timer_set(node->controller_env, &process->resigned, now_us + RESIGN_US);
}

void cluster_stop_node(struct cluster_node *node)
{
    if (node->is_stopping || !node->controller || (cluster_is_broker(node) && !node->broker)) return;
    node->is_stopping = true;
    env_post(node->broker ? node->broker_env : node->controller_env, &node->process->stop);
}

/* ---- looking at it ------------------------------------------------------------------------------------------------- */

void cluster_view(struct cluster_node *node, struct checker_view *view, struct raft_status *raft)
{
    *view = (struct checker_view){0};
    if (!sim_node_is_running(node->node)) return;
    if (node->controller) {
        view->image = controller_node_image(node->controller);
        raft_node_status(controller_node_raft(node->controller), raft);
        view->raft = raft;
    }
    if (node->broker) view->replicas = broker_node_replicas(node->broker);
}

static bool is_topic_whole(const struct image *image, const struct workload_topic *wanted)
{
    const struct image_topic *topic = uuid_is_zero(wanted->id) ? NULL : image_topic_by_id(image, wanted->id);
    if (wanted->is_deleted) return topic == NULL;
    for (int32_t i = 0; topic && i < topic->partition_count; i++) {
        const struct image_partition *partition = &topic->partitions[i];
        if (partition->leader == NO_LEADER || partition->isr_count != partition->replica_count) return false;
    }
    return topic != NULL;
}

static bool is_whole(const struct cluster *cluster, const struct image *image)
{
    uint32_t active = 0;
    MAP_FOR_EACH (&image->brokers, struct image_broker, broker) active += image_broker_is_active(broker);
    for (uint32_t t = 0; t < cluster->workload.topic_count; t++) {
        if (!is_topic_whole(image, &cluster->workload.topics[t])) return false;
    }
    return map_count(&image->reassignments) == 0 && active == cluster->node_count - cluster->workload.first_broker;
}

/* All know the same, and it is what was wanted. */
bool cluster_is_converged(struct cluster *cluster)
{
    int64_t index = -1;
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        if (!sim_node_is_running(node->node) || node->is_stopping || !node->controller) return false;
        if (!is_whole(cluster, controller_node_image(node->controller))) return false;
        if (index < 0) index = controller_node_image(node->controller)->index;
        if (controller_node_image(node->controller)->index != index) return false;
        if (!cluster_is_broker(node)) continue;
        if (!node->broker || !broker_node_is_active(node->broker) || !is_whole(cluster, broker_node_image(node->broker))) return false;
        if (broker_node_image(node->broker)->index != index) return false;
    }
    return true;
}

static bool is_topic_trimmed(struct cluster *cluster, const struct workload_topic *topic, const struct image_topic *found)
{
    for (int32_t i = 0; i < found->partition_count; i++) {
        struct node_ids replicas = image_replicas(&found->partitions[i]);
        int64_t wanted = cluster->workload.history.partitions[topic->first + (uint32_t)i].trim_asked;
        for (uint32_t r = 0; r < replicas.count; r++) {
            struct replica_info info;
            const struct replica_manager *replica_manager = broker_node_replicas(cluster->nodes[replicas.ids[r]].broker);
            if (!replica_manager_info(replica_manager, found->id, i, &info) || info.log_start != wanted) return false;
        }
    }
    return true;
}

bool cluster_is_trimmed(struct cluster *cluster)
{
    const struct image *image = broker_node_image(cluster->nodes[cluster->workload.first_broker].broker);
    for (uint32_t t = 0; t < cluster->workload.topic_count; t++) {
        const struct workload_topic *topic = &cluster->workload.topics[t];
        const struct image_topic *found = topic->is_deleted ? NULL : image_topic_by_id(image, topic->id);
        if (found && !is_topic_trimmed(cluster, topic, found)) return false;
    }
    return true;
}

/* ---- the bytes of the logs ----------------------------------------------------------------------------------------- */

struct log_bytes {
    struct cluster_node *node;
    char directory[PATH_SIZE / 2];
    struct bytes bytes;
};

static void add_segment(void *context, const char *name, bool is_directory)
{
    struct log_bytes *log = context;
    size_t length = strlen(name), size = 0, before = log->bytes.size;
    char path[PATH_SIZE];
    if (is_directory || length < 4 || strcmp(name + length - 4, ".log") != 0) return;
    (void)snprintf(path, sizeof path, "%s/%.64s", log->directory, name);
    bool found = sim_disk_read(log->node->node, path, NULL, 0, &size);
    ASSERT(found);
    bytes_resize(&log->bytes, before + size);
    found = sim_disk_read(log->node->node, path, log->bytes.p + before, size, &size);
    ASSERT(found);
}

/* Segments go when all of their records were deleted: how far back the bytes reach differs. What counts begins with the batch at `start`.
 */
static void drop_deleted(struct bytes *bytes, int64_t start)
{
    struct record_batch batch;
    size_t at = 0;
    while (at < bytes->size && record_batch_parse(slice_make(bytes->p + at, bytes->size - at), &batch) == ERR_OK &&
           record_batch_last_offset(&batch) < start)
        at += record_batch_size(&batch);
    bytes->size -= at;
    if (at > 0) memmove(bytes->p, bytes->p + at, bytes->size);
}

static void read_log(struct cluster_node *node, const struct workload_topic *topic, int32_t partition, struct log_bytes *log)
{
    *log = (struct log_bytes){.node = node};
    (void)snprintf(log->directory, sizeof log->directory, "%s/%s-%d", DATA, topic->name, partition);
    enum err err = env_list(node->broker_env, log->directory, add_segment, log);
    ASSERT(err == ERR_OK || err == ERR_NOT_FOUND);
    int64_t start = node->cluster->workload.history.partitions[topic->first + (uint32_t)partition].trim_asked;
    if (start > 0) drop_deleted(&log->bytes, start);
}

static void compare_logs(struct cluster *cluster, const struct workload_topic *topic, int32_t index, const struct image_partition *state)
{
    struct node_ids replicas = image_replicas(state);
    struct log_bytes first, other;
    read_log(&cluster->nodes[replicas.ids[0]], topic, index, &first);
    for (uint32_t i = 1; i < replicas.count; i++) {
        read_log(&cluster->nodes[replicas.ids[i]], topic, index, &other);
        if (first.bytes.size != other.bytes.size || (first.bytes.size && memcmp(first.bytes.p, other.bytes.p, first.bytes.size) != 0))
            verdict_fail(&cluster->verdict, "L-MATCH", "%s-%d: the logs of nodes %d and %d differ (%zu and %zu bytes)", topic->name, index,
                         replicas.ids[0], replicas.ids[i], first.bytes.size, other.bytes.size);
        bytes_free(&other.bytes);
    }
    bytes_free(&first.bytes);
}

void cluster_check_logs(struct cluster *cluster)
{
    const struct image *image = broker_node_image(cluster->nodes[cluster->workload.first_broker].broker);
    for (uint32_t t = 0; t < cluster->workload.topic_count; t++) {
        const struct workload_topic *topic = &cluster->workload.topics[t];
        const struct image_topic *found = image_topic_by_id(image, topic->id);
        if (topic->is_deleted) continue;
        if (!found) {
            verdict_fail(&cluster->verdict, "Q-LOST", "topic %s is gone, and nobody deleted it", topic->name);
            return;
        }
        for (int32_t i = 0; i < found->partition_count; i++) compare_logs(cluster, topic, i, &found->partitions[i]);
    }
}
