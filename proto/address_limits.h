/* max.connections.per.ip.overrides: how many connections single addresses may have, in place of what all may have.
 * Owned by one server; its env's thread. */
#ifndef SKIFF_PROTO_ADDRESS_LIMITS_H
#define SKIFF_PROTO_ADDRESS_LIMITS_H

#include "common/env.h"
#include "common/map.h"
#include "common/setting.h"

struct address_limits {
    struct map by_address;
};

void address_limits_init(struct address_limits *limits, uint64_t seed);
void address_limits_deinit(struct address_limits *limits);
/* "ADDRESS:COUNT,...", the last one of an address counts. False: `reason` says what is wrong, and nothing has changed. */
NODISCARD bool address_limits_set(struct address_limits *limits, struct env *env, struct slice text,
                                  char reason[static SETTING_REASON_MAX]);
/* Whether address_limits_set() would take it. */
NODISCARD bool address_limits_check(struct env *env, struct slice text, char reason[static SETTING_REASON_MAX]);
/* `otherwise` for an address of which nothing is said. `address` is in the words of env_stream_peer(). */
uint32_t address_limits_get(const struct address_limits *limits, const char *address, uint32_t otherwise);

#endif
