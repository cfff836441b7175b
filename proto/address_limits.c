#include "proto/address_limits.h"

#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>

struct address_limit {
    uint32_t count;
    char address[ENV_ADDRESS_MAX];
};

void address_limits_init(struct address_limits *limits, uint64_t seed) { map_init(&limits->by_address, seed); }

static void forget_all(struct address_limits *limits)
{
    MAP_FOR_EACH (&limits->by_address, struct address_limit, limit) {
        map_remove(&limits->by_address, slice_str(limit->address));
        mem_free(limit);
    }
}

void address_limits_deinit(struct address_limits *limits)
{
    forget_all(limits);
    map_deinit(&limits->by_address);
}

/* An IPv6 address has colons of its own: the last one ends it. */
static bool parse_one(struct env *env, struct slice text, struct address_limit *limit)
{
    int64_t count = 0;
    size_t at = text.n;
    while (at > 0 && text.p[at - 1] != ':') at--;
    if (at == 0 || !str_parse_i64(str_trim(slice_make(text.p + at, text.n - at)), &count) || count < 0 || count > INT32_MAX) return false;
    limit->count = (uint32_t)count;
    return env_address(env, str_trim(slice_make(text.p, at - 1)), limit->address);
}

/* With `limits` NULL only checks. */
static bool parse_all(struct address_limits *limits, struct env *env, struct slice text, char *reason)
{
    struct slice rest = str_trim(text), part;
    while (rest.n > 0 && str_split(&rest, ',', &part)) {
        struct address_limit one;
        part = str_trim(part);
        if (!parse_one(env, part, &one)) {
            (void)snprintf(reason, SETTING_REASON_MAX,
                           "must be ADDRESS:COUNT, separated by commas, and names are not looked up: not \"%.*s\"",
                           part.n < 80 ? (int)part.n : 80, part.n ? (const char *)part.p : "");
            return false;
        }
        if (!limits) continue;
        struct address_limit *limit = map_get(&limits->by_address, slice_str(one.address));
        if (!limit) {
            limit = mem_alloc(sizeof *limit);
            *limit = one;
            map_put(&limits->by_address, slice_str(limit->address), limit);
        }
        limit->count = one.count;
    }
    return true;
}

bool address_limits_check(struct env *env, struct slice text, char reason[static SETTING_REASON_MAX])
{
    return parse_all(NULL, env, text, reason);
}

bool address_limits_set(struct address_limits *limits, struct env *env, struct slice text, char reason[static SETTING_REASON_MAX])
{
    if (!address_limits_check(env, text, reason)) return false;
    forget_all(limits);
    return parse_all(limits, env, text, reason);
}

uint32_t address_limits_get(const struct address_limits *limits, const char *address, uint32_t otherwise)
{
    const struct address_limit *limit = map_count(&limits->by_address) ? map_get(&limits->by_address, slice_str(address)) : NULL;
    return limit ? limit->count : otherwise;
}
