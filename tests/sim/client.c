/* A client's connections, its view of the cluster, and its start: create the topics, get a producer id. */
#include "tests/sim/client.h"

#include "common/writer.h"
#include "proto/api.h"

#include <stdio.h>

#define FRAME_BYTES_MAX    (64 << 20)
#define CONNECT_TIMEOUT_US (1 * (int64_t)SIM_SECOND)
#define REQUEST_TIMEOUT_US (5 * (int64_t)SIM_SECOND)
#define REFRESH_US         (1 * (int64_t)SIM_SECOND)
#define RETRY_US           (50 * SIM_MS)

int64_t client_pause_us(struct client *client, int64_t mean_us) { return prng_range(&client->prng, mean_us / 2, mean_us * 3 / 2); }

/* ---- connections --------------------------------------------------------------------------------------------------- */

static void on_channel_closed(void *user, struct channel *channel, enum err err, int64_t now_us)
{
    struct client_broker *broker = user;
    (void)err;
    (void)now_us;
    ASSERT(broker->channel == channel);
    broker->channel = NULL;
    client_refresh(broker->client);
}

static struct channel *channel_to(struct client *client, int32_t id)
{
    struct client_broker *broker = &client->brokers[id];
    if (broker->channel) return broker->channel;
    const struct channel_handler handler = {.on_closed = on_channel_closed, .user = broker};
    broker->channel = channel_open(client->env, client->workload->hosts[id], client->workload->port, "model", CONNECT_TIMEOUT_US,
                                   FRAME_BYTES_MAX, &handler);
    return broker->channel;
}

static void on_answer(struct channel_call *base, enum err err, struct buf *frame, struct slice body, int64_t now_us)
{
    struct client_call *call = CONTAINER_OF(base, struct client_call, call);
    struct verdict *verdict = call->client->workload->verdict;
    (void)frame;
    if (err != ERR_OK) {
        call->done(call, err, NULL, now_us);
        return;
    }
    enum kmsg kmsg = api_response(base->api_key);
    struct arena arena;
    arena_init(&arena, codec_decode_budget(body.n));
    void *response = mem_alloc(codec_struct_size(kmsg));
    err = codec_decode_exact(kmsg, base->api_version, body, &arena, response);
    if (err != ERR_OK)
        verdict_fail(verdict, "W-ANSWER", "an answer of %s v%d cannot be read", api_name(base->api_key), base->api_version);
    else
        call->done(call, ERR_OK, response, now_us);
    mem_free(response);
    arena_deinit(&arena);
}

static int32_t draw_broker(struct client *client)
{
    const struct workload *workload = client->workload;
    return (int32_t)(workload->first_broker + prng_below(&client->prng, workload->node_count - workload->first_broker));
}

void client_send(struct client_call *call, int32_t broker, int16_t api_key, int16_t version, const void *request, int64_t timeout_us)
{
    struct client *client = call->client;
    struct writer w;
    ASSERT(!client_call_is_pending(call));
    if (broker < 0) broker = draw_broker(client);
    writer_init(&w, 256);
    enum err err = codec_encode(api_request(api_key), version, request, &w);
    ASSERT(err == ERR_OK);
    struct env_piece piece = env_piece_buf(writer_take(&w));
    call->call.api_key = api_key;
    call->call.api_version = version;
    call->call.is_flexible = version >= api_flexible_min(api_key);
    call->call.done = on_answer;
    channel_send(channel_to(client, broker), &call->call, &piece, 1, timeout_us);
}

/* ---- metadata ------------------------------------------------------------------------------------------------------ */

static void begin_topic(struct client *client, uint32_t t)
{
    const struct workload_topic *topic = &client->workload->topics[t];
    if (client->has_begun[t] || !client->is_set_up) return;
    client->has_begun[t] = true;
    for (uint32_t p = topic->first; p < topic->first + (uint32_t)topic->partition_count; p++) {
        producer_begin(&client->producers[p]);
        consumer_begin(&client->consumers[p]);
    }
}

static void take_topic(struct client *client, const struct metadata_response_topics *found)
{
    const struct workload *workload = client->workload;
    for (uint32_t t = 0; t < workload->topic_count; t++) {
        const struct workload_topic *topic = &workload->topics[t];
        if (!uuid_equal(found->topic_id, topic->id) || topic->is_deleted || found->error_code != KAFKA_NONE) continue;
        begin_topic(client, t);
        for (int32_t i = 0; i < found->partitions_count; i++) {
            const struct metadata_response_partitions *partition = &found->partitions[i];
            struct client_partition *known = &client->partitions[topic->first + (uint32_t)partition->partition_index];
            /* Another broker's older view must not lead us back. */
            if (partition->leader_epoch < known->leader_epoch) continue;
            *known = (struct client_partition){partition->leader_id, partition->leader_epoch};
        }
    }
}

static void on_metadata(struct client_call *call, enum err err, const void *message, int64_t now_us)
{
    struct client *client = call->client;
    const struct metadata_response *response = message;
    int64_t next_us = REFRESH_US;
    for (int32_t i = 0; err == ERR_OK && i < response->topics_count; i++) take_topic(client, &response->topics[i]);
    if (err != ERR_OK || client->is_refresh_due) next_us = RETRY_US;
    env_timer_set(client->env, &client->refresh_timer, now_us + client_pause_us(client, next_us));
}

static void on_refresh_timer(struct env_timer *timer, int64_t now_us)
{
    struct client *client = CONTAINER_OF(timer, struct client, refresh_timer);
    (void)now_us;
    if (client_call_is_pending(&client->metadata_call)) return;
    client->is_refresh_due = false;
    struct metadata_request request;
    codec_set_defaults(KMSG_METADATA_REQUEST, &request);
    request.topics_count = -1;
    client_send(&client->metadata_call, -1, API_METADATA, client->workload->metadata_version, &request, REQUEST_TIMEOUT_US);
}

