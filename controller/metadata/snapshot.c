#include "controller/metadata/snapshot.h"

#include "common/assert.h"
#include "common/mem.h"
#include "common/reader.h"
#include "controller/metadata/image_edit.h"
#include "controller/metadata/records.h"
#include "proto/pb.h"

#include <stdio.h>

/* Header, then each batch behind its length. */
#define SNAPSHOT_MAGIC   0x534b4d44 /* "SKMD" */
#define SNAPSHOT_VERSION 0

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void write_listeners(const struct image_broker *broker, Skiff__Listener *rows, Skiff__Listener **pointers)
{
    for (uint32_t i = 0; i < broker->listener_count; i++) {
        const struct image_listener *from = &broker->listeners[i];
        skiff__listener__init(&rows[i]);
        rows[i].name = from->name;
        rows[i].host = from->host;
        rows[i].port = from->port;
        rows[i].security_protocol = (uint32_t)from->security_protocol;
        pointers[i] = &rows[i];
    }
}

static void write_broker(const struct image_broker *broker, struct records *records)
{
    Skiff__Listener listeners[LISTENERS_MAX], *listener_pointers[LISTENERS_MAX];
    ProtobufCBinaryData directories[LOG_DIRS_MAX];
    struct uuid incarnation = broker->incarnation;
    Skiff__FeatureRange *features = mem_calloc(broker->feature_count, sizeof *features);
    Skiff__FeatureRange **feature_pointers = mem_calloc(broker->feature_count, sizeof(void *));
    write_listeners(broker, listeners, listener_pointers);
    for (uint32_t i = 0; i < broker->directory_count; i++) directories[i] = pb_uuid_data(&broker->directories[i]);
    for (uint32_t i = 0; i < broker->feature_count; i++) {
        skiff__feature_range__init(&features[i]);
        features[i].name = broker->features[i].name;
        features[i].level_min = broker->features[i].level_min;
        features[i].level_max = broker->features[i].level_max;
        feature_pointers[i] = &features[i];
    }
    Skiff__RegisterBrokerRecord body;
    skiff__register_broker_record__init(&body);
    body.broker_id = broker->id;
    body.broker_epoch = broker->epoch;
    body.incarnation_id = pb_uuid_data(&incarnation);
    body.n_listeners = broker->listener_count, body.listeners = listener_pointers;
    body.n_directory_ids = broker->directory_count, body.directory_ids = directories;
    body.n_features = broker->feature_count, body.features = feature_pointers;
    body.rack = broker->rack;
    body.flush_policy = broker->is_flushing ? SKIFF__FLUSH_POLICY__FLUSH_POLICY_FSYNC : SKIFF__FLUSH_POLICY__FLUSH_POLICY_OS;
    body.registered_index = broker->registered_index;
    body.unfenced_epoch = broker->unfenced_epoch;
    body.unfenced = !broker->fenced;
    body.in_controlled_shutdown = broker->in_controlled_shutdown;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_REGISTER_BROKER, record.register_broker = &body;
    records_add(records, &record);
    mem_free(feature_pointers);
    mem_free(features);
}

static void write_configs(const struct image_configs *configs, Skiff__ConfigResource resource, const char *name, struct records *records)
{
    for (uint32_t i = 0; i < configs->count; i++) {
        records_add_config(records, resource, name, configs->items[i].name, configs->items[i].value);
        records_cut(records);
    }
}

static void write_topic(const struct image *image, const struct image_topic *topic, struct records *records)
{
    records_add_topic(records, topic->id, slice_make(topic->name, topic->name_size));
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct partition_state state;
        partition_state_of(image, topic, i, &state);
        records_add_partition(records, topic->id, i, image_replicas(&topic->partitions[i]), &state);
        records_cut(records);
    }
    write_configs(&topic->configs, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC, topic->name, records);
}

