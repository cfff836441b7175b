#include "common/listeners.h"

#include "common/str.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const protocol_names[PROTOCOL_COUNT] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};

static enum err fail(char *reason, const char *format, ...) PRINTF_LIKE(2, 3);
static enum err fail(char *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, CONFIG_LINE_MAX, format, arguments);
    va_end(arguments);
    return ERR_INVALID;
}

static void copy_text(char *into, size_t size, struct slice text) { (void)snprintf(into, size, "%.*s", SLICE_ARG(text)); }

const struct listener_config *listeners_find(const struct listeners *listeners, struct slice name)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (slice_equal_str(name, listeners->items[i].name)) return &listeners->items[i];
    return NULL;
}

/* "NAME://HOST:PORT" */
static bool split_endpoint(struct slice text, struct slice *name, struct slice *host, uint16_t *port)
{
    const char mark[] = "://";
    for (size_t i = 0; i + 3 <= text.n; i++) {
        if (memcmp(text.p + i, mark, 3) != 0) continue;
        *name = slice_make(text.p, i);
        return i > 0 && i <= LISTENER_NAME_MAX && str_parse_host_port(slice_make(text.p + i + 3, text.n - i - 3), host, port) &&
               host->n <= HOST_MAX;
    }
    return false;
}

static enum err parse_listener(struct listeners *listeners, struct slice text, char *reason)
{
    struct slice name, host;
    uint16_t port = 0;
    if (!split_endpoint(text, &name, &host, &port))
        return fail(reason, "listeners: %.*s is not of the form NAME://HOST:PORT", SLICE_ARG(text));
    if (listeners->count == LISTENERS_MAX) return fail(reason, "listeners: at most %d", LISTENERS_MAX);
    if (listeners_find(listeners, name)) return fail(reason, "listeners: the name %.*s is given twice", SLICE_ARG(name));
    for (size_t i = 0; i < listeners->count; i++)
        if (port && listeners->items[i].port == port && slice_equal_str(host, listeners->items[i].host))
            return fail(reason, "listeners: %s and %.*s share port %u", listeners->items[i].name, SLICE_ARG(name), port);
    struct listener_config *listener = &listeners->items[listeners->count++];
    copy_text(listener->name, sizeof listener->name, name);
    if (slice_equal_str(host, "0.0.0.0")) host.n = 0;
    copy_text(listener->host, sizeof listener->host, host);
    listener->port = port;
    return ERR_OK;
}

static enum err parse_listeners(struct listeners *listeners, const struct config *config, char *reason)
{
    struct slice rest = config->values[CONFIG_LISTENERS].text, part;
    enum err err = ERR_OK;
    while (!err && str_split(&rest, ',', &part))
        if (str_trim(part).n > 0) err = parse_listener(listeners, str_trim(part), reason);
    if (!err && listeners->count == 0) return fail(reason, "listeners: give at least one, e.g. PLAINTEXT://:9092");
    return err;
}

/* ---- roles --------------------------------------------------------------------------------------------------------- */

/* Brokers connect to the controllers by the first one. */
static struct slice first_controller_name(const struct config *config)
{
    struct slice rest = config->values[CONFIG_CONTROLLER_LISTENER_NAMES].text, name;
    while (str_split(&rest, ',', &name))
        if (str_trim(name).n > 0) return str_trim(name);
    return SLICE_NULL;
}

static void mark_controllers(struct listeners *listeners, const struct config *config)
{
    struct slice rest = config->values[CONFIG_CONTROLLER_LISTENER_NAMES].text, name;
    while (str_split(&rest, ',', &name))
        for (size_t i = 0; i < listeners->count; i++)
            if (slice_equal_str(str_trim(name), listeners->items[i].name)) listeners->items[i].is_controller = true;
}

/* Kafka's rules for a node that is one of both: a controller takes no clients, and a broker no controllers. */
static enum err check_roles(const struct listeners *listeners, const struct config *config, char *reason)
{
    bool is_broker = config_has_role(config, "broker"), is_controller = config_has_role(config, "controller");
    if ((!is_broker || !is_controller) && slice_is_null(first_controller_name(config)))
        return fail(reason,
                    "controller.listener.names: name the listener that the controllers use, e.g. CONTROLLER, also in process.roles=%s",
                    is_broker ? "broker" : "controller");
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener_config *listener = &listeners->items[i];
        if (!is_broker && !listener->is_controller)
            return fail(reason, "listeners: %s is not in controller.listener.names, and a node with process.roles=controller has no others",
                        listener->name);
        if (!is_controller && listener->is_controller)
            return fail(reason,
                        "listeners: %s is in controller.listener.names: a node with process.roles=broker connects to it, and has none",
                        listener->name);
    }
    return ERR_OK;
}

/* ---- security protocols -------------------------------------------------------------------------------------------- */

