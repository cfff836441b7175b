#include "controller/metadata/replay.h"

#include "common/assert.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/metadata/image_edit.h"
#include "gen/metadata.pb-c.h"
#include "proto/pb.h"

#include <stdio.h>

struct replay {
    struct image *image;
    struct image_delta *delta;
    int64_t index;
};

/* ---- checking values ------------------------------------------------------------------------------------------------- */

static struct node_ids ids_of(const int32_t *ids, size_t count) { return (struct node_ids){ids, (uint32_t)count}; }

static bool has_no_duplicates(struct node_ids nodes)
{
    for (uint32_t i = 0; i < nodes.count; i++)
        if (nodes.ids[i] < 0 || node_ids_contain(ids_of(nodes.ids, i), nodes.ids[i])) return false;
    return true;
}

static bool is_subset(struct node_ids nodes, struct node_ids of)
{
    for (uint32_t i = 0; i < nodes.count; i++)
        if (!node_ids_contain(of, nodes.ids[i])) return false;
    return true;
}

/* P-ISR, as far as one record shows it. */
static const char *check_state(const Skiff__PartitionState *state, struct node_ids replicas)
{
    if (!state || state->n_isr + state->n_elr > replicas.count) return "a partition without a valid state";
    struct node_ids isr = ids_of(state->isr, state->n_isr), elr = ids_of(state->elr, state->n_elr);
    if (!has_no_duplicates(isr) || !has_no_duplicates(elr)) return "a broker twice in an ISR or ELR";
    if (!is_subset(isr, replicas) || !is_subset(elr, replicas)) return "an ISR or ELR beyond the replicas";
    for (uint32_t i = 0; i < elr.count; i++)
        if (node_ids_contain(isr, elr.ids[i])) return "an ISR and an ELR that overlap";
    struct node_ids adding = ids_of(state->adding, state->n_adding), removing = ids_of(state->removing, state->n_removing);
    if (state->n_adding + state->n_removing > replicas.count || !is_subset(adding, replicas) || !is_subset(removing, replicas))
        return "a reassignment beyond the replicas";
    if (!has_no_duplicates(adding) || !has_no_duplicates(removing)) return "a broker twice in a reassignment";
    if (state->leader != NO_LEADER && !node_ids_contain(isr, state->leader)) return "a leader out of the ISR";
    return NULL;
}

static void set_state(struct image_partition *partition, const Skiff__PartitionState *state)
{
    partition->leader = state->leader;
    partition->leader_epoch = state->leader_epoch;
    partition->partition_epoch = state->partition_epoch;
    partition->last_known_leader = state->last_known_leader;
    partition->recovering = state->recovering;
    image_partition_set_isr(partition, ids_of(state->isr, state->n_isr), ids_of(state->elr, state->n_elr));
}

static void set_reassignment(const struct replay *replay, const struct image_topic *topic, int32_t partition,
                             const Skiff__PartitionState *state)
{
    image_set_reassignment(replay->image, topic->id, partition, ids_of(state->adding, state->n_adding),
                           ids_of(state->removing, state->n_removing));
}

static struct image_topic *topic_of(const struct replay *replay, ProtobufCBinaryData id)
{
    struct uuid uuid;
    return pb_uuid(id, &uuid) ? image_topic_by_id(replay->image, uuid) : NULL;
}

/* ---- topics and partitions: each function says what is wrong, or NULL ------------------------------------------------- */

static const char *apply_topic(struct replay *replay, const Skiff__MetadataRecord *record)
{
    struct slice name = slice_str(record->topic->name);
    struct uuid id;
    if (!pb_uuid(record->topic->topic_id, &id) || uuid_is_zero(id)) return "a topic without id";
    if (name.n == 0 || name.n > TOPIC_NAME_MAX) return "a topic without a valid name";
    if (image_topic_by_name(replay->image, name) || image_topic_by_id(replay->image, id)) return "a topic that exists already";
    topic_list_add(&replay->delta->topics_created, image_add_topic(replay->image, id, name));
    return NULL;
}

static const char *apply_partition(struct replay *replay, const Skiff__MetadataRecord *record)
{
    const Skiff__PartitionRecord *body = record->partition;
    struct image_topic *topic = topic_of(replay, body->topic_id);
    struct node_ids replicas = ids_of(body->replicas, body->n_replicas);
    if (!topic) return "a partition of an unknown topic";
    if (body->partition != topic->partition_count) return "a partition out of order";
    if (replicas.count == 0 || body->n_replicas > REPLICAS_MAX || !has_no_duplicates(replicas)) return "a partition without valid replicas";
    const char *wrong = check_state(body->state, replicas);
    if (wrong) return wrong;
    struct image_partition *partition = image_add_partition(replay->image, topic);
    image_partition_set_replicas(partition, replicas);
    set_state(partition, body->state);
    set_reassignment(replay, topic, body->partition, body->state);
    image_delta_touch(replay->delta, topic, body->partition, true);
    return NULL;
}

