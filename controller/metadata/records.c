#include "controller/metadata/records.h"

#include "common/assert.h"
#include "common/mem.h"
#include "proto/pb.h"

/* A batch is a MetadataBatch: its field 1 repeated, then field 2. Written piece by piece, so that nothing holds all records. */
#define TAG_RECORD   0x0a /* field 1, length-delimited */
#define TAG_ANNOUNCE 0x10 /* field 2, varint */

void records_init(struct records *records) { *records = (struct records){0}; }

void records_deinit(struct records *records)
{
    for (uint32_t i = 0; i < records->batch_count; i++) buf_unref(records->batches[i]);
    mem_free(records->batches);
    writer_deinit(&records->open);
}

static void close_batch(struct records *records)
{
    if (records->announce) {
        writer_u8(&records->open, TAG_ANNOUNCE);
        writer_u8(&records->open, 1);
    }
    if (records->batch_count == records->batch_capacity) {
        records->batch_capacity = records->batch_capacity ? records->batch_capacity * 2 : 1;
        records->batches = mem_realloc(records->batches, records->batch_capacity, sizeof(struct buf *));
    }
    records->batches[records->batch_count++] = writer_take(&records->open);
    records->open_count = records->cut_count = 0;
    records->cut_size = 0;
}

/* The open batch up to the last cut becomes a batch; what came since starts the next one. */
static void split_at_cut(struct records *records)
{
    struct slice all = writer_slice(&records->open);
    struct buf *rest = buf_copy(slice_make(all.p + records->cut_size, all.n - records->cut_size));
    uint32_t rest_count = records->open_count - records->cut_count;
    records->open.buf->size = records->cut_size;
    close_batch(records);
    writer_bytes(&records->open, buf_slice(rest));
    records->open_count = rest_count;
    buf_unref(rest);
}

void records_cut(struct records *records)
{
    if (records->open_count > METADATA_RECORDS_PER_OPERATION_MAX && records->cut_count > 0) split_at_cut(records);
    records->cut_size = writer_size(&records->open);
    records->cut_count = records->open_count;
}

void records_rollback(struct records *records)
{
    if (records->open.buf) records->open.buf->size = records->cut_size;
    records->open_count = records->cut_count;
}

struct buf **records_take(struct records *records, uint32_t *count)
{
    records_cut(records);
    if (records->open_count) close_batch(records);
    struct buf **batches = records->batches;
    *count = records->batch_count;
    records->batches = NULL;
    records->batch_count = records->batch_capacity = 0;
    return batches;
}

void records_add(struct records *records, Skiff__MetadataRecord *record)
{
    ASSERT(record->body_case != SKIFF__METADATA_RECORD__BODY__NOT_SET);
    size_t size = skiff__metadata_record__get_packed_size(record);
    writer_u8(&records->open, TAG_RECORD);
    writer_uvarint(&records->open, size);
    size_t written = skiff__metadata_record__pack(record, writer_reserve(&records->open, size));
    ASSERT(written == size);
    records->open_count++;
}

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

static uint32_t copy_ids(int32_t *to, struct node_ids from)
{
    ASSERT(from.count <= REPLICAS_MAX);
    if (from.count) memcpy(to, from.ids, from.count * sizeof *to);
    return from.count;
}

void partition_state_of(const struct image *image, const struct image_topic *topic, int32_t index, struct partition_state *out)
{
    const struct image_partition *partition = &topic->partitions[index];
    const struct image_reassignment *reassignment = image_reassignment_get(image, topic->id, index);
    *out = (struct partition_state){.leader = partition->leader,
                                    .leader_epoch = partition->leader_epoch,
                                    .partition_epoch = partition->partition_epoch,
                                    .last_known_leader = partition->last_known_leader,
                                    .recovering = partition->recovering};
    out->isr_count = copy_ids(out->isr, image_isr(partition));
    out->elr_count = copy_ids(out->elr, image_elr(partition));
    out->replica_count = copy_ids(out->replicas, image_replicas(partition));
    out->adding_count = copy_ids(out->adding, image_adding(reassignment));
    out->removing_count = copy_ids(out->removing, image_removing(reassignment));
}

/* Borrows from `state`. */
static void partition_state_to_pb(struct partition_state *state, Skiff__PartitionState *out)
{
    skiff__partition_state__init(out);
    out->leader = state->leader;
    out->leader_epoch = state->leader_epoch;
    out->partition_epoch = state->partition_epoch;
    out->last_known_leader = state->last_known_leader;
    out->recovering = state->recovering;
    out->n_isr = state->isr_count, out->isr = state->isr;
    out->n_elr = state->elr_count, out->elr = state->elr;
    out->n_adding = state->adding_count, out->adding = state->adding;
    out->n_removing = state->removing_count, out->removing = state->removing;
}

void records_add_partition(struct records *records, struct uuid topic_id, int32_t partition, struct node_ids replicas,
                           struct partition_state *state)
{
    int32_t ids[REPLICAS_MAX];
    Skiff__PartitionState pb_state;
    partition_state_to_pb(state, &pb_state);
    Skiff__PartitionRecord body;
    skiff__partition_record__init(&body);
    body.topic_id = pb_uuid_data(&topic_id);
    body.partition = partition;
    body.n_replicas = copy_ids(ids, replicas), body.replicas = ids;
    body.state = &pb_state;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_PARTITION, record.partition = &body;
    records_add(records, &record);
}

