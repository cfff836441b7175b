#include "common/config.h"

#include "common/assert.h"
#include "common/checked.h"
#include "common/properties.h"
#include "common/str.h"

#include <stdarg.h>
#include <stdio.h>

#define CONFIG_ARENA_MAX (4u << 20) /* far above any real file; config_load checks the size */
#define CONFIG_FILE_MAX  (1u << 20)

const struct setting config_table[CONFIG_COUNT] = {
#define CONFIG(id, name_, type_, default_, range_, use_, doc_)                                                                             \
    {.name = (name_), .type = SETTING_##type_, .default_text = (default_), .range = (range_), .use = SETTING_##use_, .doc = (doc_)},
#include "common/config.def"
#undef CONFIG
};

/* Names by their beginning: families of Kafka's that are not in the table one by one. */
static const struct {
    const char *prefix;
    const char *explanation; /* NULL: they tune what does not exist here */
} families[] = {
    {"zookeeper.", "Skiff has no ZooKeeper: the controllers keep the metadata themselves"},
    {"sasl.", "authentication is not available yet"},
    {"ssl.", "TLS is not available yet"},
    {"listener.name.", "settings of single listeners are not available yet"},
    {"remote.log.", "tiered storage is not available"},
    {"delegation.token.", "delegation tokens are not available yet"},
    {"confluent.", "a vendor's extension"},
    {"group.share.", NULL},
    {"group.consumer.", NULL},
    {"group.streams.", NULL},
    {"share.coordinator.", NULL},
    {"log.cleaner.", NULL},
    {"log.message.", NULL},
    {"offsets.", NULL},
    {"transaction.", NULL},
    {"metric", NULL},
    {"kafka.metrics.", NULL},
    {"quota.", NULL},
    {"controller.quota.", NULL},
    {"controller.performance.", NULL},
    {"replication.quota.", NULL},
    {"alter.log.dirs.", NULL},
    {"client.quota.", NULL},
    {"telemetry.", NULL},
    {"broker.id.generation.", NULL},
    {"reserved.broker.max.id", NULL},
    {"password.encoder.", NULL},
    {"security.providers", NULL},
    {"principal.builder.class", NULL},
    {"auto.include.jmx.reporter", NULL},
    {"inter.broker.protocol.version", NULL},
    {"initial.broker.registration.timeout.ms", NULL},
    {"server.max.startup.time.ms", NULL},
    {"unstable.", NULL},
    {"connection.failed.", NULL},
    {"connections.max.reauth.ms", NULL},
    {"early.start.listeners", NULL},
    {"eligible.leader.replicas.", NULL},
    {"leader.throttled.", NULL},
};

static void warn(struct config *config, const char *format, ...) PRINTF_LIKE(2, 3);
static void warn(struct config *config, const char *format, ...)
{
    char line[CONFIG_LINE_MAX];
    va_list arguments;
    if (!config->on_warning) return;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    config->on_warning(config->user, line);
}

static enum err fail(struct config *config, const char *format, ...) PRINTF_LIKE(2, 3);
static enum err fail(struct config *config, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(config->error, sizeof config->error, format, arguments);
    va_end(arguments);
    return ERR_INVALID;
}

static struct slice keep(struct config *config, struct slice text) { return arena_printf(&config->arena, "%.*s", SLICE_ARG(text)); }

void config_init(struct config *config, void (*on_warning)(void *user, const char *line), void *user)
{
    *config = (struct config){.on_warning = on_warning, .user = user};
    arena_init(&config->arena, CONFIG_ARENA_MAX);
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        const struct setting *setting = &config_table[i];
        char reason[SETTING_REASON_MAX];
        struct config_value *value = &config->values[i];
        if (!setting->default_text) continue;
        value->text = slice_str(setting->default_text);
        bool is_valid = setting_parse(setting, value->text, &value->number, reason);
        ASSERT(is_valid);
    }
}

void config_deinit(struct config *config) { arena_deinit(&config->arena); }

static bool has_prefix(struct slice text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.n >= n && memcmp(text.p, prefix, n) == 0;
}

