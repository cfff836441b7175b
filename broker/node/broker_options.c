#include "broker/node/broker_options.h"

#include "broker/node/log_dir.h"
#include "common/checked.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>

#define TAIL_BYTES_MAX (16u << 20) /* recent appends kept in memory for followers and tailing consumers; no more than requests may take */
/* The request memory, when queued.max.request.bytes does not say: that of so many requests, but no more than a share of what the system
 * lets the process have: recent records may take as much again, and answers, fetches that wait and the metadata need room, too. */
#define REQUESTS_OF_THE_LARGEST_SIZE 4
#define MEMORY_SHARE                 8
#define REQUEST_MEMORY_MIN           (4 << 20) /* a few batches of the usual largest size */

void log_dir_names_init(struct log_dir_names *dirs, const struct config *config)
{
    struct slice rest = config_log_dirs(config), part;
    *dirs = (struct log_dir_names){.count = 0};
    while (dirs->count < LOG_DIRS_MAX && str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (part.n > 0) dirs->names[dirs->count++] = mem_strndup((const char *)part.p, part.n);
    }
}

void log_dir_names_deinit(struct log_dir_names *dirs)
{
    for (size_t i = 0; i < dirs->count; i++) mem_free(dirs->names[i]);
    dirs->count = 0;
}

struct uuid broker_cluster_id(struct env *env, const struct config *config)
{
    struct log_dir_names dirs;
    struct uuid cluster_id = {{0}};
    log_dir_names_init(&dirs, config);
    for (size_t i = 0; i < dirs.count && uuid_is_zero(cluster_id); i++) cluster_id = log_dir_cluster_id(env, dirs.names[i]);
    log_dir_names_deinit(&dirs);
    return cluster_id;
}

static int64_t default_request_memory(const struct config *config)
{
    int64_t bytes = REQUESTS_OF_THE_LARGEST_SIZE * config_number(config, CONFIG_SOCKET_REQUEST_MAX_BYTES);
    if (config->memory_limit_bytes == 0) return bytes;
    return min_i64(bytes, max_i64(REQUEST_MEMORY_MIN, config->memory_limit_bytes / MEMORY_SHARE));
}

struct server_limits broker_server_limits(const struct config *config)
{
    int64_t frame_bytes = config_number(config, CONFIG_SOCKET_REQUEST_MAX_BYTES),
            memory_bytes = config_number(config, CONFIG_QUEUED_MAX_REQUEST_BYTES);
    int64_t idle_ms = config_number(config, CONFIG_CONNECTIONS_MAX_IDLE_MS);
    if (memory_bytes <= 0) memory_bytes = default_request_memory(config);
    return (struct server_limits){.frame_bytes_max = (int32_t)frame_bytes,
                                  .memory_bytes_max = memory_bytes,
                                  .idle_timeout_us = idle_ms > 0 && idle_ms < INT64_MAX / 1000 ? idle_ms * 1000 : 0,
                                  .connections_max = (uint32_t)config_number(config, CONFIG_MAX_CONNECTIONS),
                                  .connections_per_ip_max = (uint32_t)config_number(config, CONFIG_MAX_CONNECTIONS_PER_IP),
                                  .connections_per_s_max = (uint32_t)config_number(config, CONFIG_MAX_CONNECTION_CREATION_RATE)};
}

static bool list_has(const char *list, const char *word)
{
    struct slice rest = slice_str(list), part;
    while (str_split(&rest, ',', &part))
        if (slice_equal_str(str_trim(part), word)) return true;
    return false;
}

static struct topic_settings topic_defaults(const struct config *config)
{
    struct topic_settings settings = topic_settings_default;
    const char *policy = config_text(config, CONFIG_LOG_CLEANUP_POLICY);
    settings.log.segment_bytes = config_number(config, CONFIG_LOG_SEGMENT_BYTES);
    settings.log.segment_ms = config_segment_ms(config);
    settings.log.segment_jitter_ms = config_segment_jitter_ms(config);
    settings.log.segment_index_bytes = config_number(config, CONFIG_LOG_INDEX_SIZE_MAX_BYTES);
    settings.log.index_interval_bytes = config_number(config, CONFIG_LOG_INDEX_INTERVAL_BYTES);
    settings.log.producer_id_expiration_ms = config_number(config, CONFIG_PRODUCER_ID_EXPIRATION_MS);
    settings.log.is_log_append_time = strcmp(config_text(config, CONFIG_LOG_MESSAGE_TIMESTAMP_TYPE), "LogAppendTime") == 0;
    settings.log.is_compacted = list_has(policy, "compact");
    settings.timestamp_before_max_ms = config_number(config, CONFIG_LOG_MESSAGE_TIMESTAMP_BEFORE_MAX_MS);
    settings.timestamp_after_max_ms = config_number(config, CONFIG_LOG_MESSAGE_TIMESTAMP_AFTER_MAX_MS);
    settings.retention_ms = config_retention_ms(config);
    settings.retention_bytes = config_number(config, CONFIG_LOG_RETENTION_BYTES);
    settings.is_deleted_by_age = list_has(policy, "delete");
    settings.min_insync = config_number(config, CONFIG_MIN_INSYNC_REPLICAS);
    topic_settings_set_compression(&settings, config_text(config, CONFIG_COMPRESSION_TYPE));
    settings.gzip_level = config_number(config, CONFIG_COMPRESSION_GZIP_LEVEL);
    settings.lz4_level = config_number(config, CONFIG_COMPRESSION_LZ4_LEVEL);
    settings.zstd_level = config_number(config, CONFIG_COMPRESSION_ZSTD_LEVEL);
    settings.max_message_bytes = config_number(config, CONFIG_MESSAGE_MAX_BYTES);
    return settings;
}

