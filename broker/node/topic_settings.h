/* What a topic's configuration means to the broker: dynamic values of the image over the node's static ones. Pure. */
#ifndef SKIFF_BROKER_NODE_TOPIC_SETTINGS_H
#define SKIFF_BROKER_NODE_TOPIC_SETTINGS_H

#include "broker/log/log.h"
#include "controller/metadata/image.h"
#include "proto/compression.h"

struct topic_settings {
    struct plog_config log;
    int64_t retention_ms;    /* -1: no limit */
    int64_t retention_bytes; /* -1: no limit */
    int64_t min_insync;      /* min.insync.replicas */
    int64_t max_message_bytes;
    int64_t timestamp_before_max_ms, timestamp_after_max_ms;
    bool is_deleted_by_age; /* cleanup.policy has delete */
    bool is_recompressed;   /* compression.type is not "producer" */
    enum compression compression;
    int64_t gzip_level, lz4_level, zstd_level;
};

/* Kafka's defaults; the node's own server.properties goes over them. */
extern const struct topic_settings topic_settings_default;

/* `node`, the static settings of broker `broker_id`, with what the image says of that broker, of all brokers and of `topic`. A
 * value that does not parse (a newer node wrote it) leaves the node's. */
void topic_settings_resolve(const struct topic_settings *node, const struct image *image, int32_t broker_id,
                            const struct image_topic *topic, struct topic_settings *out);

/* compression.type, in Kafka's words. */
void topic_settings_set_compression(struct topic_settings *settings, const char *type);
int32_t topic_settings_compression_level(const struct topic_settings *settings);

#endif