static void write_broker_configs(const struct image *image, struct records *records)
{
    MAP_FOR_EACH (&image->broker_configs, struct image_broker_configs, entry) {
        char name[16] = "";
        if (entry->id != NO_BROKER) (void)snprintf(name, sizeof name, "%d", entry->id);
        write_configs(&entry->configs, SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_BROKER, name, records);
    }
}

static void write_quota(const struct image_quota *quota, struct records *records)
{
    for (uint32_t i = 0; i < quota->count; i++) {
        records_add_quota(records, &quota->entity, quota->values[i].key, &quota->values[i].value);
        records_cut(records);
    }
}

static int64_t greatest_epoch(const struct image *image)
{
    int64_t greatest = 0;
    MAP_FOR_EACH (&image->brokers, struct image_broker, broker)
        if (broker->epoch > greatest) greatest = broker->epoch;
    return greatest;
}

void snapshot_write(const struct image *image, struct writer *out)
{
    struct records records;
    records_init(&records);
    if (image->cluster_id[0]) records_add_cluster(&records, image->cluster_id);
    for (uint32_t i = 0; i < image->feature_count; i++)
        records_add_feature(&records, image->features[i].name, image->features[i].level_max);
    MAP_FOR_EACH (&image->brokers, struct image_broker, broker) write_broker(broker, &records);
    if (image->last_broker_epoch > greatest_epoch(image)) records_add_broker_epoch(&records, image->last_broker_epoch);
    write_broker_configs(image, &records);
    MAP_FOR_EACH (&image->topics, struct image_topic, topic) write_topic(image, topic, &records);
    MAP_FOR_EACH (&image->quotas, struct image_quota, quota) write_quota(quota, &records);
    if (image->next_producer_id) records_add_producer_ids(&records, image->next_producer_id);

    uint32_t count = 0;
    struct buf **batches = records_take(&records, &count);
    writer_u32(out, SNAPSHOT_MAGIC);
    writer_u16(out, SNAPSHOT_VERSION);
    for (uint32_t i = 0; i < count; i++) {
        writer_u32(out, (uint32_t)batches[i]->size);
        writer_bytes(out, buf_slice(batches[i]));
        buf_unref(batches[i]);
    }
    mem_free(batches);
    records_deinit(&records);
}

uint64_t image_hash(const struct image *image)
{
    struct writer bytes;
    writer_init(&bytes, 4096);
    snapshot_write(image, &bytes);
    uint64_t hash = map_hash(0, writer_slice(&bytes));
    writer_deinit(&bytes);
    return hash;
}

/* ---- loading --------------------------------------------------------------------------------------------------------- */

static enum err build(struct image *fresh, struct slice bytes, int64_t index, char why[REPLAY_ERROR_MAX])
{
    struct image_delta ignored;
    image_delta_init(&ignored, fresh);
    struct reader r = reader_make(bytes);
    enum err err = reader_u32(&r) == SNAPSHOT_MAGIC && reader_u16(&r) == SNAPSHOT_VERSION ? ERR_OK : ERR_CORRUPT;
    if (err != ERR_OK && why)
        (void)snprintf(why, REPLAY_ERROR_MAX, "metadata snapshot %lld: not of a version that is known", (long long)index);
    while (err == ERR_OK && r.left > 0) {
        struct slice batch = reader_bytes(&r, reader_u32(&r));
        if (reader_ok(&r)) {
            err = image_replay_batch(fresh, batch, index, &ignored, why);
            continue;
        }
        err = ERR_CORRUPT;
        if (why) (void)snprintf(why, REPLAY_ERROR_MAX, "metadata snapshot %lld: cut short", (long long)index);
    }
    image_delta_deinit(&ignored);
    return err;
}

static bool partition_equal(const struct image_partition *a, const struct image_partition *b)
{
    return a->partition_epoch == b->partition_epoch && a->leader_epoch == b->leader_epoch && a->leader == b->leader &&
           a->last_known_leader == b->last_known_leader && a->recovering == b->recovering &&
           node_ids_equal(image_replicas(a), image_replicas(b)) && node_ids_equal(image_isr(a), image_isr(b)) &&
           node_ids_equal(image_elr(a), image_elr(b));
}