struct replica_manager_options broker_replica_options(const struct config *config, const struct listeners *listeners,
                                                      uint32_t open_files_max)
{
    struct replica_manager_options options = replica_manager_options_default;
    options.node_id = config_node_id(config);
    options.listener_name = listeners->items[listeners->inter_broker].name;
    options.topic_defaults = topic_defaults(config);
    options.counts_unflushed = strcmp(config_text(config, CONFIG_LOG_FLUSH_POLICY), "os") == 0;
    options.flush_stall_ms = config_number(config, CONFIG_LOG_FLUSH_STALL_MS);
    options.replica_lag_max_ms = config_number(config, CONFIG_REPLICA_LAG_TIME_MAX_MS);
    options.fetch_wait_max_ms = config_number(config, CONFIG_REPLICA_FETCH_WAIT_MAX_MS);
    options.fetch_partition_bytes = (int32_t)config_number(config, CONFIG_REPLICA_FETCH_MAX_BYTES);
    options.fetch_response_bytes = (int32_t)config_number(config, CONFIG_REPLICA_FETCH_RESPONSE_MAX_BYTES);
    options.fetch_backoff_ms = config_number(config, CONFIG_REPLICA_FETCH_BACKOFF_MS);
    options.socket_timeout_ms = config_number(config, CONFIG_REPLICA_SOCKET_TIMEOUT_MS);
    options.checkpoint_interval_ms = config_number(config, CONFIG_REPLICA_HIGH_WATERMARK_CHECKPOINT_INTERVAL_MS);
    options.retention_check_ms = config_number(config, CONFIG_LOG_RETENTION_CHECK_INTERVAL_MS);
    options.fetch_sessions_max = (uint32_t)config_number(config, CONFIG_MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS);
    const char *selector = config_text(config, CONFIG_REPLICA_SELECTOR_CLASS);
    options.is_rack_aware = selector && strcmp(selector, "org.apache.kafka.common.replica.RackAwareReplicaSelector") == 0;
    options.throttled_rates[THROTTLE_LEADER] = config_number(config, CONFIG_LEADER_REPLICATION_THROTTLED_RATE);
    options.throttled_rates[THROTTLE_FOLLOWER] = config_number(config, CONFIG_FOLLOWER_REPLICATION_THROTTLED_RATE);
    options.open_files_max = open_files_max;
    options.tail_bytes_max = (size_t)min_i64(TAIL_BYTES_MAX, broker_server_limits(config).memory_bytes_max);
    return options;
}

static struct controller_channel_listener advertise(const struct listener_config *listener, uint16_t bound)
{
    return (struct controller_channel_listener){.name = listener->name,
                                                .host = listener->advertised_host,
                                                .port = listener->advertised_port ? listener->advertised_port : bound,
                                                .security_protocol = (int16_t)listener->protocol};
}

struct controller_channel_options broker_channel_options(const struct config *config, const struct listeners *listeners,
                                                         const uint16_t *ports,
                                                         struct controller_channel_listener advertised[static LISTENERS_MAX])
{
    const char *rack = config_text(config, CONFIG_BROKER_RACK);
    size_t count = 0;
    /* The one for brokers comes first. */
    advertised[count++] = advertise(&listeners->items[listeners->inter_broker], ports[listeners->inter_broker]);
    for (size_t i = 0; i < listeners->count; i++)
        if (!listeners->items[i].is_controller && i != listeners->inter_broker)
            advertised[count++] = advertise(&listeners->items[i], ports[i]);
    return (struct controller_channel_options){.node_id = config_node_id(config),
                                               .listeners = advertised,
                                               .listener_count = count,
                                               .rack = rack ? rack : "",
                                               .heartbeat_interval_ms = config_number(config, CONFIG_BROKER_HEARTBEAT_INTERVAL_MS),
                                               .request_timeout_ms = config_number(config, CONFIG_CONTROLLER_SOCKET_TIMEOUT_MS)};
}

struct uuid broker_draw_uuid(struct env *env)
{
    struct uuid uuid;
    while (!uuid_from_random(env_random64(env), env_random64(env), &uuid)) continue;
    return uuid;
}

void broker_explain_listen(const struct listener_config *listener, enum err err, char reason[static CONFIG_LINE_MAX])
{
    const char *host = *listener->host ? listener->host : "*";
    if (err == ERR_IN_USE)
        (void)snprintf(reason, CONFIG_LINE_MAX,
                       "listener %s: port %u on %s is in use: stop the other program, or choose another port in listeners", listener->name,
                       listener->port, host);
    else if (err == ERR_UNRESOLVED)
        (void)snprintf(reason, CONFIG_LINE_MAX, "listener %s: this machine has no address %s: change listeners", listener->name, host);
    else
        (void)snprintf(reason, CONFIG_LINE_MAX, "listener %s: cannot listen on %s port %u: %s", listener->name, host, listener->port,
                       err_text(err));
}
