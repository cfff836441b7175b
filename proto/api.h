/* Kafka's APIs: keys, names, versions and messages, from the schema files.  What a node serves is a subset
 * (broker/handlers.def); keys from API_PRIVATE_FIRST on are Skiff's own, between nodes, and are not in the schema. */
#ifndef SKIFF_PROTO_API_H
#define SKIFF_PROTO_API_H

#include "gen/kmsg.h"

#include <stddef.h>

#define API_PRIVATE_FIRST 1000

/* The key has messages with versions left. */
bool api_is_known(int16_t key);
/* "Produce"; "unknown" for a key that is not in the schema. */
const char *api_name(int16_t key);
/* The versions that the schema has; the latest one that Kafka calls stable.  0..-1 for unknown and removed APIs. */
int16_t api_version_min(int16_t key);
int16_t api_version_max(int16_t key);
int16_t api_version_max_stable(int16_t key);
bool api_has_version(int16_t key, int16_t version);
/* From this version on the API is flexible (compact lengths, tagged fields); INT16_MAX when never. */
int16_t api_flexible_min(int16_t key);
/* The messages of a known key. */
enum kmsg api_request(int16_t key);
enum kmsg api_response(int16_t key);
/* Also for versions beyond ours: an ApiVersions request of any version can be read.  1 and 0 for private keys. */
int16_t api_request_header_version(int16_t key, int16_t version);
int16_t api_response_header_version(int16_t key, int16_t version);

/* One row of a Markdown table of the schema: "| 0 | Produce | 3-13 | 9+ |", with "none" where there is nothing.
 * Empty for a key without messages.  Returns the length, < size. */
size_t api_print_row(int16_t key, char *out, size_t size);

#endif