/* P-PE: neither epoch goes back; each change is one step of the partition epoch. */
static const char *apply_partition_change(struct replay *replay, const Skiff__MetadataRecord *record)
{
    const Skiff__PartitionChangeRecord *body = record->partition_change;
    struct image_topic *topic = topic_of(replay, body->topic_id);
    if (!topic || body->partition < 0 || body->partition >= topic->partition_count) return "a change of an unknown partition";
    struct image_partition *partition = &topic->partitions[body->partition];
    struct node_ids replicas = body->n_replicas ? ids_of(body->replicas, body->n_replicas) : image_replicas(partition);
    if (body->n_replicas > REPLICAS_MAX || !has_no_duplicates(replicas)) return "a partition without valid replicas";
    const char *wrong = check_state(body->state, replicas);
    if (wrong) return wrong;
    if (body->state->partition_epoch != partition->partition_epoch + 1) return "a partition epoch that is not the next one";
    if (body->state->leader_epoch < partition->leader_epoch) return "a leader epoch that goes back";
    if (body->state->leader != partition->leader && body->state->leader_epoch == partition->leader_epoch)
        return "two leaders in one leader epoch";
    image_delta_touch(replay->delta, topic, body->partition, false);
    if (body->n_replicas) image_partition_set_replicas(partition, replicas);
    set_state(partition, body->state);
    set_reassignment(replay, topic, body->partition, body->state);
    return NULL;
}

static const char *apply_remove_topic(struct replay *replay, const Skiff__MetadataRecord *record)
{
    struct image_topic *topic = topic_of(replay, record->remove_topic->topic_id);
    if (!topic) return "a removal of an unknown topic";
    image_take_topic(replay->image, topic);
    image_delta_topic_removed(replay->delta, topic);
    return NULL;
}

/* ---- brokers --------------------------------------------------------------------------------------------------------- */

static const char *set_listeners(struct image_broker *broker, const Skiff__RegisterBrokerRecord *body)
{
    if (body->n_listeners == 0 || body->n_listeners > LISTENERS_MAX) return "a broker without listeners";
    broker->listener_count = (uint32_t)body->n_listeners;
    broker->listeners = mem_calloc(broker->listener_count, sizeof *broker->listeners);
    for (uint32_t i = 0; i < broker->listener_count; i++) {
        const Skiff__Listener *from = body->listeners[i];
        struct image_listener *to = &broker->listeners[i];
        to->name = mem_strdup(from->name);
        to->host = mem_strdup(from->host);
        to->port = (uint16_t)from->port;
        to->security_protocol = (int16_t)from->security_protocol;
        if (from->port == 0 || from->port > UINT16_MAX || from->security_protocol > 3) return "a listener without valid address";
    }
    return NULL;
}

static const char *set_directories(struct image_broker *broker, const Skiff__RegisterBrokerRecord *body)
{
    if (body->n_directory_ids > LOG_DIRS_MAX) return "a broker with too many log directories";
    broker->directory_count = (uint32_t)body->n_directory_ids;
    broker->directories = mem_calloc(broker->directory_count, sizeof *broker->directories);
    for (uint32_t i = 0; i < broker->directory_count; i++)
        if (!pb_uuid(body->directory_ids[i], &broker->directories[i])) return "a log directory without id";
    return NULL;
}

static void set_features(struct image_broker *broker, const Skiff__RegisterBrokerRecord *body)
{
    broker->feature_count = (uint32_t)body->n_features;
    broker->features = mem_calloc(broker->feature_count, sizeof *broker->features);
    for (uint32_t i = 0; i < broker->feature_count; i++) {
        const Skiff__FeatureRange *range = body->features[i];
        broker->features[i] = (struct image_feature){mem_strdup(range->name), range->level_min, range->level_max};
    }
}

