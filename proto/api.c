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
    return (int16_t)(m ? m->version_min : 0);
}

int16_t api_version_max(int16_t key)
{
    const struct schema_message *m = request_of(key);
    return (int16_t)(m ? m->version_max : -1);
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
    return (int16_t)(m ? m->flexible_min : SCHEMA_FLEXIBLE_NEVER);
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

/* "3-13", "0", "0-6 (latest unstable)" or "none". */
static void print_versions(int16_t key, char *out, size_t size)
{
    int16_t min = api_version_min(key), max = api_version_max(key);
    const char *note = api_version_max_stable(key) < max ? " (latest unstable)" : "";
    int n = max < min    ? snprintf(out, size, "none")
            : max == min ? snprintf(out, size, "%d%s", min, note)
                         : snprintf(out, size, "%d-%d%s", min, max, note);
    ASSERT(n > 0 && (size_t)n < size);
}

size_t api_print_row(int16_t key, char *out, size_t size)
{
    ASSERT(size > 0);
    out[0] = '\0';
    if (!find(key)) return 0;
    char versions[48], flexible[16];
    print_versions(key, versions, sizeof versions);
    bool is_flexible = api_is_known(key) && api_flexible_min(key) != SCHEMA_FLEXIBLE_NEVER;
    int n = is_flexible ? snprintf(flexible, sizeof flexible, "%d+", api_flexible_min(key)) : snprintf(flexible, sizeof flexible, "none");
    ASSERT(n > 0 && (size_t)n < sizeof flexible);
    n = snprintf(out, size, "| %d | %s | %s | %s |", key, api_name(key), versions, flexible);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}