static bool configs_equal(const struct image_configs *a, const struct image_configs *b)
{
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i].name, b->items[i].name) != 0 || strcmp(a->items[i].value, b->items[i].value) != 0) return false;
    return true;
}

/* `now` is the topic in the new image, `before` the same one in the old. */
static void diff_topic(struct image_topic *now, const struct image_topic *before, struct image_delta *delta)
{
    for (int32_t i = 0; i < now->partition_count; i++) {
        bool is_new = !before || i >= before->partition_count;
        if (!is_new && partition_equal(&now->partitions[i], &before->partitions[i])) continue;
        image_delta_touch(delta, now, i, is_new);
        if (is_new) continue;
        struct partition_change *row = &delta->partitions[delta->partition_count - 1];
        row->old_leader = before->partitions[i].leader;
        row->old_leader_epoch = before->partitions[i].leader_epoch;
        row->old_partition_epoch = before->partitions[i].partition_epoch;
    }
    if (!before) topic_list_add(&delta->topics_created, now);
    if (before ? !configs_equal(&now->configs, &before->configs) : now->configs.count > 0) image_delta_configured(delta, now);
}

static void diff_brokers(const struct image *now, const struct image *before, struct image_delta *delta)
{
    MAP_FOR_EACH (&now->brokers, struct image_broker, broker) {
        const struct image_broker *old = image_broker_get(before, broker->id);
        if (!old || old->epoch != broker->epoch || old->fenced != broker->fenced ||
            old->in_controlled_shutdown != broker->in_controlled_shutdown)
            broker_list_add_once(&delta->brokers, broker->id);
    }
    MAP_FOR_EACH (&before->brokers, struct image_broker, gone) {
        if (!image_broker_get(now, gone->id)) broker_list_add_once(&delta->brokers, gone->id);
    }
}

static void diff_broker_configs(const struct image *now, const struct image *before, struct image_delta *delta)
{
    MAP_FOR_EACH (&now->broker_configs, struct image_broker_configs, entry) {
        if (!configs_equal(&entry->configs, image_broker_configs(before, entry->id)))
            broker_list_add_once(&delta->broker_configs, entry->id);
    }
    MAP_FOR_EACH (&before->broker_configs, struct image_broker_configs, gone) {
        if (image_broker_configs(now, gone->id)->count == 0) broker_list_add_once(&delta->broker_configs, gone->id);
    }
}

/* Topics that are no longer there leave the old image for the delta, which keeps them for its reader. */
static void take_removed_topics(struct image *before, const struct image *now, struct image_delta *delta)
{
    MAP_FOR_EACH (&before->topics, struct image_topic, topic) {
        if (image_topic_by_id(now, topic->id)) continue;
        image_take_topic(before, topic);
        image_delta_topic_removed(delta, topic);
    }
}

enum err snapshot_load(struct image *image, struct slice bytes, int64_t index, struct image_delta *delta, char why[REPLAY_ERROR_MAX])
{
    ASSERT(image_delta_is_empty(delta));
    struct image fresh;
    image_init(&fresh, image->topics.seed);
    enum err err = build(&fresh, bytes, index, why);
    if (err != ERR_OK) {
        image_deinit(&fresh);
        return err;
    }
    fresh.index = index;
    fresh.controller_id = image->controller_id;
    take_removed_topics(image, &fresh, delta);
    image_delta_rebase(delta, &fresh);
    MAP_FOR_EACH (&fresh.topics, struct image_topic, topic) diff_topic(topic, image_topic_by_id(image, topic->id), delta);
    diff_brokers(&fresh, image, delta);
    diff_broker_configs(&fresh, image, delta);
    delta->cluster_changed = strcmp(fresh.cluster_id, image->cluster_id) != 0;
    delta->features_changed = true;
    struct image old = *image;
    *image = fresh;
    image_deinit(&old);
    return ERR_OK;
}
