/* Settings of brokers that change while they run: set for one broker or for all, kept in the cluster's metadata, above what
 * server.properties says. Which ones follows Kafka's list: the defaults of topics, limits of connections, and the sizes of
 * pools, which are accepted but tune nothing here. No state. */
#ifndef SKIFF_BROKER_NODE_DYNAMIC_CONFIG_H
#define SKIFF_BROKER_NODE_DYNAMIC_CONFIG_H

#include "common/config.h"
#include "controller/metadata/image.h"

enum dynamic_config_mode {
    DYNAMIC_CONFIG_NEVER,   /* needs a restart */
    DYNAMIC_CONFIG_CLUSTER, /* for all brokers only: controllers decide by it */
    DYNAMIC_CONFIG_BROKER,  /* for one broker, too */
};
/* `setting` is of config_table. */
enum dynamic_config_mode dynamic_config_mode(const struct setting *setting);

/* What is set for the broker, else for all brokers; NULL: the static configuration decides. */
const char *dynamic_config_text(const struct image *image, int32_t broker_id, const char *name);
/* The number that holds on this node. */
int64_t dynamic_config_number(const struct image *image, const struct config *config, enum config_key key);

#endif
