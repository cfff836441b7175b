/* One configurable value: its name, type, default and allowed range.  The tables config.def (a node) and topic_config.def (a
 * topic) are made of these; parsing, checking, DescribeConfigs and docs come from them.  No state: any thread. */
#ifndef SKIFF_COMMON_SETTING_H
#define SKIFF_COMMON_SETTING_H

#include "common/attr.h"
#include "common/slice.h"

#define SETTING_REASON_MAX 256
#define SETTING_REPLICAS   "*|PARTITION:BROKER" /* a range */

/* Numbered as in Kafka's DescribeConfigs response. */
enum setting_type {
    SETTING_BOOLEAN = 1,
    SETTING_STRING = 2,
    SETTING_INT = 3,
    SETTING_SHORT = 4,
    SETTING_LONG = 5,
    SETTING_DOUBLE = 6,
    SETTING_LIST = 7, /* separated by commas */
    SETTING_CLASS = 8,
    SETTING_PASSWORD = 9,
};

enum setting_use {
    SETTING_USED,
    SETTING_WITHOUT_EFFECT, /* a name of Kafka's that is accepted so that its configs work; it tunes what does not exist here */
};

struct setting {
    const char *name;
    enum setting_type type;
    const char *default_text; /* NULL: none */
    const char *range;        /* "" anything, "LOW..HIGH" (either may be missing), "this|that", or SETTING_REPLICAS */
    enum setting_use use;
    const char *broker_name; /* topic settings: the node setting that gives the default; NULL: none */
    const char *doc;
};

/* The value of a number or boolean (0, 1) in *number; 0 for other types. False: `reason` says what is allowed. */
NODISCARD bool setting_parse(const struct setting *setting, struct slice text, int64_t *number, char reason[static SETTING_REASON_MAX]);
/* An unknown name's nearest neighbour, or NULL when nothing is near. */
const struct setting *setting_nearest(const struct setting *table, size_t count, struct slice name);
/* Linear: tables are short and lookups rare. */
const struct setting *setting_find(const struct setting *table, size_t count, struct slice name);
/* "INT", "BOOLEAN", ... */
const char *setting_type_name(enum setting_type type);

#endif
