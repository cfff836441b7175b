/* A client for commands: asks nodes one question at a time and waits for the answer. Runs on the main thread.
 *
 * What goes wrong ends up in client_reason(), as a sentence for a person. Answers live until client_destroy(). */
#ifndef SKIFF_BROKER_CLI_CLIENT_H
#define SKIFF_BROKER_CLI_CLIENT_H

#include "common/arena.h"
#include "common/attr.h"
#include "common/env.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct client;
struct client_node {
    int32_t id;
    char host[256];
    uint16_t port;
    struct client *client;
    struct channel *channel; /* NULL: none open */
};

/* "HOST:PORT,..."; NULL: no node answered, and *reason says why (static). The timeout is that of one question, and how long one is
 * repeated. */
struct client *client_create(const char *bootstrap, int64_t timeout_ms, const char **reason);
void client_destroy(struct client *client);
const char *client_reason(const struct client *client);
struct arena *client_arena(struct client *client);
struct env *client_env(struct client *client);
/* The brokers of the cluster. */
const struct client_node *client_nodes(const struct client *client, size_t *count);
/* The decoded answer, or NULL. The node is one of client_nodes(). */
void *client_ask(struct client *client, int32_t node, int16_t api_key, int16_t version, const void *request);
/* Keeps a reason of the caller's. */
void client_complain(struct client *client, const char *format, ...) PRINTF_LIKE(2, 3);
int64_t client_now_us(struct client *client);
/* After an answer that will change: lets a moment pass. False when there is none left since then. */
bool client_may_try_again(struct client *client, int64_t began_us);

#endif
