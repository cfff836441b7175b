#include "proto/api.h"

#include "common/assert.h"
#include "proto/schema.h"

#include <stdio.h>

static const struct schema_api *find(int16_t key)
{
    if (key < 0 || key >= API_KEY_COUNT || !schema_apis[key].name) return NULL;
    return &schema_apis[key];
}

static const struct schema_message *request_of(int16_t key)
{
    const struct schema_api *api = find(key);
    return api ? &schema_messages[api->request] : NULL;
}

bool api_is_known(int16_t key) { return api_version_max(key) >= api_version_min(key); }

const char *api_name(int16_t key)
{
    const struct schema_api *api = find(key);
    return api ? schema_text + api->name : "unknown";
}

int16_t api_version_min(int16_t key)
{
    const struct schema_message *m = request_of(key);
    return m ? m->version_min : 0;
}

int16_t api_version_max(int16_t key)
{
    const struct schema_message *m = request_of(key);
    return m ? m->version_max : -1;
}

int16_t api_version_max_stable(int16_t key)
{
    const struct schema_message *m = request_of(key);
    return (int16_t)(api_version_max(key) - (m && m->is_latest_unstable ? 1 : 0));
}

bool api_has_version(int16_t key, int16_t version) { return api_version_min(key) <= version && version <= api_version_max(key); }

int16_t api_flexible_min(int16_t key)
{
    const struct schema_message *m = request_of(key);
    return m ? m->flexible_min : SCHEMA_FLEXIBLE_NEVER;
}

enum kmsg api_request(int16_t key)
{
    ASSERT(api_is_known(key));
    return (enum kmsg)find(key)->request;
}

enum kmsg api_response(int16_t key)
{
    ASSERT(api_is_known(key));
    return (enum kmsg)find(key)->response;
}

int16_t api_request_header_version(int16_t key, int16_t version) { return version >= api_flexible_min(key) ? 2 : 1; }

int16_t api_response_header_version(int16_t key, int16_t version)
{
    /* KIP-511: a client that does not know our versions yet must be able to read this answer. */
    if (key == API_API_VERSIONS) return 0;
    return version >= api_flexible_min(key) ? 1 : 0;
}

size_t api_print_row(int16_t key, char *out, size_t size)
{
    ASSERT(size > 0);
    out[0] = '\0';
    if (!find(key)) return 0;
    char versions[32] = "none", flexible[16] = "none";
    int16_t min = api_version_min(key), max = api_version_max(key), stable = api_version_max_stable(key);
    if (max == min) snprintf(versions, sizeof versions, "%d", min);
    else if (max > min) snprintf(versions, sizeof versions, "%d-%d%s", min, max, stable < max ? " (latest unstable)" : "");
    if (max >= min && api_flexible_min(key) != SCHEMA_FLEXIBLE_NEVER) snprintf(flexible, sizeof flexible, "%d+", api_flexible_min(key));
    int n = snprintf(out, size, "| %d | %s | %s | %s |", key, api_name(key), versions, flexible);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}
