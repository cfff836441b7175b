#include "common/topic_config.h"

const struct setting topic_config_table[TOPIC_CONFIG_COUNT] = {
#define TOPIC_CONFIG(id, name_, type_, default_, range_, use_, broker_name_, doc_)                                                         \
    {.name = (name_),                                                                                                                      \
     .type = SETTING_##type_,                                                                                                              \
     .default_text = (default_),                                                                                                           \
     .range = (range_),                                                                                                                    \
     .use = SETTING_##use_,                                                                                                                \
     .broker_name = (broker_name_),                                                                                                        \
     .doc = (doc_)},
#include "common/topic_config.def"
#undef TOPIC_CONFIG
};
