/* What can be set on a topic: the table topic_config.def.  The broker's handlers describe it, the controller checks new values
 * against it. */
#ifndef SKIFF_COMMON_TOPIC_CONFIG_H
#define SKIFF_COMMON_TOPIC_CONFIG_H

#include "common/setting.h"

enum topic_config {
#define TOPIC_CONFIG(id, name, type, default_text, range, use, broker_name, doc) TOPIC_CONFIG_##id,
#include "common/topic_config.def"
#undef TOPIC_CONFIG
    TOPIC_CONFIG_COUNT
};
extern const struct setting topic_config_table[TOPIC_CONFIG_COUNT];

#endif