static enum err parse_pair(struct slice pair, struct slice *name, enum security_protocol *protocol, char *reason)
{
    struct slice rest = pair;
    (void)str_split(&rest, ':', name);
    *name = str_trim(*name), rest = str_trim(rest);
    size_t found = 0;
    while (found < PROTOCOL_COUNT && !slice_equal_str(rest, protocol_names[found])) found++;
    *protocol = (enum security_protocol)found;
    if (found < PROTOCOL_COUNT) return ERR_OK;
    return fail(reason,
                "listener.security.protocol.map: %.*s is not of the form NAME:PROTOCOL, with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
                SLICE_ARG(pair));
}

static enum err map_protocol(const struct config *config, struct slice name, bool is_controller, enum security_protocol *out, char *reason)
{
    struct slice rest = config->values[CONFIG_LISTENER_SECURITY_PROTOCOL_MAP].text, part, mapped;
    enum security_protocol protocol;
    *out = PROTOCOL_COUNT;
    while (str_split(&rest, ',', &part)) {
        if (str_trim(part).n == 0) continue;
        enum err err = parse_pair(str_trim(part), &mapped, &protocol, reason);
        if (err) return err;
        if (slice_equal(mapped, name)) *out = protocol;
    }
    /* Kafka: the map's default covers controllers too, as long as nobody set it. */
    if (*out == PROTOCOL_COUNT && is_controller && !config_is_set(config, CONFIG_LISTENER_SECURITY_PROTOCOL_MAP)) *out = PROTOCOL_PLAINTEXT;
    if (*out == PROTOCOL_COUNT)
        return fail(reason, "listener %.*s has no protocol: add %.*s:PLAINTEXT to listener.security.protocol.map", SLICE_ARG(name),
                    SLICE_ARG(name));
    if (*out != PROTOCOL_PLAINTEXT)
        return fail(reason, "listener %.*s wants %s, which is not available yet: only PLAINTEXT is", SLICE_ARG(name), protocol_names[*out]);
    return ERR_OK;
}

/* Also of the controllers' listener that a broker alone does not have, but connects to. */
static enum err map_protocols(struct listeners *listeners, const struct config *config, char *reason)
{
    enum security_protocol remote;
    enum err err = ERR_OK;
    for (size_t i = 0; !err && i < listeners->count; i++) {
        struct listener_config *listener = &listeners->items[i];
        err = map_protocol(config, slice_str(listener->name), listener->is_controller, &listener->protocol, reason);
    }
    if (!err && !config_has_role(config, "controller")) err = map_protocol(config, first_controller_name(config), true, &remote, reason);
    return err;
}

/* ---- between brokers ----------------------------------------------------------------------------------------------- */

static enum err find_inter_broker(struct listeners *listeners, const struct config *config, char *reason)
{
    const char *name = config_text(config, CONFIG_INTER_BROKER_LISTENER_NAME);
    const char *wanted = name ? name : config_text(config, CONFIG_SECURITY_INTER_BROKER_PROTOCOL);
    size_t first = LISTENERS_MAX;
    if (!config_has_role(config, "broker")) return ERR_OK;
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->items[i].is_controller) continue;
        if (first == LISTENERS_MAX) first = i;
        if (strcmp(listeners->items[i].name, wanted) != 0) continue;
        listeners->inter_broker = i;
        return ERR_OK;
    }
    if (first == LISTENERS_MAX) return fail(reason, "listeners: all of them are controller.listener.names, none is left for clients");
    if (name) return fail(reason, "inter.broker.listener.name=%s is not among the listeners for clients", name);
    listeners->inter_broker = first;
    return ERR_OK;
}

/* ---- what clients are told ----------------------------------------------------------------------------------------- */

static enum err advertise_one(struct listeners *listeners, struct slice text, char *reason)
{
    struct slice name, host;
    uint16_t port = 0;
    if (!split_endpoint(text, &name, &host, &port) || port == 0)
        return fail(reason, "advertised.listeners: %.*s is not of the form NAME://HOST:PORT", SLICE_ARG(text));
    if (host.n == 0 || slice_equal_str(host, "0.0.0.0") || slice_equal_str(host, "::"))
        return fail(reason, "advertised.listeners: %.*s: name an address that clients can reach", SLICE_ARG(text));
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener_config *listener = &listeners->items[i];
        if (!slice_equal_str(name, listener->name)) continue;
        copy_text(listener->advertised_host, sizeof listener->advertised_host, host);
        listener->advertised_port = port;
        return ERR_OK;
    }
    return fail(reason, "advertised.listeners: %.*s is not among the listeners", SLICE_ARG(name));
}