/* B-EPOCH: a registration has a greater epoch than any before. */
static const char *apply_register_broker(struct replay *replay, const Skiff__MetadataRecord *record)
{
    const Skiff__RegisterBrokerRecord *body = record->register_broker;
    bool is_from_snapshot = body->registered_index > 0;
    struct uuid incarnation;
    if (body->broker_id < 0 || !pb_uuid(body->incarnation_id, &incarnation)) return "a broker without valid identity";
    struct image_broker *broker = image_broker_get(replay->image, body->broker_id);
    if (is_from_snapshot ? broker != NULL : body->broker_epoch <= replay->image->last_broker_epoch) return "a broker epoch that goes back";
    if (body->flush_policy != SKIFF__FLUSH_POLICY__FLUSH_POLICY_OS && body->flush_policy != SKIFF__FLUSH_POLICY__FLUSH_POLICY_FSYNC)
        return "an unknown flush policy";
    if (!broker) broker = image_add_broker(replay->image, body->broker_id);
    image_broker_forget_claims(broker);
    const char *wrong = set_listeners(broker, body);
    if (!wrong) wrong = set_directories(broker, body);
    if (wrong) return wrong;
    set_features(broker, body);
    broker->rack = mem_strdup(body->rack);
    broker->incarnation = incarnation;
    broker->epoch = body->broker_epoch;
    broker->is_flushing = body->flush_policy == SKIFF__FLUSH_POLICY__FLUSH_POLICY_FSYNC;
    broker->registered_index = is_from_snapshot ? body->registered_index : replay->index;
    if (is_from_snapshot) broker->unfenced_epoch = body->unfenced_epoch;
    broker->fenced = !body->unfenced;
    broker->in_controlled_shutdown = body->in_controlled_shutdown;
    if (replay->image->last_broker_epoch < broker->epoch) replay->image->last_broker_epoch = broker->epoch;
    broker_list_add_once(&replay->delta->brokers, broker->id);
    return NULL;
}

static const char *apply_broker_change(struct replay *replay, const Skiff__MetadataRecord *record)
{
    const Skiff__BrokerChangeRecord *body = record->broker_change;
    struct image_broker *broker = image_broker_get(replay->image, body->broker_id);
    if (!broker || broker->epoch != body->broker_epoch) return "a change of an unknown broker registration";
    broker->fenced = body->fenced;
    broker->in_controlled_shutdown = body->in_controlled_shutdown;
    if (!broker->fenced) broker->unfenced_epoch = broker->epoch;
    broker_list_add_once(&replay->delta->brokers, broker->id);
    return NULL;
}

static const char *apply_unregister_broker(struct replay *replay, const Skiff__MetadataRecord *record)
{
    const Skiff__UnregisterBrokerRecord *body = record->unregister_broker;
    struct image_broker *broker = image_broker_get(replay->image, body->broker_id);
    if (!broker || broker->epoch != body->broker_epoch) return "a removal of an unknown broker registration";
    broker_list_add_once(&replay->delta->brokers, broker->id);
    image_remove_broker(replay->image, broker);
    return NULL;
}

static const char *apply_broker_epoch(struct replay *replay, const Skiff__MetadataRecord *record)
{
    if (record->broker_epoch->broker_epoch < replay->image->last_broker_epoch) return "a broker epoch that goes back";
    replay->image->last_broker_epoch = record->broker_epoch->broker_epoch;
    return NULL;
}

/* ---- configs, features, ids ------------------------------------------------------------------------------------------ */

static const char *apply_config(struct replay *replay, const Skiff__MetadataRecord *record)
{
    const Skiff__ConfigRecord *body = record->config;
    const char *value = body->removed ? NULL : body->value;
    if (body->resource == SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_TOPIC) {
        struct image_topic *topic = image_topic_by_name(replay->image, slice_str(body->resource_name));
        if (!topic) return "a config of an unknown topic";
        if (image_configs_set(&topic->configs, body->name, value)) image_delta_configured(replay->delta, topic);
        return NULL;
    }
    if (body->resource != SKIFF__CONFIG_RESOURCE__CONFIG_RESOURCE_BROKER) return "a config of an unknown kind of resource";
    int64_t id = NO_BROKER;
    if (body->resource_name[0] && (!str_parse_i64(slice_str(body->resource_name), &id) || id < 0 || id > INT32_MAX))
        return "a config of an invalid broker id";
    if (image_set_broker_config(replay->image, (int32_t)id, body->name, value))
        broker_list_add_once(&replay->delta->broker_configs, (int32_t)id);
    return NULL;
}

static const char *apply_feature(struct replay *replay, const Skiff__MetadataRecord *record)
{
    image_set_feature(replay->image, record->feature->name, record->feature->level);
    replay->delta->features_changed = true;
    return NULL;
}

/* An empty name is the default of all. */
static char *quota_name(char *name) { return name[0] ? name : NULL; }

static const char *apply_client_quota(struct replay *replay, const Skiff__MetadataRecord *record)
{
    const Skiff__ClientQuotaRecord *body = record->client_quota;
    const Skiff__QuotaEntity *who = body->entity;
    if (!who || (!who->has_user && !who->has_client_id && !who->has_ip) || !body->key[0]) return "a quota of nobody";
    struct quota_entity entity = {
        .has = {[QUOTA_USER] = who->has_user, [QUOTA_CLIENT_ID] = who->has_client_id, [QUOTA_IP] = who->has_ip},
        .names = {[QUOTA_USER] = quota_name(who->user), [QUOTA_CLIENT_ID] = quota_name(who->client_id), [QUOTA_IP] = quota_name(who->ip)}};
    image_set_quota(replay->image, &entity, body->key, body->removed ? NULL : &body->value);
    return NULL;
}