void records_add_partition_change(struct records *records, struct uuid topic_id, int32_t partition, struct partition_state *state)
{
    Skiff__PartitionState pb_state;
    partition_state_to_pb(state, &pb_state);
    Skiff__PartitionChangeRecord body;
    skiff__partition_change_record__init(&body);
    body.topic_id = pb_uuid_data(&topic_id);
    body.partition = partition;
    body.state = &pb_state;
    if (state->has_new_replicas) body.n_replicas = state->replica_count, body.replicas = state->replicas;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_PARTITION_CHANGE, record.partition_change = &body;
    records_add(records, &record);
}

/* ---- the rest -------------------------------------------------------------------------------------------------------- */

void records_add_topic(struct records *records, struct uuid topic_id, struct slice name)
{
    char text[TOPIC_NAME_MAX + 1];
    ASSERT(name.n <= TOPIC_NAME_MAX);
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    Skiff__TopicRecord body;
    skiff__topic_record__init(&body);
    body.topic_id = pb_uuid_data(&topic_id);
    body.name = text;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_TOPIC, record.topic = &body;
    records_add(records, &record);
}

void records_add_remove_topic(struct records *records, struct uuid topic_id)
{
    Skiff__RemoveTopicRecord body;
    skiff__remove_topic_record__init(&body);
    body.topic_id = pb_uuid_data(&topic_id);
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_REMOVE_TOPIC, record.remove_topic = &body;
    records_add(records, &record);
}

void records_add_broker_change(struct records *records, const struct image_broker *broker, bool fenced, bool in_controlled_shutdown)
{
    Skiff__BrokerChangeRecord body;
    skiff__broker_change_record__init(&body);
    body.broker_id = broker->id;
    body.broker_epoch = broker->epoch;
    body.fenced = fenced;
    body.in_controlled_shutdown = in_controlled_shutdown;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_BROKER_CHANGE, record.broker_change = &body;
    records_add(records, &record);
}

void records_add_unregister_broker(struct records *records, const struct image_broker *broker)
{
    Skiff__UnregisterBrokerRecord body;
    skiff__unregister_broker_record__init(&body);
    body.broker_id = broker->id;
    body.broker_epoch = broker->epoch;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_UNREGISTER_BROKER, record.unregister_broker = &body;
    records_add(records, &record);
}

void records_add_broker_epoch(struct records *records, int64_t broker_epoch)
{
    Skiff__BrokerEpochRecord body;
    skiff__broker_epoch_record__init(&body);
    body.broker_epoch = broker_epoch;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_BROKER_EPOCH, record.broker_epoch = &body;
    records_add(records, &record);
}

void records_add_quota(struct records *records, const struct quota_entity *entity, const char *key, const double *value)
{
    Skiff__QuotaEntity who;
    Skiff__ClientQuotaRecord body;
    skiff__quota_entity__init(&who);
    skiff__client_quota_record__init(&body);
    who.has_user = entity->has[QUOTA_USER];
    who.has_client_id = entity->has[QUOTA_CLIENT_ID];
    who.has_ip = entity->has[QUOTA_IP];
    if (entity->names[QUOTA_USER]) who.user = entity->names[QUOTA_USER];
    if (entity->names[QUOTA_CLIENT_ID]) who.client_id = entity->names[QUOTA_CLIENT_ID];
    if (entity->names[QUOTA_IP]) who.ip = entity->names[QUOTA_IP];
    body.entity = &who;
    body.key = pb_lend(key);
    body.value = value ? *value : 0;
    body.removed = !value;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_CLIENT_QUOTA, record.client_quota = &body;
    records_add(records, &record);
}

void records_add_config(struct records *records, Skiff__ConfigResource resource, const char *resource_name, const char *name,
                        const char *value)
{
    Skiff__ConfigRecord body;
    skiff__config_record__init(&body);
    body.resource = resource;
    body.resource_name = pb_lend(resource_name);
    body.name = pb_lend(name);
    body.value = pb_lend(value ? value : "");
    body.removed = !value;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_CONFIG, record.config = &body;
    records_add(records, &record);
}

void records_add_feature(struct records *records, const char *name, uint32_t level)
{
    Skiff__FeatureRecord body;
    skiff__feature_record__init(&body);
    body.name = pb_lend(name);
    body.level = level;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_FEATURE, record.feature = &body;
    records_add(records, &record);
}

void records_add_producer_ids(struct records *records, int64_t next_producer_id)
{
    Skiff__ProducerIdsRecord body;
    skiff__producer_ids_record__init(&body);
    body.next_producer_id = next_producer_id;
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_PRODUCER_IDS, record.producer_ids = &body;
    records_add(records, &record);
}

void records_add_cluster(struct records *records, const char *cluster_id)
{
    Skiff__ClusterRecord body;
    skiff__cluster_record__init(&body);
    body.cluster_id = pb_lend(cluster_id);
    Skiff__MetadataRecord record;
    skiff__metadata_record__init(&record);
    record.body_case = SKIFF__METADATA_RECORD__BODY_CLUSTER, record.cluster = &body;
    records_add(records, &record);
}
