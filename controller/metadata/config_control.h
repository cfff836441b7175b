/* Dynamic configs of topics and brokers: validation and records.
 *
 * Topic configs are checked here, by common/topic_config.def. The broker that forwards a request has checked the keys of broker configs: it
 * has their table (common/config.def). */
#ifndef SKIFF_CONTROLLER_METADATA_CONFIG_CONTROL_H
#define SKIFF_CONTROLLER_METADATA_CONFIG_CONTROL_H

#include "common/topic_config.h"
#include "controller/metadata/control.h"
#include "gen/kmsg.h"

/* Kafka's numbers of resource types. */
enum config_resource { CONFIG_RESOURCE_TOPIC = 2, CONFIG_RESOURCE_BROKER = 4 };

/* Kafka's numbers of where a value comes from. */
enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_BROKER = 2,         /* dynamic, of one broker */
    CONFIG_SOURCE_BROKER_DEFAULT = 3, /* dynamic, of all brokers */
    CONFIG_SOURCE_STATIC = 4,         /* the node's file */
    CONFIG_SOURCE_DEFAULT = 5,
};

void config_incremental_alter(struct control *control, const struct incremental_alter_configs_request *request,
                              struct incremental_alter_configs_response *response);
void config_alter(struct control *control, const struct alter_configs_request *request, struct alter_configs_response *response);

/* The configs of a topic that is being created: whether they are valid together. */
struct refusal config_check_new_topic(struct control *control, const struct create_topics_request_configs *configs, int32_t count);
/* What a topic with the value `own` (null: none of its own) has for the setting, and where that comes from. */
struct slice config_effective(const struct image *image, const struct setting *setting, struct slice own, enum config_source *source);

#endif
