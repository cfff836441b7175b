#include "broker/cli/client.h"

#include "common/assert.h"
#include "common/io/io.h"
#include "common/mem.h"
#include "common/str.h"
#include "gen/kmsg.h"
#include "proto/api.h"
#include "proto/channel.h"
#include "proto/codec.h"

#include <stdarg.h>
#include <stdio.h>

#define CLIENT_NAME      "skiff"
#define TRY_PAUSE_US     100000
#define FRAME_BYTES_MAX  (100 << 20)
#define ARENA_BYTES_MAX  (1ull << 30)
#define REASON_BYTES     512
#define METADATA_VERSION 9

struct client {
    struct logger logger;
    struct io *io;
    struct arena arena;
    struct client_node *nodes;
    size_t node_count;
    struct env_timer pause;
    int64_t timeout_us;
    char reason[REASON_BYTES];
};
/* A question under way: on the stack of client_ask(). */
struct question {
    struct channel_call call;
    struct client *client;
    enum err err;
    struct slice body;
};

const char *client_reason(const struct client *client) { return client->reason; }
struct arena *client_arena(struct client *client) { return &client->arena; }
struct env *client_env(struct client *client) { return io_env(client->io); }

const struct client_node *client_nodes(const struct client *client, size_t *count)
{
    *count = client->node_count;
    return client->nodes;
}

void client_complain(struct client *client, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(client->reason, sizeof client->reason, format, arguments);
    va_end(arguments);
}

/* ---- one question -------------------------------------------------------------------------------------------------- */

static void on_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    (void)channel, (void)err, (void)now_us;
    ((struct client_node *)user)->channel = NULL;
}

static void on_answered(struct channel_call *call, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct question *question = call->user;
    (void)frame, (void)now_us;
    question->err = err;
    if (!err) question->body = arena_copy(&question->client->arena, body);
    io_stop(question->client->io);
}

static enum err exchange(struct client *client, struct client_node *node, struct question *question, struct buf *body)
{
    struct channel_handler handler = {.on_closed = on_closed, .user = node};
    struct env_piece piece = env_piece_buf(body);
    if (!node->channel)
        node->channel =
            channel_open(client_env(client), node->host, node->port, CLIENT_NAME, client->timeout_us, FRAME_BYTES_MAX, &handler);
    channel_send(node->channel, &question->call, &piece, 1, client->timeout_us);
    io_run(client->io);
    return question->err;
}

static void *ask(struct client *client, struct client_node *node, int16_t api_key, int16_t version, const void *request)
{
    struct question question = {.client = client};
    struct writer w;
    writer_init(&w, 256);
    enum err err = codec_encode(api_request(api_key), version, request, &w);
    ASSERT(err == ERR_OK);
    question.call = (struct channel_call){.api_key = api_key,
                                          .api_version = version,
                                          .is_flexible = api_request_header_version(api_key, version) == 2,
                                          .done = on_answered,
                                          .user = &question};
    err = exchange(client, node, &question, writer_take(&w));
    void *response = err ? NULL : arena_alloc(&client->arena, codec_struct_size(api_response(api_key)));
    if (!err) err = codec_decode_exact(api_response(api_key), version, question.body, &client->arena, response);
    if (!err) return response;
    client_complain(client, "%s version %d was not answered by %s:%u: %s", api_name(api_key), version, node->host, node->port,
                    err_text(err));
    return NULL;
}

void *client_ask(struct client *client, int32_t node, int16_t api_key, int16_t version, const void *request)
{
    for (size_t i = 0; i < client->node_count; i++)
        if (client->nodes[i].id == node) return ask(client, &client->nodes[i], api_key, version, request);
    client_complain(client, "broker %d is not there", node);
    return NULL;
}

static void on_pause(struct env_timer *timer, int64_t now_us)
{
    (void)now_us;
    io_stop(CONTAINER_OF(timer, struct client, pause)->io);
}

int64_t client_now_us(struct client *client) { return env_now_us(client_env(client)); }

bool client_may_try_again(struct client *client, int64_t began_us)
{
    if (client_now_us(client) - began_us + TRY_PAUSE_US > client->timeout_us) return false;
    env_timer_init(&client->pause, on_pause);
    env_timer_set(client_env(client), &client->pause, client_now_us(client) + TRY_PAUSE_US);
    io_run(client->io);
    return true;
}

/* ---- the cluster --------------------------------------------------------------------------------------------------- */

static void take_nodes(struct client *client, const struct metadata_response *metadata)
{
    client->node_count = (size_t)metadata->brokers_count;
    client->nodes = mem_calloc(client->node_count, sizeof *client->nodes);
    for (size_t i = 0; i < client->node_count; i++) {
        struct client_node *node = &client->nodes[i];
        struct slice host = metadata->brokers[i].host;
        *node = (struct client_node){.id = metadata->brokers[i].node_id, .port = (uint16_t)metadata->brokers[i].port, .client = client};
        (void)snprintf(node->host, sizeof node->host, "%.*s", (int)host.n, (const char *)host.p);
    }
}

/* One address of the list: does it know the cluster? */
static bool try_address(struct client *client, struct slice address)
{
    struct client_node node = {.id = -1, .client = client};
    struct metadata_request request;
    struct slice host;
    if (!str_parse_host_port(address, &host, &node.port)) {
        client_complain(client, "%.*s is not HOST:PORT", (int)address.n, (const char *)address.p);
        return false;
    }
    (void)snprintf(node.host, sizeof node.host, "%.*s", (int)host.n, (const char *)host.p);
    codec_set_defaults(KMSG_METADATA_REQUEST, &request);
    request.allow_auto_topic_creation = false;
    const struct metadata_response *metadata = ask(client, &node, API_METADATA, METADATA_VERSION, &request);
    if (node.channel) channel_close(node.channel);
    if (metadata) take_nodes(client, metadata);
    return metadata != NULL;
}

struct client *client_create(const char *bootstrap, int64_t timeout_ms, const char **reason)
{
    static char why[REASON_BYTES];
    struct client *client = mem_alloc(sizeof *client);
    client->timeout_us = timeout_ms * 1000;
    client->logger = io_stderr_logger(LOG_ERROR);
    client->io = io_create(&client->logger);
    arena_init(&client->arena, ARENA_BYTES_MAX);
    bool is_known = false;
    for (const char *at = bootstrap; *at && !is_known;) {
        size_t size = strcspn(at, ",");
        is_known = try_address(client, slice_make(at, size));
        at += size + (at[size] == ',');
    }
    if (is_known) return client;
    (void)snprintf(why, sizeof why, "%s", *client->reason ? client->reason : "no address is given");
    *reason = why;
    client_destroy(client);
    return NULL;
}

void client_destroy(struct client *client)
{
    for (size_t i = 0; i < client->node_count; i++)
        if (client->nodes[i].channel) channel_close(client->nodes[i].channel);
    io_destroy(client->io);
    arena_deinit(&client->arena);
    mem_free(client->nodes);
    mem_free(client);
}