static enum err advertise(struct listeners *listeners, const struct config *config, const char *local_host, char *reason)
{
    struct slice rest = config->values[CONFIG_ADVERTISED_LISTENERS].text, part;
    enum err err = ERR_OK;
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener_config *listener = &listeners->items[i];
        const char *host = *listener->host && strcmp(listener->host, "::") != 0 ? listener->host : local_host;
        copy_text(listener->advertised_host, sizeof listener->advertised_host, slice_str(host));
        listener->advertised_port = listener->port;
    }
    while (!err && str_split(&rest, ',', &part))
        if (str_trim(part).n > 0) err = advertise_one(listeners, str_trim(part), reason);
    return err;
}

/* ---- controllers --------------------------------------------------------------------------------------------------- */

static enum err parse_voter(struct listeners *listeners, struct slice text, char *reason)
{
    struct slice address = text, id, host;
    int64_t number = 0;
    uint16_t port = 0;
    (void)str_split(&address, '@', &id);
    if (slice_is_null(address) || !str_parse_i64(id, &number) || number < 0 || number > INT32_MAX ||
        !str_parse_host_port(address, &host, &port) || port == 0 || host.n == 0 || host.n > HOST_MAX)
        return fail(reason, "controller.quorum.voters: %.*s is not of the form ID@HOST:PORT", SLICE_ARG(text));
    if (listeners->voter_count == VOTERS_MAX) return fail(reason, "controller.quorum.voters: at most %d", VOTERS_MAX);
    for (size_t i = 0; i < listeners->voter_count; i++)
        if (listeners->voters[i].id == number) return fail(reason, "controller.quorum.voters: node %lld is named twice", (long long)number);
    struct voter_config *voter = &listeners->voters[listeners->voter_count++];
    voter->id = (int32_t)number;
    voter->port = port;
    copy_text(voter->host, sizeof voter->host, host);
    return ERR_OK;
}

/* No voters named: this node alone. Its controller listens where only this machine can reach it, unless listeners say more. */
static enum err stand_alone(struct listeners *listeners, const struct config *config, char *reason)
{
    struct listener_config *own = NULL;
    for (size_t i = 0; !own && i < listeners->count; i++)
        if (listeners->items[i].is_controller) own = &listeners->items[i];
    if (!config_has_role(config, "controller"))
        return fail(reason, "controller.quorum.voters: a node with process.roles=broker needs to know its controllers: ID@HOST:PORT, ...");
    if (!own && listeners->count == LISTENERS_MAX) return fail(reason, "listeners: at most %d", LISTENERS_MAX);
    if (!own) {
        own = &listeners->items[listeners->count++];
        *own = (struct listener_config){.name = "CONTROLLER", .host = "127.0.0.1", .advertised_host = "127.0.0.1", .is_controller = true};
    }
    struct voter_config *voter = &listeners->voters[listeners->voter_count++];
    voter->id = config_node_id(config);
    voter->port = own->port;
    copy_text(voter->host, sizeof voter->host, slice_str(own->advertised_host));
    return ERR_OK;
}

static enum err parse_voters(struct listeners *listeners, const struct config *config, char *reason)
{
    struct slice rest = config->values[CONFIG_CONTROLLER_QUORUM_VOTERS].text, part;
    bool is_voter = false, has_listener = false, is_controller = config_has_role(config, "controller");
    enum err err = ERR_OK;
    while (!err && str_split(&rest, ',', &part))
        if (str_trim(part).n > 0) err = parse_voter(listeners, str_trim(part), reason);
    if (err) return err;
    if (listeners->voter_count == 0) return stand_alone(listeners, config, reason);
    for (size_t i = 0; i < listeners->voter_count; i++) is_voter |= listeners->voters[i].id == config_node_id(config);
    for (size_t i = 0; i < listeners->count; i++) has_listener |= listeners->items[i].is_controller;
    if (is_controller && !is_voter)
        return fail(reason, "controller.quorum.voters does not name this node (node.id=%d), which is a controller", config_node_id(config));
    if (!is_controller && is_voter)
        return fail(reason, "controller.quorum.voters names this node (node.id=%d), which is no controller: process.roles=broker",
                    config_node_id(config));
    if (is_controller && !has_listener)
        return fail(reason, "controller.listener.names: name the listener that the controllers use, e.g. CONTROLLER with "
                            "CONTROLLER://HOST:PORT in listeners");
    return ERR_OK;
}

enum err listeners_parse(struct listeners *listeners, const struct config *config, const char *local_host,
                         char reason[static CONFIG_LINE_MAX])
{
    *listeners = (struct listeners){0};
    enum err err = parse_listeners(listeners, config, reason);
    if (err) return err;
    mark_controllers(listeners, config);
    if ((err = check_roles(listeners, config, reason))) return err;
    if ((err = map_protocols(listeners, config, reason))) return err;
    if ((err = find_inter_broker(listeners, config, reason))) return err;
    if ((err = advertise(listeners, config, local_host, reason))) return err;
    return parse_voters(listeners, config, reason);
}