static const char *apply_cluster(struct replay *replay, const Skiff__MetadataRecord *record)
{
    if (replay->image->cluster_id[0] || !record->cluster->cluster_id[0]) return "a second cluster id";
    image_set_cluster_id(replay->image, record->cluster->cluster_id);
    replay->delta->cluster_changed = true;
    return NULL;
}

static const char *apply_producer_ids(struct replay *replay, const Skiff__MetadataRecord *record)
{
    if (record->producer_ids->next_producer_id < replay->image->next_producer_id) return "producer ids that go back";
    replay->image->next_producer_id = record->producer_ids->next_producer_id;
    return NULL;
}

/* ---- batches --------------------------------------------------------------------------------------------------------- */

typedef const char *apply_fn(struct replay *replay, const Skiff__MetadataRecord *record);

/* By the number of the record's field in MetadataRecord. */
static apply_fn *const APPLY[] = {
    [SKIFF__METADATA_RECORD__BODY_CLUSTER] = apply_cluster,
    [SKIFF__METADATA_RECORD__BODY_FEATURE] = apply_feature,
    [SKIFF__METADATA_RECORD__BODY_REGISTER_BROKER] = apply_register_broker,
    [SKIFF__METADATA_RECORD__BODY_BROKER_CHANGE] = apply_broker_change,
    [SKIFF__METADATA_RECORD__BODY_TOPIC] = apply_topic,
    [SKIFF__METADATA_RECORD__BODY_PARTITION] = apply_partition,
    [SKIFF__METADATA_RECORD__BODY_PARTITION_CHANGE] = apply_partition_change,
    [SKIFF__METADATA_RECORD__BODY_REMOVE_TOPIC] = apply_remove_topic,
    [SKIFF__METADATA_RECORD__BODY_CONFIG] = apply_config,
    [SKIFF__METADATA_RECORD__BODY_PRODUCER_IDS] = apply_producer_ids,
    [SKIFF__METADATA_RECORD__BODY_UNREGISTER_BROKER] = apply_unregister_broker,
    [SKIFF__METADATA_RECORD__BODY_BROKER_EPOCH] = apply_broker_epoch,
    [SKIFF__METADATA_RECORD__BODY_CLIENT_QUOTA] = apply_client_quota,
};

/* What this build does not understand it must not apply: the level that wrote it is newer than ours. */
static const char *check_known(const Skiff__MetadataRecord *record)
{
    if (record->body_case == SKIFF__METADATA_RECORD__BODY__NOT_SET) return "an unknown type";
    if (record->version != 0) return "an unknown version";
    if (pb_has_unknown(&record->base)) return "an unknown field";
    return NULL;
}

static void say(char why[REPLAY_ERROR_MAX], int64_t index, size_t record, const char *wrong)
{
    if (why) (void)snprintf(why, REPLAY_ERROR_MAX, "metadata entry %lld, record %zu: %s", (long long)index, record, wrong);
}

static enum err apply_batch(struct replay *replay, const Skiff__MetadataBatch *batch, char why[REPLAY_ERROR_MAX])
{
    for (size_t i = 0; i < batch->n_records; i++) {
        const char *wrong = check_known(batch->records[i]);
        if (!wrong) continue;
        say(why, replay->index, i, wrong);
        return ERR_CORRUPT;
    }
    for (size_t i = 0; i < batch->n_records; i++) {
        const char *wrong = APPLY[batch->records[i]->body_case](replay, batch->records[i]);
        if (!wrong) continue;
        say(why, replay->index, i, wrong);
        return ERR_CORRUPT;
    }
    if (batch->announce) replay->delta->announce = true;
    return ERR_OK;
}

enum err image_replay_batch(struct image *image, struct slice bytes, int64_t index, struct image_delta *delta, char why[REPLAY_ERROR_MAX])
{
    struct arena arena;
    arena_init(&arena, pb_unpack_budget(bytes.n));
    struct replay replay = {image, delta, index};
    enum err err = ERR_CORRUPT;
    Skiff__MetadataBatch *batch = pb_unpack(&skiff__metadata_batch__descriptor, bytes, &arena);
    if (batch && batch->base.n_unknown_fields == 0)
        err = apply_batch(&replay, batch, why);
    else
        say(why, index, 0, "not a batch of records that this version knows");
    arena_deinit(&arena);
    return err;
}

enum err image_replay(struct image *image, struct slice batch, int64_t index, struct image_delta *delta, char why[REPLAY_ERROR_MAX])
{
    ASSERT(index > image->index);
    ASSERT(delta->serial == image->delta_serial);
    enum err err = batch.n ? image_replay_batch(image, batch, index, delta, why) : ERR_OK;
    if (err == ERR_OK) image->index = index;
    return err;
}
