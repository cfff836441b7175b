/* The model admin: creates topics, deletes them, creates them again, deletes records, and moves replicas: whatever it asks for there,
 * nothing is lost. Every request is repeated until its answer says that what it asks for is so; a deletion names the id, so that one that
 * comes late cannot hit the next topic of that name. */
#include "tests/sim/client.h"

#include "common/checked.h"

#include <stdio.h>

#define REQUEST_TIMEOUT_US (5 * (int64_t)SIM_SECOND)

/* ---- creating ------------------------------------------------------------------------------------------------------ */

static void on_created(struct client_call *call, enum err err, const void *message, int64_t now_us)
{
    struct client *client = call->client;
    struct workload_topic *topic = &client->workload->topics[client->creating];
    const struct create_topics_response *response = message;
    (void)now_us;
    if (err == ERR_OK && response->topics_count == 1 &&
        (response->topics[0].error_code == KAFKA_NONE || response->topics[0].error_code == KAFKA_TOPIC_ALREADY_EXISTS))
        topic->is_created = true;
    else
        log_line(env_logger(client->env), LOG_DEBUG, "client", "creating %s: %s", topic->name,
                 err ? err_text(err) : kafka_error_name(response->topics[0].error_code));
}

static void create_topic(struct client *client, const struct workload_topic *topic)
{
    char minimum[8];
    (void)snprintf(minimum, sizeof minimum, "%d", topic->min_insync);
    struct create_topics_request_configs config = {SLICE_LITERAL("min.insync.replicas"), slice_str(minimum)};
    struct create_topics_request_topics wanted;
    struct create_topics_request request;
    codec_set_defaults(KMSG_CREATE_TOPICS_REQUEST, &request);
    wanted = (struct create_topics_request_topics){.name = slice_str(topic->name),
                                                   .num_partitions = topic->partition_count,
                                                   .replication_factor = topic->replication_factor,
                                                   .configs = &config,
                                                   .configs_count = 1};
    request.topics = &wanted;
    request.topics_count = 1;
    request.timeout_ms = 3000;
    client_send(&client->create_call, -1, API_CREATE_TOPICS, 7, &request, REQUEST_TIMEOUT_US);
}

/* ---- deleting ------------------------------------------------------------------------------------------------------ */

static void on_deleted(struct client_call *call, enum err err, const void *message, int64_t now_us)
{
    struct client *client = call->client;
    struct workload_topic *topic = &client->workload->topics[client->deleting];
    const struct delete_topics_response *response = message;
    (void)now_us;
    if (err == ERR_OK && response->responses_count == 1 &&
        (response->responses[0].error_code == KAFKA_NONE || response->responses[0].error_code == KAFKA_UNKNOWN_TOPIC_ID))
        topic->is_gone = true;
    else
        log_line(env_logger(client->env), LOG_DEBUG, "client", "deleting %s: %s", topic->name,
                 err ? err_text(err) : kafka_error_name(response->responses[0].error_code));
}

static void delete_topic(struct client *client, const struct workload_topic *topic)
{
    struct delete_topics_request_topics wanted = {.name = SLICE_NULL, .topic_id = topic->id};
    struct delete_topics_request request;
    codec_set_defaults(KMSG_DELETE_TOPICS_REQUEST, &request);
    request.topics = &wanted;
    request.topics_count = 1;
    request.timeout_ms = 3000;
    client_send(&client->delete_call, -1, API_DELETE_TOPICS, 6, &request, REQUEST_TIMEOUT_US);
}

/* ---- moving -------------------------------------------------------------------------------------------------------- */

static void on_moved(struct client_call *call, enum err err, const void *message, int64_t now_us)
{
    const struct alter_partition_reassignments_response *response = message;
    (void)now_us;
    if (err == ERR_OK && response->error_code == KAFKA_NONE && response->responses[0].partitions[0].error_code == KAFKA_NONE)
        env_mark(call->client->env, "replicas were reassigned");
}

/* Distinct brokers, at least as many as min.insync.replicas. */
static int32_t draw_replicas(struct client *client, const struct workload_topic *topic, int32_t ids[static WORKLOAD_NODES_MAX])
{
    const struct workload *workload = client->workload;
    int32_t count = 0, brokers = (int32_t)(workload->node_count - workload->first_broker);
    int32_t wanted = (int32_t)prng_range(&client->prng, topic->min_insync, brokers);
    for (int32_t left = brokers; count < wanted; left--) {
        int32_t place = (int32_t)prng_below(&client->prng, (uint64_t)left), id = (int32_t)workload->first_broker;
        /* The place-th of those that are not drawn yet. */
        for (;; id++) {
            bool is_drawn = false;
            for (int32_t i = 0; i < count; i++) is_drawn |= ids[i] == id;
            if (!is_drawn && place-- == 0) break;
        }
        ids[count++] = id;
    }
    return count;
}

