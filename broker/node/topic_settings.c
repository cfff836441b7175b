/* See topic_settings.h. */
#include "broker/node/topic_settings.h"

#include "broker/node/dynamic_config.h"
#include "common/str.h"

const struct topic_settings topic_settings_default = {
    .log =
        {
            .segment_bytes = 1 << 30,
            .segment_ms = 604800000,
            .segment_index_bytes = 10485760,
            .index_interval_bytes = 4096,
            .producer_id_expiration_ms = 86400000,
        },
    .retention_ms = 604800000,
    .retention_bytes = -1,
    .min_insync = 1,
    .max_message_bytes = 1048588,
    .timestamp_before_max_ms = INT64_MAX,
    .timestamp_after_max_ms = 3600000,
    .is_deleted_by_age = true,
    .gzip_level = -1,
    .lz4_level = 9,
    .zstd_level = 3,
};

/* The topic's own, else what is set for its brokers. */
static const char *text_of(const struct image *image, int32_t broker_id, const struct image_topic *topic, const char *name,
                           const char *broker_name)
{
    const char *own = image_configs_get(&topic->configs, name);
    return own ? own : dynamic_config_text(image, broker_id, broker_name);
}

/* Values were checked where they were set (common/topic_config.def). */
static int64_t number_of(const char *text, int64_t otherwise)
{
    int64_t number = 0;
    return text && str_parse_i64(slice_str(text), &number) ? number : otherwise;
}

static bool list_has(const char *list, const char *word)
{
    struct slice rest = slice_str(list), part;
    while (str_split(&rest, ',', &part))
        if (slice_equal_str(str_trim(part), word)) return true;
    return false;
}

void topic_settings_set_compression(struct topic_settings *settings, const char *type)
{
    settings->compression = COMPRESSION_NONE;
    settings->is_recompressed = strcmp(type, "producer") != 0;
    if (!settings->is_recompressed || strcmp(type, "uncompressed") == 0) return;
    if (compression_parse(slice_str(type), &settings->compression) != ERR_OK) settings->is_recompressed = false; /* a newer node's */
}

int32_t topic_settings_compression_level(const struct topic_settings *settings)
{
    switch (settings->compression) {
    case COMPRESSION_GZIP: return (int32_t)settings->gzip_level;
    case COMPRESSION_LZ4: return (int32_t)settings->lz4_level;
    case COMPRESSION_ZSTD: return (int32_t)settings->zstd_level;
    case COMPRESSION_NONE:
    case COMPRESSION_SNAPPY: break;
    }
    return 0;
}

void topic_settings_resolve(const struct topic_settings *node, const struct image *image, int32_t broker_id,
                            const struct image_topic *topic, struct topic_settings *out)
{
    *out = *node;
    const struct {
        const char *name, *broker_name;
        int64_t *value;
    } numbers[] = {
        {"segment.bytes", "log.segment.bytes", &out->log.segment_bytes},
        {"segment.ms", "log.roll.ms", &out->log.segment_ms},
        {"segment.jitter.ms", "log.roll.jitter.ms", &out->log.segment_jitter_ms},
        {"segment.index.bytes", "log.index.size.max.bytes", &out->log.segment_index_bytes},
        {"index.interval.bytes", "log.index.interval.bytes", &out->log.index_interval_bytes},
        {"message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", &out->timestamp_before_max_ms},
        {"message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", &out->timestamp_after_max_ms},
        {"retention.ms", "log.retention.ms", &out->retention_ms},
        {"retention.bytes", "log.retention.bytes", &out->retention_bytes},
        {"max.message.bytes", "message.max.bytes", &out->max_message_bytes},
        {"compression.gzip.level", "compression.gzip.level", &out->gzip_level},
        {"compression.lz4.level", "compression.lz4.level", &out->lz4_level},
        {"compression.zstd.level", "compression.zstd.level", &out->zstd_level},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i].value = number_of(text_of(image, broker_id, topic, numbers[i].name, numbers[i].broker_name), *numbers[i].value);
    /* Never of one broker: whoever elects must see the same. */
    out->min_insync = number_of(image_topic_config(image, topic, "min.insync.replicas", "min.insync.replicas"), out->min_insync);
    out->log.producer_id_expiration_ms =
        number_of(dynamic_config_text(image, broker_id, "producer.id.expiration.ms"), out->log.producer_id_expiration_ms);
    const char *time = text_of(image, broker_id, topic, "message.timestamp.type", "log.message.timestamp.type");
    if (time) out->log.is_log_append_time = slice_equal_str(slice_str(time), "LogAppendTime");
    const char *compression = text_of(image, broker_id, topic, "compression.type", "compression.type");
    if (compression) topic_settings_set_compression(out, compression);
    const char *policy = text_of(image, broker_id, topic, "cleanup.policy", "log.cleanup.policy");
    if (policy) {
        out->log.is_compacted = list_has(policy, "compact");
        out->is_deleted_by_age = list_has(policy, "delete");
    }
}