/* Whether it is of a family. One line for each setting whose absence changes what the node promises, listed in the table or not. */
static bool note_family(struct config *config, const char *where, struct slice key)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (!has_prefix(key, families[i].prefix)) continue;
        bool is_zookeeper = i == 0;
        if (families[i].explanation && !(is_zookeeper && config->has_zookeeper))
            warn(config, "%s: %.*s has no effect: %s", where, SLICE_ARG(key), families[i].explanation);
        if (is_zookeeper) config->has_zookeeper = true; /* once for all of them */
        return true;
    }
    return false;
}

static void note_unknown(struct config *config, const char *where, struct slice key)
{
    if (note_family(config, where, key)) return;
    const struct setting *nearest = setting_nearest(config_table, CONFIG_COUNT, key);
    if (nearest)
        warn(config, "%s: there is no setting %.*s; did you mean %s?", where, SLICE_ARG(key), nearest->name);
    else
        warn(config, "%s: there is no setting %.*s; it is ignored", where, SLICE_ARG(key));
}

static enum err set(struct config *config, const char *where, struct slice key, struct slice text)
{
    const struct setting *setting = setting_find(config_table, CONFIG_COUNT, key);
    char reason[SETTING_REASON_MAX];
    if (!setting) {
        note_unknown(config, where, key);
        return ERR_OK;
    }
    struct config_value *value = &config->values[setting - config_table];
    int64_t number = 0;
    if (!setting_parse(setting, text, &number, reason))
        return fail(config, "%s: %s=%.*s: it %s", where, setting->name, SLICE_ARG(text), reason);
    if (value->is_set && strcmp(where, "--override") != 0)
        warn(config, "%s: %s is set more than once; the last one counts", where, setting->name);
    *value = (struct config_value){.text = keep(config, text), .number = number, .is_set = true};
    if (setting->use == SETTING_WITHOUT_EFFECT) (void)note_family(config, where, key);
    return ERR_OK;
}

enum err config_load(struct config *config, const char *file, struct slice text)
{
    struct properties properties;
    struct property property;
    struct arena arena;
    enum err err = ERR_OK;
    if (text.n > CONFIG_FILE_MAX) return fail(config, "%s: %zu bytes are too many for a config", file, text.n);
    arena_init(&arena, 4 * CONFIG_FILE_MAX + CONFIG_LINE_MAX);
    properties_begin(&properties, text);
    while (!err && properties_next(&properties, &arena, &property)) {
        char where[CONFIG_LINE_MAX];
        (void)snprintf(where, sizeof where, "%s:%d", file, property.line);
        err = set(config, where, property.key, property.value);
    }
    arena_deinit(&arena);
    return err;
}

enum err config_override(struct config *config, const char *assignment)
{
    struct slice rest = slice_str(assignment), key;
    if (!str_split(&rest, '=', &key) || slice_is_null(rest)) return fail(config, "--override %s: give it as key=value", assignment);
    return set(config, "--override", str_trim(key), str_trim(rest));
}

/* ---- what contradicts itself, and old names ------------------------------------------------------------------------ */

static void set_derived(struct config *config, enum config_key key, struct slice text)
{
    char reason[SETTING_REASON_MAX];
    struct config_value *value = &config->values[key];
    value->text = text;
    value->is_set = true;
    bool is_valid = setting_parse(&config_table[key], text, &value->number, reason);
    ASSERT(is_valid);
}

static enum err finish_node_id(struct config *config)
{
    int64_t old = config_number(config, CONFIG_BROKER_ID);
    if (old < 0) return ERR_OK;
    if (!config_is_set(config, CONFIG_NODE_ID)) set_derived(config, CONFIG_NODE_ID, config->values[CONFIG_BROKER_ID].text);
    if (config_number(config, CONFIG_NODE_ID) == old) return ERR_OK;
    return fail(config, "broker.id=%lld and node.id=%s contradict each other: keep node.id only", (long long)old,
                config_text(config, CONFIG_NODE_ID));
}

