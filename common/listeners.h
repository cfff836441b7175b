/* Who a node is to others: its listeners, where clients are told to go, and the controllers of its cluster; made of the settings
 * listeners, advertised.listeners, listener.security.protocol.map, inter.broker.listener.name, controller.listener.names and
 * controller.quorum.voters.  Plain data. */
#ifndef SKIFF_COMMON_LISTENERS_H
#define SKIFF_COMMON_LISTENERS_H

#include "common/config.h"
#include "common/limits.h"

#define LISTENER_NAME_MAX 63

/* Kafka's numbers. */
enum security_protocol { PROTOCOL_PLAINTEXT, PROTOCOL_SSL, PROTOCOL_SASL_PLAINTEXT, PROTOCOL_SASL_SSL, PROTOCOL_COUNT };

struct listener_config {
    char name[LISTENER_NAME_MAX + 1];
    enum security_protocol protocol;
    char host[HOST_MAX + 1]; /* "" : all interfaces */
    uint16_t port;           /* 0: the system chooses */
    char advertised_host[HOST_MAX + 1];
    uint16_t advertised_port; /* 0: the port that is bound */
    bool is_controller;
};
struct voter_config {
    int32_t id;
    char host[HOST_MAX + 1];
    uint16_t port; /* 0: this node is the only voter, at the port that it gets */
};
struct listeners {
    struct listener_config items[LISTENERS_MAX];
    size_t count;
    size_t inter_broker; /* its place in items[]; meaningless without the broker role */
    struct voter_config voters[VOTERS_MAX];
    size_t voter_count;
};

/* `local_host` is this machine's name, for listeners on all interfaces. On an error `reason` says what, where and what to do.
 * A node without controller.quorum.voters is its own and only controller, on a port of the loopback interface. One that is only a
 * controller has no listener but the controllers', one that is only a broker has none of those. */
NODISCARD enum err listeners_parse(struct listeners *listeners, const struct config *config, const char *local_host,
                                   char reason[static CONFIG_LINE_MAX]);
const struct listener_config *listeners_find(const struct listeners *listeners, struct slice name);

#endif