static void move_replicas(struct client *client, const struct workload_topic *topic)
{
    int32_t ids[WORKLOAD_NODES_MAX];
    bool is_cancel = prng_chance(&client->prng, 1, 5);
    struct alter_partition_reassignments_request_partitions partition = {
        .partition_index = (int32_t)prng_below(&client->prng, (uint64_t)topic->partition_count), .replicas = ids};
    partition.replicas_count = is_cancel ? -1 : draw_replicas(client, topic, ids);
    struct alter_partition_reassignments_request_topics wanted = {
        .name = slice_str(topic->name), .partitions = &partition, .partitions_count = 1};
    struct alter_partition_reassignments_request request;
    codec_set_defaults(KMSG_ALTER_PARTITION_REASSIGNMENTS_REQUEST, &request);
    request.topics = &wanted;
    request.topics_count = 1;
    request.timeout_ms = 3000;
    client_send(&client->move_call, -1, API_ALTER_PARTITION_REASSIGNMENTS, 1, &request, REQUEST_TIMEOUT_US);
}

static void maybe_move(struct client *client)
{
    const struct workload *workload = client->workload;
    int64_t now_us = env_now_us(client->env);
    if (workload->move_us == 0 || workload->is_stopping || now_us < client->move_at_us || client_call_is_pending(&client->move_call))
        return;
    bool is_first = client->move_at_us == 0;
    client->move_at_us = now_us + client_pause_us(client, workload->move_us);
    const struct workload_topic *topic = &workload->topics[prng_below(&client->prng, workload->topic_count)];
    if (!is_first && topic->is_created && !topic->is_deleted) move_replicas(client, topic);
}

/* ---- deleting records ---------------------------------------------------------------------------------------------- */

static void on_trimmed(struct client_call *call, enum err err, const void *message, int64_t now_us)
{
    struct client *client = call->client;
    struct workload *workload = client->workload;
    struct history_partition *known = &workload->history.partitions[client->trimming];
    const struct delete_records_response *response = message;
    (void)now_us;
    client_refresh(client);
    known->trim_lingers |= err != ERR_OK;
    if (err != ERR_OK || response->topics_count != 1 || response->topics[0].partitions_count != 1) return;
    const struct delete_records_response_partitions *answer = &response->topics[0].partitions[0];
    log_line(env_logger(client->env), LOG_DEBUG, "client", "deleting below %lld of partition %u: %s, low watermark %lld",
             (long long)client->trim_offset, client->trimming, kafka_error_name(answer->error_code), (long long)answer->low_watermark);
    if (answer->error_code != KAFKA_NONE || workload_topic_of(workload, client->trimming)->is_deleted) return;
    if (answer->low_watermark < client->trim_offset || answer->low_watermark > known->trim_asked) {
        verdict_fail(workload->verdict, "Q-TRIM", "partition %u: the low watermark is %lld after a deletion of what is below %lld",
                     client->trimming, (long long)answer->low_watermark, (long long)client->trim_offset);
    }
    known->trim_done = client->trim_offset;
}

/* To the leader, which the tools ask for, too. */
static void trim(struct client *client, uint32_t partition)
{
    const struct workload_topic *topic = workload_topic_of(client->workload, partition);
    struct delete_records_request_partitions wanted = {.partition_index = (int32_t)(partition - topic->first),
                                                       .offset = client->workload->history.partitions[partition].trim_asked};
    struct delete_records_request_topics wanted_topic = {.name = slice_str(topic->name), .partitions = &wanted, .partitions_count = 1};
    struct delete_records_request request;
    codec_set_defaults(KMSG_DELETE_RECORDS_REQUEST, &request);
    request.topics = &wanted_topic;
    request.topics_count = 1;
    request.timeout_ms = 1000;
    client->trimming = partition;
    client->trim_offset = wanted.offset;
    client_send(&client->trim_call, client->partitions[partition].leader, API_DELETE_RECORDS, 2, &request, REQUEST_TIMEOUT_US);
}

static bool is_trimmed(const struct workload *workload, uint32_t partition)
{
    const struct history_partition *known = &workload->history.partitions[partition];
    return known->trim_done == known->trim_asked || workload_topic_of(workload, partition)->is_deleted;
}

/* In turn, so that one that nobody can answer keeps no other waiting. */
static void maybe_trim(struct client *client)
{
    const struct workload *workload = client->workload;
    if (client_call_is_pending(&client->trim_call)) return;
    for (uint32_t i = 1; i <= workload->partition_count; i++) {
        uint32_t partition = (client->trimming + i) % workload->partition_count;
        if (is_trimmed(workload, partition) || client->partitions[partition].leader < 0) continue;
        trim(client, partition);
        return;
    }
}