static void finish_old_listeners(struct config *config)
{
    const char *host = config_text(config, CONFIG_HOST_NAME), *port = config_text(config, CONFIG_PORT);
    if ((host || port) && !config_is_set(config, CONFIG_LISTENERS)) {
        struct slice text = arena_printf(&config->arena, "PLAINTEXT://%s:%s", host ? host : "", port ? port : "9092");
        set_derived(config, CONFIG_LISTENERS, text);
        warn(config, "host.name and port are old names: write listeners=%.*s", SLICE_ARG(text));
    }
    host = config_text(config, CONFIG_ADVERTISED_HOST_NAME);
    const char *advertised_port = config_text(config, CONFIG_ADVERTISED_PORT);
    if ((host || advertised_port) && !config_is_set(config, CONFIG_ADVERTISED_LISTENERS)) {
        const char *chosen = advertised_port ? advertised_port : port ? port : "9092";
        struct slice text = arena_printf(&config->arena, "PLAINTEXT://%s:%s", host ? host : "", chosen);
        set_derived(config, CONFIG_ADVERTISED_LISTENERS, text);
        warn(config, "advertised.host.name and advertised.port are old names: write advertised.listeners=%.*s", SLICE_ARG(text));
    }
}

/* One line for all of them: they are common in pasted files and harmless. */
static void name_those_without_effect(struct config *config)
{
    char list[CONFIG_LINE_MAX - 128];
    size_t n = 0;
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        if (!config->values[i].is_set || config_table[i].use != SETTING_WITHOUT_EFFECT) continue;
        int size = snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", config_table[i].name);
        if (size < 0 || (size_t)size >= sizeof list - n) break;
        n += (size_t)size;
    }
    if (n) warn(config, "accepted, but without effect here: %.*s", (int)n, list);
}

enum err config_finish(struct config *config)
{
    enum err err = finish_node_id(config);
    if (err) return err;
    finish_old_listeners(config);
    if (config->values[CONFIG_AUTHORIZER_CLASS_NAME].text.n > 0)
        return fail(config,
                    "authorizer.class.name=%s: authorization is not available yet, and a node that should check must not serve without: "
                    "remove the setting to let everybody in",
                    config_text(config, CONFIG_AUTHORIZER_CLASS_NAME));
    if (config_number(config, CONFIG_MAX_CONNECTIONS_PER_IP) == 0 && config->values[CONFIG_MAX_CONNECTIONS_PER_IP_OVERRIDES].text.n == 0)
        return fail(config, "max.connections.per.ip can be 0 only with max.connections.per.ip.overrides: nobody could connect");
    if (config->values[CONFIG_PROCESS_ROLES].text.n == 0) set_derived(config, CONFIG_PROCESS_ROLES, slice_str("broker,controller"));
    name_those_without_effect(config);
    return ERR_OK;
}

/* ---- questions ----------------------------------------------------------------------------------------------------- */

/* Below zero means without limit, whatever the unit. */
static int64_t scaled(const struct config *config, enum config_key key, int64_t factor_ms)
{
    int64_t number = config_number(config, key);
    return number < 0 ? -1 : number * factor_ms; /* an int times 3,600,000 fits */
}

int64_t config_retention_ms(const struct config *config)
{
    if (config_text(config, CONFIG_LOG_RETENTION_MS)) return config_number(config, CONFIG_LOG_RETENTION_MS);
    if (config_text(config, CONFIG_LOG_RETENTION_MINUTES)) return scaled(config, CONFIG_LOG_RETENTION_MINUTES, 60000);
    return scaled(config, CONFIG_LOG_RETENTION_HOURS, 3600000);
}

int64_t config_segment_ms(const struct config *config)
{
    if (config_text(config, CONFIG_LOG_ROLL_MS)) return config_number(config, CONFIG_LOG_ROLL_MS);
    return scaled(config, CONFIG_LOG_ROLL_HOURS, 3600000);
}

int64_t config_segment_jitter_ms(const struct config *config)
{
    if (config_text(config, CONFIG_LOG_ROLL_JITTER_MS)) return config_number(config, CONFIG_LOG_ROLL_JITTER_MS);
    return scaled(config, CONFIG_LOG_ROLL_JITTER_HOURS, 3600000);
}

struct slice config_log_dirs(const struct config *config)
{
    struct slice dirs = config->values[CONFIG_LOG_DIRS].text;
    return dirs.n > 0 ? dirs : config->values[CONFIG_LOG_DIR].text;
}

bool config_has_role(const struct config *config, const char *role)
{
    struct slice rest = config->values[CONFIG_PROCESS_ROLES].text, word;
    while (str_split(&rest, ',', &word))
        if (slice_equal_str(str_trim(word), role)) return true;
    return false;
}
