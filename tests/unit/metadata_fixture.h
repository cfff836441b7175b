/* A metadata log in memory for the tests of controller/metadata: what a control function decides is committed at once, replayed,
 * and checked (P-ISR and the image's own consistency) after each batch. */
#ifndef SKIFF_TESTS_UNIT_METADATA_FIXTURE_H
#define SKIFF_TESTS_UNIT_METADATA_FIXTURE_H

#include "common/mem.h"
#include "controller/metadata/cluster_control.h"
#include "controller/metadata/replay.h"
#include "controller/metadata/replication_control.h"
#include "controller/metadata/snapshot.h"
#include "controller/metadata/topic_control.h"
#include "proto/pb.h"

#include <check.h>
#include <stdio.h>

struct meta {
    struct image image;
    struct image_delta delta;
    struct control_settings settings;
    struct prng prng;
    struct arena arena;
    struct records records;
    struct control control;
    struct buf **log; /* every batch, [i] at index i + 1 */
    uint32_t log_count, log_capacity;
    void (*before_batch)(struct meta *meta, struct slice batch); /* optional */
    void (*after_batch)(struct meta *meta);
};

static inline void meta_init(struct meta *meta, uint64_t seed)
{
    *meta = (struct meta){.settings = {.default_partitions = 1, .default_replication_factor = 1, .is_topic_deletion_enabled = true}};
    image_init(&meta->image, seed);
    image_delta_init(&meta->delta, &meta->image);
    prng_init(&meta->prng, seed);
    arena_init(&meta->arena, SIZE_MAX);
    records_init(&meta->records);
    meta->control = (struct control){&meta->image, &meta->settings, &meta->prng, &meta->arena, &meta->records, NULL};
}

static inline void meta_deinit(struct meta *meta)
{
    for (uint32_t i = 0; i < meta->log_count; i++) buf_unref(meta->log[i]);
    mem_free(meta->log);
    records_deinit(&meta->records);
    arena_deinit(&meta->arena);
    image_delta_deinit(&meta->delta);
    image_deinit(&meta->image);
}

static inline void meta_append(struct meta *meta, struct buf *batch)
{
    char why[REPLAY_ERROR_MAX] = "";
    if (meta->before_batch) meta->before_batch(meta, buf_slice(batch));
    enum err err = image_replay(&meta->image, buf_slice(batch), meta->image.index + 1, &meta->delta, why);
    ck_assert_msg(err == ERR_OK, "%s", why);
    image_check(&meta->image);
    if (meta->after_batch) meta->after_batch(meta);
    if (meta->log_count == meta->log_capacity) {
        meta->log_capacity = meta->log_capacity ? meta->log_capacity * 2 : 64;
        meta->log = mem_realloc(meta->log, meta->log_capacity, sizeof *meta->log);
    }
    meta->log[meta->log_count++] = batch;
}

/* Commits what the control functions wrote; returns the number of batches. */
static inline uint32_t meta_commit(struct meta *meta)
{
    uint32_t count = 0;
    struct buf **batches = records_take(&meta->records, &count);
    image_delta_clear(&meta->delta, &meta->image);
    for (uint32_t i = 0; i < count; i++) meta_append(meta, batches[i]);
    mem_free(batches);
    arena_deinit(&meta->arena);
    arena_init(&meta->arena, SIZE_MAX);
    return count;
}

/* ---- brokers --------------------------------------------------------------------------------------------------------- */

static inline struct uuid meta_uuid(uint64_t n)
{
    struct uuid id = {{0}};
    id.bytes[0] = 1;
    memcpy(id.bytes + 8, &n, sizeof n);
    return id;
}

/* What a broker claims when it starts. */
struct claim {
    int32_t id;
    uint64_t incarnation;
    uint64_t directory;
    int64_t written_epoch;
    bool is_flushing, is_clean;
    Skiff__PartitionList **damaged;
    size_t damaged_count;
};

struct registered {
    enum kafka_error error;
    int64_t epoch;
};

static inline struct registered meta_register(struct meta *meta, const struct claim *claim, enum previous_session previous)
{
    static char cluster[] = "", host[] = "127.0.0.1", name[] = "PLAINTEXT", rack[] = "";
    static char features[][40] = {"metadata.version", "eligible.leader.replicas.version", "skiff.version"};
    struct uuid incarnation = meta_uuid(claim->incarnation), directory_id = meta_uuid(claim->directory);
    Skiff__Sender sender;
    Skiff__Listener listener, *listeners = &listener;
    Skiff__LogDirectory directory, *directories = &directory;
    Skiff__FeatureRange ranges[3], *range_pointers[3];
    Skiff__RegisterBrokerRequest request;
    Skiff__Outcome outcome;
    Skiff__RegisterBrokerResponse response;
    skiff__sender__init(&sender);
    skiff__listener__init(&listener);
    skiff__log_directory__init(&directory);
    skiff__register_broker_request__init(&request);
    skiff__outcome__init(&outcome);
    skiff__register_broker_response__init(&response);
    for (size_t i = 0; i < 3; i++) {
        skiff__feature_range__init(&ranges[i]);
        ranges[i].name = features[i];
        ranges[i].level_min = 1, ranges[i].level_max = 99;
        range_pointers[i] = &ranges[i];
    }
    sender.cluster_id = cluster;
    listener.name = name, listener.host = host, listener.port = 9092;
    directory.directory_id = pb_uuid_data(&directory_id), directory.written_epoch = claim->written_epoch;
    request.sender = &sender;
    request.broker_id = claim->id;
    request.incarnation_id = pb_uuid_data(&incarnation);
    request.rack = rack;
    request.n_listeners = 1, request.listeners = &listeners;
    request.n_directories = 1, request.directories = &directories;
    request.n_features = 3, request.features = range_pointers;
    request.flush_policy = claim->is_flushing ? SKIFF__FLUSH_POLICY__FLUSH_POLICY_FSYNC : SKIFF__FLUSH_POLICY__FLUSH_POLICY_OS;
    request.clean_shutdown = claim->is_clean;
    request.damaged = claim->damaged, request.n_damaged = claim->damaged_count;
    response.outcome = &outcome;
    cluster_register_broker(&meta->control, &request, previous, &response);
    struct registered result = {(enum kafka_error)outcome.error_code, response.broker_epoch};
    meta_commit(meta);
    return result;
}