void client_refresh(struct client *client)
{
    if (client->is_refresh_due) return; /* it comes soon: do not put it off */
    client->is_refresh_due = true;
    if (client_call_is_pending(&client->metadata_call)) return;
    env_timer_set(client->env, &client->refresh_timer, env_now_us(client->env) + client_pause_us(client, RETRY_US));
}

/* ---- setup --------------------------------------------------------------------------------------------------------- */

static void again_soon(struct client *client, int64_t now_us)
{
    env_timer_set(client->env, &client->setup_timer, now_us + client_pause_us(client, RETRY_US));
}

static void on_producer_id(struct client_call *call, enum err err, const void *message, int64_t now_us)
{
    struct client *client = call->client;
    const struct init_producer_id_response *response = message;
    if (err == ERR_OK && response->error_code == KAFKA_NONE) {
        client->producer_id = response->producer_id;
        client->producer_epoch = response->producer_epoch;
        for (uint32_t i = 0; i < client->index; i++) {
            const struct client *other = client->workload->clients[i];
            if (other && other->producer_id == client->producer_id)
                verdict_fail(client->workload->verdict, "I-PID", "producer id %lld was given out twice", (long long)client->producer_id);
        }
    }
    again_soon(client, now_us);
}

/* The next thing to do before producing; afterwards, what becomes of topics. */
static void on_setup_timer(struct env_timer *timer, int64_t now_us)
{
    struct client *client = CONTAINER_OF(timer, struct client, setup_timer);
    if (client->index == 0 && admin_step(client)) {
        again_soon(client, now_us);
        return;
    }
    if (client->producer_id < 0 && client_call_is_pending(&client->producer_id_call)) return;
    if (client->producer_id < 0) {
        struct init_producer_id_request request;
        codec_set_defaults(KMSG_INIT_PRODUCER_ID_REQUEST, &request);
        request.transactional_id = SLICE_NULL;
        client_send(&client->producer_id_call, -1, API_INIT_PRODUCER_ID, 4, &request, REQUEST_TIMEOUT_US);
        return;
    }
    if (!client->is_set_up) {
        client_refresh(client);
        if (client->workload->groups) member_begin(&client->member);
    }
    client->is_set_up = true;
    if (client->index == 0) again_soon(client, now_us);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void client_start(void *user, struct sim_node *node)
{
    struct workload *workload = user;
    uint32_t index = 0;
    while (workload->client_nodes[index] != node) index++;
    struct client *client = mem_alloc(sizeof *client);
    char purpose[32];
    (void)snprintf(purpose, sizeof purpose, "client %u", index);
    client->workload = workload;
    client->env = sim_env_create(node);
    client->index = index;
    client->prng = sim_prng(workload->sim, purpose);
    client->producer_id = -1;
    for (uint32_t i = 0; i < workload->node_count; i++) client->brokers[i].client = client;
    client->metadata_call = (struct client_call){.client = client, .done = on_metadata};
    admin_init(client);
    client->producer_id_call = (struct client_call){.client = client, .done = on_producer_id};
    env_timer_init(&client->refresh_timer, on_refresh_timer);
    env_timer_init(&client->setup_timer, on_setup_timer);
    for (uint32_t p = 0; p < WORKLOAD_PARTITIONS_MAX; p++) {
        client->partitions[p] = (struct client_partition){-1, -1};
        producer_init(&client->producers[p], client, p);
        consumer_init(&client->consumers[p], client, p);
    }
    member_init(&client->member, client);
    workload->clients[index] = client;
    again_soon(client, env_now_us(client->env));
}

void workload_add_clients(struct workload *workload)
{
    for (uint32_t i = 0; i < workload->client_count; i++) {
        char host[24];
        (void)snprintf(host, sizeof host, "client%u", i);
        const struct sim_process process = {.start = client_start, .user = workload};
        workload->client_nodes[i] = sim_node_add(workload->sim, host, &process);
    }
}

const struct workload_topic *workload_topic_of(const struct workload *workload, uint32_t partition)
{
    uint32_t t = workload->topic_count - 1;
    while (workload->topics[t].first > partition) t--;
    return &workload->topics[t];
}

bool workload_is_quiet(const struct workload *workload)
{
    if (!admin_is_done(workload)) return false;
    for (uint32_t i = 0; i < workload->client_count; i++) {
        const struct client *client = workload->clients[i];
        if (client->producer_id < 0) return false;
        for (uint32_t p = 0; p < workload->partition_count; p++) {
            if (client->producers[p].batch_count > 0 && !workload_topic_of(workload, p)->is_deleted) return false;
        }
    }
    return true;
}

/* ---- the final read ------------------------------------------------------------------------------------------------ */

static bool is_all_read(void *context)
{
    const struct workload *workload = context;
    for (uint32_t p = 0; p < workload->partition_count; p++) {
        if (!workload->clients[0]->consumers[p].is_done && !workload_topic_of(workload, p)->is_deleted) return false;
    }
    return true;
}

bool workload_final_read(struct workload *workload, int64_t timeout_us)
{
    struct client *client = workload->clients[0];
    for (uint32_t p = 0; p < workload->partition_count; p++) consumer_begin_final(&client->consumers[p]);
    if (!sim_wait(workload->sim, is_all_read, workload, timeout_us)) return false;
    for (uint32_t p = 0; p < workload->partition_count; p++) {
        if (workload_topic_of(workload, p)->is_deleted) continue;
        history_check_final(&workload->history, p, client->consumers[p].values, client->consumers[p].start, client->consumers[p].count);
    }
    return true;
}
