/* A node's settings: server.properties with Kafka's names, types and defaults (config.def), checked when they are read.
 *
 * Order: config_init(), config_load() of a file, config_set() for each --override, config_finish(). A wrong value ends the start
 * with one line that says where it stands and what is allowed. Owned by whoever starts the node; read-only afterwards. */
#ifndef SKIFF_COMMON_CONFIG_H
#define SKIFF_COMMON_CONFIG_H

#include "common/arena.h"
#include "common/err.h"
#include "common/setting.h"

#define CONFIG_LINE_MAX 512

enum config_key {
#define CONFIG(id, name, type, default_text, range, use, doc) CONFIG_##id,
#include "common/config.def"
#undef CONFIG
    CONFIG_COUNT
};
extern const struct setting config_table[CONFIG_COUNT];

struct config_value {
    struct slice text; /* NUL-terminated; null: not set and no default */
    int64_t number;    /* of numbers and booleans */
    bool is_set;       /* by the file or an override */
};
struct config {
    struct config_value values[CONFIG_COUNT];
    struct arena arena;
    /* What a person should know: unknown names, names without effect, old names. One line each. */
    void (*on_warning)(void *user, const char *line);
    void *user;
    char error[CONFIG_LINE_MAX]; /* why the last call failed */
    bool has_zookeeper;          /* said already */
    /* What the system lets the process have; 0: no limit. Set by whoever starts the node: a default hangs on it. */
    int64_t memory_limit_bytes;
};

void config_init(struct config *config, void (*on_warning)(void *user, const char *line), void *user);
void config_deinit(struct config *config);
/* `file` is for messages. */
NODISCARD enum err config_load(struct config *config, const char *file, struct slice text);
/* One "key=value"; the words of an error call it an override. */
NODISCARD enum err config_override(struct config *config, const char *assignment);
/* Old names become new ones; what contradicts itself is refused. */
NODISCARD enum err config_finish(struct config *config);

static inline int64_t config_number(const struct config *config, enum config_key key) { return config->values[key].number; }
static inline bool config_flag(const struct config *config, enum config_key key) { return config->values[key].number != 0; }
/* NULL when there is none. */
static inline const char *config_text(const struct config *config, enum config_key key) { return (const char *)config->values[key].text.p; }
static inline bool config_is_set(const struct config *config, enum config_key key) { return config->values[key].is_set; }
static inline int32_t config_node_id(const struct config *config) { return (int32_t)config_number(config, CONFIG_NODE_ID); }

/* Several names give these. */
int64_t config_retention_ms(const struct config *config);
int64_t config_segment_ms(const struct config *config);
int64_t config_segment_jitter_ms(const struct config *config);
/* log.dirs, else log.dir: a comma-separated list. */
struct slice config_log_dirs(const struct config *config);
/* "controller" or "broker" is among the process.roles. */
bool config_has_role(const struct config *config, const char *role);

#endif