static inline enum heartbeat_wish meta_heartbeat(struct meta *meta, int32_t id, bool want_fence, bool want_shutdown)
{
    Skiff__BrokerHeartbeatRequest request;
    Skiff__Outcome outcome;
    Skiff__BrokerHeartbeatResponse response;
    skiff__broker_heartbeat_request__init(&request);
    skiff__outcome__init(&outcome);
    skiff__broker_heartbeat_response__init(&response);
    request.broker_id = id;
    const struct image_broker *broker = image_broker_get(&meta->image, id);
    request.broker_epoch = broker ? broker->epoch : -1;
    request.applied_index = meta->image.index;
    request.want_fence = want_fence, request.want_shutdown = want_shutdown;
    response.outcome = &outcome;
    enum heartbeat_wish wish = cluster_heartbeat_wish(&meta->image, &request, INT64_MAX, 0);
    cluster_heartbeat(&meta->control, &request, wish, &response);
    meta_commit(meta);
    return wish;
}

/* Brokers 0 ... count-1, unfenced, that flush. */
static inline void meta_start_brokers(struct meta *meta, int32_t count)
{
    for (int32_t id = 0; id < count; id++) {
        struct claim claim = {.id = id, .incarnation = 1, .directory = (uint64_t)id + 1, .written_epoch = -1, .is_flushing = true};
        ck_assert_int_eq(meta_register(meta, &claim, PREVIOUS_IS_GONE).error, KAFKA_NONE);
        ck_assert_int_eq(meta_heartbeat(meta, id, false, false), HEARTBEAT_UNFENCE);
    }
}

static inline void meta_fence(struct meta *meta, int32_t id)
{
    cluster_fence_broker(&meta->control, id);
    meta_commit(meta);
}

/* ---- topics ---------------------------------------------------------------------------------------------------------- */

/* Its error code. */
static inline int16_t meta_create_topic(struct meta *meta, const char *name, int32_t partitions, int16_t replicas, int32_t min_isr)
{
    char text[16];
    struct create_topics_request_configs config = {SLICE_LITERAL("min.insync.replicas"),
                                                   slice_make(text, (size_t)snprintf(text, sizeof text, "%d", min_isr))};
    struct create_topics_request_topics topic = {
        .name = slice_str(name), .num_partitions = partitions, .replication_factor = replicas, .configs = &config, .configs_count = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1};
    struct create_topics_response response = {0};
    topic_create(&meta->control, &request, &response);
    int16_t error = response.topics[0].error_code;
    meta_commit(meta);
    return error;
}

static inline const struct image_partition *meta_partition(const struct meta *meta, const char *topic, int32_t partition)
{
    return &image_topic_by_name(&meta->image, slice_str(topic))->partitions[partition];
}

struct alter {
    int32_t broker_id;
    int32_t leader_epoch, partition_epoch; /* -1: the current ones */
    int32_t isr[8];
    size_t isr_count;
    int64_t member_epoch; /* 0: the current one of each member */
};

static inline enum kafka_error meta_alter(struct meta *meta, const char *name, int32_t partition, const struct alter *alter)
{
    struct image_topic *topic = image_topic_by_name(&meta->image, slice_str(name));
    const struct image_partition *now = &topic->partitions[partition];
    Skiff__IsrMember members[8], *member_pointers[8];
    Skiff__AlterPartitionItem item, *items = &item;
    Skiff__AlterPartitionRequest request;
    Skiff__Outcome outcome;
    Skiff__AlterPartitionResponse response;
    skiff__alter_partition_item__init(&item);
    skiff__alter_partition_request__init(&request);
    skiff__outcome__init(&outcome);
    skiff__alter_partition_response__init(&response);
    for (size_t i = 0; i < alter->isr_count; i++) {
        const struct image_broker *member = image_broker_get(&meta->image, alter->isr[i]);
        skiff__isr_member__init(&members[i]);
        members[i].broker_id = alter->isr[i];
        members[i].broker_epoch = alter->member_epoch ? alter->member_epoch : member ? member->epoch : -1;
        member_pointers[i] = &members[i];
    }
    item.topic_id = pb_uuid_data(&topic->id);
    item.partition = partition;
    item.leader_epoch = alter->leader_epoch == -1 ? now->leader_epoch : alter->leader_epoch;
    item.partition_epoch = alter->partition_epoch == -1 ? now->partition_epoch : alter->partition_epoch;
    item.n_isr = alter->isr_count, item.isr = member_pointers;
    request.broker_id = alter->broker_id;
    const struct image_broker *broker = image_broker_get(&meta->image, alter->broker_id);
    request.broker_epoch = broker ? broker->epoch : -1;
    request.n_items = 1, request.items = &items;
    response.outcome = &outcome;
    replication_alter_partition(&meta->control, &request, &response);
    enum kafka_error error = outcome.error_code ? (enum kafka_error)outcome.error_code : (enum kafka_error)response.results[0]->error_code;
    meta_commit(meta);
    return error;
}

#endif
