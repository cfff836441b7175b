#include "broker/node/dynamic_config.h"

#include "common/assert.h"
#include "common/str.h"
#include "common/topic_config.h"

/* Beside the defaults of topics. */
static const enum config_key keys[] = {
    CONFIG_MAX_CONNECTIONS,
    CONFIG_MAX_CONNECTIONS_PER_IP,
    CONFIG_MAX_CONNECTIONS_PER_IP_OVERRIDES,
    CONFIG_MAX_CONNECTION_CREATION_RATE,
    CONFIG_PRODUCER_ID_EXPIRATION_MS,
    CONFIG_BACKGROUND_THREADS,
    CONFIG_NUM_IO_THREADS,
    CONFIG_NUM_NETWORK_THREADS,
    CONFIG_NUM_REPLICA_FETCHERS,
    CONFIG_NUM_RECOVERY_THREADS_PER_DATA_DIR,
    CONFIG_LOG_CLEANER_THREADS,
    CONFIG_LOG_CLEANER_DEDUPE_BUFFER_SIZE,
    CONFIG_LEADER_REPLICATION_THROTTLED_RATE,
    CONFIG_FOLLOWER_REPLICATION_THROTTLED_RATE,
    CONFIG_REPLICA_ALTER_LOG_DIRS_IO_MAX_BYTES_PER_SECOND,
};

static bool is_default_of_topics(const struct setting *setting)
{
    for (size_t i = 0; i < TOPIC_CONFIG_COUNT; i++)
        if (topic_config_table[i].broker_name && strcmp(topic_config_table[i].broker_name, setting->name) == 0) return true;
    return false;
}

enum dynamic_config_mode dynamic_config_mode(const struct setting *setting)
{
    ASSERT(setting >= config_table && setting < config_table + CONFIG_COUNT);
    enum config_key key = (enum config_key)(setting - config_table);
    /* Whoever elects must know them, and that is no broker. */
    if (key == CONFIG_MIN_INSYNC_REPLICAS || key == CONFIG_UNCLEAN_LEADER_ELECTION_ENABLE) return DYNAMIC_CONFIG_CLUSTER;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i] == key) return DYNAMIC_CONFIG_BROKER;
    return is_default_of_topics(setting) ? DYNAMIC_CONFIG_BROKER : DYNAMIC_CONFIG_NEVER;
}

const char *dynamic_config_text(const struct image *image, int32_t broker_id, const char *name)
{
    const char *own = image_configs_get(image_broker_configs(image, broker_id), name);
    return own ? own : image_configs_get(image_broker_configs(image, NO_BROKER), name);
}

int64_t dynamic_config_number(const struct image *image, const struct config *config, enum config_key key)
{
    const char *text = dynamic_config_text(image, config_node_id(config), config_table[key].name);
    int64_t number = 0;
    /* Checked where it was set. */
    return text && str_parse_i64(str_trim(slice_str(text)), &number) ? number : config_number(config, key);
}