/* From the log alone a broker must know each producer that may ask again for what it holds already: of those the last record stays that was
 * acknowledged with all before it. Whoever waits for nothing may be forgotten, and begins as at first. */
static int64_t trim_bound(const struct workload *workload, uint32_t partition)
{
    int64_t bound = workload->history.partitions[partition].count;
    for (uint32_t i = 0; i < workload->client_count; i++) {
        if (workload->clients[i]->producers[partition].batch_count > 0)
            bound = min_i64(bound, history_settled(&workload->history, partition, i));
    }
    return bound;
}

bool workload_trim(struct workload *workload, uint32_t partition, struct prng *prng)
{
    struct history_partition *known = &workload->history.partitions[partition];
    int64_t bound = trim_bound(workload, partition);
    if (workload_topic_of(workload, partition)->is_deleted || bound <= known->trim_asked) return false;
    known->trim_asked = prng_chance(prng, 1, 2) ? bound : prng_range(prng, known->trim_asked + 1, bound);
    for (uint32_t i = 0; i < workload->client_count; i++) {
        struct producer *producer = &workload->clients[i]->producers[partition];
        if (producer->batch_count == 0) producer->has_acked = false;
    }
    return true;
}

/* ---- what comes next ----------------------------------------------------------------------------------------------- */

/* The one of the same name before it is gone. */
static bool may_create(const struct workload *workload, uint32_t t)
{
    for (uint32_t before = 0; before < t; before++) {
        if (strcmp(workload->topics[before].name, workload->topics[t].name) == 0 && !workload->topics[before].is_gone) return false;
    }
    return true;
}

bool admin_step(struct client *client)
{
    const struct workload *workload = client->workload;
    bool is_busy = false;
    for (uint32_t t = 0; t < workload->topic_count; t++) {
        const struct workload_topic *topic = &workload->topics[t];
        if (topic->is_deleted && !topic->is_gone && !client_call_is_pending(&client->delete_call)) {
            client->deleting = t;
            delete_topic(client, topic);
        } else if (!topic->is_created && may_create(workload, t) && !client_call_is_pending(&client->create_call)) {
            client->creating = t;
            create_topic(client, topic);
        }
        is_busy |= t < workload->first_life_count && !topic->is_created;
    }
    if (!is_busy) {
        maybe_move(client);
        maybe_trim(client);
    }
    return is_busy;
}

void admin_init(struct client *client)
{
    client->create_call = (struct client_call){.client = client, .done = on_created};
    client->delete_call = (struct client_call){.client = client, .done = on_deleted};
    client->move_call = (struct client_call){.client = client, .done = on_moved};
    client->trim_call = (struct client_call){.client = client, .done = on_trimmed};
}

bool admin_is_done(const struct workload *workload)
{
    for (uint32_t t = 0; t < workload->topic_count; t++) {
        const struct workload_topic *topic = &workload->topics[t];
        if (topic->is_deleted ? !topic->is_gone : !topic->is_created) return false;
    }
    for (uint32_t p = 0; p < workload->partition_count; p++) {
        if (!is_trimmed(workload, p)) return false;
    }
    return true;
}

/* ---- lives --------------------------------------------------------------------------------------------------------- */

/* DeleteRecords knows no ids: a request that comes late would hit the next topic of that name. */
static bool has_lingering_trim(const struct workload *workload, const struct workload_topic *topic)
{
    for (uint32_t p = topic->first; p < topic->first + (uint32_t)topic->partition_count; p++) {
        const struct history_partition *known = &workload->history.partitions[p];
        if (known->trim_lingers || known->trim_done < known->trim_asked) return true;
    }
    return false;
}

bool workload_recreate(struct workload *workload, uint32_t t)
{
    struct workload_topic *topic = &workload->topics[t];
    if (!topic->is_created || topic->is_deleted || uuid_is_zero(topic->id)) return false;
    if (workload->topic_count == WORKLOAD_TOPICS_MAX || has_lingering_trim(workload, topic)) return false;
    if (workload->partition_count + (uint32_t)topic->partition_count > WORKLOAD_PARTITIONS_MAX) return false;
    struct workload_topic *next = &workload->topics[workload->topic_count++];
    *next = *topic;
    next->id = (struct uuid){0};
    next->is_created = false;
    next->first = workload->partition_count;
    workload->partition_count += (uint32_t)topic->partition_count;
    topic->is_deleted = true;
    return true;
}

void workload_learn(struct workload *workload, struct slice name, struct uuid id)
{
    for (uint32_t t = 0; t < workload->topic_count; t++) {
        if (uuid_equal(workload->topics[t].id, id)) return;
    }
    for (uint32_t t = 0; t < workload->topic_count; t++) {
        struct workload_topic *topic = &workload->topics[t];
        if (!uuid_is_zero(topic->id) || !slice_equal_str(name, topic->name)) continue;
        topic->id = id;
        return;
    }
}
